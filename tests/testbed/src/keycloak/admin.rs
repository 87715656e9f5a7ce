//! What an administrator of the realm does in Keycloak's console, over its admin API.
use super::{Keycloak, encode};
use crate::http::{Answer, Client, Request};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Somebody logged in who may do everything. The login lasts a minute: ask for a new one where time passes.
#[derive(Debug)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub(super) fn log_in(client: Client, name: &str) -> Result<Self> {
        let path = "/realms/master/protocol/openid-connect/token";
        let form = [("grant_type", "password"), ("client_id", "admin-cli"), ("username", name), ("password", name)];
        let answer = client.send(super::form_request(path, &form))?.expect_status(200)?.json()?;
        let token = answer["access_token"].as_str().context("no access token")?;
        Ok(Self { client: client.with_bearer(token) })
    }

    /// A request below `/admin/realms/orthanc`; an error unless the answer is 2xx.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let request = Request::new(method, &format!("/admin/realms/{}{path}", Keycloak::REALM));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = self.client.send(request)?;
        ensure!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        Ok(answer)
    }

    /// GET, as JSON.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.send("GET", path, None)?.json()
    }

    /// Changes members of a JSON resource: gets it, merges at the top level, puts it back.
    pub fn change(&self, path: &str, changes: &Value) -> Result<()> {
        let mut resource = self.get(path)?;
        if let (Some(resource), Some(changes)) = (resource.as_object_mut(), changes.as_object()) {
            resource.extend(changes.clone());
        }
        self.send("PUT", path, Some(&resource))?;
        Ok(())
    }

    /// Changes members of the realm: `accessTokenLifespan` (seconds), `notBefore`, `sslRequired`, ….
    pub fn change_realm(&self, changes: &Value) -> Result<()> {
        // Not with all that the realm is: some of that cannot be written back.
        self.send("PUT", "", Some(changes))?;
        Ok(())
    }

    /// The identifier (`sub`) of a user.
    pub fn user_id(&self, name: &str) -> Result<String> {
        let users = self.get(&format!("/users?exact=true&username={}", encode(name)))?;
        Ok(users[0]["id"].as_str().with_context(|| format!("no user {name}"))?.to_owned())
    }

    /// Creates a user with [`Keycloak::SAMPLE_SECRET`] as password and these realm roles; gives its identifier.
    pub fn create_user(&self, name: &str, roles: &[&str]) -> Result<String> {
        let user = json!({
            "username": name, "enabled": true, "emailVerified": true, "email": format!("{name}@example.org"),
            "firstName": name, "lastName": "Test",
            "credentials": [{"type": "password", "value": Keycloak::SAMPLE_SECRET, "temporary": false}],
        });
        self.send("POST", "/users", Some(&user))?;
        let id = self.user_id(name)?;
        self.add_roles(&id, roles)?;
        Ok(id)
    }

    /// Gives a user realm roles.
    pub fn add_roles(&self, user_id: &str, roles: &[&str]) -> Result<()> {
        let roles = self.roles(roles)?;
        self.send("POST", &format!("/users/{user_id}/role-mappings/realm"), Some(&roles))?;
        Ok(())
    }

    /// Takes realm roles from a user.
    pub fn remove_roles(&self, user_id: &str, roles: &[&str]) -> Result<()> {
        let roles = self.roles(roles)?;
        self.send("DELETE", &format!("/users/{user_id}/role-mappings/realm"), Some(&roles))?;
        Ok(())
    }

    /// Creates a realm role; the others become a part of it.
    pub fn create_role(&self, name: &str, composites: &[&str]) -> Result<()> {
        self.send("POST", "/roles", Some(&json!({"name": name})))?;
        if !composites.is_empty() {
            let composites = self.roles(composites)?;
            self.send("POST", &format!("/roles/{}/composites", encode(name)), Some(&composites))?;
        }
        Ok(())
    }

    fn roles(&self, names: &[&str]) -> Result<Value> {
        names.iter().map(|name| self.get(&format!("/roles/{}", encode(name)))).collect()
    }

    /// Lets a user in, or out.
    pub fn set_enabled(&self, user_id: &str, enabled: bool) -> Result<()> {
        self.change(&format!("/users/{user_id}"), &json!({"enabled": enabled}))
    }

    /// Sets an attribute of a user; empty takes it away.
    pub fn set_attribute(&self, user_id: &str, name: &str, values: &[&str]) -> Result<()> {
        let mut attributes = self.get(&format!("/users/{user_id}"))?["attributes"].take();
        if !attributes.is_object() {
            attributes = json!({});
        }
        attributes[name] = json!(values);
        self.change(&format!("/users/{user_id}"), &json!({"attributes": attributes}))
    }

    /// Ends the user's sessions. Keycloak remembers the moment as the user's `notBefore`.
    pub fn log_out(&self, user_id: &str) -> Result<()> {
        self.send("POST", &format!("/users/{user_id}/logout"), None)?;
        Ok(())
    }

    /// Deletes a user.
    pub fn delete_user(&self, user_id: &str) -> Result<()> {
        self.send("DELETE", &format!("/users/{user_id}"), None)?;
        Ok(())
    }

    /// The internal identifier of a client (`orthanc`, `admin-cli`, `realm-management`, …).
    pub fn client_id(&self, name: &str) -> Result<String> {
        let clients = self.get(&format!("/clients?clientId={}", encode(name)))?;
        Ok(clients[0]["id"].as_str().with_context(|| format!("no client {name}"))?.to_owned())
    }

    /// Changes members of a client: `redirectUris`, `webOrigins`, `publicClient`, `attributes`, ….
    pub fn change_client(&self, name: &str, changes: &Value) -> Result<()> {
        self.change(&format!("/clients/{}", self.client_id(name)?), changes)
    }

    /// Makes a new signature key (RS256) that is used from now on; gives the identifier of its provider. The older keys
    /// stay.
    pub fn rotate_keys(&self) -> Result<String> {
        self.add_keys("rsa-generated", &json!({"keySize": ["2048"], "algorithm": ["RS256"]}))
    }

    /// Adds a provider of keys above all others.
    pub fn add_keys(&self, provider: &str, config: &Value) -> Result<String> {
        let providers = self.get("/components?type=org.keycloak.keys.KeyProvider")?;
        let priorities = providers.as_array().into_iter().flatten().filter_map(|provider| {
            provider["config"]["priority"][0].as_str().and_then(|priority| priority.parse::<u64>().ok())
        });
        let mut config = config.clone();
        config["priority"] = json!([(priorities.max().unwrap_or(100) + 1).to_string()]);
        config["enabled"] = json!(["true"]);
        config["active"] = json!(["true"]);
        let realm = self.get("")?["id"].take();
        let component = json!({
            "name": format!("testbed-{provider}-{}", config["priority"][0].as_str().unwrap_or_default()),
            "providerId": provider, "providerType": "org.keycloak.keys.KeyProvider", "parentId": realm,
            "config": config,
        });
        let answer = self.send("POST", "/components", Some(&component))?;
        let location = answer.header("location").context("no Location")?;
        Ok(location.rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// Takes a provider of keys away, and its keys out of the key set.
    pub fn remove_keys(&self, provider_id: &str) -> Result<()> {
        self.send("DELETE", &format!("/components/{provider_id}"), None)?;
        Ok(())
    }

    /// The identifiers of all providers of RS256 keys.
    pub fn signature_key_providers(&self) -> Result<Vec<String>> {
        let providers = self.get("/components?type=org.keycloak.keys.KeyProvider")?;
        let rsa =
            providers.as_array().into_iter().flatten().filter(|provider| provider["providerId"] == "rsa-generated");
        Ok(rsa.filter_map(|provider| provider["id"].as_str().map(str::to_owned)).collect())
    }
}
