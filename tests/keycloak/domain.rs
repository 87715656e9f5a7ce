//! One public domain, as `docker/` sets it up: real nginx with TLS, real Keycloak and real Orthanc run from the files
//! that are shipped. Only addresses, ports and the places of files are others than in the containers.
use crate::site::{PASSWORD, roles_file};
use crate::tls::Browser;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::dicom::Instance;
use testbed::nginx::{Nginx, NginxBuilder};
use testbed::{Keycloak, Orthanc, Request, Version, workspace};

const SOON: Duration = Duration::from_secs(60);
/// The domain that the testbed's Keycloak fills into the realm file.
const DOMAIN: &str = "pacs.example";
const VIEWER: &str = "https://viewer.example";

struct Domain {
    nginx: Nginx,
    orthanc: Orthanc,
    keycloak: Keycloak,
    _folder: tempfile::TempDir,
}

impl Domain {
    fn start() -> Self {
        let keycloak = Keycloak::builder()
            .hostname(&format!("https://{DOMAIN}/keycloak"))
            .argument("--proxy-headers=xforwarded")
            .start()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let orthanc = orthanc(&keycloak, folder.path());
        let nginx = NginxBuilder::new(DOMAIN, orthanc.address(), keycloak.address())
            .file("viewer-origins.conf", &format!("\"{VIEWER}\" $http_origin;\n"))
            .file("admin-networks.conf", "allow 127.0.0.1; deny all;\n")
            .start()
            .unwrap();
        Self { nginx, orthanc, keycloak, _folder: folder }
    }

    /// A browser at this address.
    fn browser(&self, address: [u8; 4]) -> Browser {
        Browser::new(DOMAIN, &self.nginx, address)
    }

    /// A token that Keycloak gives at its public address.
    fn token(&self, user: &str) -> String {
        let form = [
            ("grant_type", "password"),
            ("client_id", Keycloak::CLIENT),
            ("username", user),
            ("password", Keycloak::SAMPLE_SECRET),
        ];
        let path = format!("/keycloak/realms/{}/protocol/openid-connect/token", Keycloak::REALM);
        let answer = self.browser([127, 0, 0, 1]).send(&testbed::keycloak::form_request(&path, &form));
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.keycloak.log());
        answer.json().unwrap()["access_token"].as_str().unwrap().to_owned()
    }
}

/// The server of `docker/site/orthanc.json`, with one local user besides, to guess a password of.
fn orthanc(keycloak: &Keycloak, folder: &std::path::Path) -> Orthanc {
    let version = Version::tested()[0];
    let docker = workspace::root().join("docker");
    let shipped = fs::read_to_string(docker.join("site/orthanc.json")).unwrap();
    fs::copy(docker.join("permissions.jsonc"), roles_file(folder)).unwrap();
    fs::write(folder.join("share-key"), testbed::random_hex(32).unwrap()).unwrap();
    let user = json!({"PasswordHash": testbed::password_hash(PASSWORD).unwrap(), "Roles": ["viewer"]});
    Orthanc::builder(version)
        .plugin(testbed::plugin_library().unwrap())
        .dicomweb()
        .unwrap()
        .verbose()
        .folder(folder)
        .env("PUBLIC_DOMAIN", DOMAIN)
        .configure(&orthanc_gatehouse::config::parse_jsonc(&shipped).unwrap())
        .configure(&json!({"Authorization": {
            "Keycloak": {"Url": keycloak.url()}, "PermissionsFile": roles_file(folder),
            "Shares": {"SecretKeyFile": folder.join("share-key")}, "TrustedProxies": ["127.0.0.1"],
            "Users": {"guessed": user},
        }}))
        .start()
        .unwrap()
}

#[test]
fn one_domain_with_nginx_keycloak_and_orthanc() {
    if !Keycloak::is_available("nginx, Keycloak and Orthanc on one domain") {
        return;
    }
    let domain = Domain::start();
    let browser = domain.browser([127, 0, 0, 1]);

    // Its public address stands in the token; this server asks at another one.
    let admin = domain.token("pacsadmin");
    let profile = || {
        let answer = browser.send(&Request::get("/orthanc/auth/user/profile").header("token", &admin));
        (answer.json().unwrap()["name"] == "Pat Pacsadmin").then_some(())
    };
    assert!(wait_until(SOON, profile).is_some(), "{}", domain.orthanc.log());

    // A few megabytes in, and out again as DICOMweb describes it: with the public address.
    let pixels = vec![7; 5 * 1024 * 1024];
    let instance = Instance::named("Patient", "study", "series", "instance").raw((0x7fe0, 0x0010), "OW", pixels);
    let bytes = instance.to_bytes();
    let upload = Request::post("/orthanc/instances", bytes.clone()).bearer(&admin);
    assert_eq!(browser.send(&upload).status, 200);
    let file =
        browser.send(&Request::get(&format!("/orthanc/instances/{}/file", instance.ids().instance)).bearer(&admin));
    assert_eq!((file.status, file.body.len()), (200, bytes.len()));
    assert!(file.body == bytes, "other bytes");
    let viewer = domain.token("viewer");
    let upload = Request::post("/orthanc/instances", bytes).bearer(&viewer);
    assert_eq!(browser.send(&upload).status, 403);
    let studies = browser.send(&Request::get("/orthanc/dicom-web/studies").bearer(&viewer));
    let studies: Value = studies.json().unwrap();
    let url = studies[0]["00081190"]["Value"][0].as_str().unwrap();
    assert!(url.starts_with(&format!("https://{DOMAIN}/orthanc/dicom-web/studies/")), "{url}");

    viewers_of_other_origins(&browser, &viewer);
    redirections(&domain, &browser);
    administration(&domain);
    addresses(&domain);
    logs(&domain, &browser, &viewer);
    at_the_root(&domain, &viewer);
}

fn viewers_of_other_origins(browser: &Browser, token: &str) {
    let allowed = "access-control-allow-origin";
    let preflight = |origin: &str, path: &str| {
        browser.send(
            &Request::new("OPTIONS", path)
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "GET")
                .header("Access-Control-Request-Headers", "authorization"),
        )
    };
    for path in ["/orthanc/dicom-web/studies", "/orthanc/wado"] {
        let answer = preflight(VIEWER, path);
        assert_eq!((answer.status, answer.header(allowed)), (204, Some(VIEWER)), "{path}");
        assert!(answer.header("access-control-allow-headers").unwrap().contains("Authorization"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        for foreign in ["https://evil.example", "https://viewer.example.evil.example", "http://viewer.example", "null"]
        {
            let answer = preflight(foreign, path);
            for (name, value) in &answer.headers {
                assert!(!name.starts_with("access-control-"), "{foreign} at {path}: {name}: {value}");
            }
        }
    }
    let get = |origin: &str, token: Option<&str>, path: &str| {
        let request = Request::get(path).header("Origin", origin);
        browser.send(&token.into_iter().fold(request, Request::bearer))
    };
    // The answer itself, also a refusal: a script is to see that it was one.
    for (token, status) in [(Some(token), 200), (None, 403)] {
        let answer = get(VIEWER, token, "/orthanc/dicom-web/studies");
        // Without a credential, the login gate may answer 401.
        assert!(answer.status == status || (token.is_none() && answer.status == 401), "{}", answer.status);
        assert_eq!(answer.header(allowed), Some(VIEWER));
        assert_eq!(answer.headers.iter().filter(|(name, _)| name == "cache-control").count(), 1);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    assert_eq!(get("https://evil.example", Some(token), "/orthanc/dicom-web/studies").header(allowed), None);
    // DICOMweb only.
    let answer = get(VIEWER, Some(token), "/orthanc/studies");
    assert_eq!((answer.status, answer.header(allowed)), (200, None));
}

fn redirections(domain: &Domain, browser: &Browser) {
    let answer = browser.send(&Request::get("/"));
    assert_eq!((answer.status, answer.header("location")), (302, Some("/orthanc/ui/app/")));
    // Orthanc's own are relative: they stay below the path.
    let answer = browser.send(&Request::get("/orthanc/").header("Accept", "text/html"));
    let location = answer.header("location").unwrap();
    assert!(!location.starts_with('/') && !location.contains("://"), "{location}");
    let answer = testbed::Client::new(domain.nginx.http()).get("/orthanc/studies?x=1").unwrap();
    let public = format!("https://{DOMAIN}/orthanc/studies?x=1");
    assert_eq!((answer.status, answer.header("location")), (301, Some(public.as_str())));
    // Keycloak's login page, and the way back to the gate.
    let login = format!(
        "/keycloak/realms/orthanc/protocol/openid-connect/auth?client_id=orthanc&response_type=code&scope=openid&state=s\
         &code_challenge_method=S256&code_challenge=2s8SInVP38wdE0s56VnSfl1H1fhYcAp1qLmwEegQuWQ\
         &redirect_uri=https://{DOMAIN}/orthanc/auth/callback"
    );
    let page = browser.send(&Request::get(&login));
    assert_eq!(page.status, 200, "{}", page.text());
    let action = format!("https://{DOMAIN}/keycloak/realms/orthanc/login-actions/authenticate");
    assert!(page.text().contains(&action), "{}", page.text());
    // Whatever else a server of that name might have.
    for path in ["/keycloak/metrics", "/keycloak/", "/index.html", "/nginx.conf"] {
        assert_eq!(browser.send(&Request::get(path)).status, 404, "{path}");
    }
}

/// Keycloak's own administration is for the networks that are named.
fn administration(domain: &Domain) {
    let (inside, outside) = (domain.browser([127, 0, 0, 1]), domain.browser([127, 0, 0, 2]));
    for path in ["/keycloak/admin/master/console/", "/keycloak/realms/master/.well-known/openid-configuration"] {
        assert_eq!(inside.send(&Request::get(path)).status, 200, "{path}");
        for path in
            [path.to_owned(), path.replacen("/keycloak/", "/keycloak/realms/../", 1), path.replacen('m', "%6d", 1)]
        {
            assert_eq!(outside.send(&Request::get(&path)).status, 403, "{path}");
        }
    }
    let realm = "/keycloak/realms/orthanc/.well-known/openid-configuration";
    assert_eq!(outside.send(&Request::get(realm)).status, 200);
}

/// Whoever guesses passwords cannot become somebody else by a header: neither through nginx nor past it.
fn addresses(domain: &Domain) {
    let guess = |path: &str| {
        testbed::keycloak::form_request(path, &[("user", "guessed"), ("password", "wrong")])
            .header("Origin", &format!("https://{DOMAIN}"))
            .header("Sec-Fetch-Site", "same-origin")
            .header("X-Forwarded-For", "198.51.100.7")
            .header("Forwarded", "for=198.51.100.7")
            .header("X-Real-IP", "198.51.100.7")
    };
    domain.browser([127, 0, 0, 66]).send(&guess("/orthanc/auth/login"));
    crate::tls::plain([127, 0, 0, 68], domain.orthanc.address(), &guess("/auth/login"));
    for address in ["127.0.0.66", "127.0.0.68"] {
        domain.orthanc.wait_for_log(&format!("a login from {address} failed"), SOON).unwrap();
    }
    assert!(!domain.orthanc.log().contains("198.51.100"), "{}", domain.orthanc.log());
}

fn logs(domain: &Domain, browser: &Browser, token: &str) {
    let secret = "the-secret-part-of-an-address";
    browser.send(&Request::get(&format!("/orthanc/system?token={token}")));
    browser.send(&Request::get(&format!("/orthanc/auth/links/{secret}")));
    browser.send(&Request::get("/orthanc/system").header("Referer", &format!("https://{DOMAIN}/?token={secret}")));
    // Errors quote requests, too: one that nobody answers.
    let nobody: SocketAddr = ([127, 0, 0, 1], 1).into();
    let broken = NginxBuilder::new(DOMAIN, nobody, nobody).start().unwrap();
    let answer =
        Browser::new(DOMAIN, &broken, [127, 0, 0, 1]).send(&Request::get(&format!("/orthanc/?token={secret}")));
    assert_eq!(answer.status, 502);
    for (nginx, line) in [(&domain.nginx, "GET /orthanc/system 200"), (&broken, "GET /orthanc/ 502")] {
        // The line is written after the answer.
        wait_until(SOON, || nginx.log().contains(line).then_some(()))
            .unwrap_or_else(|| panic!("no {line}: {}", nginx.log()));
        let log = nginx.log();
        assert!(!log.contains(token) && !log.contains(secret) && !log.contains('?'), "{log}");
    }
    assert!(domain.nginx.log().contains("GET /orthanc/auth/links/"), "the path without the code is there");
}

/// The same file with Orthanc at the top.
fn at_the_root(domain: &Domain, token: &str) {
    let nginx = NginxBuilder::new(DOMAIN, domain.orthanc.address(), domain.keycloak.address());
    let nginx = nginx.orthanc_path("/").start().unwrap();
    let browser = Browser::new(DOMAIN, &nginx, [127, 0, 0, 1]);
    assert_eq!(browser.send(&Request::get("/")).header("location"), Some("/ui/app/"));
    assert_eq!(browser.send(&Request::get("/studies").bearer(token)).status, 200);
    assert_eq!(
        browser.send(&Request::get("/dicom-web/studies").bearer(token)).header("cache-control"),
        Some("no-store")
    );
    assert_eq!(browser.send(&Request::get("/keycloak/realms/orthanc")).status, 200);
}

/// As `docker/compose.yaml` starts Keycloak: what lets somebody try it on one machine is closed.
#[test]
fn the_realm_of_a_domain_takes_no_password_alone_and_sends_browsers_to_no_other_machine() {
    let Some(open) = Keycloak::shared("the realm of a public domain") else { return };
    let public = format!("https://{DOMAIN}");
    let closing =
        [("PASSWORD_GRANT", "false"), ("LOCAL_ORTHANC", &public), ("LOCALHOST", &public), ("LOOPBACK", &public)];
    let composed = fs::read_to_string(workspace::root().join("docker/compose.yaml")).unwrap().replace('"', "");
    for (name, value) in closing {
        let line = format!("{name}: {}", value.replace(DOMAIN, "${PUBLIC_DOMAIN}"));
        assert!(composed.contains(&line), "compose.yaml does not say {line}");
    }
    let builder = closing.iter().fold(Keycloak::builder(), |builder, (name, value)| builder.variable(name, value));
    let closed = builder.start().unwrap();
    let login = |keycloak: &Keycloak, redirect: &str| {
        let path = format!(
            "/realms/orthanc/protocol/openid-connect/auth?client_id=orthanc&response_type=code&scope=openid&state=s\
             &code_challenge_method=S256&code_challenge=2s8SInVP38wdE0s56VnSfl1H1fhYcAp1qLmwEegQuWQ\
             &redirect_uri={redirect}"
        );
        keycloak.client().get(&path).unwrap().status
    };
    let own = format!("{public}/orthanc/auth/callback");
    for (keycloak, given, local) in [(open, 200, 200), (&closed, 400, 400)] {
        let grant = keycloak.password_grant(&keycloak.client(), "viewer", Keycloak::SAMPLE_SECRET).unwrap();
        assert_eq!(grant.status, given, "{}", grant.text());
        assert_eq!(login(keycloak, &own), 200);
        for redirect in ["http://localhost:8042/x", "http://localhost/x", "http://127.0.0.1/x"] {
            assert_eq!(login(keycloak, redirect), local, "{redirect}");
        }
    }
}
