//! A terminal that is watched and written in across the loss of paths: output is taken up at its offset, and what was
//! typed and not yet accepted is sent again, to be typed once.

mod pump;

use bytes::Bytes;
use foreman_protocol::{TerminalEnded, TerminalId, TerminalState};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{DeviceConnection, path::PathKind};
use crate::Error;
use pump::{Pump, ToDevice};

/// How to attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachOptions {
    /// Output from this byte on; what is not kept any more is told as a gap.
    pub from: u64,
    /// Also write.
    pub write: bool,
    /// The window's columns and rows, which the terminal takes over.
    pub size: Option<(u16, u16)>,
}

/// What an attached terminal says.
#[derive(Debug, Clone)]
pub enum TerminalUpdate {
    /// Attached, at first and after each loss, over this path.
    Attached(PathKind),
    /// The terminal, and what this viewer may do; first of all and whenever it changes.
    State(Box<TerminalState>),
    /// What was printed, each byte once and in order.
    Output { offset: u64, data: Bytes },
    /// Output before this byte is gone.
    Gap { start: u64 },
    /// The path died; it is attached again as soon as there is one.
    Lost(String),
    /// The program ended; nothing follows.
    Ended(TerminalEnded),
    /// It cannot be attached; nothing follows.
    Failed(Error),
}

/// A terminal in use; dropping it detaches and lets the terminal run on.
pub struct AttachedTerminal {
    updates: mpsc::Receiver<TerminalUpdate>,
    input: TerminalInput,
    _pump: AbortOnDropHandle<()>,
}

/// Types into an attached terminal. Clones write into the same.
#[derive(Clone)]
pub struct TerminalInput(mpsc::Sender<ToDevice>);

impl AttachedTerminal {
    pub(super) fn start(device: DeviceConnection, id: TerminalId, options: AttachOptions) -> Self {
        let (tell, updates) = mpsc::channel(64);
        let (input, typed) = mpsc::channel(64);
        let pump = Pump::new(device, id, options, tell, typed);
        let _pump = AbortOnDropHandle::new(tokio::spawn(pump.run()));
        Self { updates, input: TerminalInput(input), _pump }
    }

    /// The next thing that happens; `None` when all was said. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Option<TerminalUpdate> {
        self.updates.recv().await
    }

    /// For typing while [`AttachedTerminal::next`] waits.
    #[must_use]
    pub fn input(&self) -> TerminalInput {
        self.input.clone()
    }
}

impl TerminalInput {
    /// Types; waits while too much is on its way. `false` when the terminal is over.
    pub async fn write(&self, data: impl Into<Bytes>) -> bool {
        self.0.send(ToDevice::Input(data.into())).await.is_ok()
    }

    /// Tells the window's size. `false` when the terminal is over.
    pub async fn resize(&self, cols: u16, rows: u16) -> bool {
        self.0.send(ToDevice::Resize { cols, rows }).await.is_ok()
    }
}
