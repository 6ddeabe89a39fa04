//! A terminal through the sealed relay: a keystroke until its echo is there, how fast output comes, and what a
//! download beside it does to keystrokes; against ssh.
//!
//! Both ends run the same commands. Our client is the SDK inside this process, ssh's is the ssh program behind pipes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use foreman_client::{
    DeviceConnection, PathKind,
    device::{AttachOptions, AttachedTerminal, TerminalInput, TerminalUpdate, Transfer},
};
use foreman_protocol::OpenTerminal;
use journeys::soon;

use crate::{
    device::OwnedDevice,
    floor,
    measure::{median, megabytes_a_second, percentile},
    peers::ssh::{Ssh, SshTerminal},
    table::{Table, Target},
};

/// Keystrokes in one go; ours and the peer's take turns, so that both see the same machine.
const KEYS: usize = 100;
const TURNS: usize = 10;
const OUTPUT: usize = 200_000_000;
const OUTPUT_TURNS: usize = 5;
const DOWNLOAD: u64 = 1 << 30;

/// What is said when the terminal can be used.
const READY: &str = "ready";

/// A terminal that somebody types in.
pub trait Typist: Send {
    fn type_in(&mut self, text: &'static [u8]) -> impl Future<Output = ()> + Send;
    /// How many bytes came; waits for the first.
    fn hear(&mut self) -> impl Future<Output = usize> + Send;
}

pub async fn measure(table: &mut Table) {
    let device = OwnedDevice::start().await;
    let relayed = device.over(PathKind::Relay).await;
    let mut ours = attach(&relayed, ECHO).await;
    let ssh = Ssh::start().await;
    match &ssh {
        Ok(ssh) => against(table, &device, &relayed, &mut ours, ssh).await,
        Err(why) => {
            table.skipped("ssh", why);
            let mut keys = Keys::default();
            keys.turns(&mut ours).await;
            keys.told(table, "keystroke to its echo through the relay", None);
            let rate = output(&mut attach(&relayed, &printing()).await).await;
            table.told("output of a terminal through the relay", "MB/s", rate, None);
        }
    }
}

async fn against(
    table: &mut Table,
    device: &OwnedDevice,
    relayed: &DeviceConnection,
    ours: &mut Ours,
    ssh: &Ssh,
) {
    let mut theirs = ssh.terminal(ECHO);
    hear_all(&mut theirs, READY.len()).await;
    let (mut our_keys, mut their_keys) = (Keys::default(), Keys::default());
    for _ in 0..TURNS {
        our_keys.turn(ours).await;
        their_keys.turn(&mut theirs).await;
    }
    drop(theirs);
    our_keys.told(table, "keystroke to its echo through the relay, ssh", Some(their_keys));
    let (mut our_rates, mut their_rates, mut kernels_rates) = (Vec::new(), Vec::new(), Vec::new());
    let mut cpu = Duration::ZERO;
    for _ in 0..OUTPUT_TURNS {
        let before = device.cpu_time();
        our_rates.push(output(&mut attach(relayed, &printing()).await).await);
        cpu += device.cpu_time() - before;
        let mut theirs = ssh.terminal(&printing());
        hear_all(&mut theirs, READY.len()).await;
        their_rates.push(output(&mut theirs).await);
        kernels_rates.push(kernels_own().await);
    }
    let middle = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (ours, theirs, kernels) = (middle(our_rates), middle(their_rates), middle(kernels_rates));
    let target = Target::AtLeast(1.5);
    table.ratio("output of a terminal through the relay, ssh", "MB/s", ours, theirs, target);
    table.told(
        "output of a terminal through the relay, the kernel's terminal alone",
        "MB/s",
        ours,
        Some(kernels),
    );
    table.told("output of a terminal of ssh, the kernel's terminal alone", "MB/s", theirs, Some(kernels));
    let each = cpu.as_secs_f64() * 1e3 / (OUTPUT as f64 / 1e6 * OUTPUT_TURNS as f64);
    table.told("output of a terminal through the relay, CPU of device and server", "ms a MB", each, None);
}

/// Keystrokes alone and beside a download, by turns: what else the machine does changes from one second to the next.
/// Who does both at once is an app or a server, where each is a task among the tasks of many threads.
pub async fn beside_a_download(table: &mut Table) {
    let typing = tokio::spawn(type_beside_a_download());
    let (mut idle, mut busy, rate) = typing.await.expect("the keys come back");
    let (idle, busy) = (median(&mut idle.0), median(&mut busy.0));
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    table.ratio(
        "keystroke beside a download, p50, alone",
        "µs",
        micros(busy),
        micros(idle),
        Target::AtMost(2.0),
    );
    table.told("the download beside it", "MB/s", rate, None);
}

/// Keys alone, keys beside a download, and how fast that was in MB/s.
async fn type_beside_a_download() -> (Keys, Keys, f64) {
    let device = OwnedDevice::start().await;
    let relayed = device.over(PathKind::Relay).await;
    let mut ours = attach(&relayed, ECHO).await;
    let path = device.folder.join("large");
    let file = std::fs::File::create(&path).expect("a file");
    file.set_len(DOWNLOAD).expect("an empty gigabyte");
    let path = path.to_str().expect("text").to_owned();
    let (mut idle, mut busy) = (Keys::default(), Keys::default());
    let (mut bytes, mut took) = (0, Duration::ZERO);
    for _ in 0..TURNS {
        idle.turn(&mut ours).await;
        let fetched = Arc::new(AtomicU64::new(0));
        let begin = Instant::now();
        let download = tokio::spawn(fetch(relayed.clone(), path.clone(), Arc::clone(&fetched)));
        busy.turn(&mut ours).await;
        took += begin.elapsed();
        bytes += fetched.load(Relaxed);
        download.abort();
        // What it still does must not be beside the next keys alone.
        let _ = download.await;
    }
    (idle, busy, megabytes_a_second(bytes, took))
}

/// Downloads a file again and again; the keystrokes say when it is enough.
async fn fetch(device: DeviceConnection, path: String, fetched: Arc<AtomicU64>) {
    loop {
        let before = fetched.load(Relaxed);
        let tell = |step: Transfer<'_>| {
            if let Transfer::At(at) = step {
                fetched.store(before + at, Relaxed);
            }
        };
        let mut nowhere = tokio::io::sink();
        device.download(&path, 0, None, &mut nowhere, tell).await.expect("it is there");
    }
}

/// A program that gives back what is typed, byte for byte.
const ECHO: &str = "stty raw -echo; printf ready; exec cat";

/// A program that prints as fast as it can once it is told to.
fn printing() -> String {
    let line = "0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    format!("stty raw -echo; printf ready; read go; yes '{line}' | head -c {OUTPUT}; exec cat")
}

async fn output(terminal: &mut impl Typist) -> f64 {
    let begin = Instant::now();
    terminal.type_in(b"go\n").await;
    hear_all(terminal, OUTPUT).await;
    megabytes_a_second(OUTPUT as u64, begin.elapsed())
}

/// The same output with nobody between: what no way to a terminal can be faster than.
async fn kernels_own() -> f64 {
    let read = tokio::task::spawn_blocking(|| floor::pty::output(&printing(), READY, OUTPUT));
    megabytes_a_second(OUTPUT as u64, read.await.expect("it was read"))
}

async fn hear_all(terminal: &mut impl Typist, count: usize) {
    let all = async {
        let mut heard = 0;
        while heard < count {
            heard += terminal.hear().await;
        }
        assert_eq!(heard, count, "more was printed than was meant to be");
    };
    soon("what a terminal prints", all).await;
}

#[derive(Default)]
struct Keys(Vec<Duration>);

impl Keys {
    async fn turns(&mut self, terminal: &mut impl Typist) {
        for _ in 0..TURNS {
            self.turn(terminal).await;
        }
    }

    async fn turn(&mut self, terminal: &mut impl Typist) {
        // The first few find everything asleep.
        for number in 0..KEYS + 5 {
            let begin = Instant::now();
            terminal.type_in(b"k").await;
            hear_all(terminal, 1).await;
            if number >= 5 {
                self.0.push(begin.elapsed());
            }
        }
    }

    fn told(mut self, table: &mut Table, what: &str, theirs: Option<Self>) {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let mut theirs = theirs.map(|theirs| theirs.0);
        let mut of = |percent| theirs.as_mut().map(|times| micros(percentile(times, percent)));
        let (p50, p99) = (micros(percentile(&mut self.0, 50)), micros(percentile(&mut self.0, 99)));
        match of(50) {
            Some(floor) => table.ratio(format!("{what}, p50"), "µs", p50, floor, Target::AtMost(1.2)),
            None => table.told(format!("{what}, p50"), "µs", p50, None),
        }
        table.told(format!("{what}, p99"), "µs", p99, of(99));
    }
}

struct Ours {
    terminal: AttachedTerminal,
    input: TerminalInput,
}

/// Opens a terminal with this script and waits until it can be used.
async fn attach(device: &DeviceConnection, script: &str) -> Ours {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let open = OpenTerminal { command, cols: 80, rows: 24, ..OpenTerminal::default() };
    let terminal = device.open_terminal(&open).await.expect("a terminal opens");
    let options = AttachOptions { from: 0, write: true, size: None };
    let terminal = device.attach(terminal.id, options);
    let mut ours = Ours { input: terminal.input(), terminal };
    hear_all(&mut ours, READY.len()).await;
    ours
}

impl Typist for Ours {
    async fn type_in(&mut self, text: &'static [u8]) {
        assert!(self.input.write(text).await, "the terminal is over");
    }

    async fn hear(&mut self) -> usize {
        loop {
            match self.terminal.next().await.expect("the terminal goes on") {
                TerminalUpdate::Output { data, .. } => return data.len(),
                TerminalUpdate::Attached(_) | TerminalUpdate::State(_) => {}
                other => panic!("nothing may be lost: {other:?}"),
            }
        }
    }
}

impl Typist for SshTerminal {
    async fn type_in(&mut self, text: &'static [u8]) {
        self.write(text).await;
    }

    async fn hear(&mut self) -> usize {
        self.read().await
    }
}
