//! Forwards this library's log to the server's, one line a record. Must not know what is logged.

use std::fmt::Write;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::host::OrthancHost;

/// Bytes after which a line is cut.
const LONGEST_LINE: usize = 8 * 1024;

/// Where records go; empty when the server is not there.
static HOST: ArcSwapOption<OrthancHost> = ArcSwapOption::const_empty();

static FORWARDER: Forwarder = Forwarder;

/// Sends records to this server from now on.
pub(super) fn connect(host: Arc<OrthancHost>) {
    HOST.store(Some(host));
    // The second start in one process (`/tools/reset`: the library stays mapped) finds the logger already there.
    if log::set_logger(&FORWARDER).is_ok() {
        // The server does not tell plugins how much it logs, so finer records would be made for nothing.
        log::set_max_level(LevelFilter::Info);
    }
}

/// Drops records from now on. Gives back the server that they went to.
pub(super) fn disconnect() -> Option<Arc<OrthancHost>> {
    HOST.swap(None)
}

struct Forwarder;

impl Log for Forwarder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries below us may log what they carry; only their complaints are wanted.
        let most = if metadata.target().starts_with(env!("CARGO_CRATE_NAME")) { Level::Info } else { Level::Warn };
        metadata.level() <= most
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if let Some(host) = HOST.load().as_deref() {
            let file = record.file().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            host.log(record.level(), file, record.line().unwrap_or_default(), one_line(record.args()));
        }
    }

    fn flush(&self) {}
}

/// The record as one line: control characters and what else starts a line somewhere are escaped, so nothing that came
/// with a request can look like a record of its own.
fn one_line(arguments: &std::fmt::Arguments<'_>) -> String {
    struct OneLine(String);
    impl Write for OneLine {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            for character in text.chars() {
                if self.0.len() >= LONGEST_LINE {
                    return Err(std::fmt::Error);
                }
                if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
                    self.0.extend(character.escape_default());
                } else {
                    self.0.push(character);
                }
            }
            Ok(())
        }
    }
    let mut line = OneLine(String::new());
    if line.write_fmt(*arguments).is_err() {
        line.0.push('…');
    }
    line.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_without_control_characters() {
        let evil = "a\r\nW1121 forged\0\u{1b}[31m\u{2028}é";
        assert_eq!(one_line(&format_args!("path {evil}")), "path a\\r\\nW1121 forged\\u{0}\\u{1b}[31m\\u{2028}é");
    }

    #[test]
    fn a_long_record_is_cut() {
        let line = one_line(&format_args!("{}", "é".repeat(100_000)));
        assert!(line.len() <= LONGEST_LINE + "é…".len(), "{}", line.len());
        assert!(line.ends_with("é…"));
    }
}
