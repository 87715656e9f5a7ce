//! `cargo xtask test`: everything that must hold before a change goes in, step by step, with the time each took.
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Duration;
use testbed::clock::monotonic;
use testbed::{Version, setup, workspace};

/// Set-up, then fmt, clippy, deny and all tests. Stops at the first step that fails.
pub(crate) fn test(fast: bool) -> Result<()> {
    let mut done = Vec::new();
    let versions: &[Version] = if fast { &[Version::Trixie] } else { &Version::ALL };
    step(&mut done, "setup", || setup::ensure_all(versions))?;
    step(&mut done, "fmt", || cargo(&["fmt", "--all", "--check"], fast))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step(&mut done, "clippy", || cargo(&clippy, fast))?;
    let deny = setup::on_path("cargo-deny");
    if deny {
        step(&mut done, "deny", || cargo(&["deny", "check"], fast))?;
    }
    step(&mut done, "tests", || cargo(&["test", "--workspace", "--no-fail-fast"], fast))?;

    println!("\nall passed:");
    for (name, took) in done {
        println!("  {name:<8} {:>6.1} s", took.as_secs_f64());
    }
    if !deny {
        println!("\nNOT RUN: cargo deny is not installed (licences and advisories were not checked).");
        println!("         cargo install cargo-deny --locked");
    }
    if fast {
        println!("\nNOT RUN: the tests against Orthanc from sid, because of --fast.");
    }
    Ok(())
}

fn step(done: &mut Vec<(&'static str, Duration)>, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("── {name}");
    let start = monotonic();
    work().with_context(|| format!("the step {name:?} failed"))?;
    done.push((name, start.elapsed()));
    Ok(())
}

/// Runs cargo in the workspace's root.
pub(crate) fn cargo(arguments: &[&str], fast: bool) -> Result<()> {
    let mut command = Command::new(workspace::cargo());
    command.args(arguments).current_dir(workspace::root());
    if fast {
        command.env(testbed::orthanc::ONLY, Version::Trixie.suite());
    }
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}
