//! The vault opens with a key in the system's keychain: a real one, on a session's bus of this test's own.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use journeys::{database::Database, eventually, skipped::skipped, soon};
use keyring_core::api::CredentialStoreApi;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PASSWORD, Vault, found};
use crate::running::{Running, json};

const KEY: &str = "sk-with-a-keychain-0123456789abcdef";
const WITH_KEYCHAIN: [&str; 3] = ["--vault-lock-after-s=1", "--vault-keychain", "--log=debug"];
const WITHOUT: [&str; 1] = ["--log=debug"];
/// The name that a keychain has on the bus.
const SECRETS: &str = "org.freedesktop.secrets";

/// A person's session: a bus that starts nothing by itself, and perhaps a keychain.
struct Session {
    folder: TempDir,
    bus: Program,
    keychain: Option<Program>,
    env: Vec<(String, String)>,
}

/// Ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

fn bus_config(folder: &Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
        folder.display()
    )
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

impl Session {
    /// `None` where there is nothing to make one of.
    fn begin() -> Option<Self> {
        for program in ["dbus-daemon", "gnome-keyring-daemon", "gdbus"] {
            if !is_installed(program) {
                skipped(&format!("{program} is missing (apt-get install dbus gnome-keyring libglib2.0-bin)"));
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("bus.conf");
        std::fs::write(&config, bus_config(folder.path())).unwrap();
        let mut bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address=1"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let path = folder.path().display().to_string();
        let mut env: Vec<(String, String)> =
            ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"]
                .map(|name| (name.to_owned(), path.clone()))
                .into();
        env.push(("DBUS_SESSION_BUS_ADDRESS".to_owned(), address.trim().to_owned()));
        Some(Self { folder, bus: Program(bus), keychain: None, env })
    }

    /// A session with a keychain that is open, as after signing in to a desktop.
    fn with_keychain() -> Option<Self> {
        let mut session = Self::begin()?;
        let mut keychain = session
            .command("gnome-keyring-daemon", &["--unlock", "--components=secrets", "--foreground"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        keychain.stdin.take().unwrap().write_all(b"a password").unwrap();
        session.keychain = Some(Program(keychain));
        let there = session.command("gdbus", &["wait", "--session", "--timeout", "30", SECRETS]).status();
        assert!(there.unwrap().success(), "the keychain is on the bus");
        Some(session)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.env.iter().cloned());
        command
    }

    fn keychain(&self) -> &Program {
        self.keychain.as_ref().unwrap()
    }
}

async fn status(server: &Running) -> Value {
    json(Vault::of(server).get("")).await
}

#[tokio::test]
async fn it_opens_with_the_keychain_until_a_start_without_it() {
    let Some(session) = Session::with_keychain() else { return };
    for database in [Database::Sqlite, Database::postgresql()] {
        let server = Running::within(&database, &WITH_KEYCHAIN, &session.env);
        let vault = Vault::initialised(&server).await;
        json(vault.add("openai", "main", KEY)).await;
        let made = json(vault.get("")).await;
        assert_eq!((&made["unattended_by"], &made["locks_at"]), (&json!("keychain"), &Value::Null));

        let server = server.again(&WITH_KEYCHAIN);
        let opened = status(&server).await;
        assert_eq!((&opened["unlocked"], &opened["unattended_by"]), (&json!(true), &json!("keychain")));
        let vault = Vault::of(&server);
        let told = json(server.get("/api/v1/audit?limit=200").bearer_auth(&vault.token)).await.to_string();
        assert!(told.contains(r#""by":"keychain""#), "{told}");

        // Nothing that is kept has what the keychain has.
        let secret = secret_of(&session, &server, &database).await;
        let kept = [database.dump(&server.data), server.log()].concat();
        assert!(found(&kept, b"foreman") && !found(&kept, KEY.as_bytes()));
        for shown in [secret.clone(), STANDARD_NO_PAD.encode(&secret).into(), hex(&secret).into()] {
            assert!(!found(&kept, &shown), "the keychain's key is nowhere else");
        }

        // Without the option it is forgotten, also when that comes back.
        let server = server.again(&WITHOUT);
        assert_eq!(status(&server).await["unlocked"], false);
        let server = server.again(&WITH_KEYCHAIN);
        let locked = status(&server).await;
        assert_eq!((&locked["unlocked"], &locked["unattended"]), (&json!(false), &json!(false)));
        json(Vault::of(&server).unlock(PASSWORD)).await;
        let server = server.again(&WITH_KEYCHAIN);
        assert_eq!(status(&server).await["unlocked"], true);
        assert_eq!(Vault::of(&server).names().await, ["openai/main"]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Set to whose key is asked for, in a program of its own: the bus is found by the environment.
const INSIDE: &str = "FOREMAN_TEST_OF_KEYCHAIN";
const WHAT_LIES_THERE: &str = "vault::keychain::what_lies_there_is_told_to_its_owner";

#[test]
fn what_lies_there_is_told_to_its_owner() {
    let Ok(tenant) = std::env::var(INSIDE) else { return };
    let store = zbus_secret_service_keyring_store::Store::new().unwrap();
    let entry = store.build("dev.foreman.server", &tenant, None).unwrap();
    println!("it is {}", STANDARD_NO_PAD.encode(entry.get_secret().unwrap()));
}

/// What lies in the keychain for the data of this server, asked for as any program of the person can: it is the key that
/// opens the data key.
async fn secret_of(session: &Session, server: &Running, database: &Database) -> Vec<u8> {
    use sqlx::Row;
    let mut conn = super::connect(server, database).await;
    let row =
        sqlx::query("SELECT tenant_id, keychain_wrapped FROM vaults").fetch_one(&mut conn).await.unwrap();
    let (tenant, wrapped): (String, String) = (row.get(0), row.get(1));
    let output = session
        .command(
            std::env::current_exe().unwrap().to_str().unwrap(),
            &["--exact", WHAT_LIES_THERE, "--nocapture"],
        )
        .env(INSIDE, &tenant)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let secret = said.split_once("it is ").expect(&said).1.split_whitespace().next().unwrap();
    let secret = STANDARD_NO_PAD.decode(secret).unwrap();
    let about = ["foreman vault data key, keychain v1", &tenant];
    let data = super::unseal(secret.clone().try_into().unwrap(), &about, &wrapped);
    assert_eq!(data.expect("the key in the keychain opens it").len(), 32);
    secret
}

#[tokio::test]
async fn two_servers_of_one_person_do_not_take_each_others_key() {
    let Some(session) = Session::with_keychain() else { return };
    let [one, other] = [(); 2].map(|()| Running::within(&Database::Sqlite, &WITH_KEYCHAIN, &session.env));
    Vault::initialised(&one).await;
    Vault::initialised(&other).await;
    let mut secrets = Vec::new();
    for server in [one.again(&WITH_KEYCHAIN), other.again(&WITH_KEYCHAIN)] {
        assert_eq!(status(&server).await["unlocked"], true);
        secrets.push(secret_of(&session, &server, &Database::Sqlite).await);
    }
    assert_ne!(secrets[0], secrets[1]);
}

/// It starts all the same, says so in its log, and opens with its password.
#[tokio::test]
async fn a_server_without_a_keychain_starts_locked() {
    let nowhere = [("DBUS_SESSION_BUS_ADDRESS".to_owned(), "unix:path=/nowhere/bus".to_owned())];
    let server = Running::within(&Database::Sqlite, &WITH_KEYCHAIN, &nowhere);
    Vault::initialised(&server).await;
    let server = server.again(&WITH_KEYCHAIN);
    let locked = status(&server).await;
    assert_eq!((&locked["unlocked"], &locked["unattended"]), (&json!(false), &json!(false)));
    assert!(found(&server.log(), b"the system's keychain gave no key"), "it says why");
    assert!(found(&server.log(), b"--vault-key-file"), "and what to do");
    let opened = json(Vault::of(&server).unlock(PASSWORD)).await;
    assert!(
        opened["unlocked"] == true && opened["locks_at"].is_i64(),
        "by time, as it opened by hand: {opened}"
    );
}

/// As while it asks its owner something: the server does not wait for that, and opens the vault when it was answered,
/// unless somebody locked it since.
#[tokio::test]
async fn a_keychain_that_takes_its_time_keeps_no_server_from_starting() {
    let Some(session) = Session::with_keychain() else { return };
    let server = Running::within(&Database::Sqlite, &WITH_KEYCHAIN, &session.env);
    Vault::initialised(&server).await;

    session.keychain().signal("-STOP");
    let begun = Instant::now();
    let server = server.again(&WITH_KEYCHAIN);
    assert!(begun.elapsed() < Duration::from_secs(30), "it did not wait for the keychain");
    assert_eq!(status(&server).await["unlocked"], false);
    assert!(found(&server.log(), b"the system's keychain does not answer"));
    session.keychain().signal("-CONT");
    eventually("it opens late", || async { (status(&server).await["unlocked"] == true).then_some(()) }).await;

    session.keychain().signal("-STOP");
    let mut server = server.again(&WITH_KEYCHAIN);
    json(Vault::of(&server).post("/lock", json!({}))).await;
    session.keychain().signal("-CONT");
    let known = b"which was locked since";
    eventually("it has heard", || async { found(&server.log(), known).then_some(()) }).await;
    assert_eq!(status(&server).await["unlocked"], false);

    // Nor from ending.
    session.keychain().signal("-STOP");
    server = server.again(&WITH_KEYCHAIN);
    let ended = soon("it ends", tokio::task::spawn_blocking(move || server.terminate())).await;
    assert_eq!(ended.unwrap(), Some(0));
    session.keychain().signal("-CONT");
}

/// A bus with nobody on it that keeps secrets.
#[tokio::test]
async fn a_session_without_a_keychain_is_said_at_once() {
    let Some(session) = Session::begin() else { return };
    let server = Running::within(&Database::Sqlite, &WITH_KEYCHAIN, &session.env);
    assert!(found(&server.log(), b"the system's keychain gave no key"));
    drop(session.bus);
    drop(session.folder);
}
