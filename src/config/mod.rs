//! Section `"Authorization"` of Orthanc's configuration: text to typed values, every fault at once.
//!
//! `read` walks the JSON key by key and keeps going after a fault, so that one start shows everything there is to
//! mend. Knows nothing of requests, of the state or of how a decision is made. What a roles file contains is checked
//! where roles are loaded; here only the file's name is taken.
#![forbid(unsafe_code)]

mod authorization;
mod checked;
mod clients;
mod default_rules;
mod emails;
mod environment;
mod fault;
mod jsonc;
mod logo;
mod patterns;
mod providers;
mod rules;
mod section;
mod server;
mod shares;
mod standard;
mod uploads;
mod users;
mod values;
mod variables;
mod viewers;

#[cfg(test)]
mod tests;

pub use authorization::read;
pub use checked::{
    AdminApi, AnonymousProfile, Config, Emails, ExplorerLogin, LocalUser, LoginClient, Provider, RolesSource,
    RuleConfig, RuleTouches, ShareDefaults, Shares, Smtp, SmtpTls, Uploader, Viewers, Warning,
};
pub use environment::{Environment, ProcessEnvironment};
pub use fault::{Fault, Faults};
pub use jsonc::{parse as parse_jsonc, strip_comments};
pub use patterns::{Roots, compile, expand, syntax};
pub use uploads::is_label;
