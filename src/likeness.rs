//! Names that were mistyped. Knows no name itself.
#![forbid(unsafe_code)]

/// Longer names than this resemble none: to compare takes time with the length. In bytes.
const LONGEST: usize = 100;

/// The candidate that a misspelt name most likely meant.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKE_ENOUGH: f64 = 0.55;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("secretkey", ["ServerId", "SecretKey"]), Some("SecretKey"));
        assert_eq!(nearest("Colour", ["ServerId", "SecretKey"]), None);
    }

    #[test]
    fn a_mistyped_name_resembles_its_own() {
        let known = ["view", "download", "upload"];
        for (name, expected) in
            [("veiw", Some("view")), ("Download", Some("download")), ("uplaod", Some("upload")), ("q-r", None)]
        {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(nearest(&"view".repeat(26), known), None);
    }
}
