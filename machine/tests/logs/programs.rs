//! Puts programs on a machine's search path and looks whether they are gone again.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::Machine;

/// A machine whose programs are these, from `tests/programs/`. What they read lies in the folder that is given back.
pub(super) fn machine_with(names: &[&str]) -> (Machine, PathBuf) {
    let mut machine = Machine::new();
    let folder = machine.path("bin");
    fs::create_dir(&folder).unwrap();
    for name in names {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name);
        symlink(program, folder.join(name)).unwrap();
    }
    machine.logs.search_path = Some(folder.clone().into());
    (machine, folder)
}

pub(super) fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The processes that name this text in their arguments.
pub(super) fn processes(text: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let command = |entry: fs::DirEntry| {
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        command.contains(text).then_some(command)
    };
    entries.filter_map(command).collect()
}

/// Waits until no process names this text any more. Nothing says when a process of another parent is gone.
pub(super) async fn all_gone(text: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = processes(text);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{left:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
