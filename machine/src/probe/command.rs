//! Runs a vendor's program and reads what it says: bounded in output, and killed with everything it started
//! when nobody waits for it any more.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
};

use super::Skip;

/// The most output that is read from a program, in bytes.
const OUTPUT_LIMIT: u64 = 64 * 1024;

/// Where vendors put programs that are often missing from a service's `PATH`.
const VENDOR_PLACES: [&str; 7] = [
    "/usr/local/bin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/cuda/bin",
    "/usr/lib/wsl/lib",
    "/opt/rocm/bin",
    "/opt/homebrew/bin",
];

/// The directories in which programs are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Places(Vec<PathBuf>);

impl Places {
    pub(crate) fn new(search_path: Option<&OsStr>) -> Self {
        match search_path {
            Some(path) => Self(std::env::split_paths(path).collect()),
            None => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                Self(std::env::split_paths(&path).chain(VENDOR_PLACES.map(PathBuf::from)).collect())
            }
        }
    }

    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
        self.0.iter().filter(|place| place.is_absolute()).map(|place| place.join(&file)).find(|p| runnable(p))
    }

    /// A command for the program that answers in English, reads nothing, and leads a process group.
    pub(crate) fn command(&self, program: &str) -> Result<Command, Skip> {
        self.find(program).map(|path| quiet(&path)).ok_or_else(Skip::not_installed)
    }
}

#[cfg(unix)]
fn runnable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn runnable(path: &Path) -> bool {
    path.is_file()
}

fn quiet(path: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// Kills a child's process group when dropped, unless the child has ended by itself.
#[derive(Debug)]
pub(crate) struct Group {
    id: Option<u32>,
}

impl Group {
    pub(crate) fn of(child: &Child) -> Self {
        Self { id: child.id() }
    }

    /// The child was waited for: its number may belong to another process from now on.
    pub(crate) fn ended(&mut self) {
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(id) = self.id.and_then(|id| i32::try_from(id).ok()) {
            // It may be gone already, which is what was wanted.
            let _ =
                nix::sys::signal::killpg(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// What a program printed on standard output, and whether it reported success.
#[derive(Debug)]
pub(super) struct Said {
    pub text: String,
    pub success: bool,
}

impl Said {
    /// The text of a program that succeeded; otherwise its own words as the reason.
    pub(super) fn on_success(self) -> Result<String, Skip> {
        if self.success { Ok(self.text) } else { Err(Skip::said(&self.text)) }
    }
}

/// Runs the program to its end. Output over the limit is cut there and counts as a failure.
pub(super) async fn run(command: &mut Command) -> Result<Said, Skip> {
    let mut child = command.spawn().map_err(|error| Skip(format!("cannot be started: {error}")))?;
    let mut group = Group::of(&child);
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(OUTPUT_LIMIT)
            .read_to_end(&mut output)
            .await
            .map_err(|error| Skip(format!("cannot be read: {error}")))?;
    }
    if output.len() as u64 >= OUTPUT_LIMIT {
        return Err(Skip("printed more than 64 KiB".into()));
    }
    let status = child.wait().await.map_err(|error| Skip(format!("cannot be waited for: {error}")))?;
    group.ended();
    Ok(Said { text: String::from_utf8_lossy(&output).into_owned(), success: status.success() })
}
