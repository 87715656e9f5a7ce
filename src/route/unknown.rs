//! Routes that were refused because the table does not know them: told to the administrator once, with what to do.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// How many are remembered; a stranger who makes up more is not worth a line each.
const MOST: usize = 200;

/// The unknown routes that were met.
#[derive(Default)]
pub struct UnknownRoutes(Mutex<BTreeSet<String>>);

impl UnknownRoutes {
    /// A sentence about a route, the first time that it is met.
    ///
    /// Routes count as the same when their first two segments are: what follows are mostly identifiers.
    #[must_use]
    pub fn first_time(&self, method: &str, path: &str) -> Option<String> {
        let segments = path.split('/').filter(|segment| !segment.is_empty()).take(2);
        let begin: String = segments.flat_map(|segment| ["/", segment]).collect();
        let begin: String = begin.chars().filter(|c| !c.is_control()).take(100).collect();
        let mut met = self.0.lock();
        if met.len() >= MOST || !met.insert(format!("{method} {begin}")) {
            return None;
        }
        Some(format!(
            "{method} {begin}… is a route that this version does not know: only users who hold all labels reach it. If it \
             carries no patient data, or names its resource in the path, say so in a rule of \
             Authorization.ExtraPermissions: {{\"PatientData\": false}} or {{\"Resource\": {{…}}}} in its fourth place"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_told_once_and_their_number_is_bounded() {
        let unknown = UnknownRoutes::default();
        let sentence = unknown.first_time("GET", "/my-plugin/data/1").unwrap();
        assert!(sentence.starts_with("GET /my-plugin/data… is"), "{sentence}");
        assert_eq!(unknown.first_time("GET", "/my-plugin/data/2"), None);
        assert!(unknown.first_time("POST", "/my-plugin/data/2").is_some());
        let told = (0..10 * MOST).filter(|n| unknown.first_time("GET", &format!("/{n}\n")).is_some()).count();
        assert_eq!(told, MOST - 2);
    }
}
