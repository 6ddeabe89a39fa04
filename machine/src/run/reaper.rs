//! Waits for every process of a task, in a thread of its own, and says what the supervisor needs to know.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    sync::mpsc::{Receiver, channel},
};

use nix::{
    errno::Errno,
    sys::{
        signal::kill,
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::{Ending, Moment, exit::Reaped};

/// The real-time signals have no names, so waiting for a process ended by one tells only that it was one.
const FIRST_REAL_TIME_SIGNAL: i32 = 34;

/// Starts waiting. `bell` gets a byte with each message, so that the receiver can poll.
pub(crate) fn start(main: Pid, mut bell: UnixStream) -> std::io::Result<Receiver<Reaped>> {
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("reaper".to_owned()).stack_size(64 * 1024).spawn(move || {
        let mut main_alive = true;
        loop {
            let message = match waitpid(None, None) {
                Ok(WaitStatus::Exited(pid, code)) if pid == main => {
                    Reaped::Main(Ending::Code(code), Moment::now())
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                    Reaped::Main(Ending::Signal(signal as i32), Moment::now())
                }
                Err(Errno::EINVAL) if main_alive && kill(main, None) == Err(Errno::ESRCH) => {
                    Reaped::Main(Ending::Signal(FIRST_REAL_TIME_SIGNAL), Moment::now())
                }
                // Nobody to wait for any more; an ending that was not seen has no known code.
                Err(Errno::ECHILD) if main_alive => Reaped::Main(Ending::Code(-1), Moment::now()),
                Err(Errno::ECHILD) => Reaped::AllGone,
                _ => continue,
            };
            main_alive &= !matches!(message, Reaped::Main(..));
            let last = matches!(message, Reaped::AllGone);
            if sender.send(message).is_err() || bell.write_all(b"!").is_err() || last {
                return;
            }
        }
    })?;
    Ok(receiver)
}
