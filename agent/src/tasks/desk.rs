//! Where commands arrive: decides what starts when, and keeps the books.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use foreman_machine::{
    policy,
    run::{Moment, RunSpec, TaskFolder},
};
use foreman_protocol::{Command, LinkReportId, TaskId, TaskSpec, TaskState};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout_at},
};

use super::{
    Asked, Setup,
    keeper::{Keeper, Life, lost},
};
use crate::{
    journal::{Effect, Journal, Phase, Statement, TaskRow},
    uplink::NotUnderstood,
};

/// How often what is long done is forgotten.
const PRUNE: Duration = Duration::from_secs(15 * 60);
/// How long finished tasks wait for others to be cleared away with.
const CLEAR_UP: Duration = Duration::from_millis(100);
/// Between two attempts to write the journal.
const JOURNAL_RETRY: Duration = Duration::from_secs(2);
/// A stop's own limits are shorter; this only bounds a wait.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What happens to tasks.
pub enum Event {
    Commands(Vec<Result<Command, NotUnderstood>>),
    /// The task's process has ended: its place is free.
    Over(TaskId),
    /// It never ran; this is to be written down and told.
    NeverRan(Statement),
    /// The server has its output.
    Uploaded(TaskId),
    /// The server knows how these ended.
    Told(Vec<TaskId>),
    /// The server knows of these uses of the link.
    LinksTold(Vec<LinkReportId>),
    /// Somebody at this device wants something.
    Asked(Box<Asked>),
    /// The server knows that these began here.
    StartsTold(Vec<TaskId>),
}

/// A task on its way.
struct Kept {
    stop: watch::Sender<bool>,
    over: bool,
    uploaded: bool,
    told: bool,
}

/// See the module.
pub struct Desk {
    pub(super) setup: Arc<Setup>,
    journal: Arc<Journal>,
    sender: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    kept: HashMap<TaskId, Kept>,
    /// In the order they came.
    pub(super) queue: VecDeque<TaskId>,
    /// The server has all of them; to be written down, and then cleared away.
    done: Vec<TaskId>,
    /// Rung when the server asks to detect capabilities again.
    probe: Arc<Notify>,
}

impl Desk {
    #[must_use]
    pub fn new(setup: Arc<Setup>, journal: Arc<Journal>, probe: Arc<Notify>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self {
            setup,
            journal,
            sender,
            events,
            kept: HashMap::new(),
            queue: VecDeque::new(),
            done: Vec::new(),
            probe,
        }
    }

    /// Where to send what happens. Bounded by what the server has sent and not seen acknowledged.
    #[must_use]
    pub fn sender(&self) -> mpsc::UnboundedSender<Event> {
        self.sender.clone()
    }

    /// Takes up every task of an earlier life of the agent. Call it once, before [`Desk::run`].
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        self.setup.outbox.tell_of_link(self.journal.link_reports()?);
        let open = self.journal.open_tasks()?;
        self.remove_strays(&open);
        for (task, row) in open {
            self.show(task, &row);
            match row.phase {
                Phase::Queued => self.queue.push_back(task),
                Phase::Starting => self.resume_one(task, row).await,
                Phase::Settled => {
                    if let Some(statement) = row.statement {
                        self.keep(task, false, Life::Over(statement));
                    }
                }
                Phase::Done => {}
            }
        }
        self.start_queued().await;
        Ok(())
    }

    /// A task of an earlier life; one of the server's that never ran is not known well enough to be shown.
    fn show(&self, task: TaskId, row: &TaskRow) {
        let local = row.local.as_ref();
        let spec = row.spec.clone().or_else(|| local.map(|local| local.spec()));
        if let Some(spec) = spec {
            self.setup.board.put(task, &spec, local, row.at.wall_ms);
        }
        if let Some(local) = local {
            self.resume_local(local);
        }
    }

    async fn resume_one(&mut self, task: TaskId, row: TaskRow) {
        let folder = self.folder(task);
        if folder.is_claimed() {
            self.keep(task, row.stop, Life::Sought);
            return;
        }
        if !row.at.same_boot() {
            // Whether it was started is only certain within one boot: its folder may not have reached the disk.
            return self.settle(lost(task, &folder)).await;
        }
        self.begin(task, row).await
    }

    /// Handles events for as long as it is polled.
    pub async fn run(&mut self) {
        let mut prune = tokio::time::interval(PRUNE);
        loop {
            let clear_up = tokio::time::sleep(CLEAR_UP);
            tokio::select! {
                event = self.events.recv() => {
                    if let Some(event) = event {
                        self.handle(event).await;
                    }
                }
                // Only when nothing has come for a while; else it is done along with the next commands.
                () = clear_up, if !self.done.is_empty() => {
                    let done = std::mem::take(&mut self.done);
                    let written = done.clone();
                    self.in_journal(move |journal| journal.done(&written)).await;
                    self.remove_folders(&done);
                }
                _ = prune.tick() => {
                    self.in_journal(|journal| journal.prune()).await;
                }
            }
        }
    }

    /// Ends every task, and returns when all have ended or none of the rest will.
    pub async fn stop_all(&mut self) {
        self.queue.clear();
        for kept in self.kept.values() {
            kept.stop.send_replace(true);
        }
        let limit = Instant::now() + self.setup.limits.stop_grace + STOP_LIMIT;
        while self.kept.values().any(|kept| !kept.over) {
            match timeout_at(limit, self.events.recv()).await {
                Ok(Some(Event::Over(task))) => self.over(task),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Commands(commands) => self.take(commands).await,
            Event::Over(task) => {
                self.over(task);
                self.setup.launcher.keep_spare();
                self.start_queued().await
            }
            Event::NeverRan(statement) => self.settle(statement).await,
            Event::Uploaded(task) => {
                if let Some(kept) = self.kept.get_mut(&task) {
                    kept.uploaded = true;
                }
                self.finish(&[task]);
            }
            Event::Told(tasks) => {
                for task in &tasks {
                    if let Some(kept) = self.kept.get_mut(task) {
                        kept.told = true;
                    }
                }
                self.finish(&tasks);
            }
            Event::LinksTold(ids) => {
                self.in_journal(move |journal| journal.link_reports_told(&ids)).await;
            }
            Event::Asked(asked) => self.asked(*asked).await,
            Event::StartsTold(tasks) => self.starts_told(tasks).await,
        }
    }

    async fn take(&mut self, mut commands: Vec<Result<Command, NotUnderstood>>) {
        self.setup.gate.sift(&mut commands);
        let ids: Vec<_> = commands
            .iter()
            .map(|command| match command {
                Ok(command) => command.id,
                Err(not_understood) => not_understood.id,
            })
            .collect();
        let free = if self.queue.is_empty() { self.free() } else { 0 };
        let specs = specs(&commands);
        let done = std::mem::take(&mut self.done);
        let written = done.clone();
        let effects = self.in_journal(move |journal| journal.take(&commands, free, &written)).await;
        for effect in effects {
            match effect {
                Effect::Start(task) => {
                    if let Some(spec) = specs.get(&task) {
                        self.setup.board.put(task, spec, None, Moment::now().wall_ms);
                        self.start(task, spec, false, false).await;
                    }
                }
                Effect::Queue(task) => {
                    if let Some(spec) = specs.get(&task) {
                        self.setup.board.put(task, spec, None, Moment::now().wall_ms);
                    }
                    self.queue.push_back(task);
                }
                Effect::Stop(task) => self.stop(task).await,
                Effect::Settle(statement) => {
                    self.keep(statement.report.task_id, false, Life::Over(statement))
                }
                Effect::Probe => self.probe.notify_one(),
                Effect::Revoke { revocation, report } => {
                    self.setup.gate.revoke(&revocation);
                    self.setup.outbox.tell_of_link(report);
                }
            }
        }
        self.setup.outbox.acknowledge(ids);
        self.remove_folders(&done);
    }

    pub(super) async fn stop(&mut self, task: TaskId) {
        self.setup.board.stopping(task, Moment::now().wall_ms);
        if let Some(kept) = self.kept.get(&task) {
            kept.stop.send_replace(true);
            return;
        }
        self.queue.retain(|queued| *queued != task);
        self.settle(stopped_before(task)).await
    }

    /// Starts queued tasks while there are places.
    async fn start_queued(&mut self) {
        while self.free() > 0
            && let Some(task) = self.queue.pop_front()
        {
            if let Some(row) = self.in_journal(move |journal| journal.begin(task)).await {
                self.begin(task, row).await;
            }
        }
    }

    async fn begin(&mut self, task: TaskId, row: TaskRow) {
        match row.spec {
            _ if row.stop => self.settle(stopped_before(task)).await,
            Some(spec) => self.start(task, &spec, row.local.is_some(), row.stop).await,
            None => self.settle(lost(task, &self.folder(task))).await,
        }
    }

    /// Starts a task that the journal calls starting. `local`: it was asked for here, with a right that the link saw.
    pub(super) async fn start(&mut self, task: TaskId, spec: &TaskSpec, local: bool, stop: bool) {
        let refused = |state, reason: String| Statement::unstarted(task, state, reason, Moment::now());
        if !local && let Err(reason) = self.setup.gate.tasks_allowed() {
            tracing::warn!(task.id = %task, %reason, "a task was refused");
            return self.settle(refused(TaskState::Refused, reason)).await;
        }
        let cwd = match policy::load(&self.setup.policy) {
            // The chain, because the file's mistake is in its middle.
            Err(error) => Err(format!("{error:#}")),
            Ok(policy) => policy::check_run(&policy, spec).map_err(|refusal| refusal.to_string()),
        };
        let cwd = match cwd {
            Ok(cwd) => cwd,
            Err(reason) => {
                tracing::warn!(task.id = %task, %reason, "a task was refused");
                return self.settle(refused(TaskState::Refused, reason)).await;
            }
        };
        let run = RunSpec::new(spec, &cwd, self.setup.limits.clone(), self.setup.cgroup.clone());
        let path = self.folder(task).path().to_owned();
        let started = TaskFolder::create(path, &run).and_then(|folder| self.setup.launcher.launch(&folder));
        match started {
            Ok(supervised) => self.keep(task, stop, Life::Supervised(supervised)),
            Err(error) => {
                tracing::error!(task.id = %task, %error, "a task could not be started");
                let reason = format!("The agent could not start it: {error}.");
                self.settle(refused(TaskState::Failed, reason)).await;
            }
        }
    }

    /// Writes down that a task never ran, then tells it.
    async fn settle(&mut self, statement: Statement) {
        let task = statement.report.task_id;
        let written = statement.clone();
        self.in_journal(move |journal| journal.settle(&written)).await;
        self.keep(task, false, Life::Over(statement));
    }

    fn keep(&mut self, task: TaskId, stop: bool, life: Life) {
        let (sender, receiver) = watch::channel(stop);
        let kept = Kept { stop: sender, over: matches!(life, Life::Over(_)), uploaded: false, told: false };
        self.kept.insert(task, kept);
        self.show_running();
        let keeper = Keeper {
            setup: Arc::clone(&self.setup),
            task,
            folder: self.folder(task),
            events: self.sender.clone(),
            stop: receiver,
        };
        tokio::spawn(keeper.keep(life));
    }

    fn over(&mut self, task: TaskId) {
        if let Some(kept) = self.kept.get_mut(&task)
            && !kept.over
        {
            kept.over = true;
            self.show_running();
        }
    }

    /// Lets go of what the server has all of.
    fn finish(&mut self, tasks: &[TaskId]) {
        for task in tasks {
            if self.kept.get(task).is_some_and(|kept| kept.over && kept.uploaded && kept.told) {
                self.kept.remove(task);
                self.setup.board.remove(*task);
                self.done.push(*task);
            }
        }
    }

    /// Of tasks that the journal calls done.
    fn remove_folders(&self, done: &[TaskId]) {
        for task in done {
            if let Err(error) = self.folder(*task).remove() {
                tracing::warn!(task.id = %task, %error, "the folder of a finished task cannot be removed");
            }
        }
    }

    /// Folders that no row speaks of are left over from a task that was done, or from another device's life.
    fn remove_strays(&self, open: &[(TaskId, TaskRow)]) {
        let Ok(entries) = std::fs::read_dir(&self.setup.tasks) else { return };
        for entry in entries.flatten() {
            let known = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if known.is_some_and(|task| open.iter().any(|(id, _)| *id == task)) {
                continue;
            }
            let folder = TaskFolder::at(entry.path());
            if matches!(foreman_machine::run::adopt(&folder), Ok(Some(_))) {
                tracing::warn!(folder = %entry.path().display(), "a task that the journal does not know still runs");
            } else if let Err(error) = folder.remove() {
                tracing::warn!(folder = %entry.path().display(), %error, "an old task folder cannot be removed");
            }
        }
    }

    fn folder(&self, task: TaskId) -> TaskFolder {
        TaskFolder::at(self.setup.tasks.join(task.to_string()))
    }

    pub(super) fn free(&self) -> usize {
        self.setup.most_running.saturating_sub(self.kept.values().filter(|kept| !kept.over).count())
    }

    fn show_running(&self) {
        let running = self.kept.iter().filter(|(_, kept)| !kept.over).map(|(task, _)| *task);
        let mut running: Vec<TaskId> = running.collect();
        running.sort_unstable();
        self.setup.running.send_replace(running);
    }

    /// In a thread, because the journal waits for the disk. While the disk is full or broken nothing is started,
    /// acknowledged or told, so this tries until it works.
    pub(super) async fn in_journal<T: Send + 'static>(
        &self,
        act: impl Fn(&Journal) -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> T {
        let act = Arc::new(act);
        loop {
            let (journal, act) = (Arc::clone(&self.journal), Arc::clone(&act));
            match tokio::task::spawn_blocking(move || act(&journal)).await {
                Ok(Ok(done)) => return done,
                Ok(Err(error)) => {
                    let error = format!("{error:#}");
                    tracing::error!(%error, "the journal cannot be written; no task starts until it can");
                }
                Err(error) => tracing::error!(%error, "the journal's thread ended"),
            }
            tokio::time::sleep(JOURNAL_RETRY).await;
        }
    }
}

fn specs(commands: &[Result<Command, NotUnderstood>]) -> HashMap<TaskId, TaskSpec> {
    let started = commands.iter().flatten().filter_map(|command| match &command.action {
        foreman_protocol::CommandAction::StartTask { task_id, spec } => Some((*task_id, spec.clone())),
        _ => None,
    });
    started.collect()
}

fn stopped_before(task: TaskId) -> Statement {
    let reason = "It was stopped before it started.".to_owned();
    Statement::unstarted(task, TaskState::Stopped, reason, Moment::now())
}
