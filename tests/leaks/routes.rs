//! The servers' own list of routes, and what is put in the place of placeholders. It must not know who asks.
use crate::images::{Study, set};
use crate::world::{OWN_NUMBER, World};
use orthanc_gatehouse::route::ROUTES;
use std::collections::BTreeSet;
use testbed::random::Random;
use testbed::{Version, routes};

/// Beside what the servers say they have: what is reached without being listed, what only other versions and plugins
/// have, and what nobody has.
const MORE: [&str; 20] = [
    "/",
    "/app/explorer.html",
    "/served/file.txt",
    "/served",
    "/instances/{id}/content",
    "/jobs/{id}/archive",
    "/webdav",
    "/webdav/by-patients",
    "/webdav/by-patients/{patient-id}",
    "/webdav/by-uids/{study-uid}",
    "/webdav/by-dates",
    "/webdav/uploads/x.dcm",
    "/worklists",
    "/transfers/lookup",
    "/transfers/send",
    "/nobody/knows/{study}",
    "/osimis-viewer/studies/{study}",
    "/wsi/pyramids/{series}",
    "/stl/rt-struct/{instance}",
    "/studies/{study}/nobody-knows",
];

/// The paths of all routes, with placeholders.
pub fn templates(version: Version) -> Vec<String> {
    let mut all = BTreeSet::new();
    let core = routes::core_routes(version).unwrap();
    assert!(core.len() > 280, "only {} routes", core.len());
    all.extend(core.into_iter().map(|(_, path)| path));
    let plugins = routes::plugin_routes(version).unwrap();
    assert!(plugins.iter().any(|route| route.path.contains("dicom-web")), "no DICOMweb plugin");
    // Patterns of several core routes are ours: what they stand for is in the core's list.
    all.extend(plugins.into_iter().map(|route| route.path).filter(|path| !path.contains('(')));
    all.extend(MORE.iter().map(|path| (*path).to_owned()));
    all.extend(ROUTES.iter().map(|route| route.path.to_owned()).filter(|path| path.starts_with("/auth/")));
    all.into_iter().collect()
}

/// What stands for what, in paths, arguments and bodies.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: &'static str,
    pub patient: String,
    pub study: String,
    pub series: String,
    pub instance: String,
    pub study_uid: String,
    pub series_uid: String,
    pub instance_uid: String,
    pub patient_id: String,
    pub accession: String,
    pub label: String,
    pub job: String,
    pub query: String,
    pub commitment: String,
}

impl Target {
    fn of(name: &'static str, world: &World, study: &Study) -> Self {
        Self::at(name, world, study, 0)
    }

    /// At one of a study's instances.
    fn at(name: &'static str, world: &World, study: &Study, number: usize) -> Self {
        let instance = &study.instances[number];
        let ids = instance.ids();
        Self {
            name,
            patient: ids.patient,
            study: ids.study,
            series: ids.series,
            instance: ids.instance,
            study_uid: instance.get((0x0020, 0x000d)),
            series_uid: instance.get((0x0020, 0x000e)),
            instance_uid: instance.get((0x0008, 0x0018)),
            patient_id: instance.get((0x0010, 0x0020)),
            accession: instance.get((0x0008, 0x0050)),
            label: study.labels.last().cloned().unwrap_or_else(|| "nobodys".to_owned()),
            job: world.job.clone(),
            query: world.query.clone(),
            commitment: world.commitment.clone(),
        }
    }

    /// The Orthanc ids from the patient down.
    pub fn ids(&self) -> [&str; 4] {
        [&self.patient, &self.study, &self.series, &self.instance]
    }

    /// Puts itself into a path.
    pub fn fill(&self, template: &str) -> String {
        let (mut before, mut below_dicom_web, mut filled) = ("", false, String::new());
        for segment in template.split('/').skip(1) {
            below_dicom_web |= segment == "dicom-web";
            filled.push('/');
            filled.push_str(match (segment.starts_with('{'), segment, before) {
                (true, "{patient}", _) => &self.patient,
                (true, "{study}", _) => &self.study,
                (true, "{series}", _) => &self.series,
                (true, "{instance}", _) => &self.instance,
                (true, "{study-uid}", _) => &self.study_uid,
                (true, "{patient-id}", _) => &self.patient_id,
                (true, _, "studies") if below_dicom_web => &self.study_uid,
                (true, _, "series") if below_dicom_web => &self.series_uid,
                (true, _, "instances") if below_dicom_web => &self.instance_uid,
                (true, _, "patients") => &self.patient,
                (true, _, "studies") => &self.study,
                (true, _, "series") => &self.series,
                (true, _, "instances") => &self.instance,
                (true, _, "labels") => &self.label,
                (true, _, "jobs") => &self.job,
                (true, _, "queries") => &self.query,
                (true, _, "storage-commitment") => &self.commitment,
                (true, _, "metadata" | "attachments") => OWN_NUMBER,
                (true, _, "modalities" | "peers" | "servers") => "remote",
                (true, _, "frames") if below_dicom_web => "1",
                (true, _, "frames" | "answers") => "0",
                (true, _, "content") => "PatientName",
                (true, _, "bulk") => "7fe00010",
                (true, "{key}", _) => "archive",
                (true, _, "tokens") => "ohif-viewer-publication",
                (true, ..) => "dicom-web",
                (false, segment, _) => segment,
            });
            before = segment;
        }
        filled
    }
}

/// A target that is nowhere.
pub fn unknown(rng: &mut Random) -> Target {
    let mut number = || rng.next() as u32;
    let mut id = || (0..5).map(|_| format!("{:08x}", number())).collect::<Vec<_>>().join("-");
    let [patient, study, series, instance] = [id(), id(), id(), id()];
    let mut uuid = || format!("{}-0000-4000-8000-{}0000", &id()[..8], &id()[..8]);
    let (job, query) = (uuid(), uuid());
    let mut uid = || format!("2.25.{}", rng.next());
    Target {
        name: "unknown",
        patient,
        study,
        series,
        instance,
        study_uid: uid(),
        series_uid: uid(),
        instance_uid: uid(),
        patient_id: "NOBODYNOBODYNO".to_owned(),
        accession: "NOTHINGNOTHING".to_owned(),
        label: "NOLABELNOLABEL".to_owned(),
        job,
        query,
        commitment: uid(),
    }
}

/// Own resources beside those that the links to a series and to an instance open.
pub const BESIDE: [&str; 2] = ["own, beside a linked instance", "own, beside a linked series"];

/// The targets of attacks; the own study is the first.
pub fn targets(world: &World) -> Vec<Target> {
    let of = |name, set| Target::of(name, world, world.study(set));
    let (own, foreign) = (of("own", set::OWN), of("foreign", set::FOREIGN));
    vec![
        own.clone(),
        foreign.clone(),
        of("unlabelled", set::UNLABELLED),
        of("of a shared patient", set::FOREIGN_SHARED),
        of("with the UIDs of an own one", set::FOREIGN_TWIN),
        Target {
            name: "foreign below own",
            patient: own.patient.clone(),
            study: own.study.clone(),
            study_uid: own.study_uid.clone(),
            ..foreign.clone()
        },
        Target {
            name: "foreign instance below own series",
            instance: foreign.instance.clone(),
            instance_uid: foreign.instance_uid.clone(),
            label: foreign.label.clone(),
            ..own.clone()
        },
        Target {
            name: "ids of another level",
            patient: foreign.study.clone(),
            study: foreign.series.clone(),
            series: foreign.instance.clone(),
            instance: foreign.patient.clone(),
            study_uid: foreign.series_uid.clone(),
            series_uid: foreign.instance_uid.clone(),
            instance_uid: foreign.study_uid.clone(),
            ..foreign.clone()
        },
        Target {
            name: "upper case",
            patient: foreign.patient.to_uppercase(),
            study: foreign.study.to_uppercase(),
            series: foreign.series.to_uppercase(),
            instance: foreign.instance.to_uppercase(),
            ..foreign
        },
        Target::at(BESIDE[0], world, world.study(set::OWN), 1),
        Target::at(BESIDE[1], world, world.study(set::OWN), 2),
    ]
}
