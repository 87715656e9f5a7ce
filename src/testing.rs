//! For tests: a server in memory, and the real gate, composed as the plugin composes it, in front of it.

mod server;
mod world;

use std::sync::{Arc, LazyLock};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use base64::Engine;
use serde_json::{Value, json};

use crate::callbacks::Callbacks;
use crate::config::{self, Environment};
use crate::gate::Gate;
use crate::host::Host;
use crate::identity::Verifiers;
use crate::identity::api_key;
use crate::person::Person;
use crate::plugin;
use crate::share::ShareResource;
use crate::share::kind::LinkType;
use crate::share::token::{Registered, ShareClaims, sign};
use crate::store::{ApiKeyRecord, ShareRecord};
use crate::{clock::UnixTime, secret::Secret};

pub use server::{FakeHost, canary, decode};
#[allow(unused_imports, reason = "the fuzz targets need other parts than the tests")]
pub use world::{FakeNode, FakeStudy, id, nodes, study, uid, world};

/// Where all tests begin.
pub const NOW: UnixTime = UnixTime(1_700_000_000);

/// The password of every local user of a [`Bed`].
pub const PASSWORD: &str = "correct horse";

/// The key that signs links.
pub const SHARE_KEY: &str = "a key of more than thirty-two bytes, for tests";

/// The cheapest hash of [`PASSWORD`] that argon2 makes.
pub fn cheap_hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        argon2.hash_password_with_salt(PASSWORD.as_bytes(), b"0123456789abcdef").unwrap().to_string()
    });
    &HASH
}

struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
    fn read_file(&self, _path: &std::path::Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    fn base_directory(&self) -> std::path::PathBuf {
        std::path::PathBuf::new()
    }
}

/// The real gate with its real state in a folder of its own, before a server in memory.
pub struct Bed {
    pub host: Arc<FakeHost>,
    pub gate: Arc<Gate>,
    #[cfg(test)]
    pub index: Arc<crate::index::Index>,
    /// As the server calls it.
    pub callbacks: Arc<dyn Callbacks>,
    /// Removed with the bed.
    _folder: tempfile::TempDir,
}

impl Bed {
    /// Composes the plugin from Orthanc's configuration. `users` are local accounts with their roles, or as
    /// they are configured; `roles` is the roles document, kept in a file.
    pub fn new(orthanc: Value, users: &Value, roles: &Value, studies: Vec<FakeStudy>) -> Self {
        Self::composed(orthanc, users, roles, studies, plugin::compose)
    }

    /// The same on another state.
    #[cfg(test)]
    pub fn on(
        store: Arc<dyn crate::store::Store>,
        orthanc: Value,
        users: &Value,
        roles: &Value,
        studies: Vec<FakeStudy>,
    ) -> Self {
        Self::composed(orthanc, users, roles, studies, |host, config| plugin::compose_on(host, config, store))
    }

    fn composed(
        mut orthanc: Value,
        users: &Value,
        roles: &Value,
        studies: Vec<FakeStudy>,
        compose: impl FnOnce(Arc<dyn Host>, config::Config) -> Result<plugin::Plugin, plugin::StartError>,
    ) -> Self {
        let mut section = orthanc["Authorization"].take();
        if section.is_null() {
            section = json!({});
        }
        let folder = tempfile::tempdir().unwrap();
        let roles_file = folder.path().join("permissions.json");
        std::fs::write(&roles_file, roles.to_string()).unwrap();
        section["PermissionsFile"] = json!(roles_file);
        section["Storage"] = json!({"SQLite": folder.path().join("authorization.db")});
        let accounts = users.as_object().unwrap().iter().map(|(name, user)| match user.is_object() {
            true => (name.clone(), user.clone()),
            false => (name.clone(), json!({"PasswordHash": cheap_hash(), "Roles": user})),
        });
        section["Users"] = Value::Object(accounts.collect());
        section["Shares"]["SecretKey"] = json!(SHARE_KEY);
        orthanc["Authorization"] = section;
        let config =
            config::read(&orthanc.to_string(), &NoEnvironment).unwrap_or_else(|faults| panic!("{faults}")).unwrap();
        let host = FakeHost::new(studies);
        let plugin = compose(Arc::clone(&host) as Arc<dyn Host>, config).unwrap();
        assert!(plugin.look_back().unwrap());
        Self {
            host,
            gate: plugin.gate(),
            #[cfg(test)]
            index: plugin.index(),
            callbacks: Arc::new(plugin),
            _folder: folder,
        }
    }

    pub fn verifiers(&self) -> &Verifiers {
        self.gate.identities.verifiers()
    }

    /// Stores a key made by a local user, and gives its text.
    pub fn make_key(&self, id: &str, owner: &str, change: impl FnOnce(&mut ApiKeyRecord)) -> String {
        let key = api_key::generate().unwrap();
        let mut record = ApiKeyRecord {
            id: id.to_owned(),
            hash: self.verifiers().hasher.hash(key.expose()),
            name: id.to_owned(),
            owner: Person::local(owner),
            owner_name: owner.to_owned(),
            granted_by_admin: false,
            roles: None,
            permissions: None,
            authorized_labels: None,
            created_at: NOW,
            expires_at: None,
            last_use: None,
        };
        change(&mut record);
        self.verifiers().store.insert_api_key(&record).unwrap();
        key.expose().to_owned()
    }

    /// Signs a link; with a maker it is recorded too.
    pub fn make_link(
        &self,
        id: &str,
        maker: Option<&str>,
        link_type: LinkType,
        resources: Vec<ShareResource>,
        change: impl FnOnce(&mut ShareRecord),
    ) -> String {
        let mut record = ShareRecord {
            id: id.to_owned(),
            kind: link_type.as_str().to_owned(),
            resources_json: ShareResource::write_all(&resources),
            resource_ids: Vec::new(),
            deleted: Vec::new(),
            index: None,
            index_change: 0,
            token_hash: None,
            owner: Person::local(maker.unwrap_or_default()),
            owner_name: String::new(),
            created_at: NOW,
            not_before: None,
            expires_at: None,
            options_json: "{}".to_owned(),
            code_hash: None,
            openings: 0,
            revoked_at: None,
            uses: 0,
            last_use: None,
        };
        change(&mut record);
        let claims = ShareClaims {
            id: None,
            resources,
            link_type,
            validity_duration: None,
            expires_at: record.expires_at,
            registered: maker.map(|maker| Registered {
                jti: id.to_owned(),
                issued_at: record.created_at,
                subject: Some(maker.to_owned()),
            }),
        };
        if maker.is_some() {
            self.verifiers().store.insert_share(&record).unwrap();
        }
        sign(&claims, &Secret::new(SHARE_KEY.to_owned())).unwrap()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.verifiers().stop();
    }
}

/// The value of an `Authorization` header for a local user.
pub fn basic(user: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{PASSWORD}")))
}

/// Numbers that look random and are the same in each run: SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
    /// Each with the chance of a half.
    pub fn some<'a>(&mut self, list: &[&'a str]) -> Vec<&'a str> {
        list.iter().copied().filter(|_| self.chance(50)).collect()
    }
}

/// How many random worlds a property test looks at: `GATEHOUSE_WORLDS`, else `usual`.
pub fn worlds(usual: u64) -> u64 {
    std::env::var("GATEHOUSE_WORLDS").ok().map_or(usual, |number| number.parse().expect("GATEHOUSE_WORLDS: a number"))
}

/// Waits until something holds. A deadline of 20 s stands for never.
#[cfg(test)]
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = crate::clock::monotonic() + std::time::Duration::from_secs(20);
    while !condition() {
        assert!(crate::clock::monotonic() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
