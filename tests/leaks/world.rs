//! The servers that are attacked: one with the plugin and every plugin that comes with Orthanc, another that takes what
//! is sent. It must not know the attacks.
use crate::canary::{Canaries, Kind};
use crate::images::{self, Study, set};
use crate::session::Session;
use crate::site::{Image, Plan, Site, Who, roles};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::routes::bundled_plugins;
use testbed::{Answer, Orthanc, Request, Version};

/// The metadata and attachment that are put at every level: numbers that sites may use for their own.
pub const OWN_NUMBER: &str = "1024";
/// Where a viewer is that is launched by code.
pub const VIEWER_ORIGIN: &str = "https://viewer.test";
/// Of every user with a role.
pub const PERMISSIONS: [&str; 16] = [
    "all",
    "view",
    "download",
    "upload",
    "delete",
    "send",
    "modify",
    "anonymize",
    "q-r-remote-modalities",
    "settings",
    "edit-labels",
    "share",
    "admin-permissions",
    "audit-logs",
    "worklists",
    "create-inbox-links",
];

pub struct World {
    pub site: Site,
    pub remote: Orthanc,
    pub canaries: Canaries,
    pub studies: Vec<Study>,
    pub admin: Who,
    /// A job, a query and a report on a storage commitment that the administrator has asked for.
    pub job: String,
    pub query: String,
    pub commitment: String,
    /// Where to write which guard is taken out; only the build with fault injection looks there.
    pub unguarded: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl World {
    pub fn start(version: Version, library: &Path, seed: u64) -> Self {
        let mut canaries = Canaries::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let (site_port, remote_port) = (testbed::orthanc::free_port().unwrap(), testbed::orthanc::free_port().unwrap());
        let remote = start_remote(version, remote_port, site_port);
        let served = folder.path().join("served");
        fs::create_dir_all(&served).unwrap();
        fs::write(served.join("file.txt"), canaries.content(set::ADMIN, "a file of the plugin ServeFolders")).unwrap();
        let worklists = folder.path().join("worklists");
        fs::create_dir_all(&worklists).unwrap();

        let templates = folder.path().join("templates");
        fs::create_dir_all(&templates).unwrap();
        fs::write(templates.join("share.html"), "<p>{ShareUrl}</p>").unwrap();

        let mut plan = Plan::with_library(version, library);
        for plugin in bundled_plugins(version).unwrap() {
            plan = plan.plugin(&plugin);
        }
        let open = ["get", "post", "put", "delete"].map(|method| json!([method, "^/.*$", ""]));
        let unguarded = folder.path().join("unguarded");
        let mut shares = crate::site::shares();
        shares["ViewerOrigins"] = json!([VIEWER_ORIGIN]);
        shares["ViewerTokenValidity"] = json!(3_600);
        // What somebody may delete is put back, and has to be under attack by links as before.
        shares["EndWithStudy"] = json!(false);
        let site = plan
            .env("GATEHOUSE_UNGUARDED", &unguarded.to_string_lossy())
            .roles(all_roles())
            .section(json!({
                // The first gate lets everybody through: the second has to hold alone.
                "ExtraPermissions": open,
                "LabelsValidity": 60,
                "Shares": shares,
                // Nobody is there: what is written is looked at, and goes no further.
                "Emails": {
                    "Sender": "info@hospital.example", "TemplatesFolder": templates,
                    "Smtp": {"Host": "127.0.0.1", "Port": 9, "Tls": "none", "Timeout": 1},
                },
            }))
            .server(&json!({
                "DicomModalities": {"remote": ["REMOTE", "127.0.0.1", remote_port]},
                "OrthancPeers": {"remote": [remote.url()]},
                "DicomWeb": {"Servers": {"remote": [format!("{}/dicom-web/", remote.url())]}},
                "DicomServerEnabled": true, "DicomPort": site_port, "DicomAet": "SITE", "DicomCheckCalledAet": false,
                "LogExportedResources": true, "JobsHistorySize": 100_000, "MediaArchiveSize": 100,
                "QueryRetrieveSize": 100_000, "HttpThreadsCount": 16, "KeepAlive": true,
                "UserMetadata": {"note": 1024}, "UserContentType": {"report": 1024},
                "ServeFolders": {"/served": served}, "Worklists": {"Enable": true, "Database": worklists},
                "Housekeeper": {"Enable": true},
                "DelayedDeletion": {"Enable": false},
                "DicomScpTimeout": 5, "DicomScuTimeout": 5, "HttpTimeout": 10,
            }))
            .start();
        let admin = Who::user("admin");
        let studies = images::studies(&mut canaries);
        let mut world = Self {
            site,
            remote,
            canaries,
            studies,
            admin,
            job: String::new(),
            query: String::new(),
            commitment: String::new(),
            unguarded,
            _folder: folder,
        };
        for study in world.studies.clone() {
            world.store(&study);
        }
        world.start_the_administrators();
        world
    }

    pub fn study(&self, set: &str) -> &Study {
        self.studies.iter().find(|study| study.set == set).unwrap()
    }

    /// As the administrator; a connection for each.
    pub fn ask(&self, request: Request) -> Answer {
        self.site.send(&self.admin, request)
    }

    fn must(&self, request: Request) -> Answer {
        let shown = format!("{} {}", request.method, request.path);
        let answer = self.ask(request);
        assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
        answer
    }

    /// Uploads a study with its labels, and metadata and an attachment at every level.
    pub fn store(&mut self, study: &Study) {
        for instance in &study.instances {
            self.must(Request::post("/instances", instance.to_bytes()));
        }
        for label in &study.labels {
            self.must(Request::put(&format!("/studies/{}/labels/{label}", study.first().ids().study), ""));
        }
        for (number, instance) in study.instances.iter().enumerate() {
            let ids = instance.ids();
            let [series_set, instance_set] = study.sets_below(number);
            let levels = [
                ("patients", ids.patient, study.set),
                ("studies", ids.study, study.set),
                ("series", ids.series, series_set),
                ("instances", ids.instance, instance_set),
            ];
            for (level, id, set) in levels {
                // What is attached to a patient is for those who may see all studies of the patient.
                let set = if set == set::OWN_SHARED && level == "patients" { set::FOREIGN_SHARED } else { set };
                for what in ["metadata", "attachments"] {
                    let path = format!("/{level}/{id}/{what}/{OWN_NUMBER}");
                    if self.ask(Request::get(&path)).status != 200 {
                        let canary = self.canaries.content(set, &format!("{what} in {level}"));
                        self.must(Request::put(&path, canary));
                    }
                }
            }
        }
    }

    /// Deletes everything and stores it anew.
    pub fn restore(&mut self) {
        let patients = self.must(Request::get("/patients")).json().unwrap();
        for id in patients.as_array().unwrap() {
            self.ask(Request::put(&format!("/patients/{}/protected", id.as_str().unwrap()), "0"));
            self.must(Request::delete(&format!("/patients/{}", id.as_str().unwrap())));
        }
        for study in self.studies.clone() {
            self.store(&study);
        }
    }

    /// A job over foreign studies with an archive, one that sent them away, a query whose answers are nowhere else, and
    /// a report on what another system has.
    fn start_the_administrators(&mut self) {
        let foreign = self.study(set::FOREIGN).first().ids().study;
        let body = json!({"Asynchronous": true, "Resources": [foreign]});
        let job = self.must(Request::new("POST", "/tools/create-archive").json(&body)).json().unwrap();
        self.job = job["ID"].as_str().unwrap().to_owned();
        self.canaries.insert(&self.job, set::ADMIN, "a job", Kind::Name);
        let body = json!({"Resources": [foreign], "Synchronous": true});
        self.must(Request::new("POST", "/modalities/remote/store").json(&body));
        self.clear_remote();

        let study = images::remote(&mut self.canaries);
        testbed::dicom::upload(&self.remote.client(), study.to_bytes()).unwrap();
        let body = json!({"Level": "Study", "Query": {
            "PatientID": study.get((0x0010, 0x0020)), "StudyDescription": "*", "PatientName": "*", "AccessionNumber": "*",
            "ReferringPhysicianName": "", "InstitutionName": "",
        }});
        let query = self.must(Request::new("POST", "/modalities/remote/query").json(&body)).json().unwrap();
        self.query = query["ID"].as_str().unwrap().to_owned();
        self.canaries.insert(&self.query, set::ADMIN, "a query", Kind::Name);
        let answers = self.must(Request::get(&format!("/queries/{}/answers", self.query))).json().unwrap();
        assert_eq!(answers, json!(["0"]), "the remote server finds its study");
        self.clear_remote();

        // The other server does not have it any more, and says so by naming it.
        let instance = self.study(set::FOREIGN).first().get((0x0008, 0x0018));
        let body = json!({"DicomInstances": [["1.2.840.10008.5.1.4.1.1.7", instance]]});
        let answer =
            self.must(Request::new("POST", "/modalities/remote/storage-commitment").json(&body)).json().unwrap();
        self.commitment = answer["ID"].as_str().unwrap().to_owned();
        let path = format!("/storage-commitment/{}", self.commitment);
        let is_told = || self.ask(Request::get(&path)).text().contains(&instance).then_some(());
        assert!(wait_until(Duration::from_secs(30), is_told).is_some(), "no report on a storage commitment");
    }

    pub fn clear_remote(&self) {
        let client = self.remote.client();
        for id in client.get("/patients").unwrap().json().unwrap().as_array().unwrap() {
            client.delete(&format!("/patients/{}", id.as_str().unwrap())).unwrap();
        }
    }

    /// Until no job is under way.
    pub fn settle(&self) {
        let over = || {
            // The list of all jobs is long after a while.
            let metrics = self.must(Request::get("/tools/metrics-prometheus")).text();
            let idle = |name: &str| metrics.lines().any(|line| line.starts_with(&format!("{name} 0")));
            (idle("orthanc_jobs_pending") && idle("orthanc_jobs_running")).then_some(())
        };
        assert!(wait_until(Duration::from_secs(120), over).is_some(), "jobs do not end");
    }

    pub fn session(&self) -> Session {
        Session::new(self.site.server.address())
    }

    /// The image of a study's first instance, for what the site can do with images.
    pub fn image(&self, set: &str) -> Image {
        Image::of(self.study(set).first())
    }
}

fn start_remote(version: Version, port: u16, site_port: u16) -> Orthanc {
    let configuration = json!({
        "DicomServerEnabled": true, "DicomPort": port, "DicomAet": "REMOTE", "DicomCheckCalledAet": false,
        "DicomAlwaysAllowStore": true, "DicomAlwaysAllowFind": true, "DicomAlwaysAllowMove": true,
        "DicomModalities": {"site": ["SITE", "127.0.0.1", site_port]},
        "DicomScpTimeout": 5, "DicomScuTimeout": 5,
    });
    Orthanc::builder(version).dicomweb().unwrap().configure(&configuration).start().unwrap()
}

/// The users' roles: what the limited users lack is labels, never a permission.
fn all_roles() -> Value {
    let mut document = roles();
    document["roles"]["admin-role"]["permissions"] = json!(PERMISSIONS);
    document["roles"]["doctor-role"]["permissions"] = json!(["all", "share"]);
    document["roles"]["external-role"]["permissions"] = json!(PERMISSIONS);
    document
}
