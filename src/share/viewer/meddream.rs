//! MedDream: a server of its own, opened by study UIDs with a token that its own service gives for them.

use super::{MissingRoot, ViewerStudy, need, uids};
use crate::config::Shares;
use crate::share::kind::LinkType;

/// Where MedDream is. Its token service must be configured too: without it there is nothing to open it with.
pub(super) fn root(link_type: LinkType, shares: &Shares) -> Result<&str, MissingRoot> {
    need(link_type, shares.meddream_token_service_url.as_deref(), "MedDreamTokenServiceUrl")?;
    need(link_type, shares.public_meddream_root.as_deref(), "PublicMedDreamRoot")
}

pub(super) fn url(root: &str, studies: &[ViewerStudy], meddream_token: &str) -> String {
    format!("{root}?study={}&token={meddream_token}", uids(studies))
}
