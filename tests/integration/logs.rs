//! The log: a line for each refusal, and never a secret, a query value or a forged line.
use crate::site::{PASSWORD, Plan, SHARE_KEY, Who};
use serde_json::json;
use testbed::{Request, Version};

#[test]
fn each_refusal_is_a_line_with_identity_route_rule_and_reason() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let images = site.fill();
        let (limited, doctor) = (Who::user("external"), Who::user("doctor"));
        let link = Who::token(&site.make_link(&doctor, "stone-viewer-publication", &images.allowed));
        let foreign = &images.foreign;
        // (who, request, what its line has to say)
        for (who, request, parts) in [
            (
                &limited,
                Request::get(&foreign.fill("/studies/{study}")),
                ["local user \"external\"", "/studies/{study}", "rule", "outside the authorized labels"],
            ),
            (
                &Who::nobody(),
                Request::get("/studies"),
                ["anonymous \"Anonymous\"", "/studies", "rule", "none of the required permissions"],
            ),
            (
                &limited,
                Request::get("/statistics"),
                ["local user \"external\"", "/statistics", "rule", "only for those who hold all labels"],
            ),
            (
                &limited,
                Request::get("/nowhere"),
                ["local user \"external\"", "/nowhere", "no rule", "no permission rule matches"],
            ),
            (
                &doctor,
                Request::delete(&foreign.fill("/studies/{study}")),
                ["local user \"doctor\"", "DELETE", "rule", "none of the required permissions"],
            ),
            (
                &link,
                Request::get(&foreign.fill("/studies/{study}/archive")),
                [
                    "(stone-viewer-publication, made by \"doctor\"), rule",
                    "share link ",
                    "/archive",
                    "outside the share link",
                ],
            ),
            (
                &Who::token("garbage-token"),
                Request::get("/studies"),
                ["token header not accepted", "/studies", "rule", "refused GET"],
            ),
        ] {
            let before = site.server.log().lines().count();
            assert_eq!(site.send(who, request.clone()).status, 403, "{version:?} {}", request.path);
            let log = site.server.log();
            let lines: Vec<&str> = log.lines().skip(before).filter(|line| line.contains("refused ")).collect();
            assert_eq!(lines.len(), 1, "{version:?} {}: {lines:?}", request.path);
            assert!(lines[0].starts_with('I'), "{version:?}: {}", lines[0]);
            for part in parts {
                assert!(lines[0].contains(part), "{version:?}: no {part:?} in {}", lines[0]);
            }
        }
    }
}

#[test]
fn no_secret_and_no_query_value_is_logged_and_no_line_forged() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let images = site.fill();
        let token = site.token("jane", &["viewer-role"]);
        let (_, key) = site.make_key(&Who::user("external"), &json!({"Name": "a key"}));
        let link = site.make_link(&Who::user("doctor"), "stone-viewer-publication", &images.allowed);
        let mut expired = site.provider.claims("late", &["viewer-role"]);
        expired["exp"] = json!(1);
        let expired = site.provider.key.token(&expired).unwrap();
        let wrong = "the-wrong-password-of-somebody";
        let basic = testbed::http::basic_value("viewer", wrong);
        let garbage = "garbage-credential-1234567";
        for path in [
            images.allowed.fill("/studies/{study}"),
            images.foreign.fill("/studies/{study}"),
            "/nowhere".into(),
            "/statistics".into(),
        ] {
            for secret in [token.as_str(), &key, &link, &expired, garbage] {
                for who in [Who::token(secret), Who::bearer(secret), Who::key(secret)] {
                    site.get(&who, &path);
                }
            }
        }
        site.get(&Who::nobody().header("Authorization", &basic), "/studies");
        site.get(&Who::nobody(), "/dicom-web/studies?PatientName=Canary^Query&00100010=Canary");
        site.post(
            &Who::user("external"),
            "/tools/find",
            &json!({"Level": "Study", "Query": {"PatientName": "Canary*"}, "Labels": ["x"], "LabelsConstraint": "All"}),
        );
        site.post(&Who::nobody(), "/auth/tokens/decode", &json!({"TokenKey": "token", "TokenValue": link}));
        // Lines that somebody would like to see in the log.
        let forged = "E1121 00:00:00.000000 MAIN forged";
        let mut requests = vec![
            Request::get("/nowhere%0d%0aE1121%2000:00:00.000000%20MAIN%20forged"),
            Request::get("/studies/x%0aE1121%2000:00:00.000000%20MAIN%20forged"),
            Request::put(
                &images.foreign.fill("/studies/{study}/labels/x%0aE1121%2000:00:00.000000%20MAIN%20forged"),
                "",
            ),
            Request::new("PUT", "/auth/tokens/x%0aE1121%2000:00:00.000000%20MAIN%20forged").body("{}"),
            Request::get("/auth/x%0aE1121%2000:00:00.000000%20MAIN%20forged"),
            Request::new("POST", "/tools/find")
                .json(&json!({"Level": "Study", "Query": {}, (format!("a\n{forged}")): 1})),
            Request::new("POST", "/auth/api-keys").json(&json!({"Name": format!("a\n{forged}")})),
            Request::new("POST", "/auth/api-keys").json(&json!({"Name": "n", (format!("a\n{forged}")): 1})),
        ];
        let mut named = site.provider.claims("subject", &[]);
        named["name"] = json!(format!("a\r\n{forged}"));
        requests.push(Request::get("/studies").header("token", &site.provider.key.token(&named).unwrap()));
        for request in requests {
            site.send(&Who::user("external"), request);
        }
        let log = site.server.log();
        // The server itself writes down a path as it came; what matters here are the plugin's lines.
        let own: Vec<&str> = log.lines().filter(|line| line.contains("authorization:")).collect();
        assert!(own.len() > 20, "{version:?}");
        for (name, secret) in [
            ("token", token.as_str()),
            ("key", &key),
            ("link", &link),
            ("expired token", &expired),
            ("garbage", garbage),
            ("password", PASSWORD),
            ("wrong password", wrong),
            ("Basic", &basic["Basic ".len()..]),
            ("share key", SHARE_KEY),
            ("query value", "Canary"),
        ] {
            let told = own.iter().find(|line| line.contains(secret));
            assert_eq!(told, None, "{version:?}: {name}");
        }
        let plugins_forgery = log
            .lines()
            .zip(log.lines().skip(1))
            .find(|(line, next)| line.contains("authorization:") && next.starts_with("E1121 00:00:00"));
        assert_eq!(plugins_forgery, None, "{version:?}");
    }
}
