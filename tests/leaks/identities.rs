//! Who attacks, and what each may see. It must not know the attacks.
use crate::images::set;
use crate::site::Who;
use crate::world::VIEWER_ORIGIN;
use crate::world::World;
use serde_json::json;
use testbed::Request;
use testbed::clock::unix_seconds;

#[derive(Clone, Debug)]
pub struct Identity {
    pub name: &'static str,
    pub who: Who,
    /// The sets of resources whose canaries it may be answered.
    sees: &'static [&'static str],
    /// Holds the permission that lets anybody change the roles, which is no leak (decision 13).
    pub administers: bool,
}

const ALL_OWN: &[&str] =
    &[set::OWN, set::OWN_SECOND_INSTANCE, set::OWN_SECOND_SERIES, set::OWN_OTHER, set::OWN_SHARED, set::OWN_TWIN];

impl Identity {
    /// The same with another credential, which it was given.
    pub fn showing(&self, who: Who) -> Self {
        Self { who, ..self.clone() }
    }

    pub fn sees(&self, set: &str) -> bool {
        self.sees.contains(&set)
    }
}

/// Those from whom something is kept, as of now: what they show holds for some hours.
pub fn attackers(world: &World) -> Vec<Identity> {
    let site = &world.site;
    let limited = Who::user("external");
    let own = world.image(set::OWN);
    let (_, key) = site.make_key(&limited, &json!({"Name": "a limited user's"}));
    let mut claims = site.provider.claims("somebody", &[]);
    claims["exp"] = json!(unix_seconds() + 6 * 3600);
    let roleless = site.provider.key.token(&claims).unwrap();
    let link_to = |level: &str, id: &str, uid: &str| {
        let resource = json!({"OrthancId": id, "DicomUid": uid, "Level": level});
        let body = json!({"ID": "link", "Resources": [resource], "Type": "ohif-viewer-publication", "ValidityDuration": 36000});
        let answer = site.put(&limited, "/auth/tokens/ohif-viewer-publication", &body);
        assert_eq!(answer.status, 200, "a link to a {level}: {}", answer.text());
        Who::token(answer.json().unwrap()["Token"].as_str().unwrap())
    };

    // As a browser holds it that has opened the short form, in a viewer of ours.
    let body = json!({"Resources": [{"OrthancId": own.ids.study, "Level": "study"}], "Download": false});
    let answer = site.put(&limited, "/auth/tokens/stone-viewer-publication", &body);
    let short = answer.expect_status(200).unwrap().json().unwrap()["ShortUrl"].as_str().unwrap().to_owned();
    let opened = site.get(&Who::nobody(), &short[short.find("/auth/links/").unwrap()..]);
    let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let in_a_viewer = Who::nobody().header("Cookie", &cookie);
    let in_a_viewer = in_a_viewer.header("Sec-Fetch-Site", "same-origin").header("Sec-Fetch-Mode", "cors");

    let launched = Who::bearer(&launch(world, &cookie));

    let body = json!({"Resources": [{"OrthancId": own.ids.study, "Level": "study"}], "Verbs": ["read", "annotate"]});
    let answer = site.put(&limited, "/auth/tokens/ohif-viewer-publication", &body);
    let annotating = answer.expect_status(200).unwrap().json().unwrap()["Token"].as_str().unwrap().to_owned();
    let answer = site.put(&limited, "/auth/tokens/inbox-link", &json!({"Resources": []}));
    let inbox = answer.expect_status(200).unwrap().json().unwrap()["Token"].as_str().unwrap().to_owned();

    let study: &[&str] = &[set::OWN, set::OWN_SECOND_INSTANCE, set::OWN_SECOND_SERIES];
    let identity = |name, who, sees| Identity { name, who, sees, administers: false };
    vec![
        Identity { administers: true, ..identity("limited user, every permission", limited.clone(), ALL_OWN) },
        identity("limited viewer", Who::user("viewer"), ALL_OWN),
        identity(
            "publication link",
            Who::token(&site.make_link(&Who::user("doctor"), "stone-viewer-publication", &own)),
            study,
        ),
        identity("instant link", Who::argument(&site.make_link(&limited, "viewer-instant-link", &own)), study),
        identity(
            "link to a series",
            link_to("series", &own.ids.series, &own.series_uid),
            &[set::OWN, set::OWN_SECOND_INSTANCE],
        ),
        identity("link to an instance", link_to("instance", &own.ids.instance, &own.instance_uid), &[set::OWN]),
        Identity { administers: true, ..identity("API key of a limited user", Who::key(&key), ALL_OWN) },
        identity("opened short link", in_a_viewer, study),
        identity("annotating link", Who::token(&annotating), study),
        identity("launched viewer", launched, study),
        identity("inbox link", Who::token(&inbox), &[]),
        identity("token without roles", Who::bearer(&roleless), &[]),
        identity("stranger", Who::nobody(), &[]),
    ]
}

/// The access token of a viewer on another origin, launched by whoever holds this cookie. The verifier and its
/// challenge are those of RFC 7636, appendix B.
fn launch(world: &World, cookie: &str) -> String {
    let site = &world.site;
    let client =
        format!("client_id={0}&redirect_uri={0}%2Fcallback", VIEWER_ORIGIN.replace(':', "%3A").replace('/', "%2F"));
    let asked =
        "response_type=code&scope=openid&state=s&nonce=n&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let page = Request::get(&format!("/auth/oidc/authorize?{client}&{asked}&code_challenge_method=S256"))
        .header("Cookie", cookie)
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Sec-Fetch-Dest", "document");
    let answer = site.send(&Who::nobody(), page);
    let location = answer.header("location").unwrap_or_else(|| panic!("{}: {}", answer.status, answer.text()));
    let code = location.split(['?', '&']).find_map(|member| member.strip_prefix("code=")).unwrap();
    let form = format!(
        "grant_type=authorization_code&code={code}&{client}&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let exchange = Request::post("/auth/oidc/token", form)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Origin", VIEWER_ORIGIN);
    let answer = site.send(&Who::nobody(), exchange).expect_status(200).unwrap().json().unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Those who may see everything: what they are answered shows that canaries would be found.
pub fn unlimited() -> [(&'static str, Who); 2] {
    [("administrator", Who::user("admin")), ("doctor with all labels", Who::user("doctor"))]
}
