//! Which requests are sent: every route with every method, target, argument, body and trick, or a sample of that. It
//! must not know what comes of them.
use crate::arguments::arguments;
use crate::bodies::{Body, bodies};
use crate::identities::Identity;
use crate::routes::{BESIDE, Target};
use crate::tricks::{TRICKS, Wire};
use serde_json::json;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use testbed::Request;
use testbed::random::Random;

pub const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PROPFIND", "OPTIONS", "PATCH"];

/// One request of one identity.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Where it stands in the list of identities.
    pub identity: usize,
    pub template: Arc<str>,
    pub target: &'static str,
    pub trick: &'static str,
    pub wire: Wire,
}

/// What requests are made of.
pub struct Plan<'a> {
    pub identities: &'a [Identity],
    /// The own one first.
    pub targets: &'a [Target],
}

impl Plan<'_> {
    /// Some requests to a route, chosen by `rng`: for each method some, and for those with bodies more.
    pub fn sample(&self, template: &str, each: usize, rng: &mut Random) -> Vec<Attempt> {
        let mut all = Vec::new();
        for method in METHODS {
            let wanted = match method {
                "GET" => each * 2,
                "POST" => each * 3,
                "PUT" | "DELETE" => each,
                _ => each.div_ceil(3),
            };
            for _ in 0..wanted {
                let identity = rng.below(self.identities.len());
                // What is started on one's own is followed, which has to happen often enough.
                let target = if rng.below(5) == 0 { &self.targets[0] } else { rng.pick(self.targets) };
                let arguments = arguments(template, target, &self.targets[0]);
                let bodies = bodies(template, method, target, &self.targets[0]);
                // Half without arguments, and half without a trick: whatever is combined hides more than it shows.
                let arguments = if rng.below(2) == 0 { "" } else { rng.pick(&arguments) };
                let trick = if rng.below(2) == 0 { 0 } else { rng.below(TRICKS.len()) };
                all.extend(self.attempt(template, method, identity, target, arguments, rng.pick(&bodies), trick));
            }
        }
        all
    }

    /// All requests to a route: every target, argument and body for everybody, and for those who get furthest every
    /// trick on them too.
    pub fn all(&self, template: &str) -> Vec<Attempt> {
        // Where a route names nothing, all targets give the same request.
        let (mut all, mut fresh) = (Vec::new(), HashSet::new());
        for method in METHODS {
            let is_odd = !matches!(method, "GET" | "POST" | "PUT" | "DELETE");
            for (at, target) in self.targets.iter().enumerate() {
                let mut bodies = bodies(template, method, target, &self.targets[0]);
                if is_odd {
                    bodies.truncate(1);
                }
                for (number, body) in bodies.iter().enumerate() {
                    // Arguments and bodies are not multiplied: only GET has arguments that plugins see.
                    let arguments = match (method, number) {
                        ("GET", _) => arguments(template, target, &self.targets[0]),
                        _ => vec![String::new()],
                    };
                    for (count, arguments) in arguments.iter().enumerate() {
                        for (identity, who) in self.identities.iter().enumerate() {
                            // Tricks on the simplest request of each kind, and on bodies that say something.
                            let is_simple = count == 0 && at <= 3 && (number == 0 || number > 6 && number % 5 == 2);
                            let tries_tricks = !is_odd && is_simple && (who.administers || identity % 3 == 2);
                            let tricks = if tries_tricks { TRICKS.len() } else { 1 };
                            let of = |trick| self.attempt(template, method, identity, target, arguments, body, trick);
                            all.extend((0..tricks).filter_map(of).filter(|attempt| fresh.insert(attempt.digest())));
                        }
                    }
                }
            }
        }
        all
    }

    /// What starts or makes something by right, so that there is always something to follow.
    pub fn starters(&self) -> Vec<Attempt> {
        let (own, foreign) = (&self.targets[0], &self.targets[1]);
        let kind = "ohif-viewer-publication";
        let requests = [
            ("POST", "/modalities/{id}/query", json!({"Level": "Study", "Query": {"PatientID": foreign.patient_id}})),
            ("POST", "/modalities/{id}/store", json!({"Resources": [own.study], "Synchronous": false})),
            ("POST", "/peers/{id}/store", json!({"Resources": [own.series], "Asynchronous": true})),
            ("POST", "/studies/{id}/anonymize", json!({"Asynchronous": true})),
            (
                "POST",
                "/tools/bulk-modify",
                json!({"Resources": [own.instance], "Replace": {"PatientID": "NEW"}, "Force": true}),
            ),
            (
                "PUT",
                "/auth/tokens/{any}",
                json!({"Type": kind, "Resources": [{"OrthancId": own.study, "Level": "study"}]}),
            ),
            ("POST", "/auth/api-keys", json!({"Name": "started"})),
        ];
        let all = requests.iter().flat_map(|(method, template, body)| {
            let body = Body::from(body.clone());
            (0..self.identities.len()).filter_map(move |at| self.attempt(template, method, at, own, "", &body, 0))
        });
        all.collect()
    }

    #[expect(clippy::too_many_arguments, reason = "one for each thing that a request is made of")]
    fn attempt(
        &self,
        template: &str,
        method: &str,
        identity: usize,
        target: &Target,
        arguments: &str,
        body: &Body,
        trick: usize,
    ) -> Option<Attempt> {
        let who = self.identities.get(identity)?;
        let mut request = Request::new(method, &target.fill(template));
        if !arguments.is_empty() {
            request.path.push_str(&format!("?{arguments}"));
        }
        if !body.bytes.is_empty() || matches!(method, "POST" | "PUT") {
            request.body = Some(body.bytes.clone());
            request.headers.extend_from_slice(&body.headers);
        }
        let (trick, change) = TRICKS.get(trick)?;
        let wire = change(request, target, self.targets.first()?)?;
        let attempt = Attempt { identity, template: template.into(), target: target.name, trick, wire };
        (!attempt.is_by_right(who)).then_some(attempt)
    }
}

impl Attempt {
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let request = &self.wire.request;
        (self.identity, self.wire.chunked, &request.method, &request.path, &request.headers, &request.body)
            .hash(&mut hasher);
        hasher.finish()
    }

    /// What may be done by right, and would only be in the way: deleting one's own, and changing the roles as somebody
    /// who administers them.
    fn is_by_right(&self, who: &Identity) -> bool {
        let deletes = self.wire.request.method == "DELETE" || self.trick.contains("DELETE");
        let administers = self.template.starts_with("/auth/settings") || self.template.starts_with("/auth/api-keys/");
        let is_own = self.target == "own" || BESIDE.contains(&self.target);
        (deletes && is_own) || (who.administers && administers && self.wire.request.method != "GET")
    }
}
