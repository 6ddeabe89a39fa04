//! Terminals of a device, and how it is reached.

use foreman_client::{PathKind, PathState};
use foreman_protocol::{DeviceId, Level, TerminalId};
use serde::Serialize;
use tauri::{
    State,
    ipc::{Channel, InvokeBody, InvokeResponseBody, Request},
};
use ts_rs::TS;

use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
    terminals::Terminal,
};

/// Which terminal typed bytes are for.
const NUMBER: &str = "x-foreman-terminal";

/// How a device is reached now.
#[derive(Debug, Clone, PartialEq, Serialize, TS)]
pub struct DevicePath {
    /// Absent while none is found.
    #[ts(type = "PathKindName | null")]
    pub kind: Option<PathKind>,
    /// Only the device can read what is sent.
    pub end_to_end: bool,
    pub address: String,
    /// There and back.
    pub latency_ms: Option<f64>,
    /// What the device itself lets this app do; absent where the server speaks for it.
    #[ts(type = "'view' | 'operate' | 'admin' | null")]
    pub level: Option<Level>,
    /// Why there is none, or why it is not a better one.
    pub trouble: Option<String>,
}

impl From<PathState> for DevicePath {
    fn from(state: PathState) -> Self {
        Self {
            kind: state.kind,
            end_to_end: state.kind.is_some_and(PathKind::is_end_to_end),
            address: state.address,
            latency_ms: state.latency.map(|latency| latency.as_secs_f64() * 1_000.0),
            level: state.level,
            trouble: state.trouble,
        }
    }
}

/// Says how a device is reached, and each change of it, until the stream is closed.
#[tauri::command]
pub async fn watch_path(
    desk: State<'_, Desk>,
    device: DeviceId,
    news: Channel<DevicePath>,
) -> Result<u32, Failure> {
    let mut path = desk.device(device).await?.watch();
    let task = tokio::spawn(async move {
        loop {
            let now = DevicePath::from(path.borrow_and_update().clone());
            if news.send(now).is_err() || path.changed().await.is_err() {
                return;
            }
        }
    });
    let number = desk.streams.number();
    desk.streams.put(number, task.abort_handle());
    Ok(number)
}

/// This app's public key, which a device has to trust to be called directly.
#[tauri::command]
pub async fn owner_key(desk: State<'_, Desk>) -> Result<String, Failure> {
    Ok(desk.store().await?.owner_key()?.public())
}

#[tauri::command]
pub async fn attach_terminal(
    desk: State<'_, Desk>,
    device: DeviceId,
    terminal: TerminalId,
    from: u64,
    news: Channel<InvokeResponseBody>,
) -> Result<u32, Failure> {
    let device = desk.device(device).await?;
    let number = desk.terminals.number();
    desk.terminals.put(number, Terminal::attach(&device, terminal, from, news));
    Ok(number)
}

/// Types raw bytes; answered when they are on their way. False when the terminal is over.
#[tauri::command]
pub async fn type_terminal(desk: State<'_, Desk>, request: Request<'_>) -> Result<bool, Failure> {
    let number = request.headers().get(NUMBER).and_then(|number| number.to_str().ok()?.parse().ok());
    let (Some(number), InvokeBody::Raw(bytes)) = (number, request.body()) else {
        return Err(Failure::new(AppCode::Unreadable, "The window typed in a shape that is not known."));
    };
    let Some(terminal) = desk.terminals.get(number) else { return Ok(false) };
    Ok(terminal.input.write(bytes.clone()).await)
}

#[tauri::command]
pub async fn resize_terminal(
    desk: State<'_, Desk>,
    number: u32,
    cols: u16,
    rows: u16,
) -> Result<bool, Failure> {
    let Some(terminal) = desk.terminals.get(number) else { return Ok(false) };
    Ok(terminal.input.resize(cols, rows).await)
}

#[tauri::command]
pub fn pause_terminal(desk: State<'_, Desk>, number: u32, paused: bool) {
    if let Some(terminal) = desk.terminals.get(number) {
        terminal.pause(paused);
    }
}

#[tauri::command]
pub async fn close_terminal(desk: State<'_, Desk>, number: u32) -> Result<(), Failure> {
    if let Some(terminal) = desk.terminals.take(number) {
        terminal.close();
    }
    Ok(())
}
