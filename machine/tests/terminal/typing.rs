//! What is typed arrives, in order and once.

use foreman_protocol::TerminalFrame;
use proptest::{prelude::*, test_runner::TestRunner};

use crate::place::{Place, shell};

fn input(offset: u64, data: &str) -> TerminalFrame {
    TerminalFrame::Input { offset, data: data.as_bytes().to_vec() }
}

#[tokio::test]
async fn what_is_typed_is_shown_and_read() {
    let place = Place::new();
    let mut client = place.open("read line; echo got $line").await;
    client.type_line("hello").await;
    let (text, ended) = client.until_end().await;
    assert_eq!(text, "hello\r\ngot hello\r\n");
    assert_eq!((ended.exit_code, ended.signal), (Some(0), None));
}

#[tokio::test]
async fn what_is_sent_again_is_typed_once() {
    let place = Place::new();
    let mut before = place.open("cat").await;
    before.typing.send(input(0, "abc")).await;
    before.until("abc").await;
    before.until_state(|_| true).await;
    let id = before.id();
    drop(before);
    let mut client = place.attach(id, 0, Some("first"));
    client.until_state(|state| state.input_received == 3).await;
    // Something before it never came, so it waits to be sent again from there.
    client.typing.send(input(9, "lost")).await;
    while client.accepted != 3 {
        client.take().await;
    }
    client.typing.send(input(0, "abcdef\n")).await;
    client.until("abcdef\r\nabcdef\r\n").await;
    // Another writer counts for itself.
    let mut other = place.attach(id, 0, Some("second"));
    other.typing.send(input(0, "ghi\n")).await;
    other.until("abcdef\r\nabcdef\r\nghi\r\nghi\r\n").await;
    assert_eq!(other.accepted, 4);
}

#[tokio::test]
async fn who_comes_back_after_many_others_goes_on() {
    let place = Place::new();
    let mut before = place.open("cat").await;
    before.typing.send(input(0, "abc\n")).await;
    before.until("abc\r\nabc\r\n").await;
    let id = before.id();
    drop(before);
    for number in 0..300 {
        drop(place.attach(id, 0, Some(&format!("somebody else {number}"))));
    }
    let mut client = place.attach(id, 0, Some("first"));
    client.until_state(|state| state.input_received == 0).await;
    client.typing.send(input(4, "def\n")).await;
    client.until("abc\r\nabc\r\ndef\r\ndef\r\n").await;
    while client.accepted != 8 {
        client.take().await;
    }
    client.typing.send(input(4, "def\nghi\n")).await;
    client.until("abc\r\nabc\r\ndef\r\ndef\r\nghi\r\nghi\r\n").await;
}

#[tokio::test]
async fn word_of_what_was_typed_comes_without_an_echo_too() {
    let place = Place::new();
    let mut client = place.open("stty -echo; echo ready; sleep 1000").await;
    client.until("ready").await;
    client.type_line("secret").await;
    while client.accepted != 7 {
        client.take().await;
    }
    assert_eq!(client.text(), "ready\r\n");
}

#[tokio::test]
async fn the_program_sees_the_last_size() {
    let place = Place::new();
    let mut client = place.open("trap 'stty size' WINCH; echo ready; while :; do read x; done").await;
    client.until("ready\r\n").await;
    let other = place.attach(client.id(), 0, Some("other"));
    client.typing.send(TerminalFrame::Resize { cols: 132, rows: 50 }).await;
    client.until("50 132\r\n").await;
    other.typing.send(TerminalFrame::Resize { cols: 0, rows: 60_000 }).await;
    client.until("1000 2\r\n").await;
    client.until_state(|state| (state.terminal.cols, state.terminal.rows) == (2, 1000)).await;
}

#[tokio::test]
async fn who_only_looks_types_nothing() {
    let place = Place::new();
    let mut writer = place.open("cat").await;
    writer.until_state(|state| state.may_write && state.terminal.writers == 1).await;
    let mut looks = place.attach(writer.id(), 0, None);
    looks.until_state(|state| !state.may_write && state.terminal.viewers == 2).await;
    looks.typing.send(input(0, "evil\n")).await;
    looks.typing.send(TerminalFrame::Resize { cols: 10, rows: 10 }).await;
    writer.type_line("good").await;
    looks.until("good\r\ngood\r\n").await;
    assert_eq!(looks.text(), "good\r\ngood\r\n");
    assert_eq!(looks.state.as_ref().unwrap().terminal.cols, 80);
}

/// Longer than the terminal holds at once, sent in pieces that overlap as after lost connections.
#[test]
fn any_pieces_sent_any_number_of_times_are_typed_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all: String = (0..6000).map(|number| format!("{number:04} ")).collect();
    let cases = prop::collection::vec((0_usize..9000, 0_usize..4000, any::<bool>()), 1..8);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(12));
    let outcome = runner.run(&cases, |pieces| {
        runtime.block_on(async {
            let place = Place::new();
            let file = place.path().join("typed");
            let line =
                format!("stty raw -echo; echo ready; head -c {} > {}; echo done", all.len(), file.display());
            let mut client = place.open(&line).await;
            client.until("ready").await;
            let id = client.id();
            let mut at = 0_usize;
            for (length, again, leave) in pieces {
                let from = at.saturating_sub(again);
                let to = (at + length).min(all.len());
                client.typing.send(input(from as u64, &all[from..to])).await;
                at = to;
                if leave {
                    client = place.attach(id, 0, Some("first"));
                }
            }
            client.typing.send(input(at as u64, &all[at..])).await;
            client.until("done").await;
            assert_eq!(std::fs::read_to_string(&file).unwrap(), all);
        });
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn a_program_that_reads_nothing_holds_nobody_else_up() {
    let place = Place::new();
    let mut client = place.open("stty raw -echo; echo ready; sleep 1000").await;
    client.until("ready").await;
    let id = client.id();
    let paste = "x".repeat(200_000);
    let frame = input(0, &paste);
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(100), client.typing.send(frame)).await.is_err(),
        "it has no room for all of that"
    );
    let mut late = place.attach(id, 0, Some("first"));
    late.until("ready").await;
    let typed = late.state.as_ref().unwrap().input_received;
    assert!((1..200_000).contains(&typed), "{typed}");
    place.request(shell("true")).await.unwrap();
}
