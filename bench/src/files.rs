//! Files on a device over the local network: the first of many entries, and a search against ripgrep on the same tree.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use foreman_client::{
    DeviceConnection, PathKind,
    device::{FileSearch, SearchUpdate},
};
use futures_util::StreamExt;
use journeys::soon;
use tokio::process::Command;

use crate::{
    device::OwnedDevice,
    measure::median,
    peers::find,
    table::{Table, Target},
};

const ENTRIES: usize = 100_000;
const FIRST: usize = 500;
const TURNS: usize = 9;

/// The searched tree: this many folders of so many files of so many bytes, 200 MB in all.
const FOLDERS: usize = 100;
const FILES: usize = 100;
const FILE: usize = 20_000;
/// One file of so many holds what is looked for.
const HIT_EVERY: usize = 25;
const NEEDLE: &str = "needle_in_the_hay";

pub async fn measure(table: &mut Table) {
    let device = OwnedDevice::start().await;
    let connection = device.over(PathKind::Lan).await;
    let many = device.folder.join("many");
    let tree = device.folder.join("tree");
    let (making_many, making_tree) = (many.clone(), tree.clone());
    let made = tokio::task::spawn_blocking(move || {
        make_many(&making_many);
        make_tree(&making_tree);
    });
    made.await.expect("the files are made");
    listing(table, &connection, many.to_str().expect("text")).await;
    searching(table, &connection, tree.to_str().expect("text")).await;
}

fn make_many(folder: &Path) {
    std::fs::create_dir(folder).expect("a folder");
    for number in 0..ENTRIES {
        std::fs::File::create(folder.join(format!("entry {number}.txt"))).expect("an entry");
    }
}

/// Text as in a program's source; the same every time.
fn make_tree(folder: &Path) {
    const WORDS: [&str; 16] = [
        "let", "server", "device", "=", "match", "path", "(", ")", "return", "value", "async", "the", "{",
        "}", "self", "u64",
    ];
    let mut state = 1_u64;
    for number in 0..FOLDERS * FILES {
        let mut text = String::with_capacity(FILE + 100);
        while text.len() < FILE {
            for _ in 0..10 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(WORDS[(state >> 60) as usize]);
                text.push(' ');
            }
            text.push('\n');
        }
        if number % HIT_EVERY == 0 {
            text.push_str(NEEDLE);
            text.push('\n');
        }
        let folder = folder.join(format!("part {}", number / FILES));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("file {number}.rs")), text).expect("a file");
    }
}

async fn listing(table: &mut Table, device: &DeviceConnection, path: &str) {
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let begin = Instant::now();
        let listed = soon("the first entries", device.files(path, false).take(FIRST).count()).await;
        assert_eq!(listed, FIRST);
        first.push(begin.elapsed());
    }
    for _ in 0..3 {
        let begin = Instant::now();
        let listed = soon("all entries", device.files(path, false).count()).await;
        assert_eq!(listed, ENTRIES);
        all.push(begin.elapsed());
    }
    let target = Target::AtMost(100.0);
    table.value("first 500 of 100,000 entries, p50", "ms", millis(median(&mut first)), target);
    table.told("all 100,000 entries, page by page", "ms", millis(median(&mut all)), None);
}

async fn searching(table: &mut Table, device: &DeviceConnection, path: &str) {
    let rg = find(&["rg"]);
    let (mut ours, mut first, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    // One more, to have the tree in memory.
    for number in 0..=TURNS {
        let (all, hit) = search(device, path).await;
        let rg = match &rg {
            Ok(rg) => Some(ripgrep(rg, path).await),
            Err(_) => None,
        };
        if number > 0 {
            ours.push(all);
            first.push(hit);
            theirs.extend(rg);
        }
    }
    let all = millis(median(&mut ours));
    match rg {
        Ok(_) => {
            let theirs = millis(median(&mut theirs));
            table.ratio("search of 200 MB, p50, rg", "ms", all, theirs, Target::AtMost(1.2));
        }
        Err(why) => {
            table.skipped("ripgrep", why);
            table.told("search of 200 MB, p50", "ms", all, None);
        }
    }
    table.value("first hit of a search, p50", "ms", millis(median(&mut first)), Target::AtMost(50.0));
}

/// Until all is said, and until the first hit.
async fn search(device: &DeviceConnection, path: &str) -> (Duration, Duration) {
    let begin = Instant::now();
    let wanted = FileSearch { text: NEEDLE.to_owned(), case: true, ..FileSearch::default() };
    let mut updates = device.search(path, &wanted);
    let (mut hits, mut first) = (0, None);
    loop {
        match soon("a search", updates.next()).await.expect("it says its end") {
            SearchUpdate::Hit(_) => {
                hits += 1;
                first.get_or_insert_with(|| begin.elapsed());
            }
            SearchUpdate::Ended(_) => break,
            SearchUpdate::Failed(error) => panic!("the search failed: {error}"),
        }
    }
    assert_eq!(hits, FOLDERS * FILES / HIT_EVERY, "other hits than there are");
    (begin.elapsed(), first.expect("there were hits"))
}

async fn ripgrep(rg: &Path, path: &str) -> Duration {
    let begin = Instant::now();
    let mut command = Command::new(rg);
    command.args(["--no-config", "--line-number", "--fixed-strings", "--case-sensitive", NEEDLE, path]);
    let output = command.output().await.expect("ripgrep starts");
    let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, FOLDERS * FILES / HIT_EVERY, "ripgrep finds other hits");
    begin.elapsed()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
