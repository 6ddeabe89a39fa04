//! Logs as they are read on a real machine: files that rotate while they are written, tasks, the journal, containers.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

#[path = "logs/containers.rs"]
mod containers;
#[path = "logs/files.rs"]
mod files;
#[path = "logs/journal.rs"]
mod journal;
#[path = "logs/programs.rs"]
mod programs;
#[path = "logs/rotation.rs"]
mod rotation;
#[path = "logs/tasks.rs"]
mod tasks;

use std::{path::Path, time::Duration};

use foreman_machine::logs::{Item, LogStream, Logs, OpenError, Request};
use tempfile::TempDir;

/// Nothing here takes this long, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A machine with a directory for its files, a policy, and an agent's directory.
struct Machine {
    folder: TempDir,
    logs: Logs,
}

impl Machine {
    fn new() -> Self {
        Self::with_policy("ALLOW_LOGS=true\nALLOW_FILE_READ=true\n")
    }

    /// In the policy, `@` is the directory of the files.
    fn with_policy(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("agent");
        std::fs::create_dir_all(state_dir.join("tasks")).unwrap();
        let policy = policy.replace('@', folder.path().to_str().unwrap());
        std::fs::write(state_dir.join("policy.env"), policy).unwrap();
        let logs = Logs {
            policy: state_dir.join("policy.env"),
            system: folder.path().join("system"),
            tasks: state_dir.join("tasks"),
            state_dir,
            search_path: None,
        };
        Self { folder, logs }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    async fn open(&self, request: Request) -> Result<LogStream, OpenError> {
        self.logs.open(request).await
    }
}

/// The last lines of a file, and what follows.
fn following(path: &Path) -> Request {
    Request { source: format!("file:{}", path.display()), lines: 5000, follow: true, ..Request::default() }
}

async fn next(stream: &mut LogStream) -> Item {
    let item = tokio::time::timeout(PATIENCE, stream.next()).await.expect("nothing came");
    item.expect("the stream was closed")
}

/// The texts up to the end of a log that is not followed.
async fn texts(mut stream: LogStream) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        match next(&mut stream).await {
            Item::Line { line, .. } => texts.push(line.text),
            Item::End(None) => return texts,
            Item::Gap => texts.push("(gap)".to_owned()),
            Item::Reached(_) => {}
            Item::End(reason) => panic!("{reason:?}"),
        }
    }
}
