//! One thing that is wrong. Knows nothing of how it was found.

use std::fmt;

use serde_json::{Value, json};

/// How bad it is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody who should be let in is refused, or the other way round.
    Error,
    /// It works as configured, and is hardly meant so.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// As the answer shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is, in PascalCase: for programs.
    pub code: &'static str,
    /// The key path that it is about, or another name of the place.
    pub key: String,
    /// What is wrong, in words.
    pub message: String,
    /// What to change.
    pub change: String,
    /// The log has it from somebody else.
    pub logged_elsewhere: bool,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        code: &'static str,
        key: impl Into<String>,
        message: impl Into<String>,
        change: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            code,
            key: key.into(),
            message: message.into(),
            change: change.into(),
            logged_elsewhere: false,
        }
    }

    /// The same, when the log has it already.
    pub(super) fn logged_elsewhere(self) -> Self {
        Self { logged_elsewhere: true, ..self }
    }

    /// As the answer shows it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "Severity": self.severity.as_str(),
            "Code": self.code,
            "Key": self.key,
            "Message": self.message,
            "Change": self.change,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. To change: {}", self.message, self.change)
    }
}
