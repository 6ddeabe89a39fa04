//! Where a server keeps its data: an SQLite file of its own, or a database of its own in a PostgreSQL of ours.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::unistd::{Uid, User};

#[derive(Clone)]
pub enum Database {
    Sqlite,
    PostgreSql { url: String, database: Arc<Lent> },
}

impl Database {
    /// A fresh, empty database. The PostgreSQL behind it is shared by all tests of this process and ends with it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn postgresql() -> Self {
        static RUNNING: LazyLock<Cluster> = LazyLock::new(Cluster::start);
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let cluster = &*RUNNING;
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let made = cluster.psql("postgres", &format!("CREATE DATABASE {name}"));
        assert!(made.is_ok(), "{made:?}");
        let host = cluster.folder.display().to_string().replace('/', "%2F");
        let url = format!("postgres://foreman@localhost/{name}?host={host}");
        Self::PostgreSql { url, database: Arc::new(Lent { name, cluster }) }
    }

    /// Holds every change to what is stored up until what is given is dropped, as another program would that writes for
    /// long. Reading goes on.
    ///
    /// # Panics
    /// When the lock is not to be had.
    #[must_use]
    pub fn hold(&self, data: &Path) -> Hold {
        let mut command = match self {
            Self::Sqlite => {
                let mut command = Command::new("python3");
                command.arg("-c").arg(HOLD_SQLITE).arg(data.join("foreman.db"));
                command
            }
            Self::PostgreSql { database, .. } => {
                let mut command = database.cluster.tool("psql");
                command
                    .args(["-qAtX", "-U", "foreman", "-d", &database.name, "-h"])
                    .arg(&database.cluster.folder);
                command
            }
        };
        let mut program =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the other program runs");
        let mut input = program.stdin.take().expect("its input");
        input.write_all(HOLD_POSTGRESQL.as_bytes()).expect("it listens");
        let mut said = String::new();
        BufReader::new(program.stdout.take().expect("its output")).read_line(&mut said).expect("it speaks");
        assert_eq!(said.trim(), "held");
        Hold { program, _input: input }
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
        if let Self::PostgreSql { url, database } = self {
            let output =
                database.cluster.tool("pg_dump").arg("--inserts").arg(url).output().expect("pg_dump runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            all.extend(output.stdout);
        }
        all
    }
}

/// `held` is said once nobody else can write; it ends with its input.
const HOLD_SQLITE: &str = "import sqlite3, sys
held = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
held.execute('BEGIN IMMEDIATE')
print('held', flush=True)
sys.stdin.read()";
/// A program that reads other input than SQL does not mind it.
const HOLD_POSTGRESQL: &str = "BEGIN;
LOCK TABLE model_usage, model_spend, model_keys IN EXCLUSIVE MODE;
SELECT 'held';
";

/// Lets changes go on when it is dropped.
pub struct Hold {
    program: Child,
    _input: ChildStdin,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// One database, which is gone when nobody uses it any more: many of them are large together.
pub struct Lent {
    name: String,
    cluster: &'static Cluster,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let _ = self.cluster.psql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// A PostgreSQL in a temporary folder, on a Unix socket in it.
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    /// PostgreSQL refuses root; Debian's package brings an account for it.
    account: Option<User>,
    /// Ends PostgreSQL and removes the folder when this process ends, which closes its input.
    _guard: Option<Child>,
}

impl Cluster {
    fn start() -> Self {
        let folder =
            tempfile::Builder::new().prefix("fm-pg-").tempdir_in("/tmp").expect("a temporary folder").keep();
        let account = Uid::effective().is_root().then(|| {
            let user = User::from_name("postgres").ok().flatten();
            user.expect("root needs the account postgres to run PostgreSQL: apt-get install postgresql")
        });
        if let Some(user) = &account {
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("root may");
        }
        let mut cluster = Self { folder, programs: programs(), account, _guard: None };
        let data = cluster.folder.join("data");
        let made = cluster
            .tool("initdb")
            .args(["-U", "foreman", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Its input closes also when this process is killed; and it cleans up when both are asked to end.
        let script = r#"trap : HUP INT TERM; "$0" -D "$1/data" -c listen_addresses= -c unix_socket_directories="$1" \
            -c fsync=off -c max_connections=200 </dev/null >"$1/log" 2>&1 &
            cat >/dev/null; kill -INT $!; wait $!; rm -rf "$1""#;
        let mut shell = cluster.as_account(Command::new("sh"));
        shell.arg("-c").arg(script).arg(cluster.programs.join("postgres")).arg(&cluster.folder);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        cluster._guard = Some(shell.spawn().expect("sh runs"));
        cluster.wait_until_ready();
        cluster
    }

    fn wait_until_ready(&self) {
        for _ in 0..600 {
            let asked = self.tool("pg_isready").arg("-q").arg("-h").arg(&self.folder).status();
            if asked.is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
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

    /// Runs one statement; what PostgreSQL said against it.
    fn psql(&self, database: &str, statement: &str) -> Result<(), String> {
        let output = self
            .tool("psql")
            .args(["-qX", "-v", "ON_ERROR_STOP=1", "-U", "foreman", "-d", database, "-c", statement, "-h"])
            .arg(&self.folder)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
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
