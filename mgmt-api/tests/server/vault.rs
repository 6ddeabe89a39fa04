//! The vault of the real server, on SQLite and PostgreSQL: what it takes to open it, what locks it, that nothing
//! stored shows a key, and that no crash leaves half of a change.

mod crashes;
#[cfg(target_os = "linux")]
mod keychain;
#[cfg(target_os = "linux")]
mod memory;
mod opening;
mod portable;
mod stored;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use journeys::database::Database;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection};

use crate::running::{Running, json};

const PASSWORD: &str = "correct horse battery";
const OTHER: &str = "another staple entirely";
const FILE_PASSWORD: &str = "a password for the file";

/// The same on both databases.
async fn on_both(options: &[&str], test: impl AsyncFn(&Running, &Database)) {
    for database in [Database::Sqlite, Database::postgresql()] {
        test(&Running::on(&database, options), &database).await;
    }
}

/// An admin's way to the vault.
struct Vault<'s> {
    server: &'s Running,
    token: String,
}

impl<'s> Vault<'s> {
    fn of(server: &'s Running) -> Self {
        Self { server, token: server.token("admin") }
    }

    async fn initialised(server: &'s Running) -> Self {
        let vault = Self::of(server);
        let made = json(vault.post("", json!({ "password": PASSWORD }))).await;
        assert_eq!((&made["initialised"], &made["unlocked"]), (&json!(true), &json!(true)));
        vault
    }

    fn post(&self, path: &str, body: Value) -> RequestBuilder {
        self.server.post(&format!("/api/v1/vault{path}"), body).bearer_auth(&self.token)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.server.get(&format!("/api/v1/vault{path}")).bearer_auth(&self.token)
    }

    fn delete(&self, path: &str) -> RequestBuilder {
        self.server.request(Method::DELETE, &format!("/api/v1/vault{path}")).bearer_auth(&self.token)
    }

    fn add(&self, provider: &str, name: &str, key: &str) -> RequestBuilder {
        self.post("/keys", json!({ "provider": provider, "name": name, "key": key }))
    }

    fn unlock(&self, password: &str) -> RequestBuilder {
        self.post("/unlock", json!({ "password": password }))
    }

    async fn unlocked(&self) -> bool {
        json(self.get("")).await["unlocked"] == true
    }

    /// `provider/name` of each key.
    async fn names(&self) -> Vec<String> {
        let page = json(self.get("/keys?limit=200")).await;
        let keys = page["items"].as_array().unwrap().iter();
        keys.map(|key| format!("{}/{}", key["provider"].as_str().unwrap(), key["name"].as_str().unwrap()))
            .collect()
    }

    /// The types of the vault's events, in order.
    async fn events(&self) -> Vec<String> {
        let page = json(self.server.get("/api/v1/audit?limit=200").bearer_auth(&self.token)).await;
        let mut events: Vec<(i64, String)> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| (event["cursor"].as_i64().unwrap(), event["type"].as_str().unwrap().to_owned()))
            .filter(|(_, kind)| kind.starts_with("vault."))
            .collect();
        events.sort_unstable();
        events.into_iter().map(|(_, kind)| kind).collect()
    }
}

/// Beside the server.
async fn connect(server: &Running, database: &Database) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let url = match database {
        Database::Sqlite => format!("sqlite://{}", server.data.join("foreman.db").display()),
        Database::PostgreSql { url, .. } => url.clone(),
    };
    AnyConnection::connect(&url).await.unwrap()
}

async fn execute(server: &Running, database: &Database, sql: &'static str) {
    let mut conn = connect(server, database).await;
    sqlx::query(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

/// Whether any of it is there.
fn found(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

/// How a password's key is made, as a file or a row of the vault says.
struct Kdf {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

impl Kdf {
    fn text(&self) -> String {
        format!("argon2id m={} t={} p={} {}", self.memory_kib, self.passes, self.lanes, self.salt)
    }

    fn key(&self, password: &str) -> [u8; 32] {
        let params = argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).unwrap();
        let mut key = [0; 32];
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(password.as_bytes(), &STANDARD_NO_PAD.decode(&self.salt).unwrap(), &mut key)
            .unwrap();
        key
    }
}

/// Opens what was sealed as the format says, with nothing of the server's.
fn unseal(key: [u8; 32], about: &[&str], sealed: &str) -> Option<Vec<u8>> {
    let mut bound = Vec::new();
    for part in about {
        bound.extend((part.len() as u64).to_be_bytes());
        bound.extend(part.as_bytes());
    }
    let sealed = STANDARD_NO_PAD.decode(sealed).unwrap();
    let (nonce, rest) = sealed.split_first_chunk::<24>().unwrap();
    XChaCha20Poly1305::new(&key.into()).decrypt(&(*nonce).into(), Payload { msg: rest, aad: &bound }).ok()
}

/// The keys of an exported file: `provider/name` and key.
fn open_file(file: &Value, password: &str) -> Option<Vec<(String, String)>> {
    let number = |field: &str| u32::try_from(file["kdf"][field].as_u64().unwrap()).unwrap();
    let salt = file["kdf"]["salt"].as_str().unwrap().to_owned();
    let kdf =
        Kdf { memory_kib: number("memory_kib"), passes: number("passes"), lanes: number("lanes"), salt };
    let (version, created) = (file["version"].to_string(), file["created_at"].to_string());
    let about = [file["format"].as_str().unwrap(), &version, &created, &kdf.text()];
    let plain = unseal(kdf.key(password), &about, file["sealed"].as_str().unwrap())?;
    let keys: Value = serde_json::from_slice(&plain).unwrap();
    let text = |key: &Value, field: &str| key[field].as_str().unwrap().to_owned();
    let keys = keys.as_array().unwrap().iter();
    Some(
        keys.map(|key| (format!("{}/{}", text(key, "provider"), text(key, "name")), text(key, "key")))
            .collect(),
    )
}
