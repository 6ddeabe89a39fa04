//! Named pipes, and a job object that no descendant of the task can leave.

use std::{
    fs,
    io::{self, IsTerminal as _, PipeReader, PipeWriter, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use process_wrap::tokio::{ChildWrapper, CommandWrap, JobObject};
use tokio::{
    io::AsyncWriteExt as _,
    net::windows::named_pipe::{NamedPipeClient, NamedPipeServer},
    process::Command,
    runtime::Runtime,
};

use super::{
    super::{RunSpec, pipe},
    watch::{Ears, Task},
    why_not,
};

/// The longest name of a pipe that is read, in bytes.
const LONGEST_NAME: u64 = 256;

/// Whoever launched this supervisor, and the runtime that pipes need.
pub(super) struct Launcher {
    runtime: Runtime,
    line: Option<NamedPipeClient>,
}

/// A pipe under a name of its own.
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) pipe: NamedPipeServer,
}

impl Launcher {
    /// Learns from standard input where its launcher listens. The folder is always named on the command line.
    pub(super) fn hear(folder: Option<&Path>) -> io::Result<Option<(Self, PathBuf)>> {
        let Some(folder) = folder else { return Ok(None) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut name = String::new();
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            // Without a launcher the task runs all the same.
            let _ = stdin.take(LONGEST_NAME).read_to_string(&mut name);
        }
        let line = {
            let _inside = runtime.enter();
            pipe::open(name.trim()).ok()
        };
        Ok(Some((Self { runtime, line }, folder.to_owned())))
    }

    /// Who does not listen any more need not know.
    pub(super) fn tell(&mut self, bytes: &[u8]) {
        if let Some(line) = &mut self.line {
            let _ = self.runtime.block_on(line.write_all(bytes));
        }
    }

    /// Makes a pipe and writes its name into a file of this name.
    pub(super) fn listen(&mut self, name: &Path) -> io::Result<Listener> {
        let pipe_name = pipe::fresh_name();
        let _inside = self.runtime.enter();
        let pipe = pipe::serve(&pipe_name)?;
        fs::write(name, &pipe_name)?;
        Ok(Listener { name: pipe_name, pipe })
    }

    pub(super) fn into_ears(self, listener: Listener) -> io::Result<Ears> {
        Ok(Ears::new(self.runtime, listener, self.line))
    }
}

/// A started command that nobody waits for yet.
pub(super) struct Begun {
    pub(super) child: Box<dyn ChildWrapper>,
    pub(super) output: PipeReader,
    pub(super) ears: super::watch::Wiring,
}

/// Starts the command in a job of its own, which it and all its descendants stay in. To be called inside the runtime.
pub(super) fn begin(
    spec: &RunSpec,
    out: PipeWriter,
    err: PipeWriter,
) -> Result<Box<dyn ChildWrapper>, String> {
    let mut command = Command::new(&spec.program);
    if reads_its_own_way(&spec.program) {
        for arg in &spec.args {
            command.raw_arg(arg);
        }
    } else {
        command.args(&spec.args);
    }
    command.envs(&spec.env).current_dir(&spec.cwd);
    command.stdin(Stdio::null()).stdout(Stdio::from(out)).stderr(Stdio::from(err));
    let mut wrap = CommandWrap::from(command);
    wrap.wrap(JobObject);
    wrap.spawn().map_err(|error| why_not(&spec.program, &error))
}

/// `cmd` does not read the quoting that other programs do: what it is given is the line itself.
fn reads_its_own_way(program: &str) -> bool {
    let name = Path::new(program).file_stem().unwrap_or_default();
    name.eq_ignore_ascii_case("cmd")
}

impl Begun {
    pub(super) fn into_task(self, _spec: &RunSpec, _folder: &Path) -> io::Result<(u32, Task)> {
        let pid = self.child.id().unwrap_or_default();
        Ok((pid, Task::follow(self.child, self.output, self.ears)?))
    }
}
