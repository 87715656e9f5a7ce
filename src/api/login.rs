//! `/auth/login`, `/auth/callback`, `/auth/logout`, `/auth/backchannel-logout`: the login gate's pages and redirects.

use std::time::Duration;

use serde_json::json;

use super::{Answer, ApiError, Call, ok};
use crate::browser;
use crate::credential;
use crate::host::Method;
use crate::identity::local::LocalError;
use crate::identity::oidc::Oidc;
use crate::identity::oidc::client::{GrantError, LoginRequest};
use crate::identity::session::{self, SessionError, Sessions};
use crate::login::{Front, Login, ReturnPath, Transaction, code_challenge};
use crate::pages::{self, Field, Form, Language, Link, Page, Text};
use crate::person::Person;
use crate::request::Reply;
use crate::store::{PersonRecord, WhichSessions};

/// How long a browser waits for the provider.
const PATIENCE: Duration = Duration::from_secs(8);

/// Longer forms are not read, in bytes.
const LONGEST_FORM: usize = 64 * 1024;

/// What these routes work with.
struct Desk<'a> {
    call: &'a Call<'a>,
    login: &'a Login,
    sessions: &'a Sessions,
    oidc: Option<&'a Oidc>,
    language: Language,
    secure: bool,
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Store(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<crate::seal::Unsealable> for ApiError {
    fn from(error: crate::seal::Unsealable) -> Self {
        Self::internal(&error)
    }
}

impl<'a> Desk<'a> {
    fn of(call: &'a Call<'_>) -> Result<Self, ApiError> {
        let verifiers = call.api.gate.identities.verifiers();
        let (Some(login), Some(sessions)) = (&call.api.login, &verifiers.sessions) else {
            return Err(ApiError::new(404, "the login gate is off (Authorization.Login.Enable)"));
        };
        let request = &call.rest.request;
        Ok(Self {
            call,
            login,
            sessions,
            oidc: verifiers.oidc.as_deref(),
            language: Language::asked_for(request.header("accept-language")),
            secure: call.api.front.address.is_https(request, call.by_proxy),
        })
    }

    const fn front(&self) -> &'a Front {
        &self.call.api.front
    }

    /// Whether our own page sent this form; the log has it when it did not.
    fn is_own_form(&self) -> bool {
        let request = &self.call.rest.request;
        let origin = self.front().address.origin();
        let own = browser::is_own_form(request, origin.as_deref());
        if !own {
            let why = browser::why_not_own_form(request, origin.as_deref());
            log::info!(
                "a login or logout from {} was not looked at: {why}",
                crate::log_text::shorten(&self.call.remote)
            );
        }
        own
    }

    fn text(&self, text: Text) -> &'static str {
        text.in_language(self.language)
    }

    fn page(&self, title: Text) -> Page<'_> {
        Page::new(self.language, &self.front().site, self.text(title))
    }

    fn argument(&self, name: &str) -> Option<String> {
        let found = self.call.rest.request.arguments.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| self.call.argument(value))
    }

    /// A page about a login that came to nothing; the reason is in the log.
    fn failed(&self, problem: Text, return_path: &ReturnPath, cookies: Vec<String>) -> Reply {
        let again = format!("login?return={}", return_path.encoded());
        let mut page = self.page(Text::SignInFailed);
        page.problem = Some(self.text(problem));
        page.links.push(Link { href: &again, text: self.text(Text::TryAgain) });
        with_cookies(page.reply(&[]), cookies)
    }
}

fn with_cookies(reply: Reply, cookies: Vec<String>) -> Reply {
    reply.with_headers(cookies.into_iter().map(|cookie| ("Set-Cookie", cookie)))
}

/// `GET /auth/login?return=…`: to the provider, or a page to choose one or to give a password. `POST`: the password.
pub fn login(call: &Call<'_>) -> Answer {
    let desk = Desk::of(call)?;
    if call.rest.request.method == Method::Post {
        return password(&desk);
    }
    let return_path = ReturnPath::from_argument(&desk.argument("return").unwrap_or_default());
    let providers = desk.oidc.map_or(0, |oidc| oidc.provider_names().count());
    let has_users = !call.api.gate.identities.verifiers().local.is_empty();
    let chosen = desk.argument("provider").and_then(|text| text.parse().ok()).filter(|index| *index < providers);
    match chosen.or((providers == 1 && !has_users).then_some(0)) {
        Some(provider) => to_provider(&desk, provider, &return_path),
        None => Ok(choice(&desk, &return_path, "", None)),
    }
}

/// The page to give a password on, or to choose a provider.
fn choice(desk: &Desk<'_>, return_path: &ReturnPath, user: &str, problem: Option<Text>) -> Reply {
    let mut page = desk.page(Text::SignIn);
    page.problem = problem.map(|problem| desk.text(problem));
    if !desk.call.api.gate.identities.verifiers().local.is_empty() {
        let field = |name, label, kind, autocomplete, value, focus| Field {
            name,
            label: desk.text(label),
            kind,
            autocomplete,
            value,
            focus,
        };
        page.form = Some(Form {
            action: "login",
            fields: vec![
                Field::hidden("return", return_path.as_str()),
                field("user", Text::UserName, "text", "username", user, true),
                field("password", Text::Password, "password", "current-password", "", false),
            ],
            submit: desk.text(Text::SignIn),
        });
    }
    let names: Vec<(String, String)> = desk
        .oidc
        .into_iter()
        .flat_map(Oidc::provider_names)
        .enumerate()
        .map(|(index, issuer)| {
            let host = browser::origin_of(issuer).unwrap_or_default();
            let host = host.split_once("://").map_or("", |(_, host)| host).to_owned();
            let text = desk.text(Text::SignInWith).replace("{}", &host);
            (format!("login?provider={index}&return={}", return_path.encoded()), text)
        })
        .collect();
    page.links = names.iter().map(|(href, text)| Link { href, text }).collect();
    page.reply(&[])
}

/// Sends the browser to the provider.
fn to_provider(desk: &Desk<'_>, provider: usize, return_path: &ReturnPath) -> Answer {
    let Some(oidc) = desk.oidc else { return Err(ApiError::new(404, "there is no provider")) };
    let request = &desk.call.rest.request;
    let Some(root) = desk.front().address.root(request, desk.call.by_proxy) else {
        return Err(ApiError::bad("the request names no host to come back to: set PublicUrl"));
    };
    let issuer = oidc.provider_names().nth(provider).unwrap_or_default().to_owned();
    let redirect_uri = format!("{root}auth/callback");
    let transaction = Transaction::begin(issuer, redirect_uri, return_path.as_str().to_owned(), desk.call.now)?;
    let url = oidc.login_url(
        provider,
        &LoginRequest {
            redirect_uri: &transaction.redirect_uri,
            state: &transaction.state,
            nonce: &transaction.nonce,
            code_challenge: &code_challenge(&transaction.code_verifier),
        },
    );
    match url {
        Ok(url) => {
            let sealed = desk.login.seal(&transaction)?;
            let header = request.header("cookie");
            let cookies = desk.front().cookies.set_transaction(&transaction.state, &sealed, header, desk.secure);
            Ok(pages::redirect(url, cookies))
        }
        Err(error) => {
            log::warn!("nobody can log in: {error}");
            Ok(desk.failed(Text::ProviderAway, return_path, Vec::new()))
        }
    }
}

/// A name and a password from our own page.
fn password(desk: &Desk<'_>) -> Answer {
    if !desk.is_own_form() {
        return Ok(desk.failed(Text::FromElsewhere, &ReturnPath::default(), Vec::new()));
    }
    let form = form(desk.call.rest.body)?;
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let return_path = ReturnPath::parse(field("return"));
    let verifiers = desk.call.api.gate.identities.verifiers();
    let user = field("user");
    match verifiers.local.check(user, field("password").as_bytes(), &desk.call.remote, desk.call.now) {
        Ok(()) => {
            let login = session::Login::local(user, verifiers.local.password_mark(user));
            open(desk, login, &return_path, Vec::new())
        }
        Err(error) => {
            let problem = match error {
                LocalError::TooManyAttempts { .. } | LocalError::Busy => Text::TooManyAttempts,
                LocalError::WrongPassword | LocalError::UnknownUser => Text::WrongPassword,
            };
            log::info!("a login from {} failed: {error}", crate::log_text::shorten(&desk.call.remote));
            Ok(choice(desk, &return_path, user, Some(problem)))
        }
    }
}

/// Opens a session and sends the browser to the page that it wanted.
fn open(desk: &Desk<'_>, login: session::Login, return_path: &ReturnPath, mut cookies: Vec<String>) -> Answer {
    let request = &desk.call.rest.request;
    // Whoever logs in again has one session, not two.
    if let Some(old) = desk.call.api.gate.places.session(request) {
        desk.sessions.end(old)?;
    }
    log::info!(
        "{:?} logged in from {}",
        crate::log_text::shorten(&login.name),
        crate::log_text::shorten(&desk.call.remote)
    );
    let (text, _) = desk.sessions.open(login, desk.call.now)?;
    cookies.push(desk.front().cookies.set_session(text.expose(), desk.sessions.duration(), desk.secure));
    Ok(pages::redirect(return_path.from_auth(), cookies))
}

/// `GET /auth/callback`: back from the provider (OpenID Connect Core 1.0, 3.1.2.5).
pub fn callback(call: &Call<'_>) -> Answer {
    let desk = Desk::of(call)?;
    let request = &call.rest.request;
    let state = desk.argument("state").unwrap_or_default();
    let cookie = credential::cookie(request, &desk.front().cookies.transaction_name(&state));
    let Some(transaction) = cookie.and_then(|sealed| desk.login.open(&state, sealed, call.now)) else {
        log::info!("a login came back that was not begun here, or too long ago");
        return Ok(desk.failed(Text::LoginTooOld, &ReturnPath::default(), Vec::new()));
    };
    let return_path = ReturnPath::parse(&transaction.return_path);
    // Used once, whatever becomes of it.
    let cookies = vec![desk.front().cookies.remove_transaction(&state, desk.secure)];
    match granted(&desk, &transaction) {
        Ok(login) => {
            let verifiers = call.api.gate.identities.verifiers();
            verifiers.recorder.remember(&PersonRecord {
                person: login.person.clone(),
                name: login.name.clone(),
                groups: login.groups.clone(),
                roles: login.roles.clone(),
                seen_at: login.issued_at.unwrap_or(call.now),
            })?;
            open(&desk, login, &return_path, cookies)
        }
        Err(error) => {
            log::warn!("a login at {} failed: {error}", crate::log_text::shorten(&transaction.issuer));
            if let Some(oidc) = desk.oidc {
                oidc.note_login(&transaction.issuer, &error, call.now);
            }
            let problem = match error {
                GrantError::NotReady(_) | GrantError::Unreachable(_) | GrantError::Busy => Text::ProviderAway,
                GrantError::Refused { .. } | GrantError::Token { .. } | GrantError::OtherIssuer => Text::LoginRefused,
            };
            Ok(desk.failed(problem, &return_path, cookies))
        }
    }
}

/// Exchanges the code that came back.
fn granted(desk: &Desk<'_>, transaction: &Transaction) -> Result<session::Login, GrantError> {
    let not_ready = || GrantError::NotReady(transaction.issuer.clone());
    let oidc = desk.oidc.ok_or_else(not_ready)?;
    let provider = oidc.provider_of(&transaction.issuer).ok_or_else(not_ready)?;
    if desk.argument("iss").is_some_and(|issuer| !oidc.is_issuer_of(provider, &issuer)) {
        return Err(GrantError::OtherIssuer);
    }
    let shown = |name| crate::log_text::shorten(&desk.argument(name).unwrap_or_default());
    let Some(code) = desk.argument("code").filter(|code| !code.is_empty()) else {
        return Err(GrantError::Refused { error: shown("error"), description: shown("error_description") });
    };
    let Transaction { code_verifier, redirect_uri, nonce, .. } = transaction;
    let _seat = desk.login.take_seat().ok_or(GrantError::Busy)?;
    let answer = oidc.exchange(provider, &code, code_verifier, redirect_uri, PATIENCE)?;
    Ok(session::Login::granted(oidc.read(provider, answer, Some(nonce), desk.call.now)?))
}

/// `GET /auth/logout`: the question. `POST`: ends the session here, and sends the browser to the provider to end its
/// own. A script gets the provider's URL as JSON instead.
pub fn logout(call: &Call<'_>) -> Answer {
    let desk = Desk::of(call)?;
    let request = &call.rest.request;
    if call.rest.request.method == Method::Get {
        if desk.argument("done").is_some() || call.api.gate.places.session(request).is_none() {
            let mut page = desk.page(Text::SignedOut);
            page.links.push(Link { href: "login", text: desk.text(Text::SignIn) });
            return Ok(page.reply(&[]));
        }
        let mut page = desk.page(Text::SignOut);
        page.texts.push(desk.text(Text::SignOutQuestion));
        page.form = Some(Form { action: "logout", fields: Vec::new(), submit: desk.text(Text::SignOut) });
        let providers = desk.oidc.map_or(0, |oidc| oidc.provider_names().count());
        let origins: Vec<String> = (0..providers).filter_map(|provider| desk.oidc?.logout_origin(provider)).collect();
        return Ok(page.reply(&origins));
    }
    if !desk.is_own_form() {
        return Ok(desk.failed(Text::FromElsewhere, &ReturnPath::default(), Vec::new()));
    }
    let ended = match call.api.gate.places.session(request) {
        Some(text) => desk.sessions.end(text)?,
        None => None,
    };
    let at_provider = ended.and_then(|ended| {
        log::info!("somebody with a session of {:?} logged out", crate::log_text::shorten(&ended.person.subject));
        let oidc = desk.oidc?;
        let root = desk.front().address.root(request, call.by_proxy)?;
        let provider = oidc.provider_of(&ended.person.issuer)?;
        oidc.logout_url(provider, ended.id_token.as_ref(), &format!("{root}auth/logout?done=1"))
    });
    let cookies = vec![desk.front().cookies.remove_session(desk.secure)];
    if browser::is_page_request(request) {
        return Ok(pages::redirect(at_provider.unwrap_or_else(|| "logout?done=1".to_owned()), cookies));
    }
    Ok(with_cookies(ok(&json!({ "LogoutUrl": at_provider })), cookies))
}

/// `POST /auth/backchannel-logout`: a provider ends sessions (OpenID Connect Back-Channel Logout 1.0, 2.5 to 2.8).
pub fn backchannel_logout(call: &Call<'_>) -> Answer {
    let desk = Desk::of(call)?;
    let form = form(call.rest.body)?;
    let token = form.iter().find(|(name, _)| name == "logout_token").map(|(_, token)| token);
    let (Some(token), Some(oidc)) = (token, desk.oidc) else {
        return Err(ApiError::bad("a form with logout_token is expected"));
    };
    let ended = oidc.logout_token(token, call.now).map_err(|error| {
        log::warn!("a logout token was refused: {error}");
        ApiError::bad(format!("the logout token is refused: {error}"))
    })?;
    let person = ended.subject.map(|subject| Person { issuer: ended.issuer.clone(), subject });
    let which = match (&ended.session, &person) {
        (Some(session), person) => {
            let subject = person.as_ref().map(|person| person.subject.as_str());
            WhichSessions::AtProvider { issuer: &ended.issuer, session, subject }
        }
        (None, Some(person)) => WhichSessions::Of(person),
        (None, None) => return Err(ApiError::bad("the logout token names nobody")),
    };
    desk.sessions.end_all(&which)?;
    let headers = pages::private_headers();
    Ok(Reply::Answer { status: 200, content_type: "application/json", headers, body: b"{}".to_vec() })
}

/// The fields of a form in a body.
fn form(body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    if body.len() > LONGEST_FORM {
        return Err(ApiError::bad("the form is too long"));
    }
    Ok(form_urlencoded::parse(body).into_owned().collect())
}
