//! How a mail goes out: SMTP (RFC 5321), in the clear, or with TLS from the start (RFC 8314) or by STARTTLS (RFC 3207),
//! which is then required: there is no way back to plain text.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Mailboxes, MultiPart, SinglePart, header};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::Letter;
use crate::config::{Smtp, SmtpTls};
use crate::errands::Fault;

/// Why a mail was not sent. For whoever wrote it: shows no credential, and nothing of what the server says but its
/// codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not now: too many at once, too slow, or this server is going down.
    #[error("the mail server: {0}")]
    NotNow(#[from] Fault),
    /// The server said no.
    #[error("the mail server {what} ({code})")]
    Refused {
        /// What it did not take.
        what: &'static str,
        /// Its code, with the more precise one if there is one: `550 5.1.1`.
        code: String,
    },
    /// It cannot be reached, or hung up.
    #[error("the mail server cannot be reached, or ended the connection")]
    Unreachable,
    /// TLS failed.
    #[error("no TLS with the mail server: its certificate is not accepted, or it speaks none")]
    Tls,
    /// It has no STARTTLS, or no way to log in that we know.
    #[error("the mail server does not offer what is configured: STARTTLS, or a way to log in")]
    NotOffered,
    /// It says something that is no SMTP.
    #[error("the mail server ended the connection, or its answer is no SMTP")]
    Garbage,
    /// The mail itself cannot be put together.
    #[error("the mail cannot be put together")]
    Unwritable,
}

/// The way to the mail server.
pub(super) struct Transport {
    inner: AsyncSmtpTransport<Tokio1Executor>,
    logs_in: bool,
    sender: Mailbox,
    reply_to: Option<Mailbox>,
}

impl Transport {
    pub(super) fn new(smtp: &Smtp, sender: Mailbox, reply_to: Option<Mailbox>) -> Result<Self, String> {
        let tls = || -> Result<TlsParameters, String> {
            let mut parameters = TlsParameters::builder(smtp.host.clone());
            if let Some(pem) = &smtp.ca {
                let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
                parameters = parameters.add_root_certificate(certificate);
            }
            parameters.build_rustls().map_err(|error| error.to_string())
        };
        let tls = match smtp.tls {
            SmtpTls::None => Tls::None,
            SmtpTls::StartTls => Tls::Required(tls()?),
            SmtpTls::Tls => Tls::Wrapper(tls()?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host.clone())
            .port(smtp.port)
            .tls(tls)
            // For each step; the whole is bounded by whoever waits.
            .timeout(Some(smtp.timeout.max(Duration::from_secs(1))));
        if let Some((user, password)) = &smtp.login {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            builder = builder.credentials(credentials).authentication(vec![Mechanism::Plain, Mechanism::Login]);
        }
        Ok(Self { inner: builder.build(), logs_in: smtp.login.is_some(), sender, reply_to })
    }

    pub(super) async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        let message = self.message(letter)?;
        match self.inner.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.fault(&error)),
        }
    }

    fn message(&self, letter: &Letter) -> Result<Message, SendError> {
        let to: Mailboxes = letter.to.iter().map(|address| Mailbox::new(None, address.clone())).collect();
        let sent = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(letter.date.0).unwrap_or_default());
        let mut builder = Message::builder()
            .from(self.sender.clone())
            .mailbox(header::To::from(to))
            .subject(&letter.title)
            .date(sent)
            .message_id(Some(format!("<{}@{}>", letter.id, self.sender.email.domain())));
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        let part = |kind: ContentType, text: &str| SinglePart::builder().header(kind).body(text.to_owned());
        let parts = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, &letter.text))
            .singlepart(part(ContentType::TEXT_HTML, &letter.html));
        builder.multipart(parts).map_err(|_| SendError::Unwritable)
    }

    fn fault(&self, error: &lettre::transport::smtp::Error) -> SendError {
        let Some(code) = error.status() else {
            return if error.is_tls() || is_about_certificates(error) {
                SendError::Tls
            } else if error.is_client() {
                SendError::NotOffered
            } else if error.is_response() {
                SendError::Garbage
            } else {
                SendError::Unreachable
            };
        };
        let number: u16 = code.into();
        let what = match number {
            // RFC 4954, 4: what is wrong with a login, or with having none.
            454 | 530 | 534 | 535 | 538 if self.logs_in => "does not accept the login that is configured here",
            530 | 535 => "wants TLS or a login, which is not configured",
            421 => "is closing down, or takes no more for now",
            450 | 550 | 551 | 553 => "refuses a recipient, or the sender",
            _ => "refuses the mail",
        };
        let enhanced = error.to_string().split_whitespace().find(|word| is_enhanced(word, number)).map(str::to_owned);
        let code = enhanced.map_or_else(|| number.to_string(), |enhanced| format!("{number} {enhanced}"));
        SendError::Refused { what, code }
    }
}

/// Whether a word is an enhanced status code (RFC 3463) of this kind: `5.1.1`.
fn is_enhanced(word: &str, code: u16) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let is_number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3
        && parts.iter().all(is_number)
        && parts.first().is_some_and(|class| *class == (code / 100).to_string())
}

/// A certificate that is not accepted shows as an error of the connection.
fn is_about_certificates(error: &lettre::transport::smtp::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && error.kind() == std::io::ErrorKind::InvalidData
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_precise_codes_are_told_from_other_numbers() {
        assert!(is_enhanced("5.1.1", 550) && is_enhanced("4.7.12", 450));
        for word in ["5.1", "5.1.1.1", "4.1.1", "5.1.a", "5..1", "10.0.0.1", "550", "5.1.1111"] {
            assert!(!is_enhanced(word, 550), "{word}");
        }
    }

    #[test]
    fn a_mail_is_made_of_what_was_given_and_headers_cannot_be_added() {
        let smtp =
            Smtp { host: "h".to_owned(), port: 25, tls: SmtpTls::None, ca: None, login: None, timeout: Duration::ZERO };
        let sender = super::super::mailbox("Höspital <info@example.com>").unwrap();
        let transport = Transport::new(&smtp, sender, None).unwrap();
        let letter = Letter {
            to: super::super::address::read("a@b.example, c@d.example").unwrap(),
            // Refused before it comes here; nothing happens if it does.
            title: "A\r\nBcc: evil@example.com\r\n\r\nbody".to_owned(),
            html: "<p>ä</p>".to_owned(),
            text: "ä".to_owned(),
            date: crate::clock::UnixTime(1_700_000_000),
            id: "0123".to_owned(),
        };
        let message = transport.message(&letter).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().unwrap())
            .collect();
        assert!(!names.contains(&"Bcc"), "{head}");
        assert!(names.contains(&"From") && names.contains(&"To") && names.contains(&"Date"), "{head}");
        assert!(
            head.contains("Message-ID: <0123@example.com>") && head.contains("Tue, 14 Nov 2023 22:13:20"),
            "{head}"
        );
        assert!(text.is_ascii() && body.contains("text/plain") && body.contains("text/html"), "{text}");
        assert_eq!(message.envelope().to().len(), 2);
    }

    #[test]
    fn a_server_that_is_not_there_is_told() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = crate::config::Emails {
            smtp: Smtp {
                host: "127.0.0.1".to_owned(),
                port: nobody,
                tls: SmtpTls::StartTls,
                ca: None,
                login: None,
                timeout: Duration::from_secs(10),
            },
            sender: super::super::mailbox("info@example.com").unwrap(),
            reply_to: None,
            templates_folder: None,
            service_user: None,
            hourly_per_person: 1,
            hourly: 1,
        };
        let mail = super::super::Mail::start(&config).unwrap();
        let letter = Letter {
            to: super::super::address::read("a@b.example").unwrap(),
            title: "x".to_owned(),
            html: "x".to_owned(),
            text: "x".to_owned(),
            date: crate::clock::UnixTime(0),
            id: "0".to_owned(),
        };
        assert_eq!(mail.send(letter), Err(SendError::Unreachable));
    }
}
