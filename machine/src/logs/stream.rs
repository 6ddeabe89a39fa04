//! Lines on their way to one reader: a bounded queue between a source, which runs by itself, and whoever reads.
//!
//! A reader who is slow makes the source wait; one who leaves ends it, with every program it started.

use foreman_protocol::LogLine;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Duration, Instant},
};

use super::Why;

/// Lines that wait for their reader; with the longest ones 1 MiB.
const WAITING: usize = 64;
/// How often the reader of a filter that lets nothing through hears how far it is.
const REACHED_EVERY: Duration = Duration::from_secs(5);

/// What a log gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Line {
        line: LogLine,
        /// Behind this line; see [`super::Request::after`].
        cursor: String,
    },
    /// Lines are missing here: they were rotated away before they could be read.
    Gap,
    /// Everything before this cursor was looked at, and nothing of it was wanted.
    Reached(String),
    /// Nothing more will come. The reason is for people, absent when all was given that was asked for.
    End(Option<Why>),
}

/// The lines of one source. Dropping it ends the source.
#[derive(Debug)]
pub struct LogStream {
    items: mpsc::Receiver<Item>,
    source: JoinHandle<()>,
}

impl LogStream {
    pub(super) fn start<F>(source: impl FnOnce(Out) -> F) -> Self
    where
        F: Future<Output = Option<Item>> + Send + 'static,
    {
        let (sender, items) = mpsc::channel(WAITING);
        let source = source(Out { items: sender.clone(), told: Instant::now() });
        let source = tokio::spawn(async move {
            if let Some(last) = source.await {
                let _ = sender.send(last).await;
            }
        });
        Self { items, source }
    }

    /// The next of the log; `None` when it has ended. Loses nothing when it is not waited for to the end.
    pub async fn next(&mut self) -> Option<Item> {
        self.items.recv().await
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        self.source.abort();
    }
}

/// A source's end of the queue. Sending gives `None` when nobody reads any more; a source then ends with `None`, and
/// otherwise with its last item.
pub(super) struct Out {
    items: mpsc::Sender<Item>,
    told: Instant,
}

impl Out {
    pub(super) async fn send(&mut self, item: Item) -> Option<()> {
        self.told = Instant::now();
        self.items.send(item).await.ok()
    }

    /// Everything up to here was looked at.
    pub(super) async fn reached(&mut self, cursor: String) -> Option<()> {
        if self.told.elapsed() < REACHED_EVERY {
            return Some(());
        }
        self.send(Item::Reached(cursor)).await
    }
}
