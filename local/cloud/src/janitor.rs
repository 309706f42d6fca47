//! Ends the processes of an instance, in whatever way the launcher ends.
//!
//! A small shell in a process group of its own waits for the end of its input, which the launcher
//! holds open. The kernel closes it when the launcher ends, even by SIGKILL. The janitor then ends
//! every process group that was passed to it and every process that carries the instance's mark in
//! its environment (function processes may leave the groups), and removes the instance's folder. A
//! parent-death signal is not enough: it fires when the *thread* that started the child ends, and
//! it removes no files.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::Error;

/// The variable that marks every process of an instance; its value is the instance's folder.
pub(crate) const MARK: &str = "SLUICE_CLOUD";

/// Sends `TERM` to the groups first, so that servers stop their own children in order. After ten
/// seconds the rest is killed.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=
directory=$1
while read -r group; do groups="$groups $group"; done
marked() {
    for file in $(grep -lsaz "^SLUICE_CLOUD=$directory\$" /proc/[0-9]*/environ 2>/dev/null); do
        file=${file#/proc/}
        echo "${file%/environ}"
    done
}
living() {
    for group in $groups; do kill -0 -- "-$group" 2>/dev/null && return 0; done
    return 1
}
for group in $groups; do kill -TERM -- "-$group" 2>/dev/null; done
turns=0
while living && [ $turns -lt 100 ]; do sleep 0.1; turns=$((turns + 1)); done
for group in $groups; do kill -KILL -- "-$group" 2>/dev/null; done
turns=0
while left=$(marked) && [ -n "$left" ] && [ $turns -lt 30 ]; do
    kill -KILL $left 2>/dev/null
    sleep 0.1
    turns=$((turns + 1))
done
rm -rf -- "$directory" || { sleep 1; rm -rf -- "$directory"; }
"#;

#[derive(Debug)]
pub(crate) struct Janitor {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Janitor {
    /// Starts the janitor of `directory`, which it will remove.
    pub(crate) fn start(directory: &Path) -> Result<Self, Error> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "janitor"])
            .arg(directory)
            .env_remove(MARK)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("start sh"))?;
        let input = shell.stdin.take();
        Ok(Self { shell, input })
    }

    /// Passes a process group to end to the janitor.
    pub(crate) fn adopt(&mut self, group: u32) -> Result<(), Error> {
        let written = match &mut self.input {
            Some(input) => writeln!(input, "{group}"),
            None => Err(io::Error::other("the local cloud is stopping")),
        };
        written.map_err(Error::io("pass a new process to the janitor"))
    }

    /// Returns true if [`Janitor::finish`] was called.
    pub(crate) fn has_finished(&self) -> bool {
        self.input.is_none()
    }

    /// Ends all processes and waits for their end. A second call does nothing.
    pub(crate) fn finish(&mut self) {
        if self.input.take().is_some() {
            // A failure here has no remedy; the shell does the work.
            let _ = self.shell.wait();
        }
    }
}
