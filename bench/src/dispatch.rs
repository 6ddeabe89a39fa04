//! From "run this" to "it has ended", and how many a second; against celery with redis.

use std::time::{Duration, Instant};

use foreman_client::{Foreman, LiveUpdate};
use foreman_protocol::{DeviceId, Event, TaskCommand, TaskSpec};
use journeys::{
    database::Database,
    soon,
    stack::{Setting, Stack},
};

use crate::{
    measure::median,
    peers::celery::{self, Dispatch},
    table::{Table, Target},
};

const ONE_BY_ONE: usize = 100;
const AT_ONCE: usize = 500;

pub async fn measure(table: &mut Table) {
    let stack = Stack::start(Setting::on(Database::Sqlite)).await;
    let mut ours = Dispatch { one_by_one: Vec::new(), all_at_once: Duration::ZERO };
    // A few to warm.
    one_by_one(&stack.foreman, stack.agent.device, 10).await;
    ours.one_by_one = one_by_one(&stack.foreman, stack.agent.device, ONE_BY_ONE).await;
    ours.all_at_once = at_once(&stack.foreman, stack.agent.device, AT_ONCE).await;
    drop(stack);
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let a_second = |all: Duration| AT_ONCE as f64 / all.as_secs_f64();
    let ours_p50 = millis(median(&mut ours.one_by_one));
    match celery::run(ONE_BY_ONE, AT_ONCE).await {
        Ok(mut peer) => {
            let peer_p50 = millis(median(&mut peer.one_by_one));
            table.ratio(
                "task to its end, p50, celery + redis",
                "ms",
                ours_p50,
                peer_p50,
                Target::AtMost(1.0),
            );
            let (ours, peer) = (a_second(ours.all_at_once), a_second(peer.all_at_once));
            table.ratio("tasks, celery + redis", "a second", ours, peer, Target::AtLeast(1.5));
        }
        Err(why) => {
            table.skipped("celery + redis", why);
            table.told("task to its end, p50", "ms", ours_p50, None);
            table.told("tasks", "a second", a_second(ours.all_at_once), None);
        }
    }
}

fn nothing() -> TaskSpec {
    let command = TaskCommand::Program { program: "true".to_owned(), args: Vec::new() };
    TaskSpec { command, cwd: None, env: Default::default(), timeout_s: None }
}

async fn one_by_one(foreman: &Foreman, device: DeviceId, count: usize) -> Vec<Duration> {
    let mut ends = Ends::of(foreman).await;
    let mut times = Vec::new();
    for _ in 0..count {
        let begin = Instant::now();
        foreman.start_task(device, &nothing()).await.expect("taken");
        ends.wait_for(1).await;
        times.push(begin.elapsed());
    }
    times
}

async fn at_once(foreman: &Foreman, device: DeviceId, count: usize) -> Duration {
    let mut ends = Ends::of(foreman).await;
    let begin = Instant::now();
    let callers = (0..8).map(|_| {
        let foreman = foreman.clone();
        tokio::spawn(async move {
            for _ in 0..count.div_ceil(8) {
                foreman.start_task(device, &nothing()).await.expect("taken");
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    ends.wait_for(count.div_ceil(8) * 8).await;
    drop(callers);
    begin.elapsed()
}

/// Ends of tasks, heard on the live stream.
struct Ends(foreman_client::Events);

impl Ends {
    async fn of(foreman: &Foreman) -> Self {
        let mut events = foreman.events(None);
        let ready = async { while !matches!(events.next().await, LiveUpdate::Ready(_)) {} };
        soon("the stream opens", ready).await;
        Self(events)
    }

    async fn wait_for(&mut self, count: usize) {
        let wait = async {
            let mut seen = 0;
            while seen < count {
                let LiveUpdate::Event(record) = self.0.next().await else { continue };
                match record.event {
                    Event::TaskCompleted { .. } => seen += 1,
                    Event::TaskFailed { task } | Event::TaskLost { task } | Event::TaskRefused { task } => {
                        panic!("a task that does nothing did not succeed: {task:?}")
                    }
                    _ => {}
                }
            }
        };
        soon("the ends of tasks", wait).await;
    }
}
