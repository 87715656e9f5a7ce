//! Routes that were refused because the table does not know them: told to the administrator once, with what to do.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use super::{is_orthanc_id, is_uid};
use crate::resource::Level;

/// How many are remembered; a stranger who makes up more is not worth a line each.
const MOST: usize = 200;

/// The unknown routes that were met.
#[derive(Default)]
pub struct UnknownRoutes(Mutex<BTreeSet<String>>);

impl UnknownRoutes {
    /// A sentence about a route, the first time that it is met.
    ///
    /// Routes count as the same when the first two of their own words are: what follows are mostly identifiers. Plugins
    /// put routes below a resource of the server too, where levels and identifiers come first.
    #[must_use]
    pub fn first_time(&self, method: &str, path: &str) -> Option<String> {
        let mut words = 0;
        let is_level = |segment: &str| Level::ALL.into_iter().any(|level| level.plural() == segment);
        let segments = path.split('/').filter(|segment| !segment.is_empty()).map_while(|segment| {
            let shown = if is_orthanc_id(segment) || is_uid(segment) { "{id}" } else { segment };
            let begins = words < 2;
            words += usize::from(shown == segment && !is_level(segment));
            begins.then_some(shown)
        });
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
        // Below a resource the identifiers are nobody's route.
        let ids = ["0195f13e-4afe6822-8b494cc4-5162c50d-dac63cdb", "1195f13e-4afe6822-8b494cc4-5162c50d-dac63cdb"];
        let sentence = unknown.first_time("GET", &format!("/series/{}/mesh/1", ids[0])).unwrap();
        assert!(sentence.starts_with("GET /series/{id}/mesh/{id}… is"), "{sentence}");
        assert_eq!(unknown.first_time("GET", &format!("/series/{}/mesh/2", ids[1])), None);
        let sentence = unknown.first_time("GET", "/dicom-web/studies/1.2.3/series/4.5/mesh").unwrap();
        assert!(sentence.starts_with("GET /dicom-web/studies/{id}/series/{id}/mesh… is"), "{sentence}");
        let told = (0..10 * MOST).filter(|n| unknown.first_time("GET", &format!("/{n}\n")).is_some()).count();
        assert_eq!(told, MOST - 4);
    }
}
