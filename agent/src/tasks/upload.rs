//! Sends one task's output, as it comes, until the server has all of it.
//!
//! Nothing is remembered here across a restart: the server knows how far it is, skips what it has, and says so.

use bytes::Bytes;
use foreman_link::http::RequestError;
use foreman_machine::run::{OutputReader, Piece, Supervised};
use foreman_protocol::{ProblemCode, TaskId};
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep_until},
};

use super::{Setup, outbox::is_final_refusal};
use crate::{
    line::Pause,
    uplink::{MOST_OUTPUT, is_gone},
};

/// Small pieces are gathered this long after one was sent; the first one goes at once.
const GATHER: Duration = Duration::from_millis(15);
/// A piece of this size is worth a request of its own.
const WORTH_IT: usize = 64 * 1024;

/// What the uploader knows of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// There may be more; each change says that it is worth looking.
    Growing,
    /// This many bytes in all.
    Complete(u64),
    /// Somebody else goes on with it.
    Abandoned,
}

/// Where the upload stands.
struct Cursor<'a> {
    setup: &'a Setup,
    task: TaskId,
    reader: OutputReader,
    supervised: Option<&'a Supervised>,
    offset: u64,
    /// What the server lacks before `offset` is gone.
    gap: bool,
    /// It began here, and this device lets its server look at nothing: what it says stays here.
    withheld: bool,
}

enum Step {
    Sent(usize),
    /// Nothing to send now.
    Idle,
    Failed(RequestError),
    /// The server has everything, or wants nothing.
    Finished,
}

/// Returns when there is nothing left to send.
pub(super) async fn upload(
    setup: &Setup,
    task: TaskId,
    reader: OutputReader,
    supervised: Option<&Supervised>,
    mut source: watch::Receiver<Source>,
) {
    tokio::select! {
        () = setup.outbox.until_known(task) => {}
        _ = source.wait_for(|source| *source == Source::Abandoned) => return,
    }
    let withheld = setup.board.owner(task).is_some() && !setup.gate.server_may_look();
    let mut cursor = Cursor { setup, task, reader, supervised, offset: 0, gap: false, withheld };
    let mut pause = Pause::new(setup.line.clone());
    loop {
        let known = *source.borrow_and_update();
        if known == Source::Abandoned {
            return;
        }
        let started = Instant::now();
        match cursor.step(known).await {
            Step::Finished => return,
            Step::Idle => {
                if source.changed().await.is_err() {
                    return;
                }
            }
            Step::Sent(count) => {
                pause.reset();
                if count < WORTH_IT && known == Source::Growing {
                    tokio::select! {
                        () = sleep_until(started + GATHER) => {}
                        _ = source.wait_for(|source| *source != Source::Growing) => {}
                    }
                }
            }
            Step::Failed(error) if is_gone(&error) => return,
            Step::Failed(error) => {
                tracing::warn!(task.id = %task, %error, "output could not be sent; this is tried again");
                pause.wait().await;
            }
        }
    }
}

impl Cursor<'_> {
    async fn step(&mut self, source: Source) -> Step {
        // Held over reading and sending: so many pieces are in memory at once.
        let Ok(_permit) = self.setup.uploads.acquire().await else { return Step::Finished };
        let found =
            if self.withheld { Ok(Piece::NothingYet) } else { self.reader.read(self.offset, MOST_OUTPUT) };
        let bytes = match found {
            Ok(Piece::Bytes(bytes)) => bytes,
            Ok(Piece::Gap { to }) => {
                (self.offset, self.gap) = (to, true);
                return Step::Sent(WORTH_IT);
            }
            Ok(Piece::NothingYet) => match source {
                Source::Complete(total) if self.offset >= total && !self.gap => return Step::Finished,
                // What should be there is not: the machine went down before it was on disk.
                Source::Complete(total) => {
                    (self.offset, self.gap) = (self.offset.max(total), true);
                    Vec::new()
                }
                Source::Growing | Source::Abandoned => {
                    // On a full disk the supervisor closes a segment early so that its space can be had.
                    self.let_go();
                    return Step::Idle;
                }
            },
            Err(error) => {
                let message = format!("the output on disk cannot be read: {error}");
                return Step::Failed(RequestError::Invalid { message });
            }
        };
        let count = bytes.len();
        let sent = self.setup.uplink.output(self.task, self.offset, Bytes::from(bytes), self.gap).await;
        match sent {
            Ok(accepted) => {
                self.gap = false;
                self.acknowledged(accepted.acknowledged);
                Step::Sent(count)
            }
            Err(error) => self.refused(error),
        }
    }

    /// The server has everything before this byte; it may be ahead after a restart of the agent.
    fn acknowledged(&mut self, offset: u64) {
        self.offset = offset;
        self.let_go();
    }

    fn let_go(&mut self) {
        match self.reader.let_go(self.offset) {
            Ok(0) => {}
            Ok(_) => {
                if let Some(supervised) = self.supervised {
                    supervised.made_room();
                }
            }
            Err(error) => tracing::warn!(task.id = %self.task, %error, "sent output cannot be removed"),
        }
    }

    fn refused(&mut self, error: RequestError) -> Step {
        let expected = match &error {
            RequestError::Refused { problem, .. } if problem.code == ProblemCode::OutputOffset => {
                problem.details.as_ref().and_then(|details| details.get("expected")?.as_u64())
            }
            _ => None,
        };
        match expected {
            // Back to where the server stands; what is not on disk any more will show as a gap.
            Some(expected) if expected != self.offset => {
                self.offset = expected;
                self.gap = false;
                Step::Sent(WORTH_IT)
            }
            _ if is_final_refusal(&error) => {
                tracing::error!(task.id = %self.task, %error, "the server does not take the rest of the output");
                Step::Finished
            }
            _ => Step::Failed(error),
        }
    }
}
