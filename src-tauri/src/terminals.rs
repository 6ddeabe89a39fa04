//! A terminal as the window sees it. The SDK attaches it, over whatever path, and again when that dies; here its
//! updates become what the window reads: output as raw bytes, everything else as JSON.

use std::time::Duration;

use foreman_client::{
    DeviceConnection, PathKind,
    device::{AttachOptions, AttachedTerminal, TerminalInput, TerminalUpdate},
};
use foreman_protocol::{TerminalEnded, TerminalId, TerminalState};
use serde::Serialize;
use tauri::ipc::{Channel, InvokeResponseBody};
use tokio::{sync::watch, task::AbortHandle};
use ts_rs::TS;

use crate::failure::Failure;

/// Everything but output, which is 8 bytes of offset (big-endian) and what was printed.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TerminalNews {
    Attached {
        #[ts(type = "PathKindName")]
        path: PathKind,
    },
    State {
        #[ts(type = "unknown")]
        state: Box<TerminalState>,
    },
    Gap {
        #[ts(type = "number")]
        start: u64,
    },
    Lost {
        message: String,
    },
    Ended {
        #[ts(type = "unknown")]
        ended: TerminalEnded,
    },
    Failed {
        failure: Failure,
    },
}

/// A terminal that is watched; ends with [`Terminal::close`].
#[derive(Clone)]
pub struct Terminal {
    pub input: TerminalInput,
    paused: watch::Sender<bool>,
    task: AbortHandle,
}

impl Terminal {
    pub fn attach(
        device: &DeviceConnection,
        id: TerminalId,
        from: u64,
        news: Channel<InvokeResponseBody>,
    ) -> Self {
        let attached = device.attach(id, AttachOptions { from, write: true, size: None });
        let input = attached.input();
        let (paused, pause) = watch::channel(false);
        let task = tokio::spawn(tell(attached, news, pause)).abort_handle();
        Self { input, paused, task }
    }

    /// Takes no more output until it is unpaused: the device then waits too.
    pub fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    pub fn close(self) {
        // What was typed a moment ago still goes out. By the app's own runtime: a page that begins closes terminals on the
        // window's thread, which is none of tokio's.
        tauri::async_runtime::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.task.abort();
        });
    }
}

async fn tell(
    mut attached: AttachedTerminal,
    news: Channel<InvokeResponseBody>,
    mut pause: watch::Receiver<bool>,
) {
    loop {
        if pause.wait_for(|paused| !paused).await.is_err() {
            return;
        }
        let Some(update) = attached.next().await else { return };
        let last = matches!(update, TerminalUpdate::Ended(_) | TerminalUpdate::Failed(_));
        // The window is gone when nothing can be sent.
        if news.send(said(update)).is_err() || last {
            return;
        }
    }
}

fn said(update: TerminalUpdate) -> InvokeResponseBody {
    let news = match update {
        TerminalUpdate::Output { offset, data } => {
            let mut bytes = Vec::with_capacity(8 + data.len());
            bytes.extend_from_slice(&offset.to_be_bytes());
            bytes.extend_from_slice(&data);
            return InvokeResponseBody::Raw(bytes);
        }
        TerminalUpdate::Attached(path) => TerminalNews::Attached { path },
        TerminalUpdate::State(state) => TerminalNews::State { state },
        TerminalUpdate::Gap { start } => TerminalNews::Gap { start },
        TerminalUpdate::Lost(message) => TerminalNews::Lost { message },
        TerminalUpdate::Ended(ended) => TerminalNews::Ended { ended },
        TerminalUpdate::Failed(error) => TerminalNews::Failed { failure: error.into() },
    };
    InvokeResponseBody::Json(serde_json::to_string(&news).unwrap_or_else(|_| "null".to_owned()))
}
