//! Real terminals with real shells. The test program starts itself again as their holder.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

#[path = "terminal/place.rs"]
mod place;

#[path = "terminal/ends.rs"]
mod ends;
#[path = "terminal/recordings.rs"]
mod recordings;
#[path = "terminal/typing.rs"]
mod typing;
#[path = "terminal/viewers.rs"]
mod viewers;

use foreman_machine::terminal::{OpenError, hold};
use foreman_protocol::{OpenTerminal, Policy, UpdateTerminal};
use place::{Place, shell};

/// Not a test of its own: what holds each terminal below.
#[test]
fn holder_entry() {
    let mut args = std::env::args_os();
    if args.any(|arg| arg == "--") {
        std::process::exit(hold(args).into());
    }
}

/// Not a test of its own: an agent that opens a terminal, says who runs in it, and hangs until it is killed.
#[tokio::test]
async fn agent_entry() {
    let Ok(folder) = std::env::var("TEST_AGENT_FOLDER") else { return };
    let place = Place::new();
    let line = format!("setsid sleep 1000 & echo $$ $! > {folder}/new; mv {folder}/new {folder}/pids; cat");
    let mut client = place.open(&line).await;
    client.watching.next().await;
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_login_shell_knows_its_terminal_and_nothing_of_the_agent() {
    let place = Place::new();
    let terminal = place.request(OpenTerminal::default()).await.unwrap();
    assert_eq!((terminal.cols, terminal.rows), (80, 24));
    let mut client = place.attach(terminal.id, 0, Some("me"));
    client.type_line("echo =$TERM=$COLORTERM=$0=; stty size; env | grep -c ^CARGO_; exit 3").await;
    let (text, ended) = client.until_end().await;
    // Cargo sets these for its tests; here they stand for the agent's own.
    assert!(std::env::vars().any(|(name, _)| name.starts_with("CARGO_")));
    assert!(text.contains("=xterm-256color=truecolor=-"), "{text}");
    assert!(text.contains("\r\n24 80\r\n0\r\n"), "{text}");
    assert_eq!(ended.exit_code, Some(3));
}

#[tokio::test]
async fn the_policy_decides_and_says_by_which_setting() {
    let place = Place::new();
    let folder = place.folder();
    let cases = [
        (Policy::default(), None, Some("ALLOW_BASH")),
        (Policy { allowed_paths: vec![folder.clone()], ..place.policy() }, Some("/"), Some("ALLOWED_PATHS")),
        (
            Policy { blocked_paths: vec![folder.clone()], ..place.policy() },
            Some(folder.as_str()),
            Some("BLOCKED_PATHS"),
        ),
        (place.policy(), Some("/no/such/place"), None),
    ];
    for (policy, cwd, expected) in cases {
        let request = OpenTerminal { cwd: cwd.map(str::to_owned), ..shell("true") };
        match place.terminals.open(&policy, request, place::opener()).await {
            Err(OpenError::Refused { setting, .. }) => assert_eq!(setting, expected),
            other => panic!("{expected:?}: {other:?}"),
        }
    }
    assert!(place.terminals.list().is_empty());
}

#[tokio::test]
async fn it_starts_where_it_was_told_under_its_name() {
    let place = Place::new();
    let request =
        OpenTerminal { cwd: Some(place.folder()), name: Some(" build ".to_owned()), ..shell("pwd; cat") };
    let terminal = place.request(request).await.unwrap();
    assert_eq!((terminal.name.as_str(), &terminal.cwd), ("build", &place.folder()));
    let mut client = place.attach(terminal.id, 0, None);
    client.until(&format!("{}\r\n", place.folder())).await;
    let renamed = UpdateTerminal { name: Some("deploy".to_owned()), record: None };
    assert_eq!(place.terminals.update(terminal.id, &renamed).unwrap().name, "deploy");
    client.until_state(|state| state.terminal.name == "deploy").await;
    let empty = UpdateTerminal { name: Some(String::new()), record: None };
    assert!(place.terminals.update(terminal.id, &empty).is_err());
}

#[tokio::test]
async fn only_so_many_at_once_and_those_that_ended_make_room() {
    let place = Place::new();
    let first = place.request(shell("true")).await.unwrap().id;
    place.attach(first, 0, None).until_end().await;
    let mut others = Vec::new();
    for _ in 0..64 {
        others.push(place.request(shell("cat")).await.unwrap().id);
    }
    assert!(place.terminals.get(first).is_none());
    assert!(matches!(place.request(shell("cat")).await, Err(OpenError::TooMany)));
    let mut viewers: Vec<_> = (0..32).map(|_| place.attach(others[0], 0, None)).collect();
    assert!(place.terminals.attach(others[0], 0, None).is_err());
    viewers.pop();
    assert!(place.terminals.attach(others[0], 0, None).is_ok());
}

#[tokio::test]
async fn one_that_ended_is_listed_for_a_while_with_its_last_words() {
    let mut place = Place::with(|setup| setup.kept = std::time::Duration::from_millis(1));
    let forgotten = place.request(shell("true")).await.unwrap().id;
    place.hear_end(forgotten).await;
    place::eventually(|| place.terminals.get(forgotten).is_none()).await;

    let mut place = Place::new();
    let id = place.request(shell("echo last words")).await.unwrap().id;
    place.hear_end(id).await;
    assert!(place.terminals.list().iter().any(|terminal| terminal.id == id && terminal.ended.is_some()));
    let (text, _) = place.attach(id, 0, Some("late")).until_end().await;
    assert_eq!(text, "last words\r\n");
    assert!(place.terminals.end(id, "mia"));
    assert!(place.terminals.get(id).is_none());
    assert!(!place.terminals.end(id, "mia"));
}
