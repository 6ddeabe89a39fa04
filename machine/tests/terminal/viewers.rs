//! What is shown: the same to everybody, from any byte on, and never more kept than is allowed.

use foreman_protocol::{SCROLLBACK, TerminalFrame};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::place::{Place, shell};

/// What `seq` prints on a terminal.
fn numbers(last: u32) -> String {
    (1..=last).map(|number| format!("{number}\r\n")).collect()
}

#[tokio::test]
async fn two_see_the_same_and_a_newcomer_what_was_before() {
    let place = Place::new();
    let mut first = place.open("cat").await;
    first.until_state(|_| true).await;
    let mut second = place.attach(first.id(), 0, Some("second"));
    first.type_line("one").await;
    first.until("one\r\none\r\n").await;
    second.type_line("two").await;
    for client in [&mut first, &mut second] {
        client.until("two\r\ntwo\r\n").await;
    }
    let mut third = place.attach(first.id(), 0, None);
    third.until("two\r\ntwo\r\n").await;
    assert_eq!((&first.shown, &second.shown), (&third.shown, &first.shown));
    third.until_state(|state| (state.terminal.viewers, state.terminal.writers) == (3, 2)).await;
    drop(second);
    first.until_state(|state| (state.terminal.viewers, state.terminal.writers) == (2, 1)).await;
}

#[tokio::test]
async fn all_output_comes_before_the_end_to_one_who_reads() {
    let place = Place::new();
    // More than is kept: the program has to wait for its viewer.
    let mut client = place.open("seq 1 300000").await;
    let (text, ended) = client.until_end().await;
    assert!(text.len() > 2 * SCROLLBACK);
    assert_eq!(client.gaps, 0);
    assert!(text == numbers(300_000), "{} bytes of {}", text.len(), numbers(300_000).len());
    assert_eq!(ended.exit_code, Some(0));
}

#[test]
fn reading_on_after_any_cuts_gives_every_byte_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = numbers(20_000);
    let (place, id) = runtime.block_on(async {
        let mut place = Place::new();
        let id = place.request(shell("seq 1 20000")).await.unwrap().id;
        place.hear_end(id).await;
        (place, id)
    });
    let cuts = prop::collection::vec(0..all.len(), 0..12);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(64));
    let outcome = runner.run(&cuts, |mut cuts| {
        cuts.sort_unstable();
        cuts.push(all.len());
        let mut shown = Vec::new();
        runtime.block_on(async {
            for cut in cuts {
                let mut client = place.attach(id, shown.len() as u64, None);
                while shown.len() + client.shown.len() < cut {
                    assert_eq!(client.take().await, None);
                }
                // The rest of what came was on its way when the connection broke.
                client.shown.truncate(cut - shown.len());
                shown.extend(client.shown);
            }
        });
        prop_assert!(shown == all.as_bytes());
        Ok(())
    });
    outcome.unwrap();
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn one_who_is_too_slow_is_told_of_the_gap_and_memory_stays_bounded() {
    let place = Place::new();
    let mut fast = place.open("yes this line comes again and again").await;
    fast.until_state(|_| true).await;
    let mut slow = place.attach(fast.id(), 0, None);
    slow.until("again\r\n").await;
    let before = resident();
    while fast.start + (fast.shown.len() as u64) < 48 << 20 {
        fast.take().await;
        if fast.shown.len() > 64 * 1024 {
            fast.start += fast.shown.len() as u64;
            fast.shown.clear();
        }
    }
    assert!(resident() < before + (24 << 20), "from {before} to {} bytes", resident());
    let printed = place.terminals.get(fast.id()).unwrap().output_bytes;
    while slow.gaps == 0 {
        slow.take().await;
    }
    assert!(slow.start + SCROLLBACK as u64 >= printed && slow.start <= printed);
    slow.take().await;
    assert!(slow.text().starts_with("this line comes again and again\r\n"), "it goes on with a whole line");
    assert_eq!(fast.gaps, 0, "who reads loses nothing");
}

#[tokio::test]
async fn one_who_reads_nothing_at_all_stops_no_program() {
    let mut place = Place::new();
    let client = place.open("seq 1 400000").await;
    let id = place.terminals.list()[0].id;
    place.hear_end(id).await;
    let mut client = client;
    let (text, _) = client.until_end().await;
    assert_eq!(client.gaps, 1);
    // All that is promised, 1 MiB, but for the line that was cut.
    let (promised, line) = (1 << 20, "400000\r\n".len());
    assert!((promised - line..=promised).contains(&text.len()), "{} bytes", text.len());
    assert!(text.ends_with("\r\n399999\r\n400000\r\n"));
    let mut newcomer = place.attach(id, 0, None);
    assert!(newcomer.until_end().await.0 == text);
}

#[tokio::test]
async fn frames_are_never_longer_than_agreed() {
    let mut place = Place::new();
    let id = place.request(shell("seq 1 100000")).await.unwrap().id;
    place.hear_end(id).await;
    let mut client = place.attach(id, 0, None);
    let mut longest = 0;
    while let Some(frame) = client.watching.next().await {
        longest = longest.max(frame.encode().len());
        if let TerminalFrame::State(state) = frame {
            assert!(!state.may_write);
        }
    }
    let most = foreman_protocol::MAX_TERMINAL_FRAME;
    assert!((most / 2..=most).contains(&longest), "{longest} of {most}");
}
