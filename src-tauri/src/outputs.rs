//! The output of tasks that were looked at, kept with what was last known: its end, of the last of them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use foreman_client::app::{KeptAnswer, KnownServer, LastKnown, OutputTail};
use foreman_protocol::TaskId;
use serde::Serialize;
use ts_rs::TS;

use crate::{
    ask::AskHead,
    desk::{Desk, now, unpoisoned},
};

/// Of so many tasks; of the one looked at longest ago nothing is kept any more.
const TASKS: usize = 20;
/// What comes within this time is written together.
const GATHER: Duration = Duration::from_secs(1);
/// Where it is written which those are.
const LIST: &str = "outputs";
const START: &str = "application/octet-stream; start=";

/// The end of a task's output as it was last seen.
#[derive(Debug, Clone, Serialize, TS)]
pub struct KeptOutput {
    /// Of the first byte.
    #[ts(type = "number")]
    pub start: u64,
    /// When it was seen, in milliseconds since the epoch.
    #[ts(type = "number")]
    pub at: i64,
    /// Standard base64.
    pub data: String,
}

/// Reads along with a stream that shows a task's output.
pub struct Reader {
    known: LastKnown,
    server: KnownServer,
    task: TaskId,
    tail: Arc<Mutex<OutputTail>>,
    due: Arc<AtomicBool>,
}

impl Reader {
    /// Nothing for other streams.
    pub async fn of(desk: &Desk, head: &AskHead) -> Option<Self> {
        let path = head.path.split('?').next()?;
        let task = path.strip_prefix("/api/v1/tasks/")?.strip_suffix("/output")?.parse().ok()?;
        if head.device.is_some() || head.method != "GET" {
            return None;
        }
        let server = desk.selected().ok()?;
        let known = desk.last_known().await?;
        Some(Self { known, server, task, tail: Arc::default(), due: Arc::default() })
    }

    pub fn push(&self, piece: &[u8]) {
        if !unpoisoned(&self.tail).push(piece) || self.due.swap(true, Relaxed) {
            return;
        }
        let (known, server, task) = (self.known.clone(), self.server.clone(), self.task);
        let (tail, due) = (Arc::clone(&self.tail), Arc::clone(&self.due));
        // On its own: the page may close the stream before.
        tokio::spawn(async move {
            tokio::time::sleep(GATHER).await;
            due.store(false, Relaxed);
            let (start, body) = {
                let tail = unpoisoned(&tail);
                let (start, bytes) = tail.kept();
                (start, bytes.to_vec())
            };
            let answer = KeptAnswer { at: now(), content_type: format!("{START}{start}"), body };
            if let Err(error) = keep(&known, &server, task, &answer).await {
                tracing::warn!(%error, "the output of a task is not kept");
            }
        });
    }
}

fn place(task: TaskId) -> String {
    format!("{LIST}/{task}")
}

async fn keep(
    known: &LastKnown,
    server: &KnownServer,
    task: TaskId,
    answer: &KeptAnswer,
) -> Result<(), foreman_client::app::LastKnownError> {
    known.keep(&server.id, &place(task), answer).await?;
    let list = known.get(&server.id, LIST).await?;
    let mut tasks: Vec<TaskId> =
        list.and_then(|list| serde_json::from_slice(&list.body).ok()).unwrap_or_default();
    if tasks.last() == Some(&task) {
        return Ok(());
    }
    tasks.retain(|one| *one != task);
    tasks.push(task);
    while tasks.len() > TASKS {
        known.drop_answer(&server.id, &place(tasks.remove(0))).await?;
    }
    let body = serde_json::to_vec(&tasks).unwrap_or_default();
    let list = KeptAnswer { at: now(), content_type: "application/json".to_owned(), body };
    known.keep(&server.id, LIST, &list).await
}

/// What was last seen of a task's output.
pub async fn kept(desk: &Desk, task: TaskId) -> Option<KeptOutput> {
    let server = desk.selected().ok()?;
    let kept = desk.last_known().await?.get(&server.id, &place(task)).await.ok()??;
    let start = kept.content_type.strip_prefix(START)?.parse().ok()?;
    Some(KeptOutput { start, at: kept.at, data: BASE64_STANDARD.encode(&kept.body) })
}
