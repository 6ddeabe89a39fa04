//! What the server is still to be told: acknowledged commands, what became of tasks and what happened on the link, in
//! one request at a time.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foreman_link::http::RequestError;
use foreman_protocol::{CommandId, LinkReport, Reports, TaskId};
use tokio::sync::{Notify, mpsc, watch};

use super::{Event, Setup};
use crate::{
    journal::{Local, Statement},
    line::Pause,
    uplink::is_gone,
};

/// The most of each kind in one request, as the protocol says.
const MOST: usize = 1000;

/// A task that has just started may be over at once; this long its ending may travel along.
const COMPANY: Duration = Duration::from_millis(3);

/// Tasks that began here in one request: their commands may be long.
const MOST_STARTS: usize = 1;

/// The most reports of the link held in memory; the journal has them all the same.
const MOST_LINKS: usize = 10_000;

/// See the module. Bounded by the commands that the server has sent: each is acknowledged here once, and each task
/// has at most two statements.
#[derive(Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
    /// Rung when the server was told of tasks that began here.
    told: watch::Sender<()>,
}

#[derive(Default)]
struct Waiting {
    acknowledged: VecDeque<CommandId>,
    statements: VecDeque<Statement>,
    links: VecDeque<LinkReport>,
    /// Tasks that began here.
    starts: VecDeque<Local>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.acknowledged.is_empty()
            && self.statements.is_empty()
            && self.links.is_empty()
            && self.starts.is_empty()
    }

    fn has_ending(&self) -> bool {
        self.statements.iter().any(|statement| statement.report.state.is_final())
    }
}

impl Outbox {
    pub fn acknowledge(&self, ids: impl IntoIterator<Item = CommandId>) {
        self.waiting().acknowledged.extend(ids);
        self.changed.notify_one();
    }

    pub fn say(&self, statement: Statement) {
        self.waiting().statements.push_back(statement);
        self.changed.notify_one();
    }

    /// A task that began here, which the journal has written down already. What became of it is told after.
    pub fn tell_of_start(&self, local: Local) {
        self.waiting().starts.push_back(local);
        self.changed.notify_one();
    }

    /// Returns when the server knows that there is such a task.
    pub async fn until_known(&self, task: TaskId) {
        let mut told = self.told.subscribe();
        while self.waiting().starts.iter().any(|local| local.task.id == task) {
            if told.changed().await.is_err() {
                return;
            }
        }
    }

    /// What the journal has written down already.
    pub fn tell_of_link(&self, reports: impl IntoIterator<Item = LinkReport>) {
        let mut waiting = self.waiting();
        waiting.links.extend(reports);
        let surplus = waiting.links.len().saturating_sub(MOST_LINKS);
        waiting.links.drain(..surplus);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Delivers for as long as it is polled; ends when this device is gone from the server.
    pub async fn deliver(&self, setup: &Setup, told: &mpsc::UnboundedSender<Event>) {
        let mut pause = Pause::new(setup.line.clone());
        // Grows back by itself: after a refusal everything is told one by one, so that one odd report cannot
        // hold up the others.
        let mut most = MOST;
        loop {
            self.until_worth_it().await;
            let (reports, statements) = self.next(most);
            let single = statements.max(reports.links.len()).max(reports.started.len()) <= 1;
            match setup.uplink.report(&reports).await {
                Ok(()) => {
                    pause.reset();
                    most = MOST;
                    self.forget(&reports, statements, told);
                }
                Err(error) if is_gone(&error) => return,
                Err(error) if is_final_refusal(&error) && (most == 1 || single) => {
                    tracing::error!(%error, "the server does not take a report; it is left out");
                    self.forget(&reports, statements, told);
                }
                Err(error) if is_final_refusal(&error) => most = 1,
                Err(error) => {
                    tracing::warn!(%error, "the server could not be told of tasks; this is tried again");
                    pause.wait().await;
                }
            }
        }
    }

    async fn until_worth_it(&self) {
        while self.waiting().is_empty() {
            self.changed.notified().await;
        }
        let company = async {
            while !self.waiting().has_ending() {
                self.changed.notified().await;
            }
        };
        // Over is over: what is there now is told.
        let _ = tokio::time::timeout(COMPANY, company).await;
    }

    /// The oldest of what waits, and how many statements that is. They stay until the server has them.
    fn next(&self, most: usize) -> (Reports, usize) {
        let waiting = self.waiting();
        let acknowledged = waiting.acknowledged.iter().take(MOST).copied().collect();
        let started: Vec<_> = waiting.starts.iter().take(MOST_STARTS).map(Local::told_now).collect();
        if !started.is_empty() {
            // What became of them would be of no task that the server knows.
            return (Reports { acknowledged, started, ..Reports::default() }, 0);
        }
        let tasks: Vec<_> = waiting.statements.iter().take(most).map(Statement::report_now).collect();
        let statements = tasks.len();
        // One by one means one of either.
        let links = if most == 1 && statements > 0 { 0 } else { most };
        let links = waiting.links.iter().take(links).cloned().collect();
        (Reports { acknowledged, tasks, links, started }, statements)
    }

    fn forget(&self, reports: &Reports, statements: usize, told: &mpsc::UnboundedSender<Event>) {
        let mut waiting = self.waiting();
        waiting.acknowledged.drain(..reports.acknowledged.len());
        waiting.statements.drain(..statements);
        waiting.starts.drain(..reports.started.len());
        // By id: meanwhile the oldest may have been pushed out.
        let links: BTreeSet<_> = reports.links.iter().map(|report| report.id).collect();
        waiting.links.retain(|report| !links.contains(&report.id));
        drop(waiting);
        if !reports.started.is_empty() {
            let starts = reports.started.iter().map(|local| local.id).collect();
            let _ = told.send(Event::StartsTold(starts));
            self.told.send_replace(());
        }
        if !links.is_empty() {
            let _ = told.send(Event::LinksTold(links.into_iter().collect()));
        }
        let ended = reports.tasks.iter().filter(|report| report.state.is_final());
        let ended: Vec<TaskId> = ended.map(|report| report.task_id).collect();
        if !ended.is_empty() {
            // Nobody listens any more only while the agent is ending.
            let _ = told.send(Event::Told(ended));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server understood and will never say yes.
pub(super) fn is_final_refusal(error: &RequestError) -> bool {
    matches!(error.status(), Some(400 | 403 | 404 | 409 | 413 | 422))
}
