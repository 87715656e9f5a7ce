//! The composition root. A stand-in that knows one open path and one route, until the rooms are joined.

use std::sync::Arc;

use crate::callbacks::{Callbacks, Started};
use crate::gate::{self, Permit};
use crate::host::Host;
use crate::request::{Change, Reply, Request, RestRequest};

/// Why the plugin cannot start. Several lines when there are several reasons.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is no JSON.
    #[error("the configuration is no JSON: {0}")]
    Configuration(#[from] serde_json::Error),
}

/// Starts the plugin. `None`: it is switched off.
///
/// # Errors
/// When the configuration cannot be read.
pub fn start(host: Arc<dyn Host>, configuration: &str) -> Result<Option<Started>, StartError> {
    let configuration: serde_json::Value = serde_json::from_str(configuration)?;
    if configuration.pointer("/Authorization/Enable") == Some(&serde_json::Value::Bool(false)) {
        return Ok(None);
    }
    log::warn!("stand-in started");
    Ok(Some(Started { callbacks: Arc::new(StandIn { host }), rest_patterns: vec!["/gatehouse-test".to_owned()] }))
}

struct StandIn {
    host: Arc<dyn Host>,
}

impl Callbacks for StandIn {
    fn before_filter(&self) {}

    fn filter(&self, request: &Request<'_>) -> Option<Permit> {
        let open = ["/system", "/gatehouse-test", "/tools/reset"].contains(&request.path);
        if !open {
            log::info!("refused {} {} {:?}", request.method.as_str(), request.path, request.arguments);
        }
        open.then(gate::stand_in_permit)
    }

    fn rest(&self, request: &RestRequest<'_>) -> Reply {
        use crate::host::Method;
        match request.request.method {
            Method::Get => {
                let system = self.host.call(Method::Get, "/system", &[("x-test", "1")], b"");
                match system {
                    Ok(answer) => Reply::Answer {
                        status: answer.status,
                        content_type: "application/json",
                        headers: vec![("X-Gatehouse", "stand-in".to_owned())],
                        body: answer.body,
                    },
                    Err(error) => Reply::HostError(error),
                }
            }
            Method::Post => Reply::Answer {
                status: String::from_utf8_lossy(request.body).trim().parse().unwrap_or(400),
                content_type: "text/plain",
                headers: vec![("Set-Cookie", "a=1".to_owned()), ("Set-Cookie", "b=2".to_owned())],
                body: b"answered".to_vec(),
            },
            Method::Put => match self.host.get(&String::from_utf8_lossy(request.body)) {
                Ok(body) => Reply::json(body),
                Err(error) => Reply::HostError(error),
            },
            Method::Delete => Reply::MethodNotAllowed("GET,POST,PUT"),
        }
    }

    fn change(&self, change: Change) {
        log::info!("change {change:?}");
        self.host.set_metric("gatehouse_stand_in", 1);
    }

    fn stop(&self) {
        log::info!("stand-in stopped");
    }
}
