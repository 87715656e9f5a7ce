//! `Emails`: the mail server, who mails come from, and what they are made of. The feature is on with `Smtp.Host`.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::client::Certificate;

use super::checked::{Emails, LocalUser, Smtp, SmtpTls};
use super::section::Section;
use super::values::shown;
use crate::mail;

/// Recipients for each hour, unless the site says otherwise.
const HOURLY_PER_PERSON: i64 = 50;
const HOURLY: i64 = 500;

/// Reads the section. `users` are the local accounts, by their names.
pub(super) fn read(parent: &Section<'_>, users: &std::collections::BTreeMap<String, LocalUser>) -> Option<Emails> {
    let emails = parent.section("Emails");
    let section = emails.section("Smtp");
    let smtp = smtp(&section);
    if smtp.is_none()
        && section.is_sound()
        && ["Username", "Password", "PasswordFile", "CaFile"].iter().any(|key| section.value(key).is_some())
    {
        section.fault("Host", "is missing: the mail server's name");
    }
    section.finish();
    let sender = mailbox(&emails, "Sender");
    let reply_to = mailbox(&emails, "ReplyTo");
    let service_user = emails.string("ServiceUser").filter(|name| {
        let is_known = users.contains_key(name);
        if !is_known {
            emails.fault("ServiceUser", format!("must be the name of one of \"Users\", got {}", shown(name)));
        }
        is_known
    });
    let count = |key, default| {
        let count = emails.integer(key, 1..=100_000).unwrap_or(default);
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let (hourly_per_person, hourly) = (count("HourlyPerPerson", HOURLY_PER_PERSON), count("Hourly", HOURLY));
    let templates_folder = emails.string("TemplatesFolder").map(|folder| (emails.reader.resolve(&folder), folder));
    if smtp.is_some() {
        if let Some((path, written)) = &templates_folder {
            check_templates(&emails, path, written);
        }
        if emails.value("Sender").is_none() {
            emails.fault("Sender", "is missing: whom mails come from, like \"My Hospital <info@example.com>\"");
        }
    }
    emails.finish();
    let templates_folder = templates_folder.map(|(path, _)| path);
    Some(Emails { smtp: smtp?, sender: sender?, reply_to, templates_folder, service_user, hourly_per_person, hourly })
}

fn smtp(section: &Section<'_>) -> Option<Smtp> {
    let host = section.string("Host");
    let port = section.integer("Port", 1..=65535).and_then(|port| u16::try_from(port).ok());
    let tls = match section.choice("Tls", &["none", "starttls", "tls"]) {
        Some("none") => SmtpTls::None,
        Some("tls") => SmtpTls::Tls,
        _ => SmtpTls::StartTls,
    };
    let user = section.string("Username");
    let password = section.secret("Password", "PasswordFile");
    let has_password = section.value("Password").is_some() || section.value("PasswordFile").is_some();
    match (&user, has_password) {
        (Some(_), false) => section.fault("Password", "is required with \"Username\""),
        (None, true) => section.fault("Username", "is required with the password"),
        _ => {}
    }
    let ca = section.string("CaFile").and_then(|file| {
        let pem = section.file("CaFile", &file)?;
        let is_pem = pem.contains("-----BEGIN CERTIFICATE-----") && Certificate::from_pem(pem.as_bytes()).is_ok();
        if !is_pem {
            section.fault("CaFile", format!("the file {} holds no PEM certificate", shown(&file)));
        }
        is_pem.then_some(pem)
    });
    let timeout = section.integer("Timeout", 1..=600).unwrap_or(10);
    let host = host?;
    if !is_host(&host) {
        section.fault("Host", format!("must be the mail server's name or address alone, got {}", shown(&host)));
    }
    let is_here = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
    if tls == SmtpTls::None && !is_here {
        section.reader.warn(
            "MailsInTheClear",
            format!(
                "mails{} go to {host} in the clear ({})",
                if user.is_some() { " and the password" } else { "" },
                section.at("Tls")
            ),
            "set Authorization.Emails.Smtp.Tls to \"starttls\" or \"tls\", if the mail server speaks TLS",
        );
    }
    let (usual, other) = match tls {
        SmtpTls::Tls => (465, Some((587, "starttls"))),
        SmtpTls::StartTls => (587, Some((465, "tls"))),
        SmtpTls::None => (25, None),
    };
    let port = port.unwrap_or(if tls == SmtpTls::Tls { usual } else { 587 });
    if let Some((_, name)) = other.filter(|(others, _)| *others == port) {
        section.fault("Port", format!("{port} is the port for \"Tls\": {name:?}; write that, or the port {usual}"));
    }
    let timeout = Duration::from_secs(u64::try_from(timeout).unwrap_or_default());
    Some(Smtp { host, port, tls, ca, login: user.zip(password), timeout })
}

fn mailbox(section: &Section<'_>, key: &'static str) -> Option<Mailbox> {
    let text = section.string(key)?;
    mail::mailbox(&text).map_err(|fault| section.fault(key, format!("{fault}, got {}", shown(&text)))).ok()
}

/// A name of the DNS or an IP address.
fn is_host(host: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    host.parse::<std::net::IpAddr>().is_ok()
        || (host.len() <= 253 && !host.starts_with(['-', '.']) && host.bytes().all(is_name))
}

fn check_templates(section: &Section<'_>, path: &std::path::Path, written: &str) {
    if let Err(error) = section.reader.environment.read_folder(path) {
        section.fault("TemplatesFolder", format!("cannot read the folder {}: {error}", shown(written)));
    } else if let Some(fault) = mail::template::Templates::new(Some(path.to_owned())).fault() {
        section.fault("TemplatesFolder", fault.to_string());
    }
}
