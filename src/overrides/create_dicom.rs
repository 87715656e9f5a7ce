//! `/tools/create-dicom` for somebody limited: the tags of the parent that the body may name are copied into the new
//! instance, so it must be allowed. Whether the instance may be stored is decided when it arrives, in `uploads`.

use super::{Context, Scope, core_call};
use crate::host::{HostError, Method};
use crate::request::{Reply, RestRequest};
use crate::resource::Named;
use crate::route::is_orthanc_id;
use crate::top_level;

/// Answers the route.
pub fn create(context: &Context<'_>, call: &RestRequest<'_>, scope: &Scope) -> Result<Reply, HostError> {
    if call.request.method == Method::Post && matches!(scope, Scope::Limited(_)) {
        let parent = top_level::text(call.body, "Parent").map_err(|_unreadable| HostError::BAD_REQUEST)?;
        let allowed = parent.is_none_or(|id| {
            is_orthanc_id(&id) && scope.allows_named(&context.gate.resources, &Named::OrthancOfAnyLevel(id.into()))
        });
        if !allowed {
            return Err(HostError::FORBIDDEN);
        }
    }
    core_call::pass_on(context.host, call)
}
