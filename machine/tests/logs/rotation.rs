//! Numbered lines are written while their file is rotated and the reader comes and goes: each line arrives once.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use foreman_machine::logs::Item;
use tokio::sync::watch;

use super::{Machine, following, next};

const LINES: usize = 4_000;
const ROTATIONS: usize = 3;
const RECONNECTS: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// logrotate's `create`: the writer keeps the old file for some lines.
    Rename,
    /// logrotate's `dateext`.
    Dated,
    /// logrotate's `copytruncate`.
    CopyTruncate,
    /// Nothing is kept.
    Delete,
}

fn append(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

fn shift(path: &Path) -> PathBuf {
    let numbered = |n: usize| PathBuf::from(format!("{}.{n}", path.display()));
    for n in (1..ROTATIONS + 1).rev() {
        let _ = fs::rename(numbered(n), numbered(n + 1));
    }
    numbered(1)
}

fn write_all(path: &Path, kind: Kind, mut seen: watch::Receiver<usize>) {
    let mut file = append(path);
    let every = LINES / (ROTATIONS + 1);
    let mut reopen_at = usize::MAX;
    for number in 1..LINES {
        if number == reopen_at {
            file = append(path);
        }
        writeln!(file, "line {number} {}", "x".repeat(number % 90)).unwrap();
        if (number + 1) % every != 0 || number + 1 == LINES {
            continue;
        }
        match kind {
            Kind::Rename => {
                fs::rename(path, shift(path)).unwrap();
                append(path);
                reopen_at = number + 20;
            }
            Kind::Dated => {
                fs::rename(path, format!("{}-202611{:02}", path.display(), number / every)).unwrap();
                file = append(path);
            }
            Kind::CopyTruncate => {
                fs::copy(path, shift(path)).unwrap();
                file.set_len(0).unwrap();
            }
            Kind::Delete => {
                // What is deleted before anybody read it is gone, so it has to be read before.
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(seen.wait_for(|seen| *seen > number)).unwrap();
                fs::remove_file(path).unwrap();
                file = append(path);
            }
        }
    }
}

async fn each_line_once(kind: Kind) {
    let machine = Machine::new();
    let path = machine.path("app.log");
    fs::write(&path, "line 0 \n").unwrap();
    let (progress, seen) = watch::channel(0);
    let mut stream = machine.open(following(&path)).await.unwrap();
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || write_all(&path, kind, seen))
    };
    let mut expected = 0;
    while expected < LINES {
        match next(&mut stream).await {
            Item::Line { line, cursor } => {
                let text = format!("line {expected} {}", "x".repeat(expected % 90));
                assert_eq!(line.text, text, "{kind:?}");
                expected += 1;
                progress.send_replace(expected);
                if expected % (LINES / (RECONNECTS + 1)) == 0 {
                    // As after a restart of the agent: nothing is known but the cursor.
                    let again = machine.logs.clone();
                    drop(stream);
                    let request = foreman_machine::logs::Request { after: Some(cursor), ..following(&path) };
                    stream = again.open(request).await.unwrap();
                }
            }
            Item::Reached(_) => {}
            other => panic!("{kind:?} after {expected} lines: {other:?}"),
        }
    }
    writer.join().unwrap();
}

#[tokio::test]
async fn a_renamed_log_loses_and_repeats_nothing() {
    each_line_once(Kind::Rename).await;
}

#[tokio::test]
async fn a_log_rotated_by_date_loses_and_repeats_nothing() {
    each_line_once(Kind::Dated).await;
}

#[tokio::test]
async fn a_copied_and_emptied_log_loses_and_repeats_nothing() {
    each_line_once(Kind::CopyTruncate).await;
}

#[tokio::test]
async fn a_deleted_log_is_found_again_when_it_is_made_anew() {
    each_line_once(Kind::Delete).await;
}

#[tokio::test]
async fn what_was_rotated_away_meanwhile_is_a_gap() {
    let machine = Machine::new();
    let path = machine.path("app.log");
    for away in ["deleted", "emptied", "compressed"] {
        fs::write(&path, "one\ntwo\n").unwrap();
        let mut stream = machine.open(following(&path)).await.unwrap();
        let Item::Line { cursor, .. } = next(&mut stream).await else { panic!("no line") };
        drop(stream);
        match away {
            "deleted" => fs::remove_file(&path).unwrap(),
            "emptied" => {}
            _ => fs::rename(&path, machine.path("app.log.1.gz")).unwrap(),
        }
        fs::write(&path, "new, and longer than what was there before\n").unwrap();
        let request = foreman_machine::logs::Request { after: Some(cursor), ..following(&path) };
        let mut stream = machine.open(request).await.unwrap();
        assert_eq!(next(&mut stream).await, Item::Gap, "{away}");
        let Item::Line { line, .. } = next(&mut stream).await else { panic!("no line") };
        assert!(line.text.starts_with("new"), "{away}");
    }
}

#[tokio::test]
async fn a_log_that_is_emptied_while_it_is_read_says_that_lines_may_be_missing() {
    let machine = Machine::new();
    let path = machine.path("app.log");
    fs::write(&path, "one\n").unwrap();
    let mut stream = machine.open(following(&path)).await.unwrap();
    assert!(matches!(next(&mut stream).await, Item::Line { .. }));
    fs::write(&path, "another line that is longer\n").unwrap();
    assert_eq!(next(&mut stream).await, Item::Gap);
    assert!(matches!(next(&mut stream).await, Item::Line { line, .. } if line.text.starts_with("another")));
}
