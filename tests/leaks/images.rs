//! The studies of the site: made-up images with a canary in every tag that can hold one. It must not know how they are
//! attacked.
use crate::canary::Canaries;
use testbed::dicom::Instance;

/// The sets of resources whose canaries are told apart. Those whose name begins with `own` are labelled `external`.
pub mod set {
    /// A patient with one study of two series, two instances in the first; a link may be to the first series only.
    pub const OWN: &str = "own";
    pub const OWN_SECOND_SERIES: &str = "own, second series";
    /// An instance beside the first in its series: a link may be to that one only.
    pub const OWN_SECOND_INSTANCE: &str = "own, second instance";
    /// Another patient's.
    pub const OWN_OTHER: &str = "own, other study";
    /// A study of a patient who has a foreign one too. What Orthanc keeps of a patient is one record for all of the
    /// patient's studies, whichever came first, so that both have the same patient's tags, which count as own.
    pub const OWN_SHARED: &str = "own, shared patient";
    /// A study whose UIDs, down to the instance, a foreign one of another patient has too.
    pub const OWN_TWIN: &str = "own, twin";
    /// Labelled otherwise.
    pub const FOREIGN: &str = "foreign";
    /// Without any label.
    pub const UNLABELLED: &str = "foreign, unlabelled";
    pub const FOREIGN_SHARED: &str = "foreign, shared patient";
    pub const FOREIGN_TWIN: &str = "foreign, twin";
    /// Never named in any request of an attacker.
    pub const SILENT: &str = "foreign, silent";
    /// A label on an own study that the limited users do not have.
    pub const HIDDEN_LABEL: &str = "label that is not shown";
    /// What the administrator started.
    pub const ADMIN: &str = "the administrator's";
    /// What of other systems only the administrator has asked for.
    pub const REMOTE: &str = "of another system";
}

/// One study with everything about it that attackers and restorers need.
#[derive(Clone, Debug)]
pub struct Study {
    pub set: &'static str,
    pub instances: Vec<Instance>,
    pub labels: Vec<String>,
}

impl Study {
    pub fn first(&self) -> &Instance {
        &self.instances[0]
    }

    /// The sets of the series and of the instance of one of the instances.
    pub fn sets_below(&self, number: usize) -> [&'static str; 2] {
        match (self.set, number) {
            (set::OWN, 1) => [set::OWN, set::OWN_SECOND_INSTANCE],
            (set::OWN, 2) => [set::OWN_SECOND_SERIES; 2],
            _ => [self.set; 2],
        }
    }

    pub fn is_own(&self) -> bool {
        self.set.starts_with("own")
    }
}

/// All studies. The labels of foreign ones are canaries too.
pub fn studies(canaries: &mut Canaries) -> Vec<Study> {
    let external = || vec!["external".to_owned()];
    let mut all = Vec::new();

    let mut own = Patient::new(canaries, set::OWN);
    let study = own.study(canaries, set::OWN);
    let series = study.series(canaries, set::OWN);
    let second = study.series(canaries, set::OWN_SECOND_SERIES);
    let instances = vec![
        series.instance(canaries, set::OWN),
        series.instance(canaries, set::OWN_SECOND_INSTANCE),
        second.instance(canaries, set::OWN_SECOND_SERIES),
    ];
    let hidden = canaries.name(set::HIDDEN_LABEL, "label");
    all.push(Study { set: set::OWN, instances, labels: vec!["external".to_owned(), hidden] });

    for (set, labels) in [(set::OWN_OTHER, 0), (set::FOREIGN, 1), (set::UNLABELLED, 2), (set::SILENT, 1)] {
        let labels = match labels {
            0 => external(),
            1 => vec![label(canaries, set)],
            _ => Vec::new(),
        };
        let mut patient = Patient::new(canaries, set);
        let study = patient.study(canaries, set);
        let instances = (0..2).map(|_| study.series(canaries, set)).collect::<Vec<_>>();
        let instances = instances.iter().map(|series| series.instance(canaries, set)).collect();
        all.push(Study { set, instances, labels });
    }

    let mut shared = Patient::new(canaries, set::OWN_SHARED);
    for set in [set::OWN_SHARED, set::FOREIGN_SHARED] {
        let instances = vec![shared.study(canaries, set).series(canaries, set).instance(canaries, set)];
        let labels = if set == set::OWN_SHARED { external() } else { vec![label(canaries, set)] };
        all.push(Study { set, instances, labels });
    }

    let mut own_twin = Patient::new(canaries, set::OWN_TWIN);
    let one = own_twin.study(canaries, set::OWN_TWIN).series(canaries, set::OWN_TWIN).instance(canaries, set::OWN_TWIN);
    let mut foreign_twin = Patient::new(canaries, set::FOREIGN_TWIN);
    let other = foreign_twin.study(canaries, set::FOREIGN_TWIN).series(canaries, set::FOREIGN_TWIN);
    let mut other = other.instance(canaries, set::FOREIGN_TWIN);
    for (tag, vr) in [((0x0020, 0x000d), "UI"), ((0x0020, 0x000e), "UI"), ((0x0008, 0x0018), "UI")] {
        other = other.text(tag, vr, &one.get(tag));
    }
    all.push(Study { set: set::OWN_TWIN, instances: vec![one], labels: external() });
    all.push(Study {
        set: set::FOREIGN_TWIN,
        instances: vec![other],
        labels: vec![label(canaries, set::FOREIGN_TWIN)],
    });

    for study in &all {
        insert_ids(canaries, study);
    }
    all
}

/// The study that lies on another system while the administrator asks for it.
pub fn remote(canaries: &mut Canaries) -> Instance {
    let set = set::REMOTE;
    Patient::new(canaries, set).study(canaries, set).series(canaries, set).instance(canaries, set)
}

/// A label that attackers know, as they try to set and to search for it.
fn label(canaries: &mut Canaries, set: &'static str) -> String {
    if set == set::SILENT { canaries.content(set, "label") } else { canaries.name(set, "label") }
}

/// Orthanc's ids. What is above an own instance is own as well, so own sets come first.
fn insert_ids(canaries: &mut Canaries, study: &Study) {
    // Where both have the id, the patient is the own one's.
    let patient_set = if study.set == set::FOREIGN_SHARED { set::OWN_SHARED } else { study.set };
    for (number, instance) in study.instances.iter().enumerate() {
        let [series_set, instance_set] = study.sets_below(number);
        let ids = instance.ids();
        let tags = [(0x0010, 0x0020), (0x0020, 0x000d), (0x0020, 0x000e), (0x0008, 0x0018)];
        let made_of = tags.map(|tag| instance.get(tag));
        for (depth, (id, set, place)) in [
            (ids.patient, patient_set, "Orthanc id of the patient"),
            (ids.study, study.set, "Orthanc id of the study"),
            (ids.series, series_set, "Orthanc id of the series"),
            (ids.instance, instance_set, "Orthanc id of the instance"),
        ]
        .into_iter()
        .enumerate()
        {
            canaries.insert_id(&id, set, place, &made_of[..=depth]);
        }
    }
}

type Element = ((u16, u16), &'static str, &'static str);

const PATIENT: [Element; 4] = [
    ((0x0010, 0x0010), "PN", "PatientName"),
    ((0x0010, 0x1000), "LO", "OtherPatientIDs"),
    ((0x0010, 0x1040), "LO", "PatientAddress"),
    ((0x0010, 0x4000), "LT", "PatientComments"),
];
const STUDY: [Element; 6] = [
    ((0x0008, 0x1030), "LO", "StudyDescription"),
    ((0x0008, 0x0090), "PN", "ReferringPhysicianName"),
    ((0x0008, 0x0080), "LO", "InstitutionName"),
    ((0x0008, 0x1060), "PN", "NameOfPhysiciansReadingStudy"),
    ((0x0020, 0x0010), "SH", "StudyID"),
    ((0x0032, 0x1060), "LO", "RequestedProcedureDescription"),
];
const SERIES: [Element; 5] = [
    ((0x0008, 0x103e), "LO", "SeriesDescription"),
    ((0x0008, 0x1010), "SH", "StationName"),
    ((0x0008, 0x1070), "PN", "OperatorsName"),
    ((0x0018, 0x1030), "LO", "ProtocolName"),
    ((0x0018, 0x0015), "CS", "BodyPartExamined"),
];
const INSTANCE: [Element; 4] = [
    ((0x0020, 0x4000), "LT", "ImageComments"),
    ((0x0008, 0x2111), "ST", "DerivationDescription"),
    ((0x0009, 0x1001), "LO", "a private tag"),
    ((0x4010, 0x1001), "UT", "a tag that the server does not know"),
];

struct Patient {
    template: Instance,
}

impl Patient {
    fn new(canaries: &mut Canaries, set: &'static str) -> Self {
        let template = Instance::new(&canaries.name(set, "PatientID"), "", "", "");
        Self { template: fill(template, canaries, set, &PATIENT) }
    }

    fn study(&mut self, canaries: &mut Canaries, set: &'static str) -> StudyTemplate {
        let template = self.template.clone().text((0x0020, 0x000d), "UI", &canaries.uid(set, "StudyInstanceUID"));
        let template = template.text((0x0008, 0x0050), "SH", &canaries.name(set, "AccessionNumber"));
        StudyTemplate(fill(template, canaries, set, &STUDY))
    }
}

struct StudyTemplate(Instance);

impl StudyTemplate {
    fn series(&self, canaries: &mut Canaries, set: &'static str) -> SeriesTemplate {
        let template = self.0.clone().text((0x0020, 0x000e), "UI", &canaries.uid(set, "SeriesInstanceUID"));
        SeriesTemplate(fill(template, canaries, set, &SERIES))
    }
}

struct SeriesTemplate(Instance);

impl SeriesTemplate {
    fn instance(&self, canaries: &mut Canaries, set: &'static str) -> Instance {
        let template = self.0.clone().text((0x0008, 0x0018), "UI", &canaries.uid(set, "SOPInstanceUID"));
        let template = template.text((0x0009, 0x0010), "LO", "GATEHOUSE TEST");
        let template = fill(template, canaries, set, &INSTANCE);
        // One item with the coded meaning of a procedure, explicit VR: (0008,0104).
        let meaning = canaries.content(set, "CodeMeaning in a sequence");
        let mut item = vec![0x08, 0x00, 0x04, 0x01, b'L', b'O', meaning.len() as u8, 0];
        item.extend_from_slice(meaning.as_bytes());
        let mut sequence = vec![0xfe, 0xff, 0x00, 0xe0, item.len() as u8, 0, 0, 0];
        sequence.extend_from_slice(&item);
        let template = template.raw((0x0008, 0x1032), "SQ", sequence);
        let pixels = canaries.content(set, "PixelData");
        template.raw((0x7fe0, 0x0010), "OW", pixels.bytes().cycle().take(64).collect())
    }
}

fn fill(mut instance: Instance, canaries: &mut Canaries, set: &'static str, elements: &[Element]) -> Instance {
    for (tag, vr, name) in elements {
        instance = instance.text(*tag, vr, &canaries.content(set, name));
    }
    instance
}
