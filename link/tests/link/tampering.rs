//! A way that flips, drops, repeats, swaps or cuts records: each is noticed, and nothing that was not said is heard.

use std::time::Duration;

use foreman_link::{channel, channel::Channel};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};

use crate::parties::Parties;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    None,
    Flip,
    FlipLength,
    Drop,
    Repeat,
    Swap,
    CutBefore,
    CutInside,
}

const ATTACKS: [Attack; 7] = [
    Attack::Flip,
    Attack::FlipLength,
    Attack::Drop,
    Attack::Repeat,
    Attack::Swap,
    Attack::CutBefore,
    Attack::CutInside,
];

/// Forwards `clear` bytes, then frames; attacks frame number `at`. Ends both sides' reading with its own.
async fn forward<R, W>(
    mut from: R,
    mut to: W,
    clear: usize,
    attack: Attack,
    at: usize,
) -> std::io::Result<Vec<u8>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut seen = Vec::new();
    let mut head = vec![0; clear];
    from.read_exact(&mut head).await?;
    seen.extend_from_slice(&head);
    to.write_all(&head).await?;
    let mut held: Option<Vec<u8>> = None;
    for number in 0.. {
        let Ok(length) = from.read_u16().await else { break };
        let mut frame = length.to_be_bytes().to_vec();
        frame.resize(2 + usize::from(length), 0);
        from.read_exact(&mut frame[2..]).await?;
        seen.extend_from_slice(&frame);
        if number == at {
            let last = frame.len() - 1;
            match attack {
                Attack::None => {}
                Attack::Flip => frame[last / 2 + 1] ^= 4,
                Attack::FlipLength => frame[1] ^= 1,
                Attack::Drop => continue,
                Attack::Repeat => to.write_all(&frame).await?,
                Attack::Swap => {
                    held = Some(frame);
                    continue;
                }
                Attack::CutBefore => break,
                Attack::CutInside => {
                    to.write_all(&frame[..last]).await?;
                    break;
                }
            }
        }
        to.write_all(&frame).await?;
        if let Some(held) = held.take() {
            to.write_all(&held).await?;
        }
    }
    to.shutdown().await?;
    Ok(seen)
}

const SAID: [&str; 3] = ["first, ", "second, ", "third"];

async fn say_all<IO: AsyncRead + AsyncWrite + Unpin>(mut channel: Channel<IO>) -> std::io::Result<()> {
    for said in SAID {
        channel.write_all(said.as_bytes()).await?;
        channel.flush().await?;
    }
    channel.shutdown().await?;
    // Wait for the other side, so that only the attack cuts anything.
    channel.read_to_end(&mut Vec::new()).await.map(drop)
}

/// What was heard, and whether it was believed to be all. Who is never told of an end waits, as long as what lies
/// above lets it (here a minute of the paused clock).
async fn hear_all(mut channel: Channel<DuplexStream>) -> (String, bool) {
    let mut heard = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), channel.read_to_end(&mut heard)).await;
    let whole = matches!(read, Ok(Ok(_)));
    let _ = channel.shutdown().await;
    (String::from_utf8(heard).unwrap(), whole)
}

/// Both talk to each other through a way that attacks one frame of one direction. `None`: no channel came about.
/// Else what client and device heard, and everything the way saw.
async fn through(
    attack: Attack,
    at: usize,
    to_device: bool,
) -> (Option<(String, bool)>, Option<(String, bool)>, Vec<u8>) {
    let parties = Parties::new();
    let (client, at_client) = duplex(1 << 16);
    let (at_device, device) = duplex(1 << 16);
    let (from_client, to_client) = tokio::io::split(at_client);
    let (from_device, to_the_device) = tokio::io::split(at_device);
    let (up, down) = if to_device { (attack, Attack::None) } else { (Attack::None, attack) };
    let way = async {
        let (up, down) = tokio::join!(
            forward(from_client, to_the_device, 22, up, at),
            forward(from_device, to_client, 0, down, at)
        );
        [up.unwrap_or_default(), down.unwrap_or_default()].concat()
    };
    let (keys, hello) = (parties.keys(), parties.hello());
    let client = async {
        match channel::connect(client, &keys, &hello).await {
            Ok((channel, _)) if to_device => say_all(channel).await.ok().map(|()| (String::new(), true)),
            Ok((channel, _)) => Some(hear_all(channel).await),
            Err(_) => None,
        }
    };
    let device = async {
        match parties.accept(device).await {
            Ok(accepted) if to_device => Some(hear_all(accepted.channel).await),
            Ok(accepted) => say_all(accepted.channel).await.ok().map(|()| (String::new(), true)),
            Err(_) => None,
        }
    };
    tokio::join!(client, device, way)
}

#[tokio::test(start_paused = true)]
async fn an_honest_way_changes_nothing() {
    for to_device in [true, false] {
        let (client, device, seen) = through(Attack::None, 0, to_device).await;
        let heard = if to_device { device } else { client };
        assert_eq!(heard, Some((SAID.concat(), true)));
        assert!(seen.len() > 500);
        // Nothing of what was said, nor who said it or with which right.
        for said in SAID.into_iter().chain(["grant", "\"lan\"", "operate", "expires_at"]) {
            assert!(!seen.windows(said.len()).any(|seen| seen == said.as_bytes()), "{said} can be read");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_attack_on_every_record_is_noticed() {
    // To the device: message 1, hello, three records, end. To the client: message 2, answer, three records, end.
    for to_device in [true, false] {
        for at in 0..6 {
            for attack in ATTACKS {
                let (client, device, _) = through(attack, at, to_device).await;
                let heard = if to_device { device } else { client };
                let Some((heard, whole)) = heard else { continue };
                let what = format!("{attack:?} of {at} to the device: {to_device}, heard {heard:?}");
                assert!(SAID.concat().starts_with(&heard), "{what}");
                // What comes after a true end is not listened to.
                let after_the_end = at == 5 && attack == Attack::Repeat;
                // There is nothing behind the end to swap it with, so it never comes.
                assert_eq!(whole, after_the_end, "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_change_nothing_more_is_said() {
    let parties = Parties::new();
    let (client, at_client) = duplex(1 << 16);
    let (at_device, device) = duplex(1 << 16);
    let (from_client, to_client) = tokio::io::split(at_client);
    let (mut from_device, to_device) = tokio::io::split(at_device);
    tokio::spawn(forward(from_client, to_device, 22, Attack::Flip, 2));
    tokio::spawn(async move {
        let mut to_client = to_client;
        tokio::io::copy(&mut from_device, &mut to_client).await
    });
    let (mut client, mut device) = parties.link_over(client, device).await;
    client.write_all(b"changed on its way").await.unwrap();
    client.flush().await.unwrap();
    for _ in 0..2 {
        let error = device.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    }
    let error = device.write(b"answer").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}
