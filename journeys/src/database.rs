//! Where a server keeps its data: an SQLite file of its own, or a database of its own in a PostgreSQL of ours.

use std::{
    io::Write,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::unistd::{Uid, User};
use tempfile::TempDir;

#[derive(Clone)]
pub enum Database {
    Sqlite,
    PostgreSql { url: String, cluster: Arc<Cluster> },
}

impl Database {
    /// A fresh, empty database. The PostgreSQL behind it is shared by the tests that run at the same time and ends
    /// with the last of them.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn postgresql() -> Self {
        static RUNNING: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let cluster = {
            let mut running = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            running.upgrade().unwrap_or_else(|| {
                let cluster = Arc::new(Cluster::start());
                *running = Arc::downgrade(&cluster);
                cluster
            })
        };
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        cluster.psql("postgres", &format!("CREATE DATABASE {name}"));
        let host = cluster.folder.path().display().to_string().replace('/', "%2F");
        Self::PostgreSql { url: format!("postgres://foreman@localhost/{name}?host={host}"), cluster }
    }

    /// Everything that is stored, as text, to look for what should not be there.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn dump(&self, data: &Path) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(data).expect("the data folder is there").flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                all.extend(std::fs::read(entry.path()).expect("our file"));
            }
        }
        if let Self::PostgreSql { url, cluster } = self {
            let output = cluster.tool("pg_dump").arg("--inserts").arg(url).output().expect("pg_dump runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            all.extend(output.stdout);
        }
        all
    }
}

/// A PostgreSQL in a temporary folder, on a Unix socket in it.
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    /// PostgreSQL refuses root; Debian's package brings an account for it.
    account: Option<User>,
    guard: Option<Child>,
}

impl Cluster {
    fn start() -> Self {
        let folder =
            tempfile::Builder::new().prefix("fm-pg-").tempdir_in("/tmp").expect("a temporary folder");
        let account = Uid::effective().is_root().then(|| {
            let user = User::from_name("postgres").ok().flatten();
            user.expect("root needs the account postgres to run PostgreSQL: apt-get install postgresql")
        });
        if let Some(user) = &account {
            chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("root may");
        }
        let mut cluster = Self { folder, programs: programs(), account, guard: None };
        let data = cluster.folder.path().join("data");
        let made = cluster
            .tool("initdb")
            .args(["-U", "foreman", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // The shell ends PostgreSQL when its input closes, so also when this process is killed.
        let script = r#""$0" -D "$1/data" -c listen_addresses= -c unix_socket_directories="$1" \
            -c fsync=off -c max_connections=200 </dev/null >"$1/log" 2>&1 &
            cat >/dev/null; kill -INT $!; wait $!"#;
        let mut shell = cluster.as_account(Command::new("sh"));
        shell.arg("-c").arg(script).arg(cluster.programs.join("postgres")).arg(cluster.folder.path());
        cluster.guard = Some(shell.stdin(Stdio::piped()).spawn().expect("sh runs"));
        cluster.wait_until_ready();
        cluster
    }

    fn wait_until_ready(&self) {
        for _ in 0..600 {
            let asked = self.tool("pg_isready").arg("-q").arg("-h").arg(self.folder.path()).status();
            if asked.is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL does not come up:\n{log}");
    }

    fn tool(&self, name: &str) -> Command {
        self.as_account(Command::new(self.programs.join(name)))
    }

    fn as_account(&self, mut command: Command) -> Command {
        command.current_dir("/");
        if let Some(user) = &self.account {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Runs one statement.
    ///
    /// # Panics
    /// When it fails.
    pub fn psql(&self, database: &str, statement: &str) {
        let output = self
            .tool("psql")
            .args(["-qX", "-v", "ON_ERROR_STOP=1", "-U", "foreman", "-d", database, "-c", statement, "-h"])
            .arg(self.folder.path())
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            if let Some(mut input) = guard.stdin.take() {
                let _ = input.flush();
            }
            let _ = guard.wait();
        }
    }
}

/// Debian keeps the server's programs out of PATH.
fn programs() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        debian.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    let in_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
    };
    found.pop().or_else(in_path).expect("PostgreSQL is not installed: apt-get install postgresql")
}
