//! The routes of one device over HTTP/2 in memory, and callers of them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use foreman_agent::{
    HOLD,
    device_api::{self, Caller, Device, terminals},
};
use foreman_link::h2::{self, Body, BodySender, Client};
use foreman_machine::terminal::{Setup, Terminals};
use foreman_protocol::{
    DeviceId, Level, LinkUse, OpenTerminal, Problem, Terminal, TerminalEnded, TerminalFrame, TerminalId,
};
use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

/// Nothing here should take longer; a test that would hang says where instead.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Desk {
    pub terminals: Arc<Terminals>,
    pub used: UnboundedReceiver<LinkUse>,
    device: Arc<Device>,
    dir: tempfile::TempDir,
}

pub struct Person(Client);

pub struct Viewer {
    pub typing: BodySender,
    /// Of the next byte it will be shown.
    pub offset: u64,
    pub gaps: usize,
    shown: Vec<u8>,
    sent: u64,
    body: Incoming,
    buffer: BytesMut,
}

pub fn shell(line: &str) -> OpenTerminal {
    let command = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    OpenTerminal { command, ..OpenTerminal::default() }
}

impl Desk {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (sender, used) = unbounded_channel();
        let terminals = Terminals::new(Setup {
            holder: vec![env!("CARGO_BIN_EXE_foreman-agent").into(), HOLD.into()],
            recordings: dir.path().join("recordings"),
            hidden_env: "FOREMAN_",
            grace: Duration::from_millis(500),
            kept: Duration::from_secs(600),
            on_use: Box::new(move |used| {
                let _ = sender.send(used);
            }),
        });
        let policy: PathBuf = dir.path().join("policy.env");
        let device = Device::new(DeviceId::fresh(), "desk".to_owned(), policy);
        let desk = Self { terminals: Arc::new(terminals), used, device: Arc::new(device), dir };
        desk.allow("ALLOW_BASH=true");
        desk
    }

    pub fn folder(&self) -> String {
        self.dir.path().to_string_lossy().into_owned()
    }

    pub fn allow(&self, policy: &str) {
        let new = self.dir.path().join("policy.new");
        std::fs::write(&new, policy).unwrap();
        std::fs::rename(new, self.dir.path().join("policy.env")).unwrap();
    }

    pub async fn client(&self, name: &str, level: Level) -> Person {
        self.as_caller(name, level, None).await
    }

    /// Somebody for whom the server speaks.
    pub async fn by_server(&self, name: &str, id: &str, level: Level) -> Person {
        let person = device_api::Person { name: name.to_owned(), id: Some(id.to_owned()) };
        self.as_caller("Dashboard", level, Some(person)).await
    }

    async fn as_caller(&self, name: &str, level: Level, on_behalf_of: Option<device_api::Person>) -> Person {
        let caller = Caller {
            name: name.to_owned(),
            client_key: format!("key of {name}"),
            level,
            expires_at: i64::MAX,
            path: "lan".to_owned(),
            on_behalf_of,
        };
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let router = terminals::router(Arc::clone(&self.device), Arc::clone(&self.terminals));
        tokio::spawn(h2::serve(theirs, router, caller, std::future::pending()));
        Person(Client::start(ours).await.unwrap())
    }
}

impl Person {
    async fn request(&self, method: &str, path: &str, body: Body) -> Response<Incoming> {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.body(body).unwrap();
        timeout(PATIENCE, self.0.request(request)).await.expect("no answer").unwrap()
    }

    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        json: Option<Value>,
    ) -> Result<T, Problem> {
        let body = json.map_or_else(Body::empty, |json| Body::from(json.to_string().into_bytes()));
        let answer = self.request(method, path, body).await;
        if !answer.status().is_success() {
            return Err(problem(answer).await);
        }
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        Ok(serde_json::from_slice(body).unwrap())
    }

    pub async fn try_open(&self, request: &OpenTerminal) -> Result<Terminal, Problem> {
        self.call("POST", "/terminals", Some(json!(request))).await
    }

    pub async fn open(&self, request: &OpenTerminal) -> Terminal {
        self.try_open(request).await.unwrap()
    }

    pub async fn update(&self, id: TerminalId, change: Value) -> Result<Terminal, Problem> {
        self.call("PATCH", &format!("/terminals/{id}"), Some(change)).await
    }

    pub async fn end(&self, id: TerminalId) -> Result<(), Problem> {
        self.call("DELETE", &format!("/terminals/{id}"), None).await
    }

    pub async fn attach(&self, id: TerminalId, from: u64, writer: Option<&str>) -> Result<Viewer, Problem> {
        let writer = writer.map(|writer| format!("&writer={writer}")).unwrap_or_default();
        let (typing, body) = Body::channel();
        let answer = self.request("POST", &format!("/terminals/{id}/attach?from={from}{writer}"), body).await;
        if !answer.status().is_success() {
            return Err(problem(answer).await);
        }
        let body = answer.into_body();
        let buffer = BytesMut::new();
        Ok(Viewer { typing, offset: from, gaps: 0, shown: Vec::new(), sent: 0, body, buffer })
    }
}

async fn problem(answer: Response<Incoming>) -> Problem {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Problem =
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(problem.status, status);
    problem
}

impl Viewer {
    pub async fn send(&mut self, frame: TerminalFrame) {
        let frame = frame.encode();
        let mut bytes = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(frame);
        self.typing.send(Bytes::from(bytes)).await;
    }

    pub async fn type_line(&mut self, line: &str) {
        let data = format!("{line}\n").into_bytes();
        let offset = self.sent;
        self.sent += data.len() as u64;
        self.send(TerminalFrame::Input { offset, data }).await;
    }

    /// The next frame; `None` when the stream ends well, and an error when it is cut.
    async fn frame(&mut self) -> Result<Option<TerminalFrame>, hyper::Error> {
        loop {
            if let Some((length, rest)) = self.buffer.split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
                if let Some(frame) = rest.get(..length) {
                    let frame = TerminalFrame::decode(frame).unwrap();
                    self.buffer.advance(4 + length);
                    return Ok(Some(frame));
                }
            }
            match timeout(PATIENCE, self.body.frame()).await.expect("nothing more is shown") {
                Some(data) => self.buffer.extend_from_slice(&data?.into_data().unwrap()),
                None => return Ok(None),
            }
        }
    }

    pub async fn next(&mut self) -> Option<TerminalFrame> {
        let frame = self.frame().await.unwrap();
        match &frame {
            Some(TerminalFrame::Output { offset, data }) => {
                assert_eq!(*offset, self.offset);
                self.offset += data.len() as u64;
                self.shown.extend(data);
            }
            Some(TerminalFrame::Gap { start }) => {
                self.offset = *start;
                self.gaps += 1;
                self.shown.clear();
            }
            _ => {}
        }
        frame
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    pub async fn until(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert!(self.next().await.is_some(), "ended with {:?}", self.text());
        }
    }

    pub async fn until_end(&mut self) -> TerminalEnded {
        loop {
            if let TerminalFrame::Ended(ended) =
                self.next().await.expect("the stream ended before the terminal")
            {
                assert_eq!(self.next().await, None);
                return ended;
            }
        }
    }

    /// Until the device breaks the stream.
    pub async fn cut(&mut self) {
        while let Ok(frame) = self.frame().await {
            assert!(frame.is_some(), "it ended well");
        }
    }

    /// Whether the device breaks the stream in this time.
    pub async fn is_cut_within(&mut self, time: Duration) -> bool {
        timeout(time, self.cut()).await.is_ok()
    }
}
