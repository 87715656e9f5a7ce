//! Starts programs that die with this process, also when it is killed.
//!
//! The kernel ties a child's death signal to the *thread* that started it, and test threads end long before the test
//! process does. So one thread, which lives as long as the process, starts them all.
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Order = (Command, Sender<std::io::Result<Child>>);

static STARTER: OnceLock<std::sync::Mutex<Sender<Order>>> = OnceLock::new();

/// A command whose process gets SIGKILL when we are gone. `setpriv` is part of util-linux, on every Debian.
pub(crate) fn tied_command(program: impl Into<OsString>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program.into());
    command
}

/// Starts it from the thread that never ends.
pub(crate) fn spawn(command: Command) -> Result<Child> {
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                // A reply that nobody awaits any more leaves the child to the kernel's death signal.
                let _ = reply.send(command.spawn());
            }
        });
        std::sync::Mutex::new(orders)
    });
    let name = format!("{command:?}");
    let (reply, answer) = channel();
    starter
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .send((command, reply))
        .context("the starter thread is gone")?;
    answer.recv().context("the starter thread is gone")?.with_context(|| format!("cannot start {name}"))
}
