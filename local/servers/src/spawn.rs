//! A thread that starts every server and lives as long as the process.
//!
//! The kernel sends the parent-death signal when the *thread* that forked ends, and threads of the
//! async runtime may end at any time.

use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};

type Request = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Starts a command on that thread.
pub(crate) fn spawn(command: Command) -> std::io::Result<Child> {
    static THREAD: OnceLock<Mutex<mpsc::Sender<Request>>> = OnceLock::new();
    let ended = || std::io::Error::other("the thread that starts servers has ended");
    let (sender, receiver) = mpsc::channel();
    let thread = THREAD.get_or_init(|| Mutex::new(start()));
    thread.lock().unwrap_or_else(PoisonError::into_inner).send((command, sender)).map_err(|_| ended())?;
    receiver.recv().map_err(|_| ended())?
}

fn start() -> mpsc::Sender<Request> {
    let (sender, receiver) = mpsc::channel::<Request>();
    std::thread::spawn(move || {
        for (mut command, answer) in receiver {
            // If the caller no longer waits, the child ends with this process.
            let _gone = answer.send(command.spawn());
        }
    });
    sender
}
