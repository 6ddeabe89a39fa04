//! systemd's journal: the real one where this machine can have one of its own for the test, and a played one.

use std::{
    fs,
    io::Write as _,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use foreman_machine::logs::{Item, LogStream, OpenError, Request};
use foreman_protocol::{LogKind, LogLevel, LogLine, LogReason};

use super::{
    Machine, next,
    programs::{all_gone, machine_with, processes, script},
    texts,
};

fn asked(source: &str) -> Request {
    Request { source: source.to_owned(), lines: 200, follow: true, ..Request::default() }
}

/// Something that can be written to as a journal.
enum Journal {
    Real { daemon: Child, name: String, socket: UnixDatagram },
    Played { file: PathBuf, count: usize },
}

impl Journal {
    fn write(&mut self, text: &str, priority: u8) {
        match self {
            Self::Real { socket, .. } => {
                let entry = format!("MESSAGE={text}\nPRIORITY={priority}\nSYSLOG_IDENTIFIER=tester\n");
                socket.send(entry.as_bytes()).unwrap();
            }
            Self::Played { file, count } => {
                *count += 1;
                let mut file = fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
                let entry = serde_json::json!({
                    "__CURSOR": format!("s=1;i={count}"), "__REALTIME_TIMESTAMP": "1795263631394184",
                    "MESSAGE": text, "PRIORITY": priority.to_string(), "SYSLOG_IDENTIFIER": "tester",
                    "_SYSTEMD_UNIT": if count.is_multiple_of(2) { "even.service" } else { "odd.service" },
                });
                writeln!(file, "{entry}").unwrap();
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let Self::Real { daemon, name, .. } = self else { return };
        let _ = daemon.kill();
        let _ = daemon.wait();
        let _ = fs::remove_dir_all(format!("/run/systemd/journal.{name}"));
        for place in ["/var/log/journal", "/run/log/journal"] {
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().ends_with(&format!(".{name}")) {
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
    }
}

fn played() -> (Machine, Journal) {
    let (machine, folder) = machine_with(&["journalctl", "systemctl"]);
    let file = folder.join("journal.json");
    fs::write(&file, "").unwrap();
    (machine, Journal::Played { file, count: 0 })
}

/// A journal daemon in a namespace of its own; `None` where that needs rights or programs that are not there.
fn real() -> Option<(Machine, Journal)> {
    let daemon = Path::new("/lib/systemd/systemd-journald");
    let program = Path::new("/usr/bin/journalctl");
    if !nix::unistd::geteuid().is_root() || !daemon.exists() || !program.exists() {
        return None;
    }
    let (machine, folder) = machine_with(&[]);
    let name = format!("foreman-test-{}", std::process::id());
    script(
        &folder.join("journalctl"),
        &format!("#!/bin/sh\nexec {} --namespace={name} \"$@\"\n", program.display()),
    );
    fs::create_dir_all(format!("/run/systemd/journal.{name}")).ok()?;
    let daemon = Command::new(daemon).arg(&name).spawn().ok()?;
    let socket = UnixDatagram::unbound().unwrap();
    let journal = Journal::Real { daemon, name: name.clone(), socket };
    let Journal::Real { socket, .. } = &journal else { return None };
    // Its socket appears when it listens; nothing else says so.
    let deadline = Instant::now() + Duration::from_secs(10);
    while socket.connect(format!("/run/systemd/journal.{name}/socket")).is_err() {
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Some((machine, journal))
}

/// The next line that the test wrote; the real journal tells of itself, too.
async fn line(stream: &mut LogStream) -> (LogLine, String) {
    loop {
        match next(stream).await {
            Item::Line { line, cursor } if line.text.starts_with("test ") => return (line, cursor),
            Item::Line { .. } | Item::Reached(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn every_entry_comes_once(machine: &Machine, journal: &mut Journal) {
    let priority = |number: usize| if number.is_multiple_of(2) { 3 } else { 7 };
    let mut written = 0;
    let mut write = |count: usize| {
        for number in written..written + count {
            journal.write(&format!("test {number}"), priority(number));
        }
        written += count;
    };
    write(20);
    let mut stream = machine.open(asked("journal")).await.unwrap();
    let (mut read, mut cursor) = (0_usize, String::new());
    for round in 0..6 {
        if round > 0 {
            drop(stream);
            write(7);
            let request = Request { after: Some(cursor.clone()), ..asked("journal") };
            stream = machine.logs.clone().open(request).await.unwrap();
            write(10);
        }
        // Some are left for the next round.
        while read < 15 * (round + 1) {
            let (line, at) = line(&mut stream).await;
            assert_eq!(line.text, format!("test {read}"));
            assert_eq!(
                line.level,
                Some(if read.is_multiple_of(2) { LogLevel::Error } else { LogLevel::Debug })
            );
            assert!(line.at.is_some() && line.from.is_some());
            (read, cursor) = (read + 1, at);
        }
    }
}

async fn the_past_is_filtered(machine: &Machine, journal: &mut Journal) {
    for number in 0..500 {
        journal.write(&format!("test {number}"), if number % 100 == 0 { 4 } else { 6 });
    }
    // What was written is there when the last of it is.
    let mut stream = machine.open(Request { lines: 1, ..asked("journal") }).await.unwrap();
    while line(&mut stream).await.0.text != "test 499" {}
    let bad = Request { lines: 2, follow: false, level: Some(LogLevel::Warn), ..asked("journal") };
    assert_eq!(texts(machine.open(bad).await.unwrap()).await, ["test 300", "test 400"]);
    let grep = Request { lines: 9, follow: false, grep: Some("^TEST 10\\d$".to_owned()), ..asked("journal") };
    assert!(texts(machine.open(grep).await.unwrap()).await.is_empty());
    let grep = Request { lines: 9, follow: false, grep: Some("^test 10\\d$".to_owned()), ..asked("journal") };
    assert_eq!(texts(machine.open(grep).await.unwrap()).await.len(), 9);
}

async fn an_entry_that_is_gone_is_a_gap(machine: &Machine, journal: &mut Journal) {
    journal.write("test 0", 6);
    let mut stream = machine.open(asked("journal")).await.unwrap();
    let (_, cursor) = line(&mut stream).await;
    // As of a journal that was thrown away: its id is another.
    let first = cursor.as_bytes()[4] as char;
    let gone = cursor.replacen(first, if first == '1' { "2" } else { "1" }, 1);
    let mut stream = machine.open(Request { after: Some(gone), ..asked("journal") }).await.unwrap();
    assert_eq!(next(&mut stream).await, Item::Gap);
    assert_eq!(line(&mut stream).await.0.text, "test 0");
}

#[tokio::test]
async fn every_entry_of_a_played_journal_comes_once() {
    let (machine, mut journal) = played();
    every_entry_comes_once(&machine, &mut journal).await;
}

#[tokio::test]
async fn the_past_of_a_played_journal_is_filtered() {
    let (machine, mut journal) = played();
    the_past_is_filtered(&machine, &mut journal).await;
}

#[tokio::test]
async fn a_played_journal_tells_of_gaps() {
    let (machine, mut journal) = played();
    an_entry_that_is_gone_is_a_gap(&machine, &mut journal).await;
}

#[tokio::test]
async fn the_real_journal_does_the_same() {
    let Some((machine, mut journal)) = real() else {
        eprintln!("skipped: this machine cannot have a journal for the test");
        return;
    };
    an_entry_that_is_gone_is_a_gap(&machine, &mut journal).await;
    drop(journal);
    for test in 0..2 {
        let (machine, mut journal) = real().unwrap();
        if test == 0 {
            every_entry_comes_once(&machine, &mut journal).await;
        } else {
            the_past_is_filtered(&machine, &mut journal).await;
        }
    }
}

#[tokio::test]
async fn a_unit_has_its_own_lines_and_units_are_listed() {
    let (machine, mut journal) = played();
    for number in 0..4 {
        journal.write(&format!("test {number}"), 6);
    }
    let even = Request { follow: false, ..asked("journal:even.service") };
    assert_eq!(texts(machine.open(even).await.unwrap()).await, ["test 1", "test 3"]);
    let sources = machine.logs.sources().await.sources;
    let journals: Vec<_> = sources
        .iter()
        .filter(|source| source.kind == LogKind::Journal)
        .map(|source| source.id.as_str())
        .collect();
    assert_eq!(journals, ["journal", "journal:even.service", "journal:odd.service", "journal:ssh.service"]);
    for name in ["--flush", "a b", "*"] {
        let refused = machine.open(asked(&format!("journal:{name}"))).await.err();
        assert!(matches!(refused, Some(OpenError::Invalid { field: "source", .. })), "{name}");
    }
    let request = Request { after: Some("j:--flush".to_owned()), ..asked("journal") };
    assert!(matches!(machine.open(request).await.err(), Some(OpenError::Invalid { .. })));
}

#[tokio::test]
async fn a_reader_who_leaves_takes_the_program_along() {
    let (machine, mut journal) = played();
    journal.write("test 0", 6);
    let mut stream = machine.open(asked("journal")).await.unwrap();
    line(&mut stream).await;
    journal.write("test 1", 6);
    line(&mut stream).await;
    let folder = machine.path("bin");
    let here = folder.to_str().unwrap();
    assert!(!processes(here).is_empty());
    drop(stream);
    all_gone(here).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let (machine, _) = machine_with(&[]);
    let unavailable = machine.logs.sources().await.unavailable;
    let reasons: Vec<_> = unavailable.iter().map(|kind| (kind.kind, kind.reason.as_str())).collect();
    assert_eq!(reasons, [(LogKind::Journal, "not installed"), (LogKind::Container, "not installed")]);
    for source in ["journal", "container:web"] {
        assert!(
            matches!(machine.open(asked(source)).await.err(), Some(OpenError::Unavailable(_))),
            "{source}"
        );
    }
}

#[tokio::test]
async fn a_program_that_hangs_or_may_not_is_not_waited_for() {
    let (machine, folder) = machine_with(&[]);
    script(
        &folder.join("journalctl"),
        "#!/bin/sh\necho 'No journal files were opened due to insufficient permissions.' >&2\nexit 1\n",
    );
    script(&folder.join("docker"), "#!/bin/sh\nsleep 1000\n");
    let unavailable = machine.logs.sources().await.unavailable;
    assert!(unavailable[0].reason.contains("systemd-journal"), "{unavailable:?}");
    assert!(unavailable[1].reason.contains("took longer"), "{unavailable:?}");
    let codes: Vec<_> = unavailable.iter().map(|kind| kind.code).collect();
    assert_eq!(codes, [Some(LogReason::NoRight), Some(LogReason::TooSlow)]);
    all_gone(folder.to_str().unwrap()).await;
    let mut stream = machine.open(asked("journal")).await.unwrap();
    let Item::End(Some(reason)) = next(&mut stream).await else { panic!("it went on") };
    assert_eq!((reason.reason, reason.detail.as_deref()), (LogReason::NoRight, Some("systemd-journal")));
    assert!(reason.text.contains("systemd-journal"), "{reason}");
}

#[tokio::test]
async fn a_slow_reader_makes_the_program_wait() {
    let (machine, folder) = machine_with(&[]);
    // By the folder's name in the entry its process is found.
    let here = folder.display();
    let entry = format!(r#"{{"__CURSOR":"s=1","_COMM":"{here}","MESSAGE":"{}"}}"#, "x".repeat(1000));
    script(&folder.join("journalctl"), &format!("#!/bin/sh\nexec yes '{entry}'\n"));
    let mut stream = machine.open(Request { lines: 1, ..asked("journal") }).await.unwrap();
    assert!(matches!(next(&mut stream).await, Item::Line { .. }));
    assert!(matches!(next(&mut stream).await, Item::Line { .. }));
    // Nobody takes any more: the program stops writing, long before it has written much.
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut before, mut still) = (0, 0);
    while still < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let written = written_by(folder.to_str().unwrap());
        still = if written == before && written > 0 { still + 1 } else { 0 };
        before = written;
        assert!(Instant::now() < deadline, "{before} bytes and more");
    }
    assert!(before < 1 << 20, "{before}");
    drop(stream);
    all_gone(folder.to_str().unwrap()).await;
}

/// Bytes that the processes naming this text have written.
fn written_by(text: &str) -> u64 {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let written = |entry: fs::DirEntry| {
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let named = String::from_utf8_lossy(&command).contains(text);
        let io = named.then(|| fs::read_to_string(entry.path().join("io")).ok())??;
        io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse::<u64>().ok())
    };
    entries.filter_map(written).sum()
}
