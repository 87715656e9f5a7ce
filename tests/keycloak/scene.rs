//! The realm and a protected server in front of it. Must not know what will be tried.
use crate::site::{Plan, Site, Who, roles_file};
use serde_json::{Value, json};
use std::fs;
use std::ops::Deref;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::oidc::Provider;
use testbed::{Keycloak, Version, workspace};

/// How long a start of a server may need to get the provider's keys.
pub const SOON: Duration = Duration::from_secs(10);

static REALM: RwLock<()> = RwLock::new(());

/// The realm, shared with other tests: users may be added, nothing else is changed.
pub struct Realm<G> {
    keycloak: &'static Keycloak,
    _guard: G,
}

impl<G> Deref for Realm<G> {
    type Target = Keycloak;
    fn deref(&self) -> &Keycloak {
        self.keycloak
    }
}

/// The realm for a test that leaves it as it is but for users of its own. `None`: there is no Keycloak, and that was
/// said.
pub fn realm(test: &str) -> Option<Realm<RwLockReadGuard<'static, ()>>> {
    let guard = REALM.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    Some(Realm { keycloak: Keycloak::shared(test)?, _guard: guard })
}

/// The realm for a test that changes its keys or settings, and sets them back.
pub fn realm_of_my_own(test: &str) -> Option<Realm<RwLockWriteGuard<'static, ()>>> {
    let guard = REALM.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    Some(Realm { keycloak: Keycloak::shared(test)?, _guard: guard })
}

/// A server with the roles file that is shipped, Keycloak at this URL with these further keys, and a second provider,
/// made up, whose role `their-admins` is our `admin-role`.
pub fn start(version: Version, url: &str, more: &Value) -> Site {
    let provider = Provider::start().unwrap();
    let mut first = json!({"Url": url, "Realm": Keycloak::REALM});
    first.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let second = json!({"Url": provider.url(), "Realm": Provider::REALM, "RolesMap": {"their-admins": "admin-role"}});
    let folder = tempfile::tempdir().unwrap();
    fs::copy(workspace::root().join("docker/permissions.jsonc"), roles_file(folder.path())).unwrap();
    let site = Plan::new(version).folder(folder.path()).section(json!({"Keycloak": [first, second]}));
    let mut site = site.start_with(provider);
    site.owns(folder);
    // Its keys are there at the latest when somebody in need of them has got in.
    let second = maintainer(&site);
    assert!(wait_until(SOON, || accepted(&site, &second).then_some(())).is_some(), "{}", site.server.log());
    site
}

/// [`start`], once Keycloak's keys are there.
pub fn start_ready(version: Version, keycloak: &Keycloak, more: &Value) -> Site {
    let site = start(version, &keycloak.url(), more);
    let token = Who::token(&keycloak.token("viewer").unwrap());
    assert!(wait_until(SOON, || accepted(&site, &token).then_some(())).is_some(), "{}", site.server.log());
    site
}

/// Somebody of the second provider who may do everything.
pub fn maintainer(site: &Site) -> Who {
    Who::token(&site.token("maintainer", &["their-admins"]))
}

/// Whether somebody is let in as somebody who may look at all.
pub fn accepted(site: &Site, who: &Who) -> bool {
    match site.get(who, "/tools/now").status {
        200 => true,
        403 => false,
        other => panic!("{other}"),
    }
}
