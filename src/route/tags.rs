//! What kind of tag a name or number stands for: kept of a resource itself, counted over what lies in it, or read from
//! some image.

/// Tags that Orthanc keeps for a study and its patient and finds studies by (`MainDicomTags` of 1.12.7 and 1.13.0).
const STUDY: [(&str, &str); 14] = [
    ("AccessionNumber", "00080050"),
    ("InstitutionName", "00080080"),
    ("PatientBirthDate", "00100030"),
    ("PatientID", "00100020"),
    ("PatientName", "00100010"),
    ("PatientSex", "00100040"),
    ("ReferringPhysicianName", "00080090"),
    ("RequestedProcedureDescription", "00321060"),
    ("RequestingPhysician", "00321032"),
    ("StudyDate", "00080020"),
    ("StudyDescription", "00081030"),
    ("StudyID", "00200010"),
    ("StudyInstanceUID", "0020000d"),
    ("StudyTime", "00080030"),
];

/// Those that it keeps for a series and that describe the series as a whole.
const SERIES: [(&str, &str); 13] = [
    ("BodyPartExamined", "00180015"),
    ("Manufacturer", "00080070"),
    ("Modality", "00080060"),
    ("OperatorsName", "00081070"),
    ("PerformedProcedureStepDescription", "00400254"),
    ("ProtocolName", "00181030"),
    ("SequenceName", "00180024"),
    ("SeriesDate", "00080021"),
    ("SeriesDescription", "0008103e"),
    ("SeriesInstanceUID", "0020000e"),
    ("SeriesNumber", "00200011"),
    ("SeriesTime", "00080031"),
    ("StationName", "00081010"),
];

/// StudyInstanceUID, as [`number_of`] writes it.
pub const STUDY_UID: &str = "0020,000d";

/// (0008,0061)
pub const MODALITIES_IN_STUDY: &str = "ModalitiesInStudy";
/// (0020,1206)
pub const SERIES_IN_STUDY: &str = "NumberOfStudyRelatedSeries";
/// (0020,1208)
pub const INSTANCES_IN_STUDY: &str = "NumberOfStudyRelatedInstances";
/// (0020,1209)
pub const INSTANCES_IN_SERIES: &str = "NumberOfSeriesRelatedInstances";

/// What Orthanc counts or gathers over all that lies in a resource (`ResourceFinder` of 1.12.7 and 1.13.0).
const COMPUTED: [(&str, &str); 8] = [
    (MODALITIES_IN_STUDY, "00080061"),
    ("SOPClassesInStudy", "00080062"),
    ("NumberOfPatientRelatedStudies", "00201200"),
    ("NumberOfPatientRelatedSeries", "00201202"),
    ("NumberOfPatientRelatedInstances", "00201204"),
    (SERIES_IN_STUDY, "00201206"),
    (INSTANCES_IN_STUDY, "00201208"),
    (INSTANCES_IN_SERIES, "00201209"),
];

/// A number counts as it is plainly written: of `0008,008-0`, DCMTK reads no more than (0008,0008).
fn find(table: &[(&'static str, &'static str)], tag: &str) -> Option<(&'static str, &'static str)> {
    let number = digits(tag).unwrap_or_default();
    table.iter().copied().find(|(keyword, known)| tag == *keyword || number.eq_ignore_ascii_case(known))
}

/// Whether it is the StudyInstanceUID, in one of the ways in which Orthanc is known to read it.
#[must_use]
pub fn is_study_uid(tag: &str) -> bool {
    tag == "StudyInstanceUID" || digits(tag).is_some_and(|digits| digits.eq_ignore_ascii_case("0020000d"))
}

/// Whether it looks like a number and is written otherwise than `0020000d`, `0020,000d` or `0020-000d`. Before a comma
/// DCMTK takes blanks, signs and fewer or more digits, of which the last four count, and behind the number whatever comes.
#[must_use]
pub fn is_oddly_written(tag: &str) -> bool {
    let looks_like_a_uid = || {
        let hexadecimal: String = tag.chars().filter(char::is_ascii_hexdigit).collect();
        hexadecimal.eq_ignore_ascii_case("0020000d")
    };
    digits(tag).is_none() && (tag.contains(',') || looks_like_a_uid())
}

/// The eight digits of a number that is written as Orthanc writes it, or with a dash, or with nothing between.
fn digits(tag: &str) -> Option<String> {
    let digits = match tag.split_once([',', '-']) {
        Some((group, element)) if group.len() == 4 => [group, element].concat(),
        Some(_) => return None,
        None => tag.to_owned(),
    };
    (digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// Whether it is kept of a study itself, or of its patient.
#[must_use]
pub fn is_of_study(tag: &str) -> bool {
    find(&STUDY, tag).is_some()
}

/// Whether it is kept of a series itself.
#[must_use]
pub fn is_of_series(tag: &str) -> bool {
    find(&SERIES, tag).is_some()
}

/// The keyword of a tag that is counted over what lies in a resource.
#[must_use]
pub fn computed(tag: &str) -> Option<&'static str> {
    find(&COMPUTED, tag).map(|(keyword, _)| keyword)
}

/// Whether a tag is counted over what lies in a resource. Says yes too often rather than too rarely: DCMTK reads numbers
/// in more ways than one.
#[must_use]
pub fn is_computed(tag: &str) -> bool {
    let is_keyword = |(keyword, _): &(&str, &str)| tag.to_ascii_lowercase().contains(&keyword.to_ascii_lowercase());
    if is_oddly_written(tag) || COMPUTED.iter().any(is_keyword) || names_sibling_count(tag) {
        return true;
    }
    let digits: String = tag
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .map(|number| number.strip_prefix("0x").or(number.strip_prefix("0X")).unwrap_or(number))
        .filter(|number| !number.is_empty())
        .map(|number| if tag.contains([',', '-']) { format!("{number:0>4}") } else { number.to_owned() })
        .collect();
    COMPUTED.iter().any(|(_, number)| digits.to_ascii_lowercase().ends_with(number))
}

/// Whether it counts what lies in a series, and nothing beside.
#[must_use]
pub fn is_count_of_series(tag: &str) -> bool {
    computed(tag) == Some(INSTANCES_IN_SERIES)
}

/// Whether a list of tags, by keyword or number, holds one that counts a patient's siblings: (0020,1200), (0020,1202)
/// or (0020,1204). Says yes too often rather than too rarely.
#[must_use]
pub fn names_sibling_count(tags: &str) -> bool {
    const KEYWORD: &[u8] = b"NumberOfPatientRelated";
    if tags.as_bytes().windows(KEYWORD.len()).any(|window| window.eq_ignore_ascii_case(KEYWORD)) {
        return true;
    }
    // DCMTK reads the two numbers as C does: `20,1200` and `0x20, 0x1200` too.
    let numbers: Vec<&str> = tags
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|number| !number.is_empty())
        .map(|number| number.strip_prefix("0x").or(number.strip_prefix("0X")).unwrap_or(number))
        .map(|number| number.trim_start_matches('0'))
        .collect();
    let follows = |pair: &[&str]| matches!(pair, ["20", element] if ["1200", "1202", "1204"].iter().any(|count| element.starts_with(count)));
    if numbers.windows(2).any(follows) {
        return true;
    }
    // The last eight hexadecimal digits, whatever stands between them: `0020,1200`, `0020-1200` and `00201200` are one.
    let mut last = u32::MAX;
    tags.chars().filter_map(|letter| letter.to_digit(16)).any(|digit| {
        last = (last << 4) | digit;
        matches!(last, 0x0020_1200 | 0x0020_1202 | 0x0020_1204)
    })
}

/// Whether a list of tags, separated by semicolons, names only tags of the patient itself. Any other tag of a patient
/// is read from some image of the patient, of whatever study.
#[must_use]
pub fn names_only_patient_tags(list: &str) -> bool {
    const KEYWORDS: [&str; 5] = ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDs"];
    const NUMBERS: [&str; 5] = ["00100010", "00100020", "00100030", "00100040", "00101000"];
    list.split(';').map(str::trim).all(|tag| {
        let number = digits(tag);
        tag.is_empty() || KEYWORDS.contains(&tag) || number.is_some_and(|number| NUMBERS.contains(&number.as_str()))
    })
}

/// The number of a counted tag as Orthanc writes it: `0008,0061`.
#[must_use]
pub fn number_of_computed(keyword: &str) -> String {
    find(&COMPUTED, keyword).map(|(_, number)| with_comma(number)).unwrap_or_default()
}

/// The number, written in the same way, of a tag that is kept of a study or of a series, by its keyword as the standard
/// has it (PS3.6).
#[must_use]
pub fn number_of(keyword: &str) -> Option<String> {
    let mut known = STUDY.iter().chain(&SERIES);
    known.find(|(known, _)| *known == keyword).map(|(_, number)| with_comma(number))
}

fn with_comma(number: &str) -> String {
    let (group, element) = number.split_at_checked(4).unwrap_or_default();
    format!("{group},{element}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_however_it_is_written() {
        for tag in
            ["ModalitiesInStudy", "modalitiesinstudy", "0008,0061", "00080061", "0008-0061", "8,61", "0x0008,0x0061"]
        {
            assert!(is_computed(tag), "{tag}");
        }
        for tag in ["0020,1206", "00201208", "NumberOfSeriesRelatedInstances", "20,1209", "0020-1200"] {
            assert!(is_computed(tag), "{tag}");
        }
        // The core reads these as numbers of 16 bits (1.12.7, 1.13.0): the first as ModalitiesInStudy.
        for tag in ["8,10061", "8,-ff9f", "10008,61", "20,11206", "20,-ee00"] {
            assert!(is_computed(tag) && computed(tag).is_none(), "{tag}");
        }
        for tag in ["StudyDescription", "0008,1030", "00080060", "SeriesNumber", "0020,0011"] {
            assert!(!is_computed(tag), "{tag}");
        }
        for tag in ["StudyInstanceUID", "0020000d", "0020000D", "0020,000d", "0020,000D", "0020-000d"] {
            assert!(is_study_uid(tag) && !is_oddly_written(tag), "{tag}");
        }
        // The first row the core reads as the same (1.12.7, 1.13.0); the second it does not know.
        for tag in [
            ["20,d", "0x20,0xd", " 0020,000d", "+20,d", "0020, 000d", "0020,000d)", "10020,d", "-ffe0,d", "\n20,d"],
            [
                "0020/000d",
                "(0020000d",
                "0020 000d",
                "0020000d ",
                "0020.000d",
                "00200-00d",
                "(0020,000d)",
                "0020 ,000d",
                "0-0-20000d",
            ],
        ]
        .concat()
        {
            assert!(is_oddly_written(tag) && !is_study_uid(tag), "{tag}");
        }
        for tag in ["PatientID", "0008,1030", "00081030", "dEADbEEF", "ReferencedStudySequence", "", "Nonsense-1"] {
            assert!(!is_oddly_written(tag) && !is_study_uid(tag), "{tag}");
        }
        assert!(is_of_study("0020,000d") && is_of_study("0020000D") && !is_of_study("SeriesDescription"));
        assert!(is_of_series("SeriesDescription") && !is_of_series("ImageComments"));
        // The core reads (0008,0008) and (0008,0103), which it keeps of no study and no series.
        for tag in ["0008,008-0", "0008,103-0", "0008,103-e", "00080-080", "0-0080080"] {
            assert!(!is_of_study(tag) && !is_of_series(tag), "{tag}");
        }
        assert_eq!(
            (computed("0008-0061"), number_of_computed(MODALITIES_IN_STUDY).as_str()),
            (Some(MODALITIES_IN_STUDY), "0008,0061")
        );
        assert_eq!(number_of("StudyInstanceUID").as_deref(), Some(STUDY_UID));
        assert_eq!(number_of("SeriesDescription").as_deref(), Some("0008,103e"));
        for unknown in ["0020,000d", "studyinstanceuid", "ImageComments", "ModalitiesInStudy", ""] {
            assert_eq!(number_of(unknown), None, "{unknown}");
        }
    }
}
