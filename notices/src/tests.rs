//! Sequences of what can happen, against what may be on the screen then.

use std::collections::BTreeMap;

use foreman_protocol::{Actor, Device, DeviceId, DeviceStatus, Event, EventRecord, Task, TaskId, TaskState};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOON: u16 = 12 * 60;

fn device(id: DeviceId, status: &str, gpu_high: bool) -> Device {
    serde_json::from_value(json!({
        "id": id, "name": "forge", "type": "gpu_compute", "status": status, "status_since": 0,
        "created_at": 0, "gpu_memory_high": gpu_high, "version": 1,
    }))
    .unwrap()
}

fn task(id: TaskId, device: DeviceId, state: &str) -> Task {
    serde_json::from_value(json!({
        "id": id, "device_id": device, "command": { "shell": "python train.py\nsecond" }, "state": state,
        "exit_code": if state == "failed" { Some(3) } else { None },
        "requested_by": { "kind": "host" }, "created_at": 0, "output_bytes": 0, "output_start": 0, "version": 1,
    }))
    .unwrap()
}

fn record(event: Event) -> EventRecord {
    EventRecord { cursor: 1, at: 0, actor: Actor::Host, source: None, event, hash: String::new() }
}

fn look(book: &mut Book, devices: &[Device], tasks: &[Task]) -> Vec<TaskId> {
    book.snapshot(
        &devices.iter().map(|device| (device.id, device.clone())).collect(),
        &tasks.iter().map(|task| (task.id, task.clone())).collect(),
    )
}

fn all() -> NoticeRules {
    let kinds = [
        NoticeKind::Offline,
        NoticeKind::Online,
        NoticeKind::TaskStarted,
        NoticeKind::TaskFinished,
        NoticeKind::TaskFailed,
        NoticeKind::GpuMemory,
    ];
    NoticeRules { kinds: kinds.into(), ..NoticeRules::default() }
}

fn offline(id: DeviceId) -> EventRecord {
    record(Event::DeviceOffline { device: Box::new(device(id, "offline", false)) })
}

fn online(id: DeviceId) -> EventRecord {
    record(Event::DeviceOnline { device: Box::new(device(id, "online", false)) })
}

#[test]
fn a_device_that_goes_is_told_and_taken_back_when_it_comes() {
    let id = DeviceId::fresh();
    let mut book = Book::default();
    look(&mut book, &[device(id, "online", false)], &[]);
    book.event(&offline(id));
    let deeds = book.settle(&NoticeRules::default(), NOON, None);
    assert!(
        matches!(&deeds[..], [Deed::Show(notice)] if notice.kind == NoticeKind::Offline && notice.device == "forge")
    );
    book.event(&online(id));
    let deeds = book.settle(&NoticeRules::default(), NOON, None);
    assert_eq!(deeds, [Deed::Withdraw(Subject::Reach(id))]);
}

#[test]
fn what_was_so_at_the_start_is_no_news() {
    let id = DeviceId::fresh();
    let mut book = Book::default();
    look(&mut book, &[device(id, "offline", true)], &[task(TaskId::fresh(), id, "running")]);
    assert!(!book.is_due());
}

#[test]
fn a_device_that_flaps_between_two_looks_says_nothing() {
    let id = DeviceId::fresh();
    let mut book = Book::default();
    look(&mut book, &[device(id, "online", false)], &[]);
    book.event(&offline(id));
    book.event(&online(id));
    assert_eq!(book.settle(&all(), NOON, None), []);
}

#[test]
fn a_failed_task_takes_the_place_of_its_start_and_says_how() {
    let (id, run) = (DeviceId::fresh(), TaskId::fresh());
    let mut book = Book::default();
    look(&mut book, &[device(id, "online", false)], &[]);
    book.event(&record(Event::TaskStarted { task: Box::new(task(run, id, "running")) }));
    assert!(
        matches!(&book.settle(&all(), NOON, None)[..], [Deed::Show(n)] if n.kind == NoticeKind::TaskStarted)
    );
    book.event(&record(Event::TaskFailed { task: Box::new(task(run, id, "failed")) }));
    let deeds = book.settle(&NoticeRules::default(), NOON, None);
    let [Deed::Show(notice)] = &deeds[..] else { panic!("{deeds:?}") };
    assert_eq!((notice.kind, notice.outcome), (NoticeKind::TaskFailed, Some(Outcome::Exit(3))));
    assert_eq!(notice.command.as_deref(), Some("python train.py"));
    assert_eq!(notice.subject.page(), format!("/tasks/{run}"));
}

#[test]
fn only_the_very_page_in_front_keeps_a_notification_away() {
    let (id, other) = (DeviceId::fresh(), DeviceId::fresh());
    let mut book = Book::default();
    look(&mut book, &[device(id, "online", false), device(other, "online", false)], &[]);
    book.event(&offline(id));
    book.event(&offline(other));
    let deeds = book.settle(&all(), NOON, Some(&format!("/devices/{id}")));
    assert!(matches!(&deeds[..], [Deed::Show(notice)] if notice.subject == Subject::Reach(other)));
    assert_eq!(book.seen("/devices"), []);
    assert_eq!(book.seen(&format!("/devices/{other}")), [Deed::Withdraw(Subject::Reach(other))]);
}

#[test]
fn in_quiet_hours_news_wait_and_only_what_still_holds_is_told() {
    let (back, away) = (DeviceId::fresh(), DeviceId::fresh());
    let rules = NoticeRules { quiet: Some(QuietHours { from: 22 * 60, to: 7 * 60 }), ..all() };
    let mut book = Book::default();
    look(&mut book, &[device(back, "online", false), device(away, "online", false)], &[]);
    book.event(&offline(back));
    book.event(&offline(away));
    assert_eq!(book.settle(&rules, 23 * 60, None), []);
    book.event(&online(back));
    assert_eq!(book.settle(&rules, 6 * 60, None), []);
    let deeds = book.settle(&rules, 7 * 60, None);
    assert!(matches!(&deeds[..], [Deed::Show(notice)] if notice.subject == Subject::Reach(away)));
}

#[test]
fn many_at_once_are_one() {
    let ids: Vec<_> = (0..9).map(|_| DeviceId::fresh()).collect();
    let mut book = Book::default();
    look(&mut book, &ids.iter().map(|id| device(*id, "online", false)).collect::<Vec<_>>(), &[]);
    for id in &ids {
        book.event(&offline(*id));
    }
    assert_eq!(book.settle(&all(), NOON, None), [Deed::ShowMany(9)]);
    assert_eq!(book.close(), [Deed::Withdraw(Subject::Many)]);
}

#[test]
fn after_missed_events_the_state_tells_and_ended_tasks_are_asked_for() {
    let (id, run) = (DeviceId::fresh(), TaskId::fresh());
    let mut book = Book::default();
    look(&mut book, &[device(id, "online", false)], &[task(run, id, "running")]);
    assert_eq!(look(&mut book, &[device(id, "offline", false)], &[]), [run]);
    book.task(&task(run, id, "lost"));
    assert_eq!(book.settle(&all(), NOON, None).len(), 2);
}

#[test]
fn who_signed_off_is_not_missed() {
    let id = DeviceId::fresh();
    let mut book = Book::default();
    look(&mut book, &[device(id, "online", false)], &[]);
    book.event(&record(Event::DeviceDisconnected { device: Box::new(device(id, "offline", false)) }));
    assert_eq!(book.settle(&all(), NOON, None), []);
}

#[test]
fn rules_read_what_an_older_app_wrote() {
    let rules: NoticeRules = serde_json::from_value(json!({ "on": false })).unwrap();
    assert_eq!(rules, NoticeRules { on: false, ..NoticeRules::default() });
    let wild = NoticeRules { quiet: Some(QuietHours { from: 9_000, to: 60 }), ..rules };
    assert!(wild.bounded().quiet.unwrap().from < 24 * 60);
}

#[derive(Debug, Clone)]
enum Step {
    Device(usize, bool, bool),
    Task(usize, u8),
    Snapshot,
    Settle { quiet: bool, front: Option<usize> },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3usize, any::<bool>(), any::<bool>()).prop_map(|(at, on, high)| Step::Device(at, on, high)),
        (0..3usize, 0..4u8).prop_map(|(at, state)| Step::Task(at, state)),
        Just(Step::Snapshot),
        (any::<bool>(), proptest::option::of(0..3usize))
            .prop_map(|(quiet, front)| Step::Settle { quiet, front }),
    ]
}

proptest! {
    /// Whatever happens in whatever order: nothing is taken back that was not shown, nothing new comes in quiet hours,
    /// from muted devices or about the page in front, and what is on the screen after a look still holds.
    #[test]
    fn the_screen_is_true(steps in proptest::collection::vec(step(), 0..60)) {
        let ids: Vec<_> = (0..3).map(|_| DeviceId::fresh()).collect();
        let runs: Vec<_> = (0..3).map(|_| TaskId::fresh()).collect();
        let rules = NoticeRules {
            muted: [ids[2]].into(),
            quiet: Some(QuietHours { from: 60, to: 120 }),
            ..all()
        };
        let mut devices: Vec<_> = ids.iter().map(|id| device(*id, "online", false)).collect();
        let mut tasks: BTreeMap<TaskId, Task> = BTreeMap::new();
        let mut book = Book::default();
        look(&mut book, &devices, &[]);
        let mut screen: BTreeMap<Subject, NoticeKind> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Device(at, on, high) => {
                    devices[at] = device(ids[at], if on { "online" } else { "offline" }, high);
                    book.event(&record(Event::DeviceUpdated { device: Box::new(devices[at].clone()) }));
                }
                Step::Task(at, state) => {
                    let known = tasks.get(&runs[at]).is_some_and(|task| task.state.is_final());
                    let state = ["queued", "running", "succeeded", "failed"][usize::from(state)];
                    let next = task(runs[at], ids[at], state);
                    if !known {
                        book.event(&record(Event::TaskQueued { task: Box::new(next.clone()) }));
                        tasks.insert(runs[at], next);
                    }
                }
                Step::Snapshot => {
                    let active: Vec<_> = tasks.values().filter(|t| !t.state.is_final()).cloned().collect();
                    for missed in look(&mut book, &devices, &active) {
                        prop_assert!(!active.iter().any(|task| task.id == missed));
                    }
                }
                Step::Settle { quiet, front } => {
                    let page = front.map(|at| format!("/devices/{}", ids[at]));
                    let minute = if quiet { 90 } else { NOON };
                    for deed in book.settle(&rules, minute, page.as_deref()) {
                        match deed {
                            Deed::Withdraw(subject) => prop_assert!(screen.remove(&subject).is_some()),
                            Deed::ShowMany(count) => {
                                prop_assert!(count > 4);
                                screen.insert(Subject::Many, NoticeKind::Offline);
                            }
                            Deed::Show(notice) => {
                                prop_assert!(!quiet && notice.device_id != ids[2]);
                                prop_assert!(page.as_deref() != Some(&notice.subject.page()));
                                screen.insert(notice.subject, notice.kind);
                            }
                        }
                    }
                    for (subject, kind) in &screen {
                        let of = |id: &DeviceId| devices.iter().find(|device| device.id == *id).unwrap();
                        match (subject, kind) {
                            (Subject::Reach(id), NoticeKind::Offline) => {
                                prop_assert_eq!(of(id).status, DeviceStatus::Offline);
                            }
                            (Subject::Reach(id), _) => prop_assert_eq!(of(id).status, DeviceStatus::Online),
                            (Subject::GpuMemory(id), _) => prop_assert!(of(id).gpu_memory_high),
                            (Subject::Task(id), kind) => {
                                let running = matches!(tasks[id].state, TaskState::Running);
                                prop_assert!(*kind != NoticeKind::TaskStarted || running || tasks[id].state == TaskState::Queued);
                            }
                            (Subject::Many, _) => {}
                        }
                    }
                }
            }
        }
    }
}

fn high(id: DeviceId, gpu_high: bool) -> Event {
    let device = Box::new(device(id, "online", gpu_high));
    if gpu_high {
        Event::DeviceGpuMemoryHigh { device, percent: 95.0 }
    } else {
        Event::DeviceGpuMemoryNormal { device, percent: 10.0 }
    }
}

fn hear(standing: &mut Standing, event: &Event, rules: &NoticeRules) {
    for news in news(event, || "forge".to_owned()) {
        standing.hear(news, rules);
    }
}

#[test]
fn what_was_told_of_a_log_is_taken_back_and_what_was_not_is_forgotten() {
    let (id, rules) = (DeviceId::fresh(), NoticeRules::default());
    let mut standing = Standing::default();
    hear(&mut standing, &high(id, true), &rules);
    hear(&mut standing, &high(id, false), &rules);
    assert!(standing.is_empty(), "nobody was told, so nobody is told that it is over");
    hear(&mut standing, &high(id, true), &rules);
    standing.done();
    hear(&mut standing, &high(id, false), &rules);
    assert_eq!(standing.due, Some(Word::TakeBack(None)));
    standing.done();
    assert!(standing.is_empty());
}

#[test]
fn a_device_of_a_log_that_flaps_says_nothing_and_one_that_is_back_says_so_in_its_place() {
    let (id, rules) = (DeviceId::fresh(), NoticeRules::default());
    let mut standing = Standing::default();
    hear(&mut standing, &offline(id).event, &all());
    hear(&mut standing, &online(id).event, &all());
    assert!(standing.is_empty());
    hear(&mut standing, &offline(id).event, &rules);
    standing.done();
    hear(&mut standing, &online(id).event, &rules);
    assert!(
        matches!(&standing.due, Some(Word::TakeBack(Some(now))) if now.kind == NoticeKind::Online),
        "{standing:?}"
    );
}

#[test]
fn every_event_that_says_something_is_named() {
    let id = DeviceId::fresh();
    let event = Event::TaskFailed { task: Box::new(task(TaskId::fresh(), id, "failed")) };
    for event in [offline(id).event, online(id).event, high(id, true), high(id, false), event] {
        assert!(TOLD.contains(&event.name()) && !news(&event, String::new).is_empty(), "{}", event.name());
    }
    let run = task(TaskId::fresh(), id, "running");
    for event in [
        Event::TaskStopRequested { task: Box::new(run) },
        Event::DeviceUpdated { device: Box::new(device(id, "online", true)) },
    ] {
        assert!(news(&event, String::new).is_empty(), "{}", event.name());
    }
}
