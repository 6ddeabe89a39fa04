//! By named pipes: the supervisor is told the name of ours on its standard input, and the name of its own is in the
//! folder. There are no spare supervisors here.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::windows::named_pipe::NamedPipeServer,
    process::{Child, Command},
    sync::{Mutex, mpsc},
};

use super::{
    super::{TaskFolder, folder::CONTROL, notices, pipe},
    News, collect, hide, news,
};

/// Without a window, and deaf to a Ctrl-C meant for the agent.
const CREATE_NO_WINDOW: u32 = 0x0800_0000;
const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;

/// Between two tries to reach a supervisor whose pipe has no free end.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// News that nobody has taken yet; each stands for all that is in the folder.
const WAITING_NEWS: usize = 16;

/// Starts supervisors.
#[derive(Debug)]
pub struct Launcher {
    program: PathBuf,
    args: Vec<OsString>,
    hidden_env: &'static str,
}

/// A living supervisor, as long as this says so. Dropping it leaves the task alone.
#[derive(Debug)]
pub struct Supervised {
    heard: Mutex<mpsc::Receiver<News>>,
    say: mpsc::UnboundedSender<u8>,
}

impl Launcher {
    /// Supervisors are `program` with `args` and the folder behind them. Tasks do not inherit the environment
    /// variables whose names start with `hidden_env`.
    #[must_use]
    pub fn new(program: PathBuf, args: Vec<OsString>, hidden_env: &'static str) -> Self {
        Self { program, args, hidden_env }
    }

    /// Starts a supervisor for a folder. Must be called inside a tokio runtime, which then also collects the
    /// supervisor when it is done.
    ///
    /// # Errors
    /// When the system starts no process; nothing was claimed then.
    pub fn launch(&self, folder: &TaskFolder) -> io::Result<Supervised> {
        let name = pipe::fresh_name();
        let line = pipe::serve(&name)?;
        let (theirs, mut ours) = io::pipe()?;
        ours.write_all(name.as_bytes())?;
        drop(ours);
        let mut command = Command::new(&self.program);
        command.args(&self.args).arg(folder.path());
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        command.creation_flags(CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP);
        hide(&mut command, self.hidden_env);
        let child = command.spawn()?;
        let (supervised, news, orders) = Supervised::new();
        tokio::spawn(answered(line, child, news, orders));
        Ok(supervised)
    }

    /// Nothing: a process is started for each task when it comes.
    pub fn keep_spare(&self) {}
}

/// Waits for the new supervisor to connect, or to end without.
async fn answered(
    line: NamedPipeServer,
    mut child: Child,
    news: mpsc::Sender<News>,
    orders: mpsc::UnboundedReceiver<u8>,
) {
    tokio::select! {
        biased;
        connected = line.connect() => if connected.is_err() { return collect(child) },
        _ = child.wait() => return,
    }
    collect(child);
    converse(line, news, orders).await;
}

/// Until either side has gone. What is in the pipe is read before its end is.
async fn converse(
    line: impl AsyncRead + AsyncWrite,
    heard: mpsc::Sender<News>,
    mut orders: mpsc::UnboundedReceiver<u8>,
) {
    let (mut read, mut write) = tokio::io::split(line);
    let mut bytes = [0; 256];
    loop {
        tokio::select! {
            count = read.read(&mut bytes) => match count {
                Ok(count) if count > 0 => {
                    if heard.send(news(&bytes[..count])).await.is_err() {
                        return;
                    }
                }
                Ok(_) | Err(_) => return,
            },
            order = orders.recv() => {
                let Some(order) = order else { return };
                // Who does not hear is about to be found gone.
                let _ = write.write_all(&[order]).await;
            }
        }
    }
}

/// Finds the supervisor of a folder again; `None` when it lives no more. Must be called inside a tokio runtime.
///
/// # Errors
/// When it cannot be told.
pub fn adopt(folder: &TaskFolder) -> io::Result<Option<Supervised>> {
    let name = match fs::read_to_string(folder.path().join(CONTROL)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        name => name?,
    };
    match pipe::open(&name) {
        Ok(line) => {
            let (supervised, news, orders) = Supervised::new();
            tokio::spawn(converse(line, news, orders));
            Ok(Some(supervised))
        }
        Err(error) if pipe::is_busy(&error) => {
            let (supervised, news, orders) = Supervised::new();
            tokio::spawn(reach(name, news, orders));
            Ok(Some(supervised))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// It lives, and speaks to others right now.
async fn reach(name: String, news: mpsc::Sender<News>, orders: mpsc::UnboundedReceiver<u8>) {
    loop {
        match pipe::open(&name) {
            Ok(line) => return converse(line, news, orders).await,
            Err(error) if pipe::is_busy(&error) => tokio::time::sleep(TRY_AGAIN).await,
            Err(_) => return,
        }
    }
}

impl Supervised {
    fn new() -> (Self, mpsc::Sender<News>, mpsc::UnboundedReceiver<u8>) {
        let (news, heard) = mpsc::channel(WAITING_NEWS);
        // As many as orders were given, which are few.
        let (say, orders) = mpsc::unbounded_channel();
        (Self { heard: Mutex::new(heard), say }, news, orders)
    }

    /// Waits for the next news. May be cancelled: nothing is lost. Several notices come as one.
    pub async fn next(&self) -> News {
        self.heard.lock().await.recv().await.unwrap_or(News::Gone)
    }

    /// Asks for the end of the whole tree. A supervisor that is gone has nothing left to stop.
    pub fn stop(&self) {
        let _ = self.say.send(notices::STOP);
    }

    /// Says that output was let go.
    pub fn made_room(&self) {
        let _ = self.say.send(notices::ROOM);
    }
}
