//! Logs and live metrics as a client of the device's API gets them, over a real connection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router};
use foreman_agent::device_api::{
    Caller, Device, logs,
    metrics::{self, Metrics},
};
use foreman_link::http;
use foreman_machine::{logs::Logs, probe::ProbeOptions, sample::SamplerOptions};
use foreman_protocol::{DeviceId, Level, LogLine, LogSources, Problem, ProblemCode, Sample, TaskId};
use reqwest::{Client, Response};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, time::Instant};

const POLICY: &str = "ALLOW_LOGS=true\nALLOW_FILE_READ=true\n";
/// Nothing here takes this long, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A device whose API answers somebody with the right to look.
struct Place {
    folder: TempDir,
    url: String,
    client: Client,
    metrics: Arc<Metrics>,
}

impl Place {
    async fn new(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("agent");
        fs::create_dir_all(state.join("tasks")).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let rules = state.join("policy.env");
        fs::write(&rules, policy.replace('@', folder.path().to_str().unwrap())).unwrap();
        let programs = folder.path().join("bin");
        let device = Device::new(DeviceId::fresh(), "test".to_owned(), rules.clone());
        let logs = Logs {
            policy: rules,
            system: folder.path().join("system"),
            tasks: state.join("tasks"),
            state_dir: state.clone(),
            search_path: Some(programs.clone().into()),
        };
        let probe = ProbeOptions { search_path: Some(programs.clone().into()), ..ProbeOptions::new(&state) };
        let sampler = SamplerOptions { search_path: Some(programs.into()), ..SamplerOptions::new(&state) };
        let (_tasks, running) = watch::channel(vec![TaskId::fresh()]);
        let metrics = Metrics::new(probe, sampler, running);
        let caller = Caller {
            name: "a phone".to_owned(),
            client_key: String::new(),
            level: Level::View,
            expires_at: i64::MAX,
            path: "lan".to_owned(),
            on_behalf_of: None,
        };
        let router: Router = logs::router(Arc::new(device), Arc::new(logs))
            .merge(metrics::router(Arc::clone(&metrics)))
            .layer(Extension(caller));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { folder, url, client: http::client().unwrap(), metrics }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn get(&self, path: &str, after: Option<&str>) -> Response {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        request.send().await.unwrap()
    }

    async fn stream(&self, path: &str, after: Option<&str>) -> Events {
        let response = self.get(path, after).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { response, text: String::new() }
    }

    async fn refusal(&self, path: &str) -> Problem {
        let response = self.get(path, None).await;
        assert!(!response.status().is_success(), "{path} is allowed");
        response.json().await.unwrap()
    }
}

/// Server-sent events, as far as ours go.
struct Events {
    response: Response,
    text: String,
}

#[derive(Debug, Default)]
struct Event {
    name: String,
    id: Option<String>,
    data: String,
}

impl Events {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let fields: BTreeMap<_, _> = event
                    .lines()
                    .filter_map(|line| line.split_once(':'))
                    .map(|(k, v)| (k, v.trim()))
                    .collect();
                let field = |name| fields.get(name).map(|value| (*value).to_owned());
                let event = Event {
                    name: field("event").unwrap_or_default(),
                    id: field("id"),
                    data: field("data").unwrap_or_default(),
                };
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("nothing came");
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }

    async fn line(&mut self) -> (String, String) {
        let event = self.next().await.expect("it ended");
        assert_eq!(event.name, "line", "{event:?}");
        let line: LogLine = serde_json::from_str(&event.data).unwrap();
        (line.text, event.id.unwrap())
    }
}

#[tokio::test]
async fn a_log_is_streamed_and_goes_on_where_the_reader_was() {
    let place = Place::new(POLICY).await;
    let path = place.path("app.log");
    fs::write(&path, "one\ntwo\nERROR three\n").unwrap();
    let address = format!("/logs/stream?source=file:{}", path.display());
    let mut events = place.stream(&format!("{address}&lines=2"), None).await;
    let (text, cursor) = events.line().await;
    assert_eq!(text, "two");
    assert_eq!(events.line().await.0, "ERROR three");
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    writeln!(file, "four").unwrap();
    assert_eq!(events.line().await.0, "four");
    drop(events);

    let mut events = place.stream(&address, Some(&cursor)).await;
    for expected in ["ERROR three", "four"] {
        assert_eq!(events.line().await.0, expected);
    }
    let mut events = place.stream(&format!("{address}&level=warn&follow=false"), None).await;
    assert_eq!(events.line().await.0, "ERROR three");
    let end = events.next().await.unwrap();
    assert_eq!((end.name.as_str(), end.data.as_str()), ("end", "{}"));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn sources_are_named_and_what_is_missing_too() {
    let place = Place::new(POLICY).await;
    let sources: LogSources = place.get("/logs", None).await.json().await.unwrap();
    let reasons: Vec<_> = sources.unavailable.iter().map(|missing| missing.reason.as_str()).collect();
    assert_eq!(reasons, ["not installed", "not installed"]);
}

#[tokio::test]
async fn what_the_device_forbids_is_refused_with_the_setting() {
    let place = Place::new("ALLOW_BASH=true\n").await;
    for path in ["/logs", "/logs/stream?source=journal"] {
        let problem = place.refusal(path).await;
        assert_eq!(problem.code, ProblemCode::PolicyForbids);
        assert_eq!(problem.details.unwrap()["setting"], "ALLOW_LOGS");
    }
    let place = Place::new("ALLOW_LOGS=true\nALLOW_FILE_READ=true\nBLOCKED_PATHS=@/secret\n").await;
    fs::create_dir(place.path("secret")).unwrap();
    fs::write(place.path("secret/a.log"), "x\n").unwrap();
    let of = |path: &Path| format!("/logs/stream?source=file:{}", path.display());
    let problem = place.refusal(&of(&place.path("secret/a.log"))).await;
    assert_eq!(problem.code, ProblemCode::PolicyForbids);
    let problem = place.refusal(&of(&place.path("agent/policy.env"))).await;
    assert_eq!(problem.code, ProblemCode::PolicyForbids);
    let problem = place.refusal(&of(&place.path("missing"))).await;
    assert_eq!(problem.code, ProblemCode::NotFound);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_with_the_field() {
    let place = Place::new(POLICY).await;
    let bad = [
        ("/logs/stream", "query"),
        ("/logs/stream?source=journal&level=loud", "query"),
        ("/logs/stream?source=journal&lines=-1", "query"),
        ("/logs/stream?source=nothing", "source"),
        ("/logs/stream?source=journal&grep=(", "grep"),
    ];
    for (path, field) in bad {
        let problem = place.refusal(path).await;
        assert_eq!(problem.code, ProblemCode::InvalidRequest, "{path}");
        assert_eq!(problem.details.unwrap()["field"], field, "{path}");
    }
}

#[tokio::test]
async fn a_permission_that_is_taken_back_ends_what_is_being_read() {
    let place = Place::new(POLICY).await;
    let path = place.path("app.log");
    fs::write(&path, "one\n").unwrap();
    let mut events = place.stream(&format!("/logs/stream?source=file:{}", path.display()), None).await;
    events.line().await;
    fs::write(place.path("agent/policy.env"), "ALLOW_LOGS=false\n").unwrap();
    // The time until the next look passes at once.
    tokio::time::pause();
    let end = loop {
        let event = events.next().await.unwrap();
        if event.name == "end" {
            break event;
        }
    };
    assert!(end.data.contains("ALLOW_LOGS"), "{end:?}");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_client_who_leaves_takes_the_program_along() {
    let place = Place::new(POLICY).await;
    let played = Path::new(env!("CARGO_MANIFEST_DIR")).join("../machine/tests/programs/journalctl");
    std::os::unix::fs::symlink(played, place.path("bin/journalctl")).unwrap();
    fs::write(place.path("bin/journal.json"), "{\"__CURSOR\":\"s=1\",\"MESSAGE\":\"one\"}\n").unwrap();
    let mut events = place.stream("/logs/stream?source=journal", None).await;
    assert_eq!(events.line().await, ("one".to_owned(), "j:s=1".to_owned()));
    let mut journal = fs::OpenOptions::new().append(true).open(place.path("bin/journal.json")).unwrap();
    writeln!(journal, "{{\"__CURSOR\":\"s=2\",\"MESSAGE\":\"two\"}}").unwrap();
    assert_eq!(events.line().await.0, "two");
    let here = place.path("bin");
    assert!(processes(&here) > 0);
    drop(events);
    until("the program is gone", || processes(&here) == 0).await;
}

/// How many processes name this path in their arguments.
fn processes(path: &Path) -> usize {
    let path = path.to_str().unwrap();
    let names = |entry: &fs::DirEntry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(path)
    };
    fs::read_dir("/proc").unwrap().flatten().filter(names).count()
}

/// For what nothing announces.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not so in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn all_who_look_share_one_sampler_that_ends_with_the_last() {
    let place = Place::new("").await;
    assert!(!place.metrics.is_measuring());
    let mut first = place.stream("/metrics", None).await;
    let mut second = place.stream("/metrics", None).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        for events in [&mut first, &mut second] {
            let event = events.next().await.unwrap();
            assert_eq!(event.name, "sample");
            let sample: Sample = serde_json::from_str(&event.data).unwrap();
            assert!(sample.memory_total > 0);
            assert_eq!(sample.running_tasks, 1);
            told.push(event.data);
        }
    }
    assert_eq!((&told[0], &told[2]), (&told[1], &told[3]));
    drop(first);
    assert_eq!(second.next().await.unwrap().name, "sample");
    assert!(place.metrics.is_measuring());
    drop(second);
    until("nothing is measured", || !place.metrics.is_measuring()).await;
    // Whoever comes later sees how it is then.
    let mut third = place.stream("/metrics", None).await;
    assert_eq!(third.next().await.unwrap().name, "sample");
}

#[tokio::test]
async fn while_somebody_looks_it_is_measured_each_second_and_while_nobody_does_nothing_runs() {
    let place = Place::new("").await;
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../machine/tests/fixtures/h100");
    for name in ["nvidia-smi.csv", "nvidia-smi-loop.csv"] {
        fs::copy(recorded.join(name), place.path(name)).unwrap();
    }
    let (tool, asked) = (place.path("bin/nvidia-smi"), place.path("asked"));
    let play = recorded.join("bin/nvidia-smi");
    let script = format!("#!/bin/sh\necho \"$$ $*\" >> {}\n. {}\n", asked.display(), play.display());
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert!(!place.metrics.is_measuring() && !asked.exists());

    let mut events = place.stream("/metrics", None).await;
    let (mut came, mut gpus) = (Vec::new(), 0);
    while came.len() < 6 || gpus == 0 {
        let event = events.next().await.unwrap();
        assert_eq!(event.name, "sample");
        came.push(Instant::now());
        let sample: Sample = serde_json::from_str(&event.data).unwrap();
        gpus = gpus.max(sample.gpus.len());
    }
    let mut gaps: Vec<_> = came.windows(2).map(|two| two[1] - two[0]).collect();
    gaps.sort();
    let second = Duration::from_millis(900)..Duration::from_millis(1_500);
    assert!(second.contains(&gaps[gaps.len() / 2]), "{gaps:?}");
    let calls = fs::read_to_string(&asked).unwrap();
    let at_that_pace = calls.lines().find(|call| call.ends_with(" -l 1")).expect(&calls);
    let reports = Path::new("/proc").join(at_that_pace.split(' ').next().unwrap());
    assert!(reports.exists());

    drop(events);
    until("it ends with what it runs", || !place.metrics.is_measuring() && !reports.exists()).await;
    assert_eq!(fs::read_to_string(&asked).unwrap(), calls, "and nobody is asked again");
}
