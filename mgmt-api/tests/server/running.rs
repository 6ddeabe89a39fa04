//! Starts the real binary and speaks to it.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use journeys::database::Database;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

pub struct Running {
    child: Child,
    pub url: String,
    pub setup_code: Option<String>,
    pub data: PathBuf,
    pub http: Client,
    folder: Option<TempDir>,
    /// The address of its PostgreSQL; SQLite in its folder without one.
    database: Option<String>,
    env: Vec<(String, String)>,
}

impl Running {
    /// A server with a data folder of its own.
    pub fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut running = Self::over(data, &[]);
        running.folder = Some(folder);
        running
    }

    /// A server with a data folder of its own over this database, which must live as long.
    pub fn on(database: &Database, options: &[&str]) -> Self {
        Self::within(database, options, &[])
    }

    /// As [`Running::on`], in these surroundings; those after it over the same data have them too.
    pub fn within(database: &Database, options: &[&str], env: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match database {
            Database::Sqlite => None,
            Database::PostgreSql { url, .. } => Some(url.clone()),
        };
        let mut running = Self::start(folder.path().join("data"), url, options, env.to_vec());
        running.folder = Some(folder);
        running
    }

    /// A server over an existing folder.
    pub fn over(data: PathBuf, options: &[&str]) -> Self {
        Self::start(data, None, options, Vec::new())
    }

    fn start(data: PathBuf, database: Option<String>, options: &[&str], env: Vec<(String, String)>) -> Self {
        foreman_link::http::install_crypto_provider();
        let mut child = Command::new(env!("CARGO_BIN_EXE_foreman-server"))
            .env("FOREMAN_LISTEN", "127.0.0.1:0")
            .args(["serve", "--data"])
            .arg(&data)
            .args(options)
            .env_remove("DATABASE_URL")
            .envs(database.iter().map(|url| ("DATABASE_URL", url)))
            .envs(env.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(log_of(&data))
            .spawn()
            .unwrap();
        let mut setup_code = None;
        let mut url = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(code) = line.strip_prefix("Setup code: ") {
                setup_code = Some(code.to_owned());
            }
            if let Some(address) = line.strip_prefix("listening on ") {
                url = Some(address.to_owned());
                break;
            }
        }
        let http = Client::builder().no_proxy().build().unwrap();
        Self {
            child,
            url: url.expect("the server said where it listens"),
            setup_code,
            data,
            http,
            folder: None,
            database,
            env,
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: Value) -> RequestBuilder {
        self.request(Method::POST, path).json(&body)
    }

    /// A bearer made on the host.
    pub fn token(&self, role: &str) -> String {
        let made = self.host(&["token", "create", "--name", role, "--role", role]);
        assert!(made.status.success());
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// Runs one of the host's commands on this server's data.
    pub fn host(&self, arguments: &[&str]) -> Output {
        let mut command = host_command(&self.data, arguments);
        command.envs(self.database.iter().map(|url| ("DATABASE_URL", url))).output().unwrap()
    }

    /// Ends it as a power cut would, and starts one over the same data.
    pub fn again(self, options: &[&str]) -> Self {
        let env = self.env.clone();
        self.again_within(options, &env)
    }

    /// As [`Running::again`], in other surroundings.
    pub fn again_within(mut self, options: &[&str], env: &[(String, String)]) -> Self {
        self.end();
        let mut next = Self::start(self.data.clone(), self.database.clone(), options, env.to_vec());
        next.folder = self.folder.take();
        next
    }

    /// What it and those before it over the same data wrote to their log.
    pub fn log(&self) -> Vec<u8> {
        std::fs::read(log_file(&self.data)).unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to stop, as a service manager does; its exit code once it has.
    pub fn terminate(&mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.child.wait().unwrap().code()
    }

    /// Sends it a signal that ends it; how it ended.
    pub fn crash(&mut self, signal: &str) -> ExitStatus {
        // Rust's own answer to a segmentation fault is to be asked again.
        while self.child.try_wait().unwrap().is_none() {
            let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
            assert!(sent.success());
        }
        self.child.wait().unwrap()
    }

    /// Ends the server and waits until it is gone.
    pub fn stop(mut self) -> Option<TempDir> {
        self.end();
        self.folder.take()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Beside the data folder.
fn log_file(data: &std::path::Path) -> PathBuf {
    data.with_file_name("server.log")
}

fn log_of(data: &std::path::Path) -> Stdio {
    std::fs::OpenOptions::new().create(true).append(true).open(log_file(data)).unwrap().into()
}

pub fn host(data: &std::path::Path, arguments: &[&str]) -> Output {
    host_command(data, arguments).output().unwrap()
}

fn host_command(data: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreman-server"));
    command.args(arguments).env("FOREMAN_DATA", data).env_remove("DATABASE_URL");
    command
}

/// A client of another address of this machine.
pub fn elsewhere(last: u8) -> Client {
    let from = std::net::IpAddr::from([127, 0, 0, last]);
    Client::builder().no_proxy().local_address(from).build().unwrap()
}

/// The answer's status and its problem code.
pub async fn problem(request: RequestBuilder) -> (StatusCode, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "status {status}");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["status"], status.as_u16());
    (status, body["code"].as_str().unwrap().to_owned())
}

pub async fn json(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await.unwrap());
    answer.json().await.unwrap()
}
