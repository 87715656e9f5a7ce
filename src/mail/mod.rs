//! Mails with share links: what may be written, to whom, how often, and how it goes out.
//!
//! Knows nothing of requests, of who asks, or of which links there are: whether a mail may lead where it leads is for
//! the caller.
#![forbid(unsafe_code)]

pub mod address;
pub mod html;
pub mod rates;
mod smtp;
pub mod template;

use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;

use crate::clock::UnixTime;
use crate::config::Emails;
use crate::errands::Errands;

use rates::Rates;
pub use smtp::SendError;
use smtp::Transport;
use template::Templates;

/// So many mails are under way at once.
const AT_ONCE: usize = 4;
/// Longer subjects are refused, in characters.
const LONGEST_TITLE: usize = 200;

/// The mails of a server.
pub struct Mail {
    /// What they are made of.
    pub templates: Templates,
    /// How many there may be.
    pub rates: Rates,
    /// Who sends for others: a local user.
    pub service_user: Option<String>,
    errands: Errands<Transport>,
    timeout: Duration,
}

/// One mail, ready to go.
#[derive(Clone, Debug)]
pub struct Letter {
    /// To whom.
    pub to: Vec<Address>,
    /// The subject.
    pub title: String,
    /// What it says, as a whole page.
    pub html: String,
    /// What it says to whoever reads plain text.
    pub text: String,
    /// When it was written.
    pub date: UnixTime,
    /// What no other mail is called.
    pub id: String,
}

impl Mail {
    /// Starts the thread that sends. Does not look whether the mail server is there.
    ///
    /// # Errors
    /// Why it cannot: certificates that cannot be used.
    pub fn start(config: &Emails) -> Result<Self, String> {
        let smtp = config.smtp.clone();
        let (sender, reply_to) = (config.sender.clone(), config.reply_to.clone());
        let errands = Errands::start("gatehouse-mail", AT_ONCE, move || Transport::new(&smtp, sender, reply_to))?;
        Ok(Self {
            templates: Templates::new(config.templates_folder.clone()),
            rates: Rates::new(config.hourly_per_person, config.hourly),
            service_user: config.service_user.clone(),
            errands,
            timeout: config.smtp.timeout,
        })
    }

    /// Sends a mail, and waits until the mail server has taken it or has not.
    ///
    /// # Errors
    /// Why it was not sent; nothing of what the server said but its code.
    pub fn send(&self, letter: Letter) -> Result<(), SendError> {
        self.errands.run(self.timeout, move |transport| async move { transport.send(&letter).await })?
    }

    /// Ends the thread; what is under way is dropped.
    pub fn stop(&self) {
        self.errands.stop();
    }
}

/// A sender or somebody to answer to, as configured: `My Hospital <info@example.com>`.
///
/// # Errors
/// What it must be.
pub fn mailbox(text: &str) -> Result<Mailbox, &'static str> {
    let fault = "must be a mail address, like \"My Hospital <info@example.com>\"";
    if text.chars().any(char::is_control) {
        return Err(fault);
    }
    text.parse().map_err(|_| fault)
}

/// A subject as it may be sent: one line, not too long.
///
/// # Errors
/// What is wrong with it.
pub fn title(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the title is missing");
    }
    // Line separators of Unicode, too: some programs break lines there.
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err("the title has a line break or another control character");
    }
    if text.chars().count() > LONGEST_TITLE {
        return Err("the title has more than 200 characters");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line() {
        assert_eq!(title(" A study för you ").as_deref(), Ok("A study för you"));
        for text in ["", "  ", "a\r\nBcc: b@c.example", "a\nb", "a\0", "a\u{85}b", "a\u{2028}b", &"a".repeat(201)] {
            assert!(title(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_sender_has_an_address() {
        assert!(mailbox("My Hospital <info@example.com>").is_ok() && mailbox("info@example.com").is_ok());
        for text in ["info", "", "My Hospital", "a <b@c.example>\r\nBcc: d@e.example", "<>"] {
            assert!(mailbox(text).is_err(), "{text:?}");
        }
    }
}
