//! What a request deletes ends its links before that is answered.
//!
//! The server tells of what was deleted a while later, the longer the more it was: by then the same may have been stored
//! again, as when a study is replaced by a script, and that cannot be told from one that was overwritten.

use serde_json::Value;

use super::{Context, core_call};
use crate::host::HostError;
use crate::resource::Level;

/// Does what deletes these resources, all of one level where that is said.
pub(super) fn deleting<T>(
    context: &Context<'_>,
    level: Option<Level>,
    ids: &[impl AsRef<str>],
    delete: impl FnOnce() -> Result<T, HostError>,
) -> Result<T, HostError> {
    let Some(deletions) = context.deletions else { return delete() };
    let mut gone = Vec::new();
    for id in ids {
        collect(context, level, id.as_ref(), &mut gone);
    }
    let done = delete()?;
    for id in &gone {
        deletions.deleted(id, || false);
    }
    Ok(done)
}

/// A resource with what lies in it.
fn collect(context: &Context<'_>, level: Option<Level>, id: &str, gone: &mut Vec<String>) {
    let describe = |level: Level| {
        let description = context.host.get(&core_call::path(&format!("/{}/{id}", level.plural()))).ok()?;
        Some((level, crate::json::from_slice::<Value>(&description).ok()?))
    };
    let levels = [Level::Study, Level::Series, Level::Instance, Level::Patient];
    let mut levels = levels.into_iter().filter(|one| level.is_none_or(|level| level == *one));
    // What is not there is not deleted.
    let Some((level, description)) = levels.find_map(describe) else { return };
    // No link is to a patient, whose identifier may be made up to be that of a study.
    if level != Level::Patient {
        gone.push(id.to_owned());
    }
    let inside = |member| description.get(member).and_then(Value::as_array).into_iter().flatten();
    for study in inside("Studies").filter_map(Value::as_str) {
        collect(context, Some(Level::Study), study, gone);
    }
    let others = inside("Series").chain(inside("Instances")).filter_map(Value::as_str);
    gone.extend(others.map(str::to_owned));
    if level == Level::Study {
        let list = format!("{}/instances?expand=false", core_call::path(&format!("/studies/{id}")));
        let images = context.host.get(&list);
        // Of those that cannot be listed now, the server tells.
        let images: Vec<String> = images.ok().and_then(|list| crate::json::from_slice(&list).ok()).unwrap_or_default();
        gone.extend(images);
    }
}
