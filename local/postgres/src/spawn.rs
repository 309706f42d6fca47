//! One thread that starts every server and lives as long as the process.
//!
//! The kernel sends the parent-death signal when the *thread* that forked ends, and the threads of the async runtime
//! come and go.

use std::process::{Child, Command};
use std::sync::mpsc;

/// Starts commands on a thread of its own.
#[derive(Debug, Clone)]
pub(super) struct Spawner(mpsc::Sender<Request>);

type Request = (Command, mpsc::Sender<std::io::Result<Child>>);

impl Spawner {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in receiver {
                // The other side waits for the answer; if it has gone, the child ends with this process.
                let _gone = answer.send(command.spawn());
            }
        });
        Self(sender)
    }

    pub(super) fn spawn(&self, command: Command) -> std::io::Result<Child> {
        let (sender, receiver) = mpsc::channel();
        let ended = || std::io::Error::other("the thread that starts servers has ended");
        self.0.send((command, sender)).map_err(|_| ended())?;
        receiver.recv().map_err(|_| ended())?
    }
}
