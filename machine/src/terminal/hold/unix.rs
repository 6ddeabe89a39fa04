//! A session leader. It ends by the same signal as the program. It ends everything first when it is asked to (SIGTERM)
//! or when the line is hung up (SIGHUP).

use std::{
    io::{self, IsTerminal, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream as StdUnixStream, process::CommandExt},
    },
    process::{Command, Stdio},
    sync::mpsc::Receiver,
    time::Duration,
};

use nix::{
    sys::{
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::Pid,
};
use tokio::{
    net::UnixStream,
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use super::{NOT_STARTED, Orders, why_not};
use crate::run::{Ending, Reaped, reaper, tree};

/// Between two kills of a tree that will not go.
const KILL_AGAIN: Duration = Duration::from_millis(100);
/// After this long killing has failed: another user's processes, or the kernel holds them.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// To the terminal, for whoever looks.
pub(super) fn say(text: &str) {
    if let Ok(tty) = tty() {
        let _ = std::fs::File::from(tty).write_all(format!("{text}\n").as_bytes());
    }
}

fn tty() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

pub(super) async fn run(orders: &Orders) -> io::Result<Ending> {
    // Before the program is there, so that no request to end is missed. A program starts without these handlers.
    let mut asked = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    // Typed for the program; a command without a shell shares our process group.
    let _typed = (signal(SignalKind::interrupt())?, signal(SignalKind::quit())?);
    become_reaper();
    let main = match start(orders) {
        Ok(main) => main,
        Err(why) => {
            say(&why);
            return Ok(Ending::Code(NOT_STARTED.into()));
        }
    };
    let (bell, ring) = StdUnixStream::pair()?;
    bell.set_nonblocking(true)?;
    let bell = UnixStream::from_std(bell)?;
    let mut tree = Tree { main, ending: None, gone: false, reaped: reaper::start(main, ring)? };
    loop {
        tokio::select! {
            biased;
            _ = asked.recv() => break,
            _ = hung_up.recv() => break,
            _ = bell.readable() => tree.hear(&bell),
        }
        if let Some(ending) = tree.ending.take_if(|_| io::stdin().is_terminal()) {
            return Ok(ending);
        }
        // A line that is hung up ends the program too, and that may be what we hear of first.
        if tree.ending.is_some() {
            break;
        }
    }
    tree.end(&bell, orders.grace).await;
    Ok(tree.ending.unwrap_or(Ending::StillAlive))
}

struct Tree {
    main: Pid,
    ending: Option<Ending>,
    /// Nothing is left.
    gone: bool,
    reaped: Receiver<Reaped>,
}

impl Tree {
    fn hear(&mut self, bell: &UnixStream) {
        let rung = bell.try_read(&mut [0; 16]);
        while let Ok(reaped) = self.reaped.try_recv() {
            match reaped {
                Reaped::Main(ending, _) => self.ending = Some(ending),
                Reaped::AllGone => self.gone = true,
            }
        }
        self.gone |= matches!(rung, Ok(0));
    }

    /// A shell goes when its line is hung up, most programs when they are asked, and everything when it is killed.
    async fn end(&mut self, bell: &UnixStream, grace: Duration) {
        let since = Instant::now();
        self.signal(Signal::SIGHUP);
        self.wait(bell, since + grace / 5).await;
        self.signal(Signal::SIGTERM);
        self.wait(bell, since + grace).await;
        while !self.gone && since.elapsed() < grace + KILL_LIMIT {
            self.signal(Signal::SIGKILL);
            self.wait(bell, Instant::now() + KILL_AGAIN).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if !self.gone {
            tree::signal(self.main, self.ending.is_none(), signal);
        }
    }

    async fn wait(&mut self, bell: &UnixStream, until: Instant) {
        while !self.gone {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                _ = bell.readable() => self.hear(bell),
            }
        }
    }
}

/// In our process group, which has the terminal: a shell makes itself another one.
fn start(orders: &Orders) -> Result<Pid, String> {
    let stdio = || tty().map(Stdio::from).map_err(|error| format!("The terminal cannot be used: {error}."));
    let child = Command::new(&orders.program)
        .arg0(&orders.arg0)
        .args(&orders.args)
        .current_dir(&orders.cwd)
        .env("PWD", &orders.cwd)
        .stdin(stdio()?)
        .stdout(stdio()?)
        .stderr(stdio()?)
        .spawn()
        .map_err(|error| why_not(orders, &error))?;
    i32::try_from(child.id())
        .map(Pid::from_raw)
        .map_err(|_| "The system gave it an odd process id.".to_owned())
}

#[cfg(target_os = "linux")]
fn become_reaper() {
    // Without it the end would miss processes that left their parent; nothing else depends on it.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

#[cfg(not(target_os = "linux"))]
fn become_reaper() {}

/// Ends as the program did. Our own handlers would catch the signal, so another program takes our place for it.
pub(super) fn leave(ending: &Ending) -> u8 {
    match ending {
        Ending::Code(number) => u8::try_from(number & 0xff).unwrap_or(u8::MAX),
        Ending::Signal(number) => {
            // The program has left its core file, if any.
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
            let _ = Command::new("/bin/sh").args(["-c", "kill -$0 $$", &number.to_string()]).exec();
            u8::try_from(128 + number).unwrap_or(u8::MAX)
        }
        Ending::CouldNotStart(_) | Ending::StillAlive => 1,
    }
}
