//! `cargo xtask test`: everything that must hold before a change goes in, step by step, with the time each took; and
//! `cargo xtask leaks`, which is a part of it, by itself.
use anyhow::{Context, Result, bail, ensure};
use std::process::Command;
use std::time::Duration;
use testbed::clock::monotonic;
use testbed::keycloak::REQUIRED;
use testbed::{Version, setup, workspace};

/// Everything that any test needs. Without Keycloak or a browser most works, so that is said and no error, unless all
/// tests must run.
pub(crate) fn setup() -> Result<()> {
    setup::ensure_all(&Version::ALL)?;
    for left_out in optional()? {
        println!("NOT THERE: {left_out}");
    }
    Ok(())
}

/// What is left out of the tests, because what it needs is not there and cannot be had.
fn optional() -> Result<Vec<String>> {
    let kinds = [
        ("tests against a real Keycloak", setup::ensure_keycloak().map(drop)),
        ("tests against a provider that is no Keycloak", setup::ensure_provider()),
        ("tests in a real browser", setup::ensure_browser().map(drop)),
    ];
    let mut left_out = Vec::new();
    for (what, outcome) in kinds {
        match outcome {
            Ok(()) => {}
            Err(fault) if std::env::var_os(REQUIRED).is_some() => return Err(fault.context("all tests must run")),
            Err(fault) => left_out.push(format!("{what}: {fault:#}")),
        }
    }
    Ok(left_out)
}

/// Set-up, then fmt, clippy, deny and all tests. Stops at the first step that fails; says at the end what was left out.
pub(crate) fn test(fast: bool) -> Result<()> {
    let mut done = Vec::new();
    let mut not_run = Vec::new();
    let versions: &[Version] = if fast { &[Version::Trixie] } else { &Version::ALL };
    let left_out = step(&mut done, "setup", || {
        setup::ensure_all(versions)?;
        optional()
    })?;
    step(&mut done, "fmt", || cargo(&["fmt", "--all", "--check"], fast))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step(&mut done, "clippy", || cargo(&clippy, fast))?;
    step(&mut done, "doc", || {
        cargo(&["rustdoc", "--lib", "--package", "orthanc-gatehouse", "--", "-D", "warnings"], fast)
    })?;
    if setup::on_path("cargo-deny") {
        step(&mut done, "deny", || cargo(&["deny", "check", "bans", "licenses", "sources"], fast))?;
        if !step(&mut done, "advisories", advisories)? {
            not_run.push("advisories: their database on github.com cannot be reached".to_owned());
        }
    } else {
        not_run.push("licences, sources and advisories: cargo install cargo-deny --locked".to_owned());
    }
    step(&mut done, "tests", || cargo(&["test", "--workspace", "--no-fail-fast"], fast))?;
    if fast {
        not_run.push("tests against Orthanc from sid: --fast".to_owned());
    }
    not_run.extend(left_out);

    println!("\nall passed:");
    for (name, took) in done {
        println!("  {name:<10} {:>6.1} s", took.as_secs_f64());
    }
    for what in not_run {
        println!("NOT RUN: {what}");
    }
    Ok(())
}

/// What the tests do in a short form: every route that the servers say they have is attacked by everybody from whom
/// something is kept. On both versions unless one is named.
pub(crate) fn leaks(version: Option<Version>, long: bool, seed: Option<u64>) -> Result<()> {
    setup::ensure_all(&version.map_or(Version::ALL.to_vec(), |version| vec![version]))?;
    let mut command = Command::new(workspace::cargo());
    command.arg("test");
    if long {
        // Else most of the time goes into making requests and looking through answers.
        for package in ["orthanc-gatehouse", "miniz_oxide"] {
            command.arg("--config").arg(format!("profile.test.package.{package}.opt-level=2"));
        }
    }
    command.args(["--package", "orthanc-gatehouse", "--test", "openapi", "--test", "leaks"]);
    // One after the other, and with all that they say.
    command.args(["--no-fail-fast", "--", "--nocapture", "--test-threads", "1"]).current_dir(workspace::root());
    if let Some(version) = version {
        command.env(testbed::orthanc::ONLY, version.suite());
    }
    if long {
        command.env("GATEHOUSE_LEAKS", "long");
    }
    if let Some(seed) = seed {
        command.env("GATEHOUSE_LEAKS_SEED", seed.to_string());
    }
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "something leaks, or could not be tried: {status}");
    Ok(())
}

/// Whether the known vulnerabilities could be looked up; an error if one of them is ours.
fn advisories() -> Result<bool> {
    let output = Command::new(workspace::cargo())
        .args(["deny", "check", "advisories"])
        .current_dir(workspace::root())
        .output()
        .context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && said.contains("failed to fetch advisory database") {
        return Ok(false);
    }
    eprint!("{said}");
    ensure!(output.status.success(), "cargo deny check advisories ended with {}", output.status);
    Ok(true)
}

fn step<T>(
    done: &mut Vec<(&'static str, Duration)>,
    name: &'static str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    println!("── {name}");
    let start = monotonic();
    let result = work().with_context(|| format!("the step {name:?} failed"))?;
    done.push((name, start.elapsed()));
    Ok(result)
}

/// Runs cargo in the workspace's root.
pub(crate) fn cargo(arguments: &[&str], fast: bool) -> Result<()> {
    let only = [(testbed::orthanc::ONLY, Version::Trixie.suite())];
    cargo_with(arguments, if fast { &only } else { &[] })
}

/// Runs cargo with environment variables.
pub(crate) fn cargo_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new(workspace::cargo());
    command.args(arguments).envs(variables.iter().copied()).current_dir(workspace::root());
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}
