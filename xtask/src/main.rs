//! The project's chores, one command each: `cargo xtask setup | test | leaks | demo | orthanc | bench`.
#![deny(unsafe_code)]

mod bench;
mod checks;
mod demo;
mod interrupt;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use std::path::PathBuf;
use testbed::Version;

const HELP: &str = "\
cargo xtask setup                     what is missing is installed (as root) or named; Orthancs and a Keycloak are fetched
cargo xtask test [--fast]             set-up, fmt, clippy, deny, all tests; --fast: one Orthanc only, and says so
cargo xtask leaks [--orthanc V] [--long] [--seed N]
                                      every route, attacked: a sample, as in the tests, or everything (half an hour or more for each V)
cargo xtask demo [options]            a protected Orthanc with images, users, an API key and a link, and what each may
    --orthanc trixie|sid                  1.12.7 (the default) or 1.13.0
    --port N                              default 8042, or another when somebody else has it
    --once                                ends after the show
    --plugin FILE                         this library instead of building one
cargo xtask orthanc [--config FILE] [--orthanc V] [--port N] [--plugin FILE]
                                      one server with the plugin and this configuration (JSON with comments) merged in, until Ctrl-C
cargo xtask bench [--in-process] [--http] [--rounds N] [--orthanc V] [--only NAME]
                                      both kinds, or one: figures in Markdown on stdout; of HTTP perhaps one caller's rows only, as \"session\"
cargo xtask bench --studies N [--rounds N]
                                      what searches cost somebody limited among so many studies; may be repeated
cargo xtask bench --links N           what links cost with so many of them in the state, against a thousand
cargo xtask bench --large MIB [--rounds N]
                                      the highest memory while an upload of this size, and archives twice as large, pass
";

/// What was asked for on the command line.
struct Options {
    version: Option<Version>,
    port: Option<u16>,
    once: bool,
    fast: bool,
    in_process: bool,
    http: bool,
    rounds: usize,
    only: Option<String>,
    studies: Vec<usize>,
    links: Option<usize>,
    large: Option<usize>,
    long: bool,
    seed: Option<u64>,
    configuration: Option<PathBuf>,
    plugin: Option<PathBuf>,
}

fn main() {
    if let Err(fault) = run() {
        // Not `Debug`, which would add a backtrace to a message for a person.
        eprintln!("\nxtask: {fault:#}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let mut parser = lexopt::Parser::from_env();
    let mut command = None;
    let mut options = Options {
        version: None,
        port: None,
        once: false,
        fast: false,
        in_process: false,
        http: false,
        rounds: 9,
        only: None,
        studies: Vec::new(),
        links: None,
        large: None,
        long: false,
        seed: None,
        configuration: None,
        plugin: None,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => command = Some("help".to_owned()),
            Long("once") => options.once = true,
            Long("fast") => options.fast = true,
            Long("in-process") => options.in_process = true,
            Long("http") => options.http = true,
            Long("port") => options.port = Some(parser.value()?.parse()?),
            Long("long") => options.long = true,
            Long("seed") => options.seed = Some(parser.value()?.parse()?),
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("links") => options.links = Some(parser.value()?.parse()?),
            Long("only") => options.only = Some(parser.value()?.string()?),
            Long("large") => options.large = Some(parser.value()?.parse()?),
            Long("studies") => options.studies.push(parser.value()?.parse()?),
            Long("plugin") => {
                // The server runs in a folder of its own.
                let file = PathBuf::from(parser.value()?);
                let found = file.canonicalize().with_context(|| format!("--plugin {}", file.display()))?;
                options.plugin = Some(found);
            }
            Long("config") => options.configuration = Some(parser.value()?.into()),
            Long("orthanc") => {
                let suite = parser.value()?.string()?;
                let version = Version::from_suite(&suite)
                    .with_context(|| format!("--orthanc {suite}: there are trixie (1.12.7) and sid (1.13.0)"))?;
                options.version = Some(version);
            }
            Value(value) if command.is_none() => command = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let version = options.version.unwrap_or(Version::Trixie);
    match command.as_deref() {
        Some("setup") => checks::setup(),
        Some("test") => checks::test(options.fast),
        Some("leaks") => checks::leaks(options.version, options.long, options.seed),
        Some("demo") => demo::demo(version, options.port, options.plugin, options.once),
        Some("orthanc") => demo::orthanc(version, options.port, options.plugin, options.configuration.as_deref()),
        Some("bench") if let Some(mebibytes) = options.large => bench::memory(version, mebibytes, options.rounds),
        Some("bench") if let Some(links) = options.links => bench::links(links),
        Some("bench") if !options.studies.is_empty() => bench::searches(version, &options.studies, options.rounds),
        Some("bench") => {
            let both = options.in_process == options.http;
            let only = options.only.as_deref();
            bench::run(version, options.rounds, both || options.in_process, both || options.http, only)
        }
        Some("help") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("no command {other}\n\n{HELP}"),
    }
}
