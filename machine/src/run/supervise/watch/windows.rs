//! A small runtime for the pipes and the process; the output is read by a thread, because its pipe knows no other way.

use std::{
    future::pending,
    io::{self, PipeReader, PipeWriter, Read as _},
    path::Path,
    time::Duration,
};

use process_wrap::tokio::ChildWrapper;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::windows::named_pipe::NamedPipeClient,
    runtime::{Handle, Runtime},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    super::{
        super::{Ending, Moment, Reaped, RunSpec, notices, pipe},
        Begun, Listener, windows,
    },
    BUFFER, Heard, MOST_PEERS, Output,
};

/// How long somebody who does not read is waited for.
const TELLING: Duration = Duration::from_millis(200);
/// Between two tries to offer one more end of the pipe.
const OFFER_AGAIN: Duration = Duration::from_millis(100);
/// Even who does not want to wait gives the reading thread so long to come.
const SHORTEST: Duration = Duration::from_millis(10);
const MOST_EVENTS: usize = 64;

type Writer = Box<dyn AsyncWrite + Send + Unpin>;

enum Event {
    Joined(Writer),
    Said { stop: bool, room: bool },
    Reaped(Reaped),
}

/// How a started command reports.
pub(in super::super) struct Wiring {
    runtime: Handle,
    events: mpsc::Sender<Event>,
}

/// What the loop needs of a started command.
pub(in super::super) struct Task {
    /// `None` once closed.
    output: Option<mpsc::Receiver<Vec<u8>>>,
    /// Read from the pipe and not yet asked for.
    rest: Vec<u8>,
    kill: mpsc::Sender<()>,
}

impl Task {
    pub(in super::super) fn follow(
        child: Box<dyn ChildWrapper>,
        output: PipeReader,
        wiring: Wiring,
    ) -> io::Result<Self> {
        let (kill, orders) = mpsc::channel(1);
        let (pieces, taken) = mpsc::channel(1);
        wiring.runtime.spawn(mind(child, orders, wiring.events));
        std::thread::Builder::new().name("output".to_owned()).spawn(move || read_all(output, &pieces))?;
        Ok(Self { output: Some(taken), rest: Vec::new(), kill })
    }

    /// Windows has no request to end that every program hears, so this ends the whole job at once.
    pub(super) fn ask_to_end(&mut self, main_alive: bool) {
        self.kill(main_alive);
    }

    pub(super) fn kill(&mut self, _main_alive: bool) {
        // When there is an order already, it is the same one.
        let _ = self.kill.try_send(());
    }

    pub(super) fn output_is_open(&self) -> bool {
        self.output.is_some() || !self.rest.is_empty()
    }

    /// Waits for output; never returns when none is wanted.
    async fn output(&mut self, wanted: bool) -> Option<Vec<u8>> {
        match &mut self.output {
            Some(output) if wanted => output.recv().await,
            _ => pending().await,
        }
    }

    fn hand_over(&mut self, buffer: &mut [u8]) -> Output {
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Output::Bytes(count)
    }

    fn take(&mut self, piece: Option<Vec<u8>>, buffer: &mut [u8]) -> Output {
        if let Some(piece) = piece {
            self.rest = piece;
            return self.hand_over(buffer);
        }
        self.output = None;
        Output::Closed
    }
}

/// To the end of the output, no faster than it is taken.
fn read_all(mut output: PipeReader, pieces: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match output.read(&mut buffer) {
            Ok(count) if count > 0 => {
                if pieces.blocking_send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Sees the main process end, and ends the job when ordered: once that is done and the main process has ended, nothing
/// of it is left.
async fn mind(mut child: Box<dyn ChildWrapper>, mut orders: mpsc::Receiver<()>, events: mpsc::Sender<Event>) {
    let (mut main_alive, mut killed) = (true, false);
    loop {
        tokio::select! {
            // The wrapper's own wait would be for all of the job.
            status = child.inner_mut().wait(), if main_alive => {
                main_alive = false;
                let code = status.ok().and_then(|status| status.code()).unwrap_or(-1);
                let ended = Reaped::Main(Ending::Code(code), Moment::now());
                if events.send(Event::Reaped(ended)).await.is_err() {
                    return;
                }
            }
            order = orders.recv() => {
                if order.is_none() {
                    return;
                }
                killed |= child.start_kill().is_ok();
            }
        }
        if killed && !main_alive && events.send(Event::Reaped(Reaped::AllGone)).await.is_err() {
            return;
        }
    }
}

/// Whoever speaks to this supervisor.
pub(in super::super) struct Ears {
    runtime: Runtime,
    peers: Vec<Writer>,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
}

impl Ears {
    pub(in super::super) fn new(
        runtime: Runtime,
        listener: Listener,
        launcher: Option<NamedPipeClient>,
    ) -> Self {
        let (sender, events) = mpsc::channel(MOST_EVENTS);
        let mut ears = Self { runtime, peers: Vec::new(), events, sender };
        if let Some(launcher) = launcher {
            let (read, write) = tokio::io::split(launcher);
            ears.peers.push(Box::new(write));
            ears.runtime.spawn(hear(read, ears.sender.clone()));
        }
        ears.runtime.spawn(welcome(listener, ears.sender.clone()));
        ears
    }

    pub(super) fn begin(
        &self,
        spec: &RunSpec,
        output: PipeReader,
        out: PipeWriter,
        err: PipeWriter,
    ) -> Result<Begun, String> {
        let _inside = self.runtime.enter();
        let ears = Wiring { runtime: self.runtime.handle().clone(), events: self.sender.clone() };
        Ok(Begun { child: windows::begin(spec, out, err)?, output, ears })
    }

    pub(super) fn tell(&mut self, notice: u8) {
        let Self { runtime, peers, .. } = self;
        runtime.block_on(async {
            let mut listening = Vec::with_capacity(peers.len());
            for mut peer in peers.drain(..) {
                if matches!(timeout(TELLING, peer.write_all(&[notice])).await, Ok(Ok(()))) {
                    listening.push(peer);
                }
            }
            *peers = listening;
        });
    }

    /// A directory that somebody stands in cannot be removed.
    pub(super) fn leave(&mut self, folder: &Path) {
        let _ = std::env::set_current_dir(folder.ancestors().last().unwrap_or(folder))
            .or_else(|_| std::env::set_current_dir(std::env::temp_dir()));
    }

    /// Sleeps until something happens. Output is read when there is a buffer. `None` when nothing can be told.
    pub(super) fn listen(
        &mut self,
        task: &mut Task,
        buffer: &mut [u8],
        most: Option<Duration>,
    ) -> Option<Heard> {
        let Self { runtime, peers, events, .. } = self;
        let mut heard = Heard::default();
        let reading = !buffer.is_empty();
        if reading && !task.rest.is_empty() {
            heard.any = true;
            heard.output = task.hand_over(buffer);
            return Some(heard);
        }
        runtime.block_on(async {
            let over = async {
                match most {
                    Some(most) => sleep(most.max(SHORTEST)).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                event = events.recv() => heard.take(event, peers),
                piece = task.output(reading) => {
                    heard.any = true;
                    heard.output = task.take(piece, buffer);
                }
                () = over => {}
            }
            while let Ok(event) = events.try_recv() {
                heard.take(Some(event), peers);
            }
        });
        Some(heard)
    }
}

impl Heard {
    fn take(&mut self, event: Option<Event>, peers: &mut Vec<Writer>) {
        self.any = true;
        match event {
            Some(Event::Joined(peer)) if peers.len() < MOST_PEERS => peers.push(peer),
            Some(Event::Said { stop, room }) => {
                self.stop |= stop;
                self.room |= room;
            }
            Some(Event::Reaped(reaped)) => self.reaped.push(reaped),
            Some(Event::Joined(_)) | None => {}
        }
    }
}

/// Lets in whoever comes, one after the other.
async fn welcome(listener: Listener, events: mpsc::Sender<Event>) {
    let Listener { name, pipe: mut free } = listener;
    loop {
        let connected = free.connect().await;
        let next = loop {
            match pipe::serve_next(&name) {
                Ok(next) => break next,
                // All ends are taken.
                Err(_) => sleep(OFFER_AGAIN).await,
            }
        };
        let peer = std::mem::replace(&mut free, next);
        if connected.is_err() {
            continue;
        }
        let (read, write) = tokio::io::split(peer);
        if events.send(Event::Joined(Box::new(write))).await.is_err() {
            return;
        }
        tokio::spawn(hear(read, events.clone()));
    }
}

async fn hear(mut line: impl AsyncRead + Unpin, events: mpsc::Sender<Event>) {
    let mut bytes = [0; 64];
    while let Ok(count) = line.read(&mut bytes).await
        && count > 0
    {
        let (stop, room) = (bytes[..count].contains(&notices::STOP), bytes[..count].contains(&notices::ROOM));
        if events.send(Event::Said { stop, room }).await.is_err() {
            return;
        }
    }
}
