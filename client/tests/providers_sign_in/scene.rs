//! What the tests stand on: secrets in memory, a clock that is set by hand, and everything that was logged.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use foreman_client::app::{
    SecretError, SecretStore,
    providers_sign_in::{Definition, DefinitionId, Definitions, ProviderSignInError, SignInStep, SignIns},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use zeroize::Zeroizing;

/// Secrets that anybody can look at.
#[derive(Default)]
pub struct Memory {
    pub all: Mutex<HashMap<String, String>>,
    pub locked: AtomicBool,
}

impl Memory {
    fn open(&self) -> Result<std::sync::MutexGuard<'_, HashMap<String, String>>, SecretError> {
        if self.locked.load(SeqCst) {
            return Err(SecretError::Locked { reason: "for the test".to_owned() });
        }
        Ok(self.all.lock().unwrap())
    }

    pub fn text(&self) -> String {
        format!("{:?}", self.all.lock().unwrap())
    }
}

impl SecretStore for Memory {
    fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, SecretError> {
        Ok(self.open()?.get(name).cloned().map(Into::into))
    }

    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError> {
        self.open()?.insert(name.to_owned(), secret.to_owned());
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), SecretError> {
        self.open()?.remove(name);
        Ok(())
    }
}

pub struct Scene {
    pub sign_ins: SignIns,
    pub secrets: Arc<Memory>,
    pub clock: Arc<AtomicI64>,
    pub id: DefinitionId,
    folder: TempDir,
}

impl Scene {
    /// One definition, made of this `oauth`.
    pub fn of(oauth: Value) -> Self {
        let vault = json!({ "kind": "openai_compatible", "base_url": "https://api.example/v1" });
        let definition = json!({ "id": "tried", "name": "Tried", "oauth": oauth, "vault": vault });
        let definition: Definition = serde_json::from_value(definition).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut definitions = Definitions::load(folder.path().join("sign-ins.json")).unwrap();
        let id = definition.id.clone();
        definitions.put(definition).unwrap();
        let (secrets, clock) = (Arc::new(Memory::default()), Arc::new(AtomicI64::new(1_800_000_000_000)));
        let sign_ins = SignIns::new(definitions, secrets.clone(), by(&clock)).unwrap();
        Self { sign_ins, secrets, clock, id, folder }
    }

    /// The app, started anew with what is kept.
    pub fn again(&self) -> SignIns {
        let definitions = Definitions::load(self.folder.path().join("sign-ins.json")).unwrap();
        SignIns::new(definitions, self.secrets.clone(), by(&self.clock)).unwrap()
    }

    pub fn pass(&self, time: Duration) {
        self.clock.fetch_add(i64::try_from(time.as_millis()).unwrap(), SeqCst);
    }

    /// Begins, and hears the steps.
    pub fn begin(&self) -> (Attempt, mpsc::UnboundedReceiver<SignInStep>) {
        let (tell, steps) = mpsc::unbounded_channel();
        let (sign_ins, id) = (self.sign_ins.clone(), self.id.clone());
        let attempt = tokio::spawn(async move { sign_ins.begin(&id, |step| drop(tell.send(step))).await });
        (Attempt(attempt), steps)
    }

    pub async fn token(&self) -> Result<String, ProviderSignInError> {
        self.sign_ins.token(&self.id).await.map(|token| token.to_string())
    }
}

fn by(clock: &Arc<AtomicI64>) -> Arc<dyn Fn() -> i64 + Send + Sync> {
    let clock = clock.clone();
    Arc::new(move || clock.load(SeqCst))
}

pub struct Attempt(tokio::task::JoinHandle<Result<(), ProviderSignInError>>);

impl Attempt {
    pub async fn end(self) -> Result<(), ProviderSignInError> {
        soon(self.0).await.unwrap()
    }
}

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3_600), future).await.unwrap()
}

/// Lets time pass in steps of a second while the work goes on: each once nothing else is left to do. As long as a thread
/// blocks, the runtime's paused clock does not run ahead by itself.
pub async fn hurry<T>(work: impl Future<Output = T>) -> T {
    let mut behind = Behind::new().await;
    tokio::time::pause();
    let (held, until) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || until.recv());
    let passing = async {
        loop {
            behind.everything().await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    };
    let done = tokio::select! {
        biased;
        done = work => done,
        () = passing => unreachable!("time does not end"),
    };
    tokio::time::resume();
    drop(held);
    done
}

/// What comes behind everything that is under way in this runtime: what it sends to itself arrives after what was sent
/// before, however long the machine takes for either.
struct Behind(TcpStream);

impl Behind {
    /// A request is sent, read, answered and read; and before it a connection may be made, after it something kept.
    const ROUNDS: usize = 4;

    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let (mut from, mut to) = far.split();
            tokio::io::copy(&mut from, &mut to).await
        });
        Self(near)
    }

    async fn everything(&mut self) {
        for _ in 0..Self::ROUNDS {
            self.0.write_all(b".").await.unwrap();
            self.0.read_exact(&mut [0]).await.unwrap();
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        }
    }
}

/// So much later, with nothing under way.
pub async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Everything that is logged on this thread, the libraries included.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    pub fn listen(&self) -> tracing::subscriber::DefaultGuard {
        static OTHERS: Once = Once::new();
        let all = || tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        // A place in the code asks once whether anybody listens, on the thread that comes by first: one that listens to
        // nothing must not answer for all.
        OTHERS.call_once(|| {
            tracing::subscriber::set_global_default(all().with_writer(io::sink).finish()).unwrap();
        });
        let log = self.clone();
        tracing::subscriber::set_default(all().with_writer(move || log.clone()).finish())
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
