//! How terminals end, and that all of them does.

use std::process::Stdio;

use foreman_protocol::LinkUse;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::place::{Place, eventually, is_gone, pids, shell};

#[tokio::test]
async fn codes_and_signals_are_told() {
    let place = Place::new();
    for (line, code, signal) in [
        ("exit 7", Some(7), None),
        ("kill -KILL $$", None, Some("SIGKILL")),
        ("kill -HUP $$", None, Some("SIGHUP")),
        ("kill -SEGV $$", None, Some("SIGSEGV")),
    ] {
        let (_, ended) = place.open(line).await.until_end().await;
        assert_eq!((ended.exit_code, ended.signal.as_deref()), (code, signal), "{line}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_so_in_the_terminal() {
    let place = Place::new();
    let request = foreman_protocol::OpenTerminal { command: vec!["no-such-program".to_owned()], ..shell("") };
    let terminal = place.request(request).await.unwrap();
    assert_eq!(terminal.name, "no-such-program");
    let (text, ended) = place.attach(terminal.id, 0, None).until_end().await;
    assert_eq!(text, "`no-such-program` was not found on this device.\r\n");
    assert_eq!(ended.exit_code, Some(127));
}

#[tokio::test]
async fn ending_reaches_what_left_the_session_and_what_will_not_hear() {
    let mut place = Place::new();
    let mut client = place
        .open(
            "trap '' HUP TERM INT
             setsid sh -c 'trap \"\" HUP TERM; sleep 1000 & echo $$ $!; while :; do wait; sleep 1; done' &
             setsid sh -c 'sleep 1001 & echo $!' &
             sleep 1002 & echo $! $$ listed; while :; do wait; sleep 1; done",
        )
        .await;
    client.until("listed").await;
    // Those of the other shells come when they come.
    while pids(&client.text()).len() < 5 {
        client.take().await;
    }
    let pids = pids(&client.text());
    assert!(pids.iter().all(|pid| !is_gone(*pid)), "{pids:?}");
    let id = client.id();
    assert!(place.terminals.end(id, "noor"));
    let (_, ended) = client.until_end().await;
    assert_eq!(ended.signal.as_deref(), Some("SIGKILL"));
    assert!(pids.iter().all(|pid| is_gone(*pid)), "{pids:?}");
    assert_eq!(place.hear_end(id).await, "noor");
}

#[tokio::test]
async fn a_shell_is_hung_up_before_it_is_killed() {
    let mut place = Place::new();
    let mut client =
        place.open("trap 'echo goodbye; exit 4' HUP; echo ready; while :; do sleep 0.01; done").await;
    client.until("ready").await;
    let id = client.id();
    let opened = place.used.recv().await;
    assert_eq!(opened, Some(LinkUse::TerminalOpened { terminal_id: id, by: "mia".to_owned() }));
    place.terminals.end(id, "mia");
    let (text, ended) = client.until_end().await;
    assert!(text.ends_with("goodbye\r\n"), "{text}");
    assert_eq!(ended.exit_code, Some(4));
}

#[tokio::test]
async fn one_asked_to_end_while_it_starts_ends() {
    let mut place = Place::new();
    let id = place.request(shell("cat")).await.unwrap().id;
    place.terminals.end(id, "mia");
    place.hear_end(id).await;
}

#[tokio::test]
async fn what_runs_on_in_the_background_does_not_keep_it_from_ending() {
    let place = Place::new();
    let mut client = place.open("trap '' HUP; sleep 1000 & echo $!").await;
    let (text, ended) = client.until_end().await;
    assert_eq!(ended.exit_code, Some(0));
    let left = pids(&text)[0];
    assert!(!is_gone(left), "a program that ends by itself leaves running what it left running");
    kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn an_agent_that_is_killed_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["agent_entry", "--exact", "--nocapture"])
        .env("TEST_AGENT_FOLDER", folder.path())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut text = String::new();
    eventually(|| {
        text = std::fs::read_to_string(folder.path().join("pids")).unwrap_or_default();
        !text.is_empty()
    })
    .await;
    let pids = pids(&text);
    assert_eq!(pids.len(), 2);
    agent.kill().await.unwrap();
    eventually(|| pids.iter().all(|pid| is_gone(*pid))).await;
}
