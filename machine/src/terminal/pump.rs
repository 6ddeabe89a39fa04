//! Takes what a terminal prints as soon as it is there, and sees it end.

use std::{io::ErrorKind, os::unix::process::ExitStatusExt, process::ExitStatus, sync::Arc, time::Duration};

use foreman_protocol::{Millis, TerminalEnded};
use nix::sys::signal::Signal as SignalName;
use tokio::{
    signal::unix::Signal,
    time::{Instant, sleep_until, timeout},
};

use super::{
    pty::Pty,
    session::{PATIENCE, Session},
};

/// At most this much is taken before viewers are woken.
const BUFFER: usize = 64 * 1024;
/// How long output may stay silent behind the program's end before it is over: something in the background may hold
/// the terminal open for good.
const SILENCE: Duration = Duration::from_millis(300);
/// And how long at the most.
const CLOSING: Duration = Duration::from_secs(2);

/// Until the terminal has ended and all its output is there; tells how it ended. `children` must have been made before its program
/// started.
pub(super) async fn pump(session: &Session, pty: Arc<Pty>, mut children: Signal) -> Option<ExitStatus> {
    let mut buffer = vec![0; BUFFER].into_boxed_slice();
    let mut status = None;
    let mut closing: Option<(Instant, Instant)> = None;
    loop {
        room(session).await;
        let over = async {
            match closing {
                Some((silence, last)) => sleep_until(silence.min(last)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = pty.readable() => {
                let Ok(mut ready) = ready else { break };
                let mut taken = 0;
                let rest = ready.try_io(|file| take(file.get_ref(), &mut buffer, &mut taken));
                if taken > 0 {
                    session.lock().output.push(&buffer[..taken]);
                    session.wake();
                    if let Some((silence, _)) = &mut closing {
                        *silence = Instant::now() + SILENCE;
                    }
                }
                if matches!(rest, Ok(Ok(Rest::None) | Err(_))) {
                    break;
                }
            }
            _ = children.recv(), if status.is_none() => {
                status = session.lock().child.try_wait().ok().flatten();
                if status.is_some() {
                    let now = Instant::now();
                    closing = Some((now + SILENCE, now + CLOSING));
                }
            }
            () = over => break,
        }
    }
    drop(pty);
    while status.is_none() {
        match session.lock().child.try_wait() {
            Ok(None) => {}
            Ok(ended) => status = ended,
            Err(_) => break,
        }
        if status.is_none() && children.recv().await.is_none() {
            break;
        }
    }
    status
}

enum Rest {
    None,
    Some,
}

/// Everything that is there now, in one piece for the viewers. `WouldBlock` when nothing is left for now.
fn take(file: &std::fs::File, buffer: &mut [u8], taken: &mut usize) -> std::io::Result<Rest> {
    while *taken < buffer.len() {
        match Pty::read(file, &mut buffer[*taken..]) {
            Ok(0) => return Ok(Rest::None),
            Ok(count) => *taken += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Rest::Some)
}

/// Waits for viewers who are about to lose something, as long as they take anything at all.
async fn room(session: &Session) {
    while session.lock().crowded() {
        if timeout(PATIENCE, session.room.notified()).await.is_err() {
            session.lock().stop_waiting();
            return;
        }
    }
}

pub(super) fn ending(at: Millis, status: Option<ExitStatus>) -> TerminalEnded {
    let Some(status) = status else { return TerminalEnded { at, exit_code: None, signal: None } };
    let name = |number| {
        SignalName::try_from(number)
            .map_or_else(|_| format!("SIG{number}"), |signal| signal.as_str().to_owned())
    };
    TerminalEnded { at, exit_code: status.code(), signal: status.signal().map(name) }
}
