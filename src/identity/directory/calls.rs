//! The requests to Keycloak's admin API, and what its answers mean. Knows nothing of who waits for them.
//!
//! The facts are Keycloak's Admin REST API: `GET users` with `q` searches by attribute (not exactly),
//! `role-mappings/realm/composite` gives realm roles through groups and composite roles, `notBefore` is in seconds and
//! 0 for never.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{Account, DirectoryError, Fact, Nobody, Question, is_keycloaks_own};
use crate::bounded_body::{self, BodyFault};
use crate::clock::{self, UnixTime};
use crate::config::{AdminApi, Provider};
use crate::secret::Secret;

/// Longer answers are refused, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// The service account's token is not used in its last seconds.
const RESERVE: i64 = 15;
/// Users that are looked at for one key. Keycloak may find others than asked for; so many are a mistake.
const MOST_USERS: usize = 20;

/// Keycloak answers 400 to a path in which something is encoded that need not be (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The way to one realm's admin API.
pub(super) struct Calls {
    client: Client,
    admin: AdminApi,
    token_url: String,
    roles_map: Option<BTreeMap<String, Vec<String>>>,
    /// The service account's token, and when it ends.
    token: Mutex<Option<(Secret, UnixTime)>>,
    /// Whether the log was told that roles cannot be listed.
    told: AtomicBool,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: String,
    username: String,
    #[serde(default)]
    first_name: Option<String>,
    #[serde(default)]
    last_name: Option<String>,
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    not_before: i64,
    #[serde(default)]
    attributes: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Role {
    name: String,
    #[serde(default)]
    client_role: bool,
}

/// What came instead of an answer.
enum Fault {
    Status(u16),
    Other(String),
}

impl Calls {
    pub(super) fn new(client: Client, provider: &Provider, admin: AdminApi) -> Self {
        Self {
            client,
            admin,
            token_url: format!("{}/protocol/openid-connect/token", provider.issuer),
            roles_map: provider.roles_map.clone(),
            token: Mutex::new(None),
            told: AtomicBool::new(false),
        }
    }

    /// Asks: one to three requests.
    pub(super) async fn answer(&self, question: &Question) -> Result<Fact, DirectoryError> {
        match question {
            Question::Key(key) => {
                let user = self.user_with_key(key.expose()).await?;
                self.account(user).await
            }
            Question::Person(subject) => {
                let path = format!("users/{}", utf8_percent_encode(subject, ENCODED));
                match self.get::<User>(&path).await {
                    // A folder's own name would be the list of all users.
                    Ok(user) if user.id == *subject => self.account(user).await,
                    Ok(_) | Err(Fault::Status(404)) => Err(Nobody::Unknown.into()),
                    Err(fault) => Err(fault.into()),
                }
            }
            Question::Roles => {
                let roles = match self.get("roles?briefRepresentation=true").await {
                    Ok(roles) => roles,
                    // A service account of orthanc-auth-service may lack this right alone: everything else is still
                    // asked.
                    Err(Fault::Status(403)) => {
                        if !self.told.swap(true, Ordering::Relaxed) {
                            log::warn!(
                                "the realm's roles cannot be listed: the service account lacks view-realm of realm-management"
                            );
                        }
                        Vec::new()
                    }
                    Err(fault) => return Err(fault.into()),
                };
                Ok(Fact::Roles(Arc::new(self.ours(roles))))
            }
        }
    }

    /// The one user who has exactly this key. What Keycloak finds is compared here: it may fold case, or search in
    /// other ways.
    async fn user_with_key(&self, key: &str) -> Result<User, DirectoryError> {
        let attribute = self.admin.api_key_attribute.as_deref().ok_or(Nobody::Unknown)?;
        let query = utf8_percent_encode(&format!("{attribute}:{key}"), ENCODED).to_string();
        let query = Zeroizing::new(format!("users?briefRepresentation=false&max={MOST_USERS}&q={query}"));
        let found: Vec<User> = self.get(&query).await?;
        if found.len() >= MOST_USERS {
            return Err(Nobody::Several.into());
        }
        let has_it = |user: &User| {
            let values = user.attributes.as_ref().and_then(|attributes| attributes.get(attribute));
            values.is_some_and(|values| values.iter().any(|value| value.as_bytes().ct_eq(key.as_bytes()).into()))
        };
        let mut owners = found.into_iter().filter(has_it);
        match (owners.next(), owners.next()) {
            (Some(user), None) => Ok(user),
            (None, _) => Err(Nobody::Unknown.into()),
            (Some(_), Some(_)) => Err(Nobody::Several.into()),
        }
    }

    async fn account(&self, user: User) -> Result<Fact, DirectoryError> {
        if !user.enabled {
            return Err(Nobody::Disabled.into());
        }
        let path = format!("users/{}/role-mappings/realm/composite", utf8_percent_encode(&user.id, ENCODED));
        let roles: Vec<Role> = self.get(&path).await?;
        let names: Vec<&str> = [&user.first_name, &user.last_name]
            .into_iter()
            .filter_map(|name| name.as_deref().map(str::trim).filter(|name| !name.is_empty()))
            .collect();
        let name = if names.is_empty() { user.username } else { names.join(" ") };
        let was_ended = user.not_before > 0;
        Ok(Fact::Account(Arc::new(Account { subject: user.id, name, roles: self.ours(roles), was_ended })))
    }

    /// Realm roles by our names, as the roles in tokens are.
    fn ours(&self, roles: Vec<Role>) -> Vec<String> {
        let theirs = roles.into_iter().filter(|role| !role.client_role && !is_keycloaks_own(&role.name));
        let mut ours: Vec<String> = match &self.roles_map {
            None => theirs.map(|role| role.name).collect(),
            Some(map) => theirs.filter_map(|role| map.get(&role.name)).flatten().cloned().collect(),
        };
        ours.sort();
        ours.dedup();
        ours
    }

    /// GET below the realm's part of the admin API. A token that is not taken any more is replaced once.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        let url = Zeroizing::new(format!("{}{path}", self.admin.url));
        let mut again = true;
        loop {
            let token = self.service_token().await?;
            let request =
                self.client.get(url.as_str()).bearer_auth(token.expose()).header("Accept", "application/json");
            match send(request).await {
                Ok(body) => return parse(&body),
                Err(Fault::Status(401)) if again => {
                    *self.token.lock().await = None;
                    again = false;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The service account's token, for as long as it lasts. Whoever comes while it is fetched waits for it.
    async fn service_token(&self) -> Result<Secret, Fault> {
        let mut token = self.token.lock().await;
        let now = clock::now();
        if let Some((token, until)) = &*token
            && now < *until
        {
            return Ok(token.clone());
        }
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.admin.client_id)
            .append_pair("client_secret", self.admin.client_secret.expose())
            .finish();
        let request = self
            .client
            .post(&self.token_url)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json")
            .body(form);
        let body = send(request).await.map_err(|fault| match fault {
            Fault::Status(status @ (400 | 401)) => Fault::Other(format!(
                "HTTP status {status}: it does not know AdminClientId with this AdminClientSecret as a service account"
            )),
            fault => fault,
        })?;
        let answer: TokenAnswer = parse(&body)?;
        let fresh = Secret::new(answer.access_token);
        *token = Some((fresh.clone(), now.plus(answer.expires_in.saturating_sub(RESERVE).max(0))));
        Ok(fresh)
    }
}

impl From<Fault> for DirectoryError {
    fn from(fault: Fault) -> Self {
        Self::Unreachable(match fault {
            Fault::Status(403) => {
                "HTTP status 403: the service account lacks view-users of realm-management".to_owned()
            }
            Fault::Status(status) => format!("HTTP status {status}"),
            Fault::Other(cause) => cause,
        })
    }
}

async fn send(request: RequestBuilder) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let unreachable = |error: reqwest::Error| Fault::Other(crate::identity::oidc::causes(&error.without_url()));
    let answer = request.send().await.map_err(unreachable)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(Fault::Status(answer.status().as_u16()));
    }
    let body = bounded_body::read(answer, MAX_ANSWER).await.map_err(|fault| match fault {
        BodyFault::Broken(error) => unreachable(error),
        too_long @ BodyFault::TooLong(_) => Fault::Other(too_long.to_string()),
    })?;
    Ok(Zeroizing::new(body))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body)
        .map_err(|_| Fault::Other("an answer that is not the JSON that belongs there".to_owned()))
}
