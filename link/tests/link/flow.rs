//! Bytes through a channel: half close, back-pressure, few writes to the network, long sessions.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::join};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};

use crate::parties::Parties;

#[tokio::test]
async fn each_side_ends_by_itself() {
    let (mut client, mut device) = Parties::new().link(4096).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = String::new();
    device.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "question");
    device.write_all(b"answer").await.unwrap();
    device.shutdown().await.unwrap();
    heard.clear();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "answer");
    assert!(client.write(b"more").await.is_err());
}

#[tokio::test]
async fn being_dropped_is_a_cut_not_an_end() {
    let (mut client, device) = Parties::new().link(4096).await;
    drop(device);
    let error = client.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn who_reads_much_lets_others_go_on_between() {
    let (mut client, mut device) = Parties::new().link(1 << 20).await;
    device.write_all(&vec![7; 512 * 1024]).await.unwrap();
    device.flush().await.unwrap();
    // All of it is there, and still it is not taken in one go.
    let mut received = vec![0; 512 * 1024];
    let mut reading = std::pin::pin!(client.read_exact(&mut received));
    let mut turns = 0;
    let read = std::future::poll_fn(|cx| {
        turns += 1;
        reading.as_mut().poll(cx)
    });
    read.await.unwrap();
    assert!((3..=8).contains(&turns), "{turns} turns");
}

#[tokio::test]
async fn who_does_not_read_is_not_written_to() {
    let (mut client, mut device) = Parties::new().link(4096).await;
    let piece = vec![7; 64 * 1024];
    let mut taken = 0;
    while let Some(written) = client.write(&piece).now_or_never() {
        taken += written.unwrap();
        assert!(taken < 512 * 1024, "{taken} bytes wait in memory");
    }
    let reader = async {
        let mut received = 0;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match device.read(&mut buffer).await.unwrap() {
                0 => return received,
                read => received += read,
            }
        }
    };
    let writer = async {
        client.write_all(&piece).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let ((), received) = join(writer, reader).await;
    assert_eq!(received, taken + piece.len());
}

#[tokio::test]
async fn a_long_session_outlives_its_keys() {
    let (mut client, mut device) = Parties::new().link(1 << 16).await;
    let records = (1 << 16) + 500;
    let echo = async {
        let mut buffer = [0; 1024];
        loop {
            match device.read(&mut buffer).await.unwrap() {
                0 => return device.shutdown().await.unwrap(),
                read => {
                    device.write_all(&buffer[..read]).await.unwrap();
                    device.flush().await.unwrap();
                }
            }
        }
    };
    let talk = async {
        for number in 0..records {
            let said = [number as u8];
            client.write_all(&said).await.unwrap();
            client.flush().await.unwrap();
            let mut heard = [0];
            client.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, said);
        }
        client.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    };
    join(echo, talk).await;
}

/// Counts writes to the network and how long the longest was.
struct Counting<IO> {
    io: IO,
    writes: Arc<AtomicUsize>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counting<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counting<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn small_writes_wait_for_a_flush_and_large_ones_fill_records() {
    let parties = Parties::new();
    let writes = Arc::new(AtomicUsize::new(0));
    let (client, device) = duplex(8 << 20);
    let (mut client, mut device) =
        parties.link_over(Counting { io: client, writes: Arc::clone(&writes) }, device).await;
    let before = writes.load(Ordering::Relaxed);
    for _ in 0..100 {
        client.write_all(b"ten bytes.").await.unwrap();
    }
    assert_eq!(writes.load(Ordering::Relaxed), before);
    client.flush().await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), before + 1);
    let mut heard = [0; 2000];
    // One record: it is read at once.
    assert_eq!(device.read(&mut heard).await.unwrap(), 1000);

    let before = writes.load(Ordering::Relaxed);
    client.write_all(&vec![1; 4 << 20]).await.unwrap();
    client.flush().await.unwrap();
    let used = writes.load(Ordering::Relaxed) - before;
    assert!(used <= 40, "{used} writes for 4 MiB");
}
