//! A real Chromium, steered over the W3C WebDriver protocol by Debian's ChromeDriver: pages, forms, scripts, cookies,
//! screenshots, and every request that it made. It must not know whose pages it shows.
//!
//! Each [`Browser`] is a process with a profile of its own: nothing that one knows is known to another. Whatever one
//! waits for is a condition with a bound; a driver's answer that is no success is an error that shows it.
use crate::clock::wait_until;
use crate::http::{Client, Request};
use crate::keycloak::REQUIRED;
use crate::orthanc::free_port;
use crate::{setup, spawn};
use anyhow::{Context, Result, bail};
use base64::Engine;
use serde_json::{Map, Value, json};
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How long a page, or whatever is waited for on it, may take.
const TIMEOUT: Duration = Duration::from_secs(45);
/// The name of an element's reference (WebDriver, 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Whether tests in a browser can run. If not, it says so loudly on stderr; where the environment variable [`REQUIRED`]
/// is set, it panics instead.
#[must_use]
pub fn is_available(test: &str) -> bool {
    match setup::ensure_browser() {
        Ok(_) => true,
        Err(fault) => {
            assert!(std::env::var_os(REQUIRED).is_none(), "{test} must run ({REQUIRED} is set): {fault:#}");
            eprintln!("\nNOT RUN: {test}: no browser to run it in: {fault:#}\n");
            false
        }
    }
}

/// One ChromeDriver for all browsers of a process.
fn driver() -> Result<Client> {
    static DRIVER: OnceLock<Mutex<Option<(Child, Client)>>> = OnceLock::new();
    let mut driver = DRIVER.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, client)) = &*driver {
        return Ok(client.clone());
    }
    let port = free_port()?;
    let mut command = spawn::tied_command("chromedriver");
    command.args([&format!("--port={port}"), "--silent"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = spawn::spawn(command)?;
    let client = Client::new((Ipv4Addr::LOCALHOST, port).into());
    let ready = || client.get("/status").ok()?.json().ok()?["value"]["ready"].as_bool()?.then_some(());
    wait_until(TIMEOUT, ready).context("ChromeDriver does not answer")?;
    *driver = Some((child, client.clone()));
    Ok(client)
}

/// A browser that is not started yet.
#[derive(Clone, Debug, Default)]
pub struct Options {
    arguments: Vec<String>,
}

impl Options {
    /// The languages that it asks for, best first: `de-DE,de`.
    #[must_use]
    pub fn languages(self, list: &str) -> Self {
        self.argument(&format!("--accept-lang={list}"))
    }

    /// Takes these names for this machine.
    #[must_use]
    pub fn local_names(self, names: &[&str]) -> Self {
        let rules: Vec<String> = names.iter().map(|name| format!("MAP {name} 127.0.0.1")).collect();
        self.argument(&format!("--host-resolver-rules={}", rules.join(",")))
    }

    /// Adds an argument of the browser.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts it.
    pub fn start(&self) -> Result<Browser> {
        let driver = driver()?;
        let profile = tempfile::Builder::new().prefix("chromium-").tempdir()?;
        let mut arguments = vec![
            "--headless=new".to_owned(),
            // Debian's Chromium does not start as root with it.
            "--no-sandbox".to_owned(),
            // WebGL without a graphics card; `--disable-gpu` would switch it off.
            "--use-angle=swiftshader".to_owned(),
            "--enable-unsafe-swiftshader".to_owned(),
            "--window-size=1200,900".to_owned(),
            // It ends when the driver does.
            "--remote-debugging-pipe".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-default-apps".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--password-store=basic".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        arguments.extend(self.arguments.iter().cloned());
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "pageLoadStrategy": "normal",
            "timeouts": {"pageLoad": 45_000, "script": 45_000},
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": {
                    "credentials_enable_service": false,
                    "profile.password_manager_leak_detection": false,
                    // Its own first page costs more than some of ours.
                    "session.restore_on_startup": 4,
                    "session.startup_urls": ["about:blank"],
                },
            },
        }}});
        let opened = value(&driver, Request::post("/session", "").json(&capabilities))?;
        let session = opened["sessionId"].as_str().context("no session")?;
        Ok(Browser { driver, root: format!("/session/{session}"), seen: Mutex::default(), profile: Some(profile) })
    }
}

fn value(driver: &Client, request: Request) -> Result<Value> {
    let shown = format!("{} {}", request.method, request.path);
    let answer = driver.send(request)?;
    let mut body = answer.json()?;
    if answer.status != 200 {
        bail!("{shown}: {} {}: {}", answer.status, body["value"]["error"], body["value"]["message"]);
    }
    Ok(body["value"].take())
}

/// A request that the browser made, and what came back.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// Method.
    pub method: String,
    /// With its query; fragments are not sent.
    pub url: String,
    /// Headers as they were sent, names in lower case.
    pub headers: Map<String, Value>,
    /// The status; 0 when there was no answer, or one that the browser kept from the page.
    pub status: u64,
    /// What the answer said where to go.
    pub location: Option<String>,
    /// Whether `headers` has what the browser added by itself: cookies, and where the request comes from.
    pub complete: bool,
}

/// A running browser. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    driver: Client,
    root: String,
    seen: Mutex<Vec<Value>>,
    profile: Option<tempfile::TempDir>,
}

impl Browser {
    /// With nothing particular.
    pub fn start() -> Result<Self> {
        Options::default().start()
    }

    fn get(&self, path: &str) -> Result<Value> {
        value(&self.driver, Request::get(&format!("{}{path}", self.root)))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        value(&self.driver, Request::new("POST", &format!("{}{path}", self.root)).json(body))
    }

    /// Opens a page and waits until it is loaded, redirects followed.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({"url": url})).map(drop)
    }

    /// Where it is.
    pub fn url(&self) -> Result<String> {
        Ok(self.get("/url")?.as_str().unwrap_or_default().to_owned())
    }

    /// The text that is shown.
    pub fn text(&self) -> Result<String> {
        let text = self.run("return document.body ? document.body.innerText : ''", &[])?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until there is an element for this CSS selector that is shown.
    pub fn wait_for(&self, css: &str) -> Result<()> {
        let script = "const e = document.querySelector(arguments[0]); return !!e && e.getClientRects().length > 0";
        self.wait(&format!("{css:?}"), || Ok(self.run(script, &[json!(css)])? == json!(true)))
    }

    /// Waits until the address begins with this.
    pub fn wait_for_url(&self, start: &str) -> Result<()> {
        self.wait(&format!("{start:?}"), || Ok(self.url()?.starts_with(start)))
    }

    /// Waits for a condition. A fault in it counts as no: a page may just be on its way out.
    pub fn wait(&self, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
        let mut last = None;
        let met = wait_until(TIMEOUT, || match condition() {
            Ok(met) => met.then_some(()),
            Err(fault) => {
                last = Some(fault);
                None
            }
        });
        met.with_context(|| {
            let shown = self.text().unwrap_or_default();
            let fault = last.map(|fault| format!(" ({fault:#})")).unwrap_or_default();
            format!("waited for {what} in vain{fault} at {}:\n{shown}", self.url().unwrap_or_default())
        })
    }

    fn element(&self, css: &str) -> Result<String> {
        let found = self.post("/element", &json!({"using": "css selector", "value": css}))?;
        Ok(found[ELEMENT].as_str().with_context(|| format!("no {css}"))?.to_owned())
    }

    /// Clicks, as a person does.
    pub fn click(&self, css: &str) -> Result<()> {
        let element = self.element(css)?;
        self.post(&format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// Types into a field, after what is there.
    pub fn type_into(&self, css: &str, text: &str) -> Result<()> {
        let element = self.element(css)?;
        self.post(&format!("/element/{element}/value"), &json!({"text": text})).map(drop)
    }

    /// The result of a script on the page.
    pub fn run(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": arguments}))
    }

    /// What an expression with `await` in it gives; what it throws is an error.
    pub fn run_async(&self, expression: &str, arguments: &[Value]) -> Result<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async (...args) => ({expression}))(...arguments).then(value => done({{value}}), fault => done({{fault: String(fault)}}));"
        );
        let mut outcome = self.post("/execute/async", &json!({"script": script, "args": arguments}))?;
        match outcome["fault"].as_str() {
            Some(fault) => bail!("{expression}: {fault}"),
            None => Ok(outcome["value"].take()),
        }
    }

    /// The status of a `fetch` by the page, with these options.
    pub fn fetch(&self, url: &str, options: &Value) -> Result<u64> {
        let status = self.run_async("(await fetch(args[0], args[1])).status", &[json!(url), options.clone()])?;
        status.as_u64().context("no status")
    }

    /// The JSON that a `fetch` by the page gives.
    pub fn fetch_json(&self, url: &str, options: &Value) -> Result<Value> {
        self.run_async("await (await fetch(args[0], args[1])).json()", &[json!(url), options.clone()])
    }

    /// The cookies that count for the page.
    pub fn cookies(&self) -> Result<Vec<Value>> {
        Ok(self.get("/cookie")?.as_array().cloned().unwrap_or_default())
    }

    /// Removes the cookies that count for the page.
    pub fn forget_cookies(&self) -> Result<()> {
        value(&self.driver, Request::delete(&format!("{}/cookie", self.root))).map(drop)
    }

    /// Removes all cookies, whosever they are: as for another person.
    pub fn forget_all_cookies(&self) -> Result<()> {
        self.devtools("Network.clearBrowserCookies", &json!({})).map(drop)
    }

    /// What is shown, as PNG.
    pub fn screenshot(&self) -> Result<Vec<u8>> {
        let picture = self.get("/screenshot")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap_or_default())?)
    }

    /// Opens another tab and goes there; gives the one that was left.
    pub fn new_tab(&self) -> Result<String> {
        let old = self.get("/window")?.as_str().unwrap_or_default().to_owned();
        let new = self.post("/window/new", &json!({"type": "tab"}))?;
        self.go_to_tab(new["handle"].as_str().context("no tab")?)?;
        Ok(old)
    }

    /// Goes to a tab.
    pub fn go_to_tab(&self, handle: &str) -> Result<()> {
        self.post("/window", &json!({"handle": handle})).map(drop)
    }

    /// All tabs.
    pub fn tabs(&self) -> Result<Vec<String>> {
        let tabs = self.get("/window/handles")?;
        Ok(tabs.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// A command of the Chrome DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// What scripts wrote to the console.
    pub fn console(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({"type": "browser"}))?;
        Ok(log.as_array().into_iter().flatten().map(|entry| entry["message"].to_string()).collect())
    }

    /// All requests so far, in order.
    pub fn traffic(&self) -> Result<Vec<Exchange>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = self.post("/se/log", &json!({"type": "performance"}))?;
        for entry in fresh.as_array().into_iter().flatten() {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap_or_default())?;
            seen.push(event["message"].clone());
        }
        Ok(exchanges(&seen))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Gone already: nothing to do. It writes into its profile until it has ended.
        let _ = value(&self.driver, Request::delete(&self.root));
        drop(self.profile.take());
    }
}

/// A redirect has the same identifier as the request before it; what was really sent is told by itself, sooner or
/// later.
fn exchanges(events: &[Value]) -> Vec<Exchange> {
    let mut all: Vec<(&str, Exchange)> = Vec::new();
    let mut sent: Vec<(&str, &Value)> = Vec::new();
    for event in events {
        let parameters = &event["params"];
        let Some(id) = parameters["requestId"].as_str() else { continue };
        let mut answered = |answer: &Value| {
            if let Some((_, exchange)) = all.iter_mut().rev().find(|(other, _)| *other == id) {
                exchange.status = answer["status"].as_u64().unwrap_or_default();
                exchange.location =
                    lower(&answer["headers"]).get("location").and_then(Value::as_str).map(str::to_owned);
            }
        };
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                if let Some(before) = parameters.get("redirectResponse") {
                    answered(before);
                }
                let request = &parameters["request"];
                let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
                let headers = lower(&request["headers"]);
                all.push((id, Exchange { method: text("method"), url: text("url"), headers, ..Exchange::default() }));
            }
            "Network.requestWillBeSentExtraInfo" => sent.push((id, &parameters["headers"])),
            "Network.responseReceived" => answered(&parameters["response"]),
            _ => {}
        }
    }
    // The first that is told of is the first that was sent.
    for (id, headers) in sent {
        let waiting = all.iter_mut().find(|(other, exchange)| *other == id && !exchange.complete);
        if let Some((_, exchange)) = waiting {
            exchange.headers.extend(lower(headers));
            exchange.complete = true;
        }
    }
    all.into_iter().map(|(_, exchange)| exchange).collect()
}

fn lower(headers: &Value) -> Map<String, Value> {
    let headers = headers.as_object().into_iter().flatten();
    headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}
