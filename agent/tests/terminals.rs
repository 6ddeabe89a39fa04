//! Terminals as a caller of the device link meets them: the device's routes over HTTP/2, real shells behind them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

#[path = "terminals/desk.rs"]
mod desk;

use std::time::Duration;

use bytes::Bytes;
use desk::{Desk, shell};
use foreman_protocol::{Level, TerminalId};
use foreman_protocol::{
    LinkUse, MAX_TERMINAL_FRAME, OpenTerminal, Page, ProblemCode, SCROLLBACK, Terminal, TerminalFrame,
    UpdateTerminal,
};
use serde_json::json;

#[tokio::test]
async fn a_shell_is_opened_typed_in_resized_and_ended() {
    let mut desk = Desk::new();
    let mia = desk.client("mia", Level::Operate).await;
    let terminal = mia.open(&OpenTerminal { cols: 100, rows: 30, ..OpenTerminal::default() }).await;
    assert_eq!((terminal.cols, terminal.rows, terminal.opened_by.as_str()), (100, 30, "mia"));
    let opened = LinkUse::TerminalOpened { terminal_id: terminal.id, by: "mia".to_owned() };
    assert_eq!(desk.used.recv().await, Some(opened));

    let mut viewer = mia.attach(terminal.id, 0, Some("mia-1")).await.unwrap();
    let first = viewer.next().await.unwrap();
    assert!(
        matches!(first, TerminalFrame::State(state) if state.may_write && state.terminal.id == terminal.id)
    );
    viewer.type_line("echo $((6*7)) $(stty size)").await;
    viewer.until("42 30 100\r\n").await;
    viewer.send(TerminalFrame::Resize { cols: 120, rows: 50 }).await;
    viewer.type_line("stty size").await;
    viewer.until("50 120\r\n").await;

    let listed: Page<Terminal> = mia.call("GET", "/terminals", None).await.unwrap();
    assert_eq!((listed.items.len(), listed.items[0].viewers, listed.items[0].writers), (1, 1, 1));
    let renamed = json!(UpdateTerminal { name: Some("build".to_owned()), record: None });
    let path = format!("/terminals/{}", terminal.id);
    let renamed: Terminal = mia.call("PATCH", &path, Some(renamed)).await.unwrap();
    assert_eq!(renamed.name, "build");
    mia.end(terminal.id).await.unwrap();
    let ended = viewer.until_end().await;
    assert!(ended.signal.is_some() || ended.exit_code.is_some());
    let one: Terminal = mia.call("GET", &path, None).await.unwrap();
    assert_eq!(one.ended, Some(ended));
    let ended = LinkUse::TerminalEnded { terminal_id: terminal.id, by: "mia".to_owned() };
    assert_eq!(desk.used.recv().await, Some(ended));
}

#[tokio::test]
async fn who_may_only_look_looks() {
    let desk = Desk::new();
    let (mia, guest) = (desk.client("mia", Level::Operate).await, desk.client("guest", Level::View).await);
    let terminal = mia.open(&shell("cat")).await;
    let mut writer = mia.attach(terminal.id, 0, Some("mia-1")).await.unwrap();
    let mut looks = guest.attach(terminal.id, 0, Some("guest-1")).await.unwrap();
    let first = looks.next().await.unwrap();
    assert!(matches!(first, TerminalFrame::State(state) if !state.may_write));
    looks.type_line("evil").await;
    looks.send(TerminalFrame::Resize { cols: 10, rows: 10 }).await;
    writer.type_line("good").await;
    looks.until("good\r\ngood\r\n").await;
    assert_eq!(looks.text(), "good\r\ngood\r\n");
    for problem in [
        guest.try_open(&shell("true")).await.unwrap_err(),
        guest.end(terminal.id).await.unwrap_err(),
        guest.update(terminal.id, json!({ "name": "mine" })).await.unwrap_err(),
    ] {
        assert_eq!(problem.code, ProblemCode::GrantNotEnough);
        assert_eq!(problem.details.unwrap()["needed"], "operate");
    }
    assert_eq!(desk.terminals.get(terminal.id).unwrap().cols, 80);
}

#[tokio::test]
async fn what_others_opened_and_recordings_are_for_the_owner() {
    let desk = Desk::new();
    let mia = desk.client("mia", Level::Operate).await;
    let noor = desk.client("noor", Level::Operate).await;
    let owner = desk.client("owner", Level::Admin).await;
    let terminal = mia.open(&shell("cat")).await;
    for problem in [
        noor.end(terminal.id).await.unwrap_err(),
        noor.update(terminal.id, json!({ "name": "mine" })).await.unwrap_err(),
        mia.update(terminal.id, json!({ "record": true })).await.unwrap_err(),
        mia.try_open(&OpenTerminal { record: true, ..shell("cat") }).await.unwrap_err(),
    ] {
        assert_eq!(problem.code, ProblemCode::GrantNotEnough);
        assert_eq!(problem.details.unwrap()["needed"], "admin");
    }
    let recorded = owner.update(terminal.id, json!({ "record": true })).await.unwrap();
    assert!(recorded.recording.unwrap().starts_with(&desk.folder()));
    let mut theirs = noor.attach(terminal.id, 0, Some("noor-1")).await.unwrap();
    theirs.type_line("typed by another").await;
    theirs.until("typed by another\r\ntyped by another\r\n").await;
    owner.end(terminal.id).await.unwrap();
    theirs.until_end().await;
}

#[tokio::test]
async fn two_people_of_one_name_are_two_people() {
    let desk = Desk::new();
    let mia = desk.by_server("Mia", "user 1", Level::Operate).await;
    let namesake = desk.by_server("Mia", "user 2", Level::Operate).await;
    let terminal = mia.open(&shell("cat")).await;
    assert_eq!(terminal.opened_by, "Mia");
    assert_eq!(namesake.end(terminal.id).await.unwrap_err().code, ProblemCode::GrantNotEnough);
    desk.by_server("Mia", "user 1", Level::Operate).await.end(terminal.id).await.unwrap();
}

#[tokio::test]
async fn the_policy_has_the_last_word() {
    let desk = Desk::new();
    let mia = desk.client("mia", Level::Admin).await;
    let terminal = mia.open(&shell("stty -echo; echo ready; cat > /dev/null")).await;
    let mut viewer = mia.attach(terminal.id, 0, Some("mia-1")).await.unwrap();
    viewer.until("ready").await;
    desk.allow("ALLOW_BASH=false");
    let problem = mia.try_open(&shell("true")).await.unwrap_err();
    assert_eq!(
        (problem.code, problem.details.unwrap()["setting"].as_str()),
        (ProblemCode::PolicyForbids, Some("ALLOW_BASH"))
    );
    let problem = mia.attach(terminal.id, 0, None).await.map(|_| ()).unwrap_err();
    assert_eq!(
        (problem.code, problem.details.unwrap()["setting"].as_str()),
        (ProblemCode::PolicyForbids, Some("ALLOW_BASH"))
    );
    // Who is attached types until it is read again.
    let typing = async {
        loop {
            viewer.type_line("more").await;
            if viewer.is_cut_within(Duration::from_millis(50)).await {
                return;
            }
        }
    };
    tokio::time::timeout(desk::PATIENCE, typing).await.unwrap();
    // What is left from before can be seen and ended.
    let listed: Page<Terminal> = mia.call("GET", "/terminals", None).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    mia.end(terminal.id).await.unwrap();

    desk.allow("ALLOW_BASH=true\nBLOCKED_PATHS=/etc");
    let problem =
        mia.try_open(&OpenTerminal { cwd: Some("/etc".to_owned()), ..shell("true") }).await.unwrap_err();
    assert_eq!(
        (problem.code, problem.details.unwrap()["setting"].as_str()),
        (ProblemCode::PolicyForbids, Some("BLOCKED_PATHS"))
    );
    let problem =
        mia.try_open(&OpenTerminal { cwd: Some("/none".to_owned()), ..shell("true") }).await.unwrap_err();
    assert_eq!(
        (problem.code, problem.details.unwrap()["field"].as_str()),
        (ProblemCode::InvalidRequest, Some("cwd"))
    );
}

#[tokio::test]
async fn who_only_watches_is_cut_when_the_policy_says_no() {
    let desk = Desk::new();
    let (mia, guest) = (desk.client("mia", Level::Admin).await, desk.client("guest", Level::View).await);
    for line in ["stty -echo; echo ready; cat", "yes ready"] {
        desk.allow("ALLOW_BASH=true");
        let terminal = mia.open(&shell(line)).await;
        let mut writer = mia.attach(terminal.id, 0, Some("mia-1")).await.unwrap();
        let mut watcher = guest.attach(terminal.id, 0, None).await.unwrap();
        writer.until("ready").await;
        watcher.until("ready").await;
        desk.allow("ALLOW_BASH=false");
        // Neither of them types a thing.
        tokio::time::timeout(desk::PATIENCE, async { tokio::join!(writer.cut(), watcher.cut()) })
            .await
            .unwrap_or_else(|_| panic!("{line:?} is still shown"));
        mia.end(terminal.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_connection_loses_and_repeats_nothing() {
    let desk = Desk::new();
    let first = desk.client("mia", Level::Operate).await;
    let terminal = first.open(&shell("cat")).await;
    let mut before = first.attach(terminal.id, 0, Some("mia-1")).await.unwrap();
    before.send(TerminalFrame::Input { offset: 0, data: b"one\ntw".to_vec() }).await;
    before.until("one\r\ntwone\r\n").await;
    let (seen, shown) = (before.offset, before.text());
    drop((before, first));

    let second = desk.client("mia", Level::Operate).await;
    let mut viewer = second.attach(terminal.id, seen, Some("mia-1")).await.unwrap();
    let state = viewer.next().await.unwrap();
    assert!(matches!(state, TerminalFrame::State(state) if state.input_received == 6));
    viewer.send(TerminalFrame::Input { offset: 0, data: b"one\ntwo\n".to_vec() }).await;
    viewer.until("o\r\ntwo\r\n").await;
    assert_eq!(shown + &viewer.text(), "one\r\ntwone\r\no\r\ntwo\r\n");
}

#[tokio::test]
async fn one_who_reads_nothing_is_told_and_others_lose_nothing() {
    let desk = Desk::new();
    let (mia, noor) = (desk.client("mia", Level::Operate).await, desk.client("noor", Level::View).await);
    let terminal = mia.open(&shell("seq 1 1200000")).await;
    let slow = noor.attach(terminal.id, 0, None).await.unwrap();
    let mut fast = mia.attach(terminal.id, 0, None).await.unwrap();
    fast.until_end().await;
    let all: String = (1..=1_200_000).map(|number| format!("{number}\r\n")).collect();
    assert!(fast.text() == all);
    let mut slow = slow;
    slow.until_end().await;
    assert!(slow.gaps > 0 && slow.text().len() <= SCROLLBACK);
    assert!(all.ends_with(&slow.text()));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_the_terminal_lives() {
    let desk = Desk::new();
    let mia = desk.client("mia", Level::Operate).await;
    let terminal = mia.open(&shell("cat")).await;
    let long = u32::try_from(MAX_TERMINAL_FRAME + 1).unwrap().to_be_bytes();
    for odd in [&long[..], &[0, 0, 0, 1, 0x7f], &[0, 0, 0, 0]] {
        let mut viewer = mia.attach(terminal.id, 0, Some("mia-1")).await.unwrap();
        viewer.typing.send(Bytes::copy_from_slice(odd)).await;
        tokio::time::timeout(desk::PATIENCE, viewer.cut()).await.unwrap();
    }
    assert_eq!(desk.terminals.get(terminal.id).unwrap().ended, None);
    let none = TerminalId::fresh();
    for (method, path, body, code) in [
        ("GET", format!("/terminals/{none}"), None, ProblemCode::NotFound),
        ("GET", "/terminals/abc".to_owned(), None, ProblemCode::NotFound),
        ("DELETE", format!("/terminals/{none}"), None, ProblemCode::NotFound),
        ("POST", format!("/terminals/{none}/attach"), None, ProblemCode::NotFound),
        ("POST", format!("/terminals/{}/attach?writer=", terminal.id), None, ProblemCode::InvalidRequest),
        ("POST", format!("/terminals/{}/attach?from=x", terminal.id), None, ProblemCode::InvalidRequest),
        ("POST", "/terminals".to_owned(), Some(json!({ "colour": 1 })), ProblemCode::InvalidRequest),
        ("POST", "/terminals".to_owned(), Some(json!({ "name": "" })), ProblemCode::InvalidRequest),
        ("POST", "/terminals".to_owned(), Some(json!({ "command": [""] })), ProblemCode::InvalidRequest),
    ] {
        let problem = mia.call::<serde_json::Value>(method, &path, body).await.unwrap_err();
        assert_eq!(problem.code, code, "{method} {path}");
    }
}
