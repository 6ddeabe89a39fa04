//! Containers, with Docker's program played.

use std::{fs, io::Write as _, path::PathBuf};

use foreman_machine::logs::{Item, LogStream, OpenError, Request};
use foreman_protocol::{LogKind, LogLevel, LogLine, LogReason};

use super::{
    Machine, next,
    programs::{all_gone, machine_with, processes},
    texts,
};

struct Web {
    file: PathBuf,
    /// Seconds of the day.
    clock: u32,
}

impl Web {
    fn write(&mut self, stream: &str, text: &str) {
        self.clock += 1;
        self.write_at_the_same_time(stream, text);
    }

    fn write_at_the_same_time(&self, stream: &str, text: &str) {
        let (minutes, seconds) = (self.clock / 60, self.clock % 60);
        let since_1970 = 1_795_262_400 + self.clock;
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.file).unwrap();
        let stamp = format!("2026-11-21T12:{minutes:02}:{seconds:02}.000000001Z");
        writeln!(file, "{since_1970}000000001 {stamp} {stream} {text}").unwrap();
    }

    fn stop(&self) {
        let mut file = fs::OpenOptions::new().append(true).open(&self.file).unwrap();
        writeln!(file, "stop").unwrap();
    }
}

fn docker() -> (Machine, Web) {
    let (machine, folder) = machine_with(&["docker"]);
    let containers = r#"{"ID":"0123456789ab","Image":"nginx","Names":"web","State":"running"}
{"ID":"ba9876543210","Image":"alpine","Names":"old","State":"exited"}
"#;
    fs::write(folder.join("containers.json"), containers).unwrap();
    let file = folder.join("web.container");
    fs::write(&file, "").unwrap();
    (machine, Web { file, clock: 0 })
}

fn asked() -> Request {
    Request { source: "container:web".to_owned(), lines: 200, follow: true, ..Request::default() }
}

async fn line(stream: &mut LogStream) -> (LogLine, String) {
    match next(stream).await {
        Item::Line { line, cursor } => (line, cursor),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_line_comes_once() {
    let (machine, mut web) = docker();
    let mut written = 0;
    let mut write = |count: usize| {
        for number in written..written + count {
            // Of every three lines two have the same time.
            if number % 3 == 2 {
                web.write_at_the_same_time("out", &format!("line {number}"));
            } else {
                web.write("out", &format!("line {number}"));
            }
        }
        written += count;
    };
    write(20);
    let mut stream = machine.open(asked()).await.unwrap();
    let (mut read, mut cursor) = (0, String::new());
    for round in 0..6 {
        if round > 0 {
            drop(stream);
            write(7);
            stream = machine.open(Request { after: Some(cursor.clone()), ..asked() }).await.unwrap();
            write(10);
        }
        while read < 14 * (round + 1) + round {
            let (line, at) = line(&mut stream).await;
            assert_eq!(line.text, format!("line {read}"), "round {round}, behind {cursor}");
            assert_eq!(line.from.as_deref(), Some("stdout"));
            (read, cursor) = (read + 1, at);
        }
    }
}

#[tokio::test]
async fn both_streams_come_in_order_with_their_names() {
    let (machine, mut web) = docker();
    web.write("out", "one");
    web.write("err", "ERROR two");
    web.write("out", "three");
    let mut stream = machine.open(Request { lines: 2, ..asked() }).await.unwrap();
    let (two, cursor) = line(&mut stream).await;
    assert_eq!(two.from.as_deref(), Some("stderr"));
    assert_eq!((two.text.as_str(), two.level), ("ERROR two", Some(LogLevel::Error)));
    assert_eq!(two.at, Some(1_795_262_402_000));
    assert_eq!(line(&mut stream).await.0.text, "three");
    web.write("err", "four");
    assert_eq!(line(&mut stream).await.0.text, "four");
    // Back behind the second, which is a place in both streams.
    let mut stream = machine.open(Request { after: Some(cursor), ..asked() }).await.unwrap();
    let mut rest = [line(&mut stream).await.0.text, line(&mut stream).await.0.text];
    rest.sort();
    assert_eq!(rest, ["four", "three"]);
}

#[tokio::test]
async fn filters_count_what_they_let_through() {
    let (machine, mut web) = docker();
    for number in 0..300 {
        web.write("out", &format!("{} {number}", if number % 50 == 0 { "WARN" } else { "INFO" }));
    }
    let bad = Request { lines: 2, follow: false, level: Some(LogLevel::Warn), ..asked() };
    assert_eq!(texts(machine.open(bad).await.unwrap()).await, ["WARN 200", "WARN 250"]);
}

#[tokio::test]
async fn what_the_engine_does_not_hold_any_more_is_a_gap() {
    let (machine, mut web) = docker();
    web.write("out", "one");
    let mut stream = machine.open(asked()).await.unwrap();
    let (_, cursor) = line(&mut stream).await;
    drop(stream);
    fs::write(&web.file, "").unwrap();
    web.write("out", "two");
    let mut stream = machine.open(Request { after: Some(cursor), ..asked() }).await.unwrap();
    assert_eq!(next(&mut stream).await, Item::Gap);
    assert_eq!(line(&mut stream).await.0.text, "two");
}

#[tokio::test]
async fn a_container_that_stops_ends_its_log() {
    let (machine, mut web) = docker();
    web.write("out", "one");
    let mut stream = machine.open(asked()).await.unwrap();
    line(&mut stream).await;
    web.write("out", "two");
    line(&mut stream).await;
    fs::write(machine.path("bin/containers.json"), r#"{"ID":"0123456789ab","Names":"web","State":"exited"}"#)
        .unwrap();
    web.stop();
    let Item::End(Some(reason)) = next(&mut stream).await else { panic!("it went on") };
    assert_eq!(reason.reason, LogReason::ContainerStopped, "{reason}");
}

#[tokio::test]
async fn containers_are_listed_and_others_refused() {
    let (machine, _) = docker();
    let sources = machine.logs.sources().await.sources;
    let containers: Vec<_> = sources
        .iter()
        .filter(|source| source.kind == LogKind::Container)
        .map(|source| (source.id.as_str(), source.active))
        .collect();
    assert_eq!(containers, [("container:web", true), ("container:old", false)]);
    let of = |source: &str| machine.open(Request { source: source.to_owned(), ..asked() });
    assert!(matches!(of("container:none").await.err(), Some(OpenError::NotFound(_))));
    assert!(matches!(of("container:--help").await.err(), Some(OpenError::Invalid { .. })));
    // It is listed, but its log is gone.
    let mut stream = of("container:old").await.unwrap();
    let Item::End(Some(reason)) = next(&mut stream).await else { panic!("it went on") };
    assert!(reason.detail.is_some_and(|said| said.contains("No such container")));
}

#[tokio::test]
async fn a_reader_who_leaves_takes_the_program_along() {
    let (machine, mut web) = docker();
    web.write("out", "one");
    let mut stream = machine.open(asked()).await.unwrap();
    line(&mut stream).await;
    web.write("out", "two");
    line(&mut stream).await;
    let folder = machine.path("bin");
    let here = folder.to_str().unwrap();
    assert!(!processes(here).is_empty());
    drop(stream);
    all_gone(here).await;
}
