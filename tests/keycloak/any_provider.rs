//! A provider that is no Keycloak: found by its issuer only, with keys of other kinds and roles in a claim of its own.
use crate::scene::{SOON, accepted};
use crate::site::{Plan, Site, Who};
use serde_json::{Value, json};
use testbed::clock::wait_until;
use testbed::node_provider::NodeProvider;
use testbed::{Version, workspace};

fn start(version: Version, provider: &NodeProvider, more: &Value) -> Site {
    let mut section = json!({
        "Issuer": provider.issuer(), "Audiences": [NodeProvider::AUDIENCE],
        "RolesClaims": [[NodeProvider::ROLES_CLAIM]],
    });
    section.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let roles = std::fs::read_to_string(workspace::root().join("docker/permissions.jsonc")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(crate::site::roles_file(folder.path()), roles).unwrap();
    let mut site = Plan::new(version).folder(folder.path()).section(json!({"Keycloak": section})).start();
    site.owns(folder);
    site
}

#[test]
fn es256_and_eddsa_keys_are_found_and_roles_read_from_a_claim_with_a_url_as_name() {
    if !NodeProvider::is_available("a provider that is no Keycloak") {
        return;
    }
    let provider = NodeProvider::start().unwrap();
    for version in Version::tested() {
        let site = start(version, &provider, &json!({}));
        for resource in ["urn:es256", "urn:eddsa"] {
            let token = |name: &str| Who::bearer(&provider.token(name, resource).unwrap());
            let jane = token("jane");
            assert!(wait_until(SOON, || accepted(&site, &jane).then_some(())).is_some(), "{version:?} {resource}");
            let profile = site.get(&jane, "/auth/user/profile").json().unwrap();
            assert_eq!(profile["user-id"], "jane", "{version:?} {resource}");
            assert_eq!(profile["permissions"], json!(["download", "send", "share", "view"]));
            // One role that the roles file knows and one that it does not; and no role at all.
            let vera = site.get(&token("vera"), "/auth/user/profile").json().unwrap();
            assert_eq!(vera["permissions"], json!(["view"]), "{version:?} {resource}");
            let nobody = site.get(&token("nobody"), "/auth/user/profile").json().unwrap();
            assert_eq!((&nobody["name"], &nobody["permissions"]), (&json!("nobody"), &json!([])));
        }
        let elsewhere = Who::bearer(&provider.token("jane", "urn:elsewhere").unwrap());
        assert!(!accepted(&site, &elsewhere), "{version:?}: made for another audience");
    }
}

#[test]
fn what_the_provider_is_not_told_to_be_is_refused() {
    if !NodeProvider::is_available("a provider that is taken for another") {
        return;
    }
    let (provider, other) = (NodeProvider::start().unwrap(), NodeProvider::start().unwrap());
    let version = Version::tested()[0];
    let site = start(version, &provider, &json!({"TokenTypes": ["JWT"]}));
    let jane = Who::bearer(&provider.token("jane", "urn:es256").unwrap());
    // The keys are there when a token is refused for something else than that.
    let refused = "header typ is not an accepted one";
    let seen = || (!accepted(&site, &jane) && site.server.log().contains(refused)).then_some(());
    assert!(wait_until(SOON, seen).is_some(), "an access token that is marked as one, where others are asked for");
    let site = start(version, &provider, &json!({}));
    assert!(wait_until(SOON, || accepted(&site, &jane).then_some(())).is_some());
    assert!(!accepted(&site, &Who::bearer(&other.token("jane", "urn:es256").unwrap())), "another issuer");
}
