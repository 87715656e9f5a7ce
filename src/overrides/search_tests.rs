use super::*;

#[test]
fn wildcards_match_as_dicom_has_them() {
    for (pattern, text, expected) in [
        ("1.2", "1.2", true),
        ("1.2", "1.3", false),
        ("*", "", true),
        ("*", "1.2", true),
        ("1.*", "1.2.3", true),
        ("1.*3", "1.2.3", true),
        ("1.*4", "1.2.3", false),
        ("1.?", "1.2", true),
        ("1.?", "1.", false),
        ("", "1", false),
        ("**", "1", true),
        ("1.2*", "1.2", true),
        ("*.2*.?", "1.2.3", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
