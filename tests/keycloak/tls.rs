//! A client that speaks TLS as browsers do, from an address of its own choice. Must not know what it asks for.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use testbed::nginx::Nginx;
use testbed::{Answer, Request};

/// A client that trusts the authority of an nginx, and finds the domain there.
pub struct Browser {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    root: String,
}

impl Browser {
    pub fn new(domain: &str, nginx: &Nginx, address: [u8; 4]) -> Self {
        let authority = reqwest::Certificate::from_pem(&nginx.authority().unwrap()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([authority])
            .resolve(domain, nginx.https())
            .local_address(IpAddr::from(Ipv4Addr::from(address)))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // After a refused upload nginx closes the connection, perhaps while the next request is on its way. A browser
            // sends that one again by itself; this client does not.
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client, root: format!("https://{domain}:{}", nginx.https().port()) }
    }

    /// Sends a request. Paths are sent as they are, but for `..`, which every client takes away.
    pub fn send(&self, request: &Request) -> Answer {
        let method = request.method.parse().unwrap();
        self.runtime.block_on(answer(self.client.request(method, format!("{}{}", self.root, request.path)), request))
    }
}

/// Sends a request without TLS from an address of one's own choice.
pub fn plain(from: [u8; 4], to: SocketAddr, request: &Request) -> Answer {
    let client = reqwest::Client::builder()
        .local_address(IpAddr::from(Ipv4Addr::from(from)))
        .tls_certs_only([])
        .no_proxy()
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(answer(
        client.request(request.method.parse().unwrap(), format!("http://{to}{}", request.path)),
        request,
    ))
}

async fn answer(mut builder: reqwest::RequestBuilder, request: &Request) -> Answer {
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    if let Some(body) = &request.body {
        builder = builder.body(body.clone());
    }
    let answer = builder.send().await.unwrap_or_else(|fault| panic!("{}: {fault:?}", request.path));
    let headers = answer.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()));
    Answer {
        status: answer.status().as_u16(),
        headers: headers.collect(),
        body: answer.bytes().await.unwrap().to_vec(),
    }
}
