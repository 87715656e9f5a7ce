//! A real OpenID Connect provider that is no Keycloak: npm's `oidc-provider`, with the clients and keys of
//! `tests/testbed/provider/provider.mjs`. It must not know what the plugin does.
use crate::clock::wait_until;
use crate::http::Client;
use crate::keycloak::{REQUIRED, form_request};
use crate::orthanc::free_port;
use crate::{setup, spawn, workspace};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::time::Duration;

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running provider. Dropping it kills it.
#[derive(Debug)]
pub struct NodeProvider {
    child: Child,
    port: u16,
    _log: tempfile::NamedTempFile,
}

impl NodeProvider {
    /// The claim with the roles in its access tokens.
    pub const ROLES_CLAIM: &'static str = "https://site.example/roles";
    /// The audience of its access tokens.
    pub const AUDIENCE: &'static str = "orthanc";

    /// Whether tests against it can run; says it loudly if not, and panics where [`REQUIRED`] is set.
    #[must_use]
    pub fn is_available(test: &str) -> bool {
        match setup::node::ensure() {
            Ok(_) => true,
            Err(fault) => {
                assert!(std::env::var_os(REQUIRED).is_none(), "{test} must run ({REQUIRED} is set): {fault:#}");
                eprintln!("\nNOT RUN: {test}: no provider to run it against: {fault:#}\n");
                false
            }
        }
    }

    /// Starts it, and waits until it answers.
    pub fn start() -> Result<Self> {
        let folder = setup::node::ensure()?;
        // Beside its modules, where Node looks for them.
        let script = tempfile::Builder::new().prefix("provider-").suffix(".mjs").tempfile_in(folder)?;
        fs::copy(workspace::root().join("tests/testbed/provider/provider.mjs"), script.path())?;
        let port = free_port()?;
        let log = tempfile::NamedTempFile::new()?;
        let file: File = log.reopen()?;
        let mut command = spawn::tied_command("node");
        command.arg(script.path()).arg(port.to_string()).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = spawn::spawn(command)?;
        let mut provider = Self { child, port, _log: log };
        let path = "/.well-known/openid-configuration";
        let up = wait_until(START_TIMEOUT, || match provider.child.try_wait() {
            Ok(None) => provider.client().get(path).is_ok_and(|answer| answer.status == 200).then_some(true),
            _ => Some(false),
        });
        if up != Some(true) {
            bail!("the provider did not start: {}", fs::read_to_string(provider._log.path()).unwrap_or_default());
        }
        Ok(provider)
    }

    /// Its issuer, `http://127.0.0.1:port`.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// An access token of `jane`, `vera` or `nobody`, for a resource: `urn:es256` and `urn:eddsa` say how it is signed,
    /// `urn:elsewhere` is for another audience.
    pub fn token(&self, name: &str, resource: &str) -> Result<String> {
        let request = form_request("/token", &[("grant_type", "client_credentials"), ("resource", resource)]);
        let answer = self.client().send(request.basic(name, &format!("{name}-secret")))?.expect_status(200)?.json()?;
        Ok(answer["access_token"].as_str().context("no access token")?.to_owned())
    }
}

impl Drop for NodeProvider {
    fn drop(&mut self) {
        // Already gone: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
