//! The task behind an attached terminal: one wire after the other, and what must survive between them.

use std::{collections::VecDeque, pin::pin, time::Duration};

use bytes::Bytes;
use foreman_protocol::{TerminalFrame, TerminalId};
use futures_util::StreamExt;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep_until},
};

use super::{AttachOptions, TerminalUpdate};
use crate::{
    Error,
    device::{
        DeviceConnection,
        dial::Unreached,
        frames::{self, Place, Wire},
        keeper::{Pause, Standing},
        keys,
        path::PathKind,
        session::Session,
    },
};

/// Typed bytes that one frame carries.
const TYPED: usize = 16 * 1024;
/// Typed bytes on their way; more are not taken.
const ON_THE_WAY: usize = 256 * 1024;
/// Typed bytes that are not accepted for so long make the path suspicious.
const ACCEPT_LIMIT: Duration = Duration::from_secs(2);

const NO_INPUT: &str = "the device takes no input any more";

/// What a caller wants of the terminal.
pub(super) enum ToDevice {
    Input(Bytes),
    Resize { cols: u16, rows: u16 },
}

/// Why a wire is left.
enum Left {
    /// All is said, or nobody listens.
    Over,
    Lost(String),
    /// A better path is there.
    Moved,
}

pub(super) struct Pump {
    device: DeviceConnection,
    terminal: TerminalId,
    /// Names this viewer's input, so that what is sent again is typed once.
    writer: Option<String>,
    /// It began end to end, and what is typed goes no other way.
    sealed: bool,
    size: Option<(u16, u16)>,
    tell: mpsc::Sender<TerminalUpdate>,
    typed: mpsc::Receiver<ToDevice>,
    /// The next byte of output.
    next: u64,
    unaccepted: Unaccepted,
    /// An update that waits for the caller to take the ones before.
    held: Option<TerminalUpdate>,
}

/// What was typed and may have to be sent again.
#[derive(Default)]
struct Unaccepted {
    /// Of the first byte in `pieces`.
    start: u64,
    pieces: VecDeque<Bytes>,
    bytes: usize,
    since: Option<Instant>,
}

impl Unaccepted {
    const fn end(&self) -> u64 {
        self.start + self.bytes as u64
    }

    fn add(&mut self, piece: Bytes) -> TerminalFrame {
        let offset = self.end();
        self.bytes += piece.len();
        self.since.get_or_insert_with(Instant::now);
        self.pieces.push_back(piece.clone());
        TerminalFrame::Input { offset, data: piece.to_vec() }
    }

    fn accept(&mut self, received: u64) {
        if received > self.start {
            self.since = Some(Instant::now());
        }
        while self.start < received {
            let Some(first) = self.pieces.front_mut() else { break };
            let known = usize::try_from(received - self.start).unwrap_or(usize::MAX).min(first.len());
            bytes::Buf::advance(first, known);
            let done = first.is_empty();
            self.start += known as u64;
            self.bytes -= known;
            if done {
                self.pieces.pop_front();
            }
        }
        if self.bytes == 0 {
            self.since = None;
        }
    }

    /// All of it again.
    fn frames(&self) -> impl Iterator<Item = TerminalFrame> {
        let mut offset = self.start;
        self.pieces.iter().map(move |piece| {
            let frame = TerminalFrame::Input { offset, data: piece.to_vec() };
            offset += piece.len() as u64;
            frame
        })
    }
}

impl Pump {
    pub fn new(
        device: DeviceConnection,
        terminal: TerminalId,
        options: AttachOptions,
        tell: mpsc::Sender<TerminalUpdate>,
        typed: mpsc::Receiver<ToDevice>,
    ) -> Self {
        let writer = options.write.then(|| format!("{:032x}", rand::random::<u128>()));
        let (size, next) = (options.size, options.from);
        let unaccepted = Unaccepted::default();
        let sealed = matches!(*device.reach().standing.borrow(), Standing::Link(_));
        Self { device, terminal, writer, sealed, size, tell, typed, next, unaccepted, held: None }
    }

    pub async fn run(mut self) {
        let mut pause = Pause::default();
        loop {
            let wait = match self.open().await {
                Ok((wire, session)) => {
                    self.sealed |= session.is_some();
                    let kind = session.as_ref().map_or(PathKind::Server, |session| session.candidate.kind);
                    if !self.tell(TerminalUpdate::Attached(kind)).await {
                        return;
                    }
                    let started = Instant::now();
                    let left = self.pump(wire, session).await;
                    if !self.tell_held().await {
                        return;
                    }
                    match left {
                        Left::Over => return,
                        Left::Moved => continue,
                        Left::Lost(why) => {
                            // The keeper's session may have died of the same.
                            self.device.network_changed();
                            if !self.tell(TerminalUpdate::Lost(why)).await {
                                return;
                            }
                        }
                    }
                    // A wire that held needs no pause: another path may be there already.
                    if started.elapsed() > Duration::from_secs(2) {
                        pause = Pause::default();
                        Duration::ZERO
                    } else {
                        pause.next()
                    }
                }
                Err(error) if error.is_transient() => {
                    if !self.tell(TerminalUpdate::Lost(error.to_string())).await {
                        return;
                    }
                    pause.next()
                }
                Err(error) => {
                    self.tell(TerminalUpdate::Failed(error)).await;
                    return;
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn tell(&self, update: TerminalUpdate) -> bool {
        self.tell.send(update).await.is_ok()
    }

    /// What was understood before the wire was left; `false` when that was the last there is, or nobody listens.
    async fn tell_held(&mut self) -> bool {
        match self.held.take() {
            Some(update) => {
                let over = matches!(update, TerminalUpdate::Ended(_));
                self.tell(update).await && !over
            }
            None => true,
        }
    }

    /// A wire of its own; `None` for the session when the server is between.
    async fn open(&self) -> Result<(Wire, Option<Session>), Error> {
        let reach = self.device.reach();
        let place = Place { terminal: self.terminal, from: self.next, writer: self.writer.as_deref() };
        let standing = reach.standing.borrow().clone();
        let like = match standing {
            Standing::Refused(error) => return Err(error),
            Standing::Server(why) if self.sealed && !reach.dialer.may_unseal() => {
                return Err(keys::not_unsealed(&self.device.known().name, &why));
            }
            Standing::Server(_) => return self.open_through_server(&place).await,
            Standing::Link(session) if !session.is_over() => Some(session.candidate.clone()),
            // The keeper looks too, and may find that the server has to speak.
            Standing::Link(_) | Standing::Searching(_) | Standing::Nowhere(_) => None,
        };
        match reach.dialer.another(like).await {
            Ok(session) => Ok((frames::over_link(&session, &place).await?, Some(session))),
            // The keeper may find another right; if not, it is said when the server would have to speak.
            Err(Unreached { refused: Some(error), .. }) if self.sealed && !reach.dialer.may_unseal() => {
                Err(Error::Unreachable { message: error.to_string() })
            }
            Err(Unreached { refused: Some(error), .. }) => {
                if reach.dialer.may_use_server() {
                    self.open_through_server(&place).await
                } else {
                    Err(error)
                }
            }
            Err(unreached) => Err(Error::Unreachable { message: unreached.to_string() }),
        }
    }

    async fn open_through_server(&self, place: &Place<'_>) -> Result<(Wire, Option<Session>), Error> {
        let dialer = &self.device.reach().dialer;
        let Some(server) = &dialer.server else {
            return Err(Error::Unreachable { message: "no server is known".to_owned() });
        };
        let wire = frames::over_server(&dialer.carrier, server, self.device.known().id, place).await?;
        Ok((wire, None))
    }

    async fn pump(&mut self, mut wire: Wire, session: Option<Session>) -> Left {
        let mut outgoing: VecDeque<TerminalFrame> = VecDeque::new();
        // Nothing is typed before the device has said how much of it it knows.
        let mut ready = false;
        // A terminal that has ended takes nothing more, and what it printed last may be on its way still.
        let mut deaf = false;
        let mut standing = self.device.reach().standing.subscribe();
        let kind = session.as_ref().map(|session| session.candidate.kind);
        standing.mark_unchanged();
        let tell = self.tell.clone();
        let mut over = pin!(over(session.as_ref()));
        // Stays set when it is not needed any more: to set one for each key is dearer than to wake once in vain.
        let mut alarm = pin!(sleep_until(Instant::now()));
        loop {
            // What can go at once, which is each key and its echo, does not wait for another turn.
            while let Some(frame) = outgoing.pop_front_if(|_| ready && !deaf) {
                match wire.to_device.try_send(frame) {
                    Ok(()) => {}
                    Err(TrySendError::Full(frame)) => {
                        outgoing.push_front(frame);
                        break;
                    }
                    Err(TrySendError::Closed(_)) => deaf = true,
                }
            }
            if let Some(update) = self.held.take() {
                let last = matches!(update, TerminalUpdate::Ended(_));
                match tell.try_send(update) {
                    Ok(()) if last => return Left::Over,
                    Ok(()) => {}
                    Err(TrySendError::Full(update)) => self.held = Some(update),
                    Err(TrySendError::Closed(_)) => return Left::Over,
                }
            }
            let accept_by = self.unaccepted.since.filter(|_| ready).map(|since| since + ACCEPT_LIMIT);
            if let Some(at) = accept_by.filter(|_| alarm.is_elapsed()) {
                alarm.as_mut().reset(at);
            }
            tokio::select! {
                // There is room again, for the next turn.
                room = tell.reserve(), if self.held.is_some() => {
                    if room.is_err() {
                        return Left::Over;
                    }
                }
                frame = wire.from_device.next(), if self.held.is_none() => match frame {
                    Some(Ok(TerminalFrame::State(state))) => {
                        self.unaccepted.accept(state.input_received);
                        if !ready {
                            ready = true;
                            self.begin(&mut outgoing);
                        }
                        self.held = Some(TerminalUpdate::State(state));
                    }
                    Some(Ok(frame)) => self.held = self.understand(frame),
                    Some(Err(error)) => return Left::Lost(error.to_string()),
                    None => return Left::Lost("the device closed the terminal's connection".to_owned()),
                },
                room = wire.to_device.reserve(), if ready && !deaf && !outgoing.is_empty() => deaf = room.is_err(),
                told = self.typed.recv(), if self.unaccepted.bytes < ON_THE_WAY => match told {
                    Some(told) => self.take(told, ready, &mut outgoing),
                    None => return Left::Over,
                },
                changed = standing.changed() => {
                    if changed.is_err() {
                        return Left::Over;
                    }
                    if is_better(&standing.borrow_and_update(), kind) {
                        return Left::Moved;
                    }
                }
                // What was typed when it was set may have been accepted; then it is set again for what came later.
                () = &mut alarm, if accept_by.is_some() => {
                    if accept_by.is_some_and(|at| at <= Instant::now()) {
                        if deaf {
                            return Left::Lost(NO_INPUT.to_owned());
                        }
                        if let Err(why) = alive(session.as_ref()).await {
                            return Left::Lost(why);
                        }
                        self.unaccepted.since = Some(Instant::now());
                    }
                }
                () = &mut over => return Left::Lost("the path broke off".to_owned()),
            }
        }
    }

    /// What a fresh wire has to hear: the window, and all that may not have been typed.
    fn begin(&self, outgoing: &mut VecDeque<TerminalFrame>) {
        if self.writer.is_none() {
            return;
        }
        outgoing.extend(self.size.map(|(cols, rows)| TerminalFrame::Resize { cols, rows }));
        outgoing.extend(self.unaccepted.frames());
    }

    fn take(&mut self, told: ToDevice, ready: bool, outgoing: &mut VecDeque<TerminalFrame>) {
        if self.writer.is_none() {
            return;
        }
        match told {
            ToDevice::Resize { cols, rows } => {
                self.size = Some((cols, rows));
                if ready {
                    outgoing.push_back(TerminalFrame::Resize { cols, rows });
                }
            }
            ToDevice::Input(mut data) => {
                while !data.is_empty() {
                    let frame = self.unaccepted.add(data.split_to(data.len().min(TYPED)));
                    if ready {
                        outgoing.push_back(frame);
                    }
                }
            }
        }
    }

    /// `None` for what adds nothing: output that came before.
    fn understand(&mut self, frame: TerminalFrame) -> Option<TerminalUpdate> {
        match frame {
            TerminalFrame::Output { offset, data } => {
                let mut data = Bytes::from(data);
                let known = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
                let data = data.split_off(known.min(data.len()));
                let offset = offset.max(self.next);
                self.next = offset + data.len() as u64;
                (!data.is_empty()).then_some(TerminalUpdate::Output { offset, data })
            }
            TerminalFrame::Gap { start } => {
                let is_news = start > self.next;
                self.next = self.next.max(start);
                is_news.then_some(TerminalUpdate::Gap { start })
            }
            TerminalFrame::InputAccepted { received } => {
                self.unaccepted.accept(received);
                None
            }
            TerminalFrame::Ended(ended) => Some(TerminalUpdate::Ended(ended)),
            TerminalFrame::State(state) => Some(TerminalUpdate::State(state)),
            TerminalFrame::Input { .. } | TerminalFrame::Resize { .. } => None,
        }
    }
}

fn is_better(now: &Standing, than: Option<PathKind>) -> bool {
    match now {
        Standing::Link(other) => than.is_none_or(|kind| other.candidate.kind < kind),
        _ => false,
    }
}

async fn over(session: Option<&Session>) {
    match session {
        Some(session) => session.closed().await,
        None => std::future::pending().await,
    }
}

/// Whether the path still carries; through the server nobody can tell.
async fn alive(session: Option<&Session>) -> Result<(), String> {
    match session {
        Some(session) => session.ping(ACCEPT_LIMIT).await.map(drop),
        None => Ok(()),
    }
}
