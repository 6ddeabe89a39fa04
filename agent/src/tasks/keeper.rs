//! Sees one task through: hears its supervisor, passes a stop on, tells how it ended.

use std::{sync::Arc, time::Duration};

use foreman_machine::run::{Exit, Moment, News, OutputReader, Supervised, TaskFolder, adopt};
use foreman_protocol::{TaskId, TaskState};
use tokio::sync::{mpsc, watch};

use super::{
    Event, Setup,
    upload::{Source, upload},
};
use crate::journal::Statement;

/// What is known of a task when its keeper begins.
pub(super) enum Life {
    /// It was claimed; by whom, and whether it still runs, is to be found out.
    Sought,
    Supervised(Supervised),
    /// It has ended, and this is how.
    Over(Statement),
}

/// Between two attempts to reach a supervisor.
const SEEK_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    pub(super) setup: Arc<Setup>,
    pub(super) task: TaskId,
    pub(super) folder: TaskFolder,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Why hearing a supervisor ended.
enum Heard {
    Ended(Statement),
    /// Nothing ran and nothing says so on disk: the journal must, before the server is told.
    NeverRan(Statement),
    /// Another supervisor has the task.
    Elsewhere,
}

impl Keeper {
    /// Until the task is over and the server has its output. The ending goes by the outbox.
    pub(super) async fn keep(mut self, mut life: Life) {
        loop {
            match life {
                Life::Sought => life = seek(self.task, &self.folder).await,
                Life::Over(statement) => {
                    self.over(statement).await;
                    break;
                }
                Life::Supervised(supervised) => match self.follow(supervised).await {
                    None => break,
                    Some(next) => life = next,
                },
            }
        }
        let _ = self.events.send(Event::Uploaded(self.task));
    }

    async fn over(&self, statement: Statement) {
        let total = statement.report.output_total.unwrap_or(0);
        let _ = self.events.send(Event::Over(self.task));
        self.setup.say(statement);
        let (_source, complete) = watch::channel(Source::Complete(total));
        upload(&self.setup, self.task, OutputReader::of(&self.folder), None, complete).await;
    }

    /// Hears and uploads at the same time; what to go on with, if anything.
    async fn follow(&mut self, supervised: Supervised) -> Option<Life> {
        let (source, growing) = watch::channel(Source::Growing);
        let setup = Arc::clone(&self.setup);
        let reader = OutputReader::of(&self.folder);
        let sending = upload(&setup, self.task, reader, Some(&supervised), growing);
        let hearing = async {
            let heard = self.hear(&supervised, &source).await;
            match heard {
                Heard::Ended(statement) => {
                    let total = statement.report.output_total.unwrap_or(0);
                    let _ = self.events.send(Event::Over(self.task));
                    self.setup.say(statement);
                    source.send_replace(Source::Complete(total));
                    None
                }
                Heard::NeverRan(statement) => {
                    let _ = self.events.send(Event::Over(self.task));
                    let _ = self.events.send(Event::NeverRan(statement));
                    source.send_replace(Source::Abandoned);
                    None
                }
                Heard::Elsewhere => {
                    source.send_replace(Source::Abandoned);
                    Some(())
                }
            }
        };
        let (heard, ()) = tokio::join!(hearing, sending);
        heard.map(|()| Life::Sought)
    }

    async fn hear(&mut self, supervised: &Supervised, source: &watch::Sender<Source>) -> Heard {
        let mut told_running = false;
        let mut stopping = false;
        loop {
            let news = tokio::select! {
                news = supervised.next() => news,
                asked = self.stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    if asked.is_ok() {
                        supervised.stop();
                    }
                    continue;
                }
            };
            match news {
                News::Taken => return Heard::Elsewhere,
                News::NotStarted(reason) => return Heard::NeverRan(self.failed(reason)),
                News::Activity | News::Ended | News::Gone => {}
            }
            if !told_running && let Some(started) = self.folder.started() {
                told_running = true;
                self.setup.say(Statement::running(self.task, started.at));
            }
            if news == News::Activity {
                self.setup.board.grew(self.task);
                source.send_replace(Source::Growing);
                continue;
            }
            return match self.folder.exit() {
                Some(exit) => Heard::Ended(ended(self.task, &exit)),
                None if self.folder.is_claimed() => Heard::Ended(lost(self.task, &self.folder)),
                None => Heard::NeverRan(self.failed("Its supervisor ended before it began.".to_owned())),
            };
        }
    }

    fn failed(&self, reason: String) -> Statement {
        Statement::unstarted(self.task, TaskState::Failed, reason, Moment::now())
    }
}

/// A claimed folder's supervisor, or the ending it left, or the knowledge that there is none.
async fn seek(task: TaskId, folder: &TaskFolder) -> Life {
    loop {
        match adopt(folder) {
            Ok(Some(supervised)) => {
                tracing::info!(task.id = %task, "a running task was found again");
                return Life::Supervised(supervised);
            }
            Ok(None) => break,
            // Nothing is concluded from not being able to look.
            Err(error) => {
                tracing::warn!(task.id = %task, %error, "a supervisor cannot be reached; tried again")
            }
        }
        tokio::time::sleep(SEEK_AGAIN).await;
    }
    // Looked for after the supervisor, which writes it down before it goes.
    let ending = folder.exit().map_or_else(|| lost(task, folder), |exit| ended(task, &exit));
    tracing::info!(task.id = %task, state = ending.report.state.as_str(), "a task has ended meanwhile");
    Life::Over(ending)
}

fn ended(task: TaskId, exit: &Exit) -> Statement {
    Statement { report: exit.report(task), at: exit.ended.clone() }
}

pub(super) fn lost(task: TaskId, folder: &TaskFolder) -> Statement {
    let reason = match folder.started() {
        Some(started) if !started.at.same_boot() => "The device was restarted while it ran.",
        Some(_) => "Its supervisor on the device was ended from outside; how the task ended is not known.",
        None => "The device went down as it was starting; whether it ran is not known.",
    };
    let mut statement = Statement::unstarted(task, TaskState::Lost, reason.to_owned(), Moment::now());
    statement.report.output_total = Some(OutputReader::of(folder).end().unwrap_or(0));
    statement
}
