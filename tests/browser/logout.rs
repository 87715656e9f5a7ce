//! The end of a session, from either side.
use crate::scene::{BLANK, KEYCLOAK_FORM, scene, uncached};
use testbed::Keycloak;

#[test]
fn a_logout_here_is_one_at_the_provider_too() {
    let Some(scene) = scene("logout") else { return };
    let admin = scene.keycloak.admin().unwrap();
    let user = admin.create_user("leaves-here", &["viewer"]).unwrap();
    let browser = scene.browser_of("leaves-here", BLANK);
    let study = format!("/studies/{}", scene.other.ids.study);
    // Another tab stays as it is, and finds out.
    let first = browser.new_tab().unwrap();
    browser.open(&scene.page(BLANK)).unwrap();
    assert_eq!(browser.fetch(&study, &uncached()).unwrap(), 200);

    browser.open(&scene.page("/auth/logout")).unwrap();
    browser.click("button").unwrap();
    browser.wait_for_url(&scene.page("/auth/logout?done=1")).unwrap();
    assert_eq!(admin.get(&format!("/users/{user}/sessions")).unwrap().as_array().unwrap().len(), 0);
    assert_eq!(browser.cookies().unwrap(), Vec::<serde_json::Value>::new());
    browser.go_to_tab(&first).unwrap();
    assert_eq!(browser.fetch(&study, &uncached()).unwrap(), 401);
    // The password is asked for again.
    browser.open(&scene.page(BLANK)).unwrap();
    browser.wait_for(KEYCLOAK_FORM).unwrap();
    scene.log_in(&browser, "leaves-here", BLANK);
    assert_eq!(browser.fetch(&study, &uncached()).unwrap(), 200);
}

#[test]
fn a_logout_at_the_provider_ends_the_session_here_at_once() {
    let Some(scene) = scene("back-channel logout") else { return };
    let admin = scene.keycloak.admin().unwrap();
    let leaver = admin.create_user("leaves-there", &["viewer"]).unwrap();
    admin.create_user("stays-there", &["viewer"]).unwrap();
    let (browser, other) = (scene.browser_of("leaves-there", BLANK), scene.browser_of("stays-there", BLANK));
    let study = format!("/studies/{}", scene.other.ids.study);
    assert_eq!(browser.fetch(&study, &uncached()).unwrap(), 200);
    // Keycloak has told us when it answers.
    scene.keycloak.admin().unwrap().log_out(&leaver).unwrap();
    assert_eq!(browser.fetch(&study, &uncached()).unwrap(), 401, "{}", scene.orthanc.log());
    assert_eq!(other.fetch(&study, &uncached()).unwrap(), 200);
    browser.open(&scene.page(BLANK)).unwrap();
    browser.wait_for(KEYCLOAK_FORM).unwrap();
    assert!(browser.url().unwrap().starts_with(&format!("{}realms/{}/", scene.keycloak.url(), Keycloak::REALM)));
}
