//! What a server has in its memory, and what is left of that: nothing of the vault's once it is locked, and no picture of
//! it when the server crashes.

use std::{
    fs::File,
    io::ErrorKind,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::Path,
    process::Command,
};

use journeys::{database::Database, skipped::skipped};
use serde_json::json;
use sqlx::Row;

use super::{FILE_PASSWORD, Kdf, PASSWORD, Vault, connect, found, unseal};
use crate::running::{Running, json};

/// Made up of what nobody else writes.
const KEY: &str = "sk-in-memory-0123456789abcdefXYZ";

/// All that a process can write, as it is now; `None` where that may not be read.
fn memory(process: u32) -> Option<Vec<Vec<u8>>> {
    let memory = match File::open(format!("/proc/{process}/mem")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        opened => opened.unwrap(),
    };
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let regions = maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with("rw"));
    let read = regions.map(|line| {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let at = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(at(to) - at(from)).unwrap()];
        // What was given back between the list and now is not there any more, and cannot hold anything.
        let read = memory.read_exact_at(&mut bytes, at(from));
        read.map_or_else(|_| Vec::new(), |()| bytes)
    });
    Some(read.collect())
}

/// How often it is there.
fn count(memory: &[Vec<u8>], needle: &[u8]) -> usize {
    memory.iter().map(|region| memchr::memmem::find_iter(region, needle).count()).sum()
}

/// What the password makes, and the data key that this opens.
async fn keys(server: &Running) -> [Vec<u8>; 2] {
    let mut conn = connect(server, &Database::Sqlite).await;
    let row = sqlx::query("SELECT * FROM vaults").fetch_one(&mut conn).await.unwrap();
    let number = |name: &str| u32::try_from(row.get::<i64, _>(name)).unwrap();
    let kdf = Kdf {
        memory_kib: number("kdf_memory_kib"),
        passes: number("kdf_passes"),
        lanes: number("kdf_lanes"),
        salt: row.get("kdf_salt"),
    };
    let tenant: String = row.get("tenant_id");
    let about = ["foreman vault data key v1", &tenant, &kdf.text()];
    let master = kdf.key(PASSWORD);
    let data = unseal(master, &about, &row.get::<String, _>("wrapped")).unwrap();
    [master.to_vec(), data]
}

/// The key was added to another process: what a request's body passes through is not the vault's.
#[tokio::test]
async fn a_locked_vault_leaves_no_key_in_memory() {
    let server = Running::fresh();
    let vault = Vault::initialised(&server).await;
    json(vault.add("openai", "main", KEY)).await;
    let server = server.again(&[]);
    let vault = Vault::of(&server);
    let [master, data] = keys(&server).await;

    json(vault.unlock(PASSWORD)).await;
    // Opens every key.
    json(vault.post("/export", json!({ "password": PASSWORD, "file_password": FILE_PASSWORD }))).await;
    let Some(open) = memory(server.id()) else {
        return skipped("the memory of another process may not be read here");
    };
    assert_eq!(count(&open, &data), 1, "the data key lies at one place while the vault is open");
    assert_eq!(count(&open, &master), 0, "what the password made is gone once it was used");

    assert_eq!(json(vault.post("/lock", json!({}))).await["unlocked"], false);
    let locked = memory(server.id()).unwrap();
    let left =
        [("data key", data.as_slice()), ("password's key", master.as_slice()), ("API key", KEY.as_bytes())]
            .map(|(what, bytes)| (what, count(&locked, bytes)));
    assert_eq!(left, [("data key", 0), ("password's key", 0), ("API key", 0)]);
    assert!(locked.iter().any(|region| found(region, b"vault.locked")), "its memory is what was looked at");
}

/// Whether a program that crashes in this folder is dumped at all.
fn crashes_are_dumped(folder: &Path) -> bool {
    let crash = "ulimit -c unlimited && kill -ABRT $$";
    Command::new("sh").args(["-c", crash]).current_dir(folder).status().unwrap().core_dumped()
}

#[test]
fn a_crash_leaves_no_picture_of_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    if !crashes_are_dumped(folder.path()) {
        return skipped("this system dumps nothing that crashes");
    }
    for signal in ["-ABRT", "-SEGV"] {
        let mut server = Running::fresh();
        let process = server.id().to_string();
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
        // Where that is allowed the limit is lifted again: what the process said of itself holds without it.
        let lifted = Command::new("prlimit").args(["--pid", &process, "--core=unlimited"]).output();
        assert!(lifted.is_ok(), "prlimit runs");
        let files = || std::fs::read_dir(".").unwrap().map(|file| file.unwrap().file_name());
        let before: Vec<_> = files().collect();
        let ended = server.crash(signal);
        assert!(ended.signal().is_some() && !ended.core_dumped(), "{ended:?}");
        assert!(files().all(|file| before.contains(&file)), "a file came where the server ran");
    }
}
