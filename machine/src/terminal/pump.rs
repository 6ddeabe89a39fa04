//! Takes what a terminal prints as soon as it is there, and sees it end.

use std::time::Duration;

use foreman_protocol::{Millis, TerminalEnded};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    pty::{Children, Left, Output},
    session::{PATIENCE, Session},
};

/// How long output may stay silent behind the program's end before it is over: something in the background may hold
/// the terminal open for good.
const SILENCE: Duration = Duration::from_millis(300);
/// And how long at the most.
const CLOSING: Duration = Duration::from_secs(2);

/// Until the terminal has ended and all its output is there; tells how it ended. `children` must have been made before its program
/// started.
pub(super) async fn pump(session: &Session, mut output: Output, mut children: Children) -> Option<Left> {
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
            taken = output.take() => {
                if !taken.piece.is_empty() {
                    session.lock().output.push(taken.piece);
                    session.wake();
                    if let Some((silence, _)) = &mut closing {
                        *silence = Instant::now() + SILENCE;
                    }
                }
                if taken.over {
                    break;
                }
            }
            _ = children.changed(), if status.is_none() => {
                status = session.lock().child.try_wait().ok().flatten();
                if status.is_some() {
                    let now = Instant::now();
                    closing = Some((now + SILENCE, now + CLOSING));
                }
            }
            () = over => break,
        }
    }
    drop(output);
    while status.is_none() {
        match session.lock().child.try_wait() {
            Ok(None) => {}
            Ok(ended) => status = ended,
            Err(_) => break,
        }
        if status.is_none() && children.changed().await.is_none() {
            break;
        }
    }
    status
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

pub(super) fn ending(at: Millis, left: Option<Left>) -> TerminalEnded {
    let (exit_code, signal) = left.map_or((None, None), |left| (left.exit_code, left.signal));
    TerminalEnded { at, exit_code, signal }
}
