use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;

/// An empty ping as a server sends it, and the pong of a client whose mask changes nothing.
const PING: [u8; 2] = [0x89, 0x00];
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
const CLOSE: u8 = 0x88;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Answers the first so many pings; how long it took from the beginning until each, and until the goodbye.
async fn end(mut io: DuplexStream, answers: usize) -> (Vec<u64>, u64) {
    let begin = Instant::now();
    let mut pings = Vec::new();
    loop {
        let mut head = [0; 2];
        io.read_exact(&mut head).await.unwrap();
        if head[0] == CLOSE {
            return (pings, begin.elapsed().as_secs());
        }
        assert_eq!(head, PING);
        pings.push(begin.elapsed().as_secs());
        if pings.len() <= answers {
            io.write_all(&PONG).await.unwrap();
        }
    }
}

async fn spliced(answers: [usize; 2]) -> (End, [(Vec<u64>, u64); 2]) {
    let ((client, near), (device, far)) = (duplex(1024), duplex(1024));
    let relay = run(near, far, DAY, std::future::pending());
    let (how, of_client, of_device) = tokio::join!(relay, end(client, answers[0]), end(device, answers[1]));
    (how, [of_client, of_device])
}

#[tokio::test(start_paused = true)]
async fn an_end_that_answers_no_ping_is_gone_after_a_minute() {
    let (how, [client, device]) = spliced([usize::MAX, 0]).await;
    assert_eq!(how, End::Gone);
    assert_eq!(device, (vec![25, 50], 60));
    assert_eq!(client.0, [25, 50], "the other end is asked, too");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_answered_has_another_minute() {
    let (how, [client, _]) = spliced([3, usize::MAX]).await;
    assert_eq!(how, End::Gone);
    assert_eq!(client, (vec![25, 50, 75, 100, 125], 135));
}

#[tokio::test(start_paused = true)]
async fn ends_that_answer_stay_until_nothing_was_carried_for_too_long() {
    let (how, [client, device]) = spliced([usize::MAX; 2]).await;
    assert_eq!(how, End::Idle, "a pong is no use of the relay");
    let day = DAY.as_secs();
    assert_eq!((client.1, device.1), (day, day));
    // One is sent at the very moment in which it is over, or not.
    assert!(client.0.len().abs_diff(usize::try_from(day / 25).unwrap()) <= 1);
}
