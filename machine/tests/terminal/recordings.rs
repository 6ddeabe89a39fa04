//! Recordings: only when asked for, private, and all of it.

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use foreman_protocol::{OpenTerminal, TerminalFrame, UpdateTerminal};
use serde_json::Value;

use crate::place::{Place, shell};

fn lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn printed(lines: &[Value]) -> String {
    lines.iter().filter(|line| line[1] == "o").map(|line| line[2].as_str().unwrap()).collect()
}

#[tokio::test]
async fn everything_printed_is_in_a_private_file() {
    let place = Place::new();
    let line = "printf 'gr\\303'; sleep 0.1; printf '\\274\\303\\237e\\377'; read x; seq 1 200000";
    let terminal = place.request(OpenTerminal { record: true, ..shell(line) }).await.unwrap();
    let path = terminal.recording.unwrap();
    let mut client = place.attach(terminal.id, 0, Some("me"));
    client.typing.send(TerminalFrame::Resize { cols: 100, rows: 40 }).await;
    // The echo of the line would come between two bytes of a letter.
    client.until("ße").await;
    client.type_line("").await;
    let (_, _) = client.until_end().await;
    let lines = lines(&path);
    assert_eq!((&lines[0]["version"], &lines[0]["width"]), (&2.into(), &80.into()));
    assert!(lines.iter().any(|line| line[1] == "r" && line[2] == "100x40"));
    let numbers: String = (1..=200_000).map(|number| format!("{number}\r\n")).collect();
    let text = printed(&lines);
    assert!(text.starts_with("grüße\u{fffd}"), "{:?}", text.chars().take(20).collect::<String>());
    assert!(text.ends_with(&numbers), "{} bytes", text.len());
    assert!(lines.windows(2).skip(1).all(|two| two[0][0].as_f64() <= two[1][0].as_f64()));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.as_ref()), 0o600);
    assert_eq!(mode(&place.path().join("recordings")), 0o700);
    assert_eq!(place.terminals.get(terminal.id).unwrap().recording, Some(path));
}

#[tokio::test]
async fn a_recording_begins_and_ends_when_somebody_says_so() {
    let place = Place::new();
    let mut client = place.open("stty -echo; echo ready; cat").await;
    client.until("ready").await;
    let id = client.id();
    assert!(!place.path().join("recordings").exists());
    client.type_line("before").await;
    client.until("before").await;
    let record = |on| UpdateTerminal { name: None, record: Some(on) };
    let path = place.terminals.update(id, &record(true)).unwrap().recording.unwrap();
    client.until_state(|state| state.terminal.recording.as_ref() == Some(&path)).await;
    client.type_line("within").await;
    client.until("within").await;
    assert_eq!(place.terminals.update(id, &record(false)).unwrap().recording, None);
    client.type_line("behind").await;
    client.until("behind").await;
    crate::place::eventually(|| printed(&lines(&path)) == "within\r\n").await;
    let again = place.terminals.update(id, &record(true)).unwrap().recording.unwrap();
    assert_ne!(path, again);
    place.terminals.end(id, "mia");
    client.until_end().await;
    assert!(place.terminals.update(id, &record(true)).is_err());
}

#[tokio::test]
async fn the_oldest_recordings_go_when_a_new_one_needs_their_room() {
    let place = Place::new();
    let folder = place.path().join("recordings");
    std::fs::create_dir(&folder).unwrap();
    let old = |name: &str, age: u64| {
        // Holes, so that no disk is filled.
        let file = std::fs::File::create(folder.join(name)).unwrap();
        file.set_len(300 << 20).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    };
    for (name, age) in [("b.cast", 400), ("a.cast", 300), ("c.cast", 200), ("not-ours", 500)] {
        old(name, age);
    }
    let there = || {
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).filter(|name| name.len() == 6).collect::<BTreeSet<_>>()
    };
    let recorded = || OpenTerminal { record: true, ..shell("cat") };
    let first = place.request(recorded()).await.unwrap().recording.unwrap();
    assert_eq!(there(), BTreeSet::from(["a.cast", "b.cast", "c.cast"].map(str::to_owned)), "there is room");
    // The oldest of all now, and being written.
    std::fs::File::options().write(true).open(&first).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let second = place.request(recorded()).await.unwrap().recording.unwrap();
    assert_eq!(there(), BTreeSet::from(["a.cast", "c.cast"].map(str::to_owned)));
    for path in [first.as_ref(), second.as_ref(), folder.join("not-ours").as_path()] {
        assert!(Path::new(path).exists(), "{}", path.display());
    }
}
