//! What the running app holds: the servers it knows, who it is signed in as, the devices it reaches, and what the
//! window watches. Bearers and keys live here and in the keychain, never in the window.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use foreman_client::{
    DeviceConnection, DeviceOptions, Foreman, Store,
    app::{
        AwaitedReturn, Drafts, KnownServer, LastKnown, LastKnownError, Outbox, PreferencesFile, SecretError,
        SecretStore, ServerId, Servers, providers_sign_in::SignIns,
    },
};
use foreman_link::grant::{Issuer, LinkSecret, decode_key, encode_key};
use foreman_protocol::{Device, DeviceId, Millis};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::{
    failure::{AppCode, Failure},
    held::Held,
    news::News,
    notify::Screen,
    providers::Providers,
    saves::Saves,
    secrets::Secrets,
    sign_in::Waiting,
    terminals::Terminal,
    this_computer::ThisComputer,
    updates::Updates,
    watch::Watch,
};

const OWNER_KEY: &str = "link/owner-key";
const CLIENT_KEY: &str = "link/client-key";
/// Opens what lets this app through Cloudflare to devices.
const PASS_KEY: &str = "link/pass-key";
/// Opens what was last known.
const COPY_KEY: &str = "last-known/key";
/// Opens what waits to be sent.
const OUTBOX_KEY: &str = "outbox/key";
/// Opens what was typed and not sent.
const DRAFTS_KEY: &str = "drafts/key";

pub struct Desk {
    folder: PathBuf,
    servers: Mutex<Servers>,
    signed_in: Mutex<HashMap<ServerId, Foreman>>,
    secrets: Arc<Secrets>,
    store: OnceCell<Store>,
    last_known: OnceCell<LastKnown>,
    drafts: OnceCell<Drafts>,
    devices: tokio::sync::Mutex<Held<(ServerId, DeviceId), DeviceConnection>>,
    pub outbox: crate::outbox::Waiting,
    pub this_computer: ThisComputer,
    pub waiting: Mutex<Option<Waiting>>,
    pub returns: AwaitedReturn,
    pub streams: Running<tokio::task::AbortHandle>,
    pub terminals: Running<Terminal>,
    pub news: News,
    pub providers: Providers,
    pub updates: Updates,
    pub saves: Saves,
    preferences: Mutex<PreferencesFile>,
    /// The person who holds it has to show who they are first.
    locked: AtomicBool,
    pub screen: Screen,
    pub watch: Watch,
    #[cfg(desktop)]
    pub tray: crate::tray::Tray,
}

impl Desk {
    /// # Errors
    /// When the list of servers cannot be read.
    pub fn open(folder: PathBuf, screen: Screen) -> Result<Self, Failure> {
        let preferences = PreferencesFile::load(folder.join("preferences.json"));
        Ok(Self {
            servers: Mutex::new(Servers::load(folder.join("servers.json"))?),
            this_computer: ThisComputer::new(folder.join("this-computer")),
            saves: Saves::open(folder.join("saves.json")),
            secrets: Arc::new(Secrets::at(&folder)),
            folder,
            signed_in: Mutex::default(),
            store: OnceCell::new(),
            last_known: OnceCell::new(),
            drafts: OnceCell::new(),
            outbox: Default::default(),
            devices: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            returns: AwaitedReturn::default(),
            streams: Running::default(),
            terminals: Running::default(),
            news: News::default(),
            providers: Providers::default(),
            updates: Updates::default(),
            locked: AtomicBool::new(cfg!(mobile) && preferences.get().ask_at_start),
            preferences: Mutex::new(preferences),
            screen,
            watch: Watch::default(),
            #[cfg(desktop)]
            tray: Default::default(),
        })
    }

    pub fn servers(&self) -> MutexGuard<'_, Servers> {
        unpoisoned(&self.servers)
    }

    pub fn preferences(&self) -> MutexGuard<'_, PreferencesFile> {
        unpoisoned(&self.preferences)
    }

    pub fn is_locked(&self) -> bool {
        self.locked.load(Relaxed)
    }

    /// What the window has open ends with it: nothing more is shown.
    pub fn lock(&self) {
        self.locked.store(true, Relaxed);
        self.close_all();
    }

    pub fn unlock(&self) {
        self.locked.store(false, Relaxed);
    }

    /// Everything that a page has open.
    pub fn close_all(&self) {
        for stream in self.streams.take_all() {
            stream.abort();
        }
        for terminal in self.terminals.take_all() {
            terminal.close();
        }
    }

    /// The server whose dashboard is shown.
    pub fn selected(&self) -> Result<KnownServer, Failure> {
        self.servers().selected().cloned().ok_or_else(Failure::no_server)
    }

    /// It, with the right to use it.
    pub async fn server(&self) -> Result<Foreman, Failure> {
        let known = self.selected()?;
        self.foreman(&known).await?.ok_or_else(Failure::no_server)
    }

    /// A server with the bearer that is kept for it; nothing when this app is signed out there.
    pub async fn foreman(&self, server: &KnownServer) -> Result<Option<Foreman>, Failure> {
        if let Some(known) = unpoisoned(&self.signed_in).get(&server.id) {
            return Ok(Some(known.clone()));
        }
        let name = bearer_name(&server.id);
        let Some(bearer) = self.secret(move |secrets| secrets.get(&name)).await? else { return Ok(None) };
        let foreman = Foreman::new(server.address.as_str(), &bearer)?;
        unpoisoned(&self.signed_in).insert(server.id.clone(), foreman.clone());
        Ok(Some(foreman))
    }

    /// Leaves all connections to servers behind: they may be dead without a word.
    pub fn connect_anew(&self) {
        for known in unpoisoned(&self.signed_in).values_mut() {
            if let Ok(anew) = known.connected_anew() {
                *known = anew;
            }
        }
    }

    /// What is kept for a server.
    pub async fn bearer(&self, id: &ServerId) -> Result<Option<String>, Failure> {
        let name = bearer_name(id);
        let kept = self.secret(move |secrets| secrets.get(&name)).await?;
        Ok(kept.map(|bearer| bearer.to_string()))
    }

    /// Keeps the bearer of a server, first in the keychain and only then in the list: a keychain that does not open
    /// leaves nothing half done.
    pub async fn keep_bearer(&self, id: &ServerId, bearer: String) -> Result<(), Failure> {
        let name = bearer_name(id);
        self.secret(move |secrets| secrets.set(&name, &bearer)).await?;
        unpoisoned(&self.signed_in).remove(id);
        self.watch.again(id);
        Ok(())
    }

    pub async fn forget_bearer(&self, id: &ServerId) -> Result<(), Failure> {
        unpoisoned(&self.signed_in).remove(id);
        self.devices.lock().await.retain(|(server, _)| server != id);
        self.forget_passes(id, &BTreeSet::new());
        // Whoever signs in next is perhaps somebody else.
        if self.outbox_file().exists()
            && let Ok(outbox) = self.outbox().await
        {
            if let Err(error) = outbox.forget(id).await {
                tracing::warn!(%error, "what waited for a server is still there");
            }
            self.outbox.say_changed();
        }
        let name = bearer_name(id);
        let removed = self.secret(move |secrets| secrets.remove(&name)).await;
        // After the bearer, without which no page keeps another.
        if self.drafts_file().exists()
            && let Ok(drafts) = self.drafts().await
            && let Err(error) = drafts.forget(id).await
        {
            tracing::warn!(%error, "what was typed for a server is still there");
        }
        self.watch.again(id);
        // After it, which writes down what it hears.
        self.forget_known(id).await;
        removed
    }

    /// Takes out what was last known of a server: whoever may not use it any more shall not go on reading that.
    pub async fn forget_known(&self, id: &ServerId) {
        if let Some(known) = self.last_known().await
            && let Err(error) = known.forget(id).await
        {
            tracing::warn!(%error, "what was known of a server is still there");
        }
    }

    /// A device of the shown server, reached by its best path.
    pub async fn device(&self, id: DeviceId) -> Result<DeviceConnection, Failure> {
        let known = self.selected()?;
        self.device_of(&known, id).await
    }

    /// A device of a server, reached by its best path.
    pub async fn device_of(&self, known: &KnownServer, id: DeviceId) -> Result<DeviceConnection, Failure> {
        let key = (known.id.clone(), id);
        let mut devices = self.devices.lock().await;
        if let Some(open) = devices.get(&key) {
            return Ok(open.clone());
        }
        let server = self.foreman(known).await?;
        let store = self.store().await?;
        let open = DeviceConnection::open(&store, server.as_ref(), id, DeviceOptions::default()).await?;
        devices.insert(key, open.clone());
        Ok(open)
    }

    /// Records of devices, with the keys of the keychain.
    pub async fn store(&self) -> Result<Store, Failure> {
        let opened = self.store.get_or_try_init(|| async {
            let keys = |secrets: &dyn SecretStore| {
                Ok((key(secrets, OWNER_KEY)?, key(secrets, CLIENT_KEY)?, key(secrets, PASS_KEY)?))
            };
            let (owner, client, passes) = self.secret(keys).await?;
            let (owner, client) = (Issuer::from_bytes(&owner), LinkSecret::from_bytes(&client));
            Ok::<_, Failure>(self.records().with_keys(owner, client, passes))
        });
        opened.await.cloned()
    }

    fn records(&self) -> Store {
        let folder = self.folder.join("devices");
        Store::at(folder.clone(), folder)
    }

    /// Forgets what lets this app through Cloudflare to the devices of a server, but for these. No keychain is needed for
    /// that.
    pub fn forget_passes(&self, id: &ServerId, except: &BTreeSet<DeviceId>) {
        let Some(address) = self.servers().get(id).map(|server| server.address.as_str().to_owned()) else {
            return;
        };
        if let Err(error) = self.records().forget_passes(&address, except) {
            tracing::warn!(%error, "what let this app through Cloudflare is still there");
        }
    }

    /// Keeps where a device is and whose key it has, so that this app reaches it without its server. No keychain is needed
    /// for that.
    pub fn hear(&self, device: &Device) {
        if let Err(error) = self.records().hear(device) {
            tracing::warn!(%error, device = device.name, "what the server says of a device is not kept");
        }
    }

    /// The last answers of the servers; nothing where no key can be kept for them.
    pub async fn last_known(&self) -> Option<LastKnown> {
        let opened = self.last_known.get_or_try_init(|| async {
            let key = self.secret(|secrets| key(secrets, COPY_KEY)).await?;
            let path = self.folder.join("last-known.db");
            let failed = |error: LastKnownError| Failure::new(AppCode::Storage, error.to_string());
            LastKnown::open(&path, key).await.map_err(failed)
        });
        opened
            .await
            .inspect_err(|failure| tracing::warn!(failure.message, "nothing is kept of answers"))
            .ok()
            .cloned()
    }

    pub fn outbox_file(&self) -> PathBuf {
        self.folder.join("outbox.db")
    }

    /// What waits to be sent.
    pub async fn outbox(&self) -> Result<Outbox, Failure> {
        let opened = self.outbox.opened.get_or_try_init(|| async {
            let key = self.secret(|secrets| key(secrets, OUTBOX_KEY)).await?;
            Ok::<_, Failure>(Outbox::open(&self.outbox_file(), key).await?)
        });
        opened.await.cloned()
    }

    pub fn drafts_file(&self) -> PathBuf {
        self.folder.join("drafts.db")
    }

    /// What was typed and not sent.
    pub async fn drafts(&self) -> Result<Drafts, Failure> {
        let opened = self.drafts.get_or_try_init(|| async {
            let key = self.secret(|secrets| key(secrets, DRAFTS_KEY)).await?;
            Ok::<_, Failure>(Drafts::open(&self.drafts_file(), key).await?)
        });
        opened.await.cloned()
    }

    /// A file stands in for the keychain.
    pub fn is_without_keychain(&self) -> bool {
        self.secrets.are_in_file()
    }

    /// What opened what waits, and drafts, before a file took the keychain's place. It may ask its person.
    pub async fn keys_before(&self) -> Result<[Option<[u8; 32]>; 2], Failure> {
        let secrets = self.secrets.clone();
        let read = move || {
            let read = |name| secrets.before(name).map(|text| text.and_then(|text| decode_key(&text).ok()));
            Ok::<_, SecretError>([read(OUTBOX_KEY)?, read(DRAFTS_KEY)?])
        };
        Ok(off_thread(read).await??)
    }

    /// Does something with the secrets, where waiting for the keychain disturbs nobody.
    pub async fn secret<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn SecretStore) -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, Failure> {
        let secrets = self.secrets.clone();
        Ok(off_thread(move || act(&*secrets)).await??)
    }

    /// Somebody was asked already, or nobody had to be.
    pub fn has_secrets(&self) -> bool {
        self.secrets.are_open()
    }

    /// Opens the file that stands in for a keychain, or makes it: the person agreed to it and gave a passphrase.
    pub async fn open_secret_file(&self, passphrase: Zeroizing<String>) -> Result<(), Failure> {
        let secrets = self.secrets.clone();
        Ok(off_thread(move || secrets.open_file(&passphrase)).await??)
    }

    /// Sign-ins to providers of models.
    pub async fn sign_ins(&self) -> Result<SignIns, Failure> {
        self.providers.sign_ins(&self.folder, self.secrets.clone()).await
    }
}

async fn off_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let gone = |_| Failure::new(AppCode::KeychainMissing, "The keychain did not answer.");
    tokio::task::spawn_blocking(act).await.map_err(gone)
}

fn bearer_name(id: &ServerId) -> String {
    format!("server/{}/bearer", id.as_str())
}

/// A key of 32 bytes, made when there is none.
fn key(secrets: &dyn SecretStore, name: &str) -> Result<[u8; 32], SecretError> {
    match secrets.get(name)? {
        Some(text) => {
            decode_key(&text).map_err(|_| SecretError::Damaged { reason: format!("{name} holds no key") })
        }
        None => {
            let fresh = *LinkSecret::generate().to_bytes();
            secrets.set(name, &encode_key(&fresh))?;
            Ok(fresh)
        }
    }
}

pub fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since the epoch.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// What the window started and refers to by a number.
pub struct Running<T> {
    last: AtomicU32,
    all: Mutex<HashMap<u32, T>>,
}

impl<T> Default for Running<T> {
    fn default() -> Self {
        Self { last: AtomicU32::new(0), all: Mutex::default() }
    }
}

impl<T> Running<T> {
    pub fn number(&self) -> u32 {
        self.last.fetch_add(1, Relaxed)
    }

    pub fn put(&self, number: u32, what: T) {
        unpoisoned(&self.all).insert(number, what);
    }

    pub fn take(&self, number: u32) -> Option<T> {
        unpoisoned(&self.all).remove(&number)
    }

    /// All of it: the window went to another page and forgot.
    pub fn take_all(&self) -> Vec<T> {
        unpoisoned(&self.all).drain().map(|(_, what)| what).collect()
    }
}

impl<T: Clone> Running<T> {
    pub fn get(&self, number: u32) -> Option<T> {
        unpoisoned(&self.all).get(&number).cloned()
    }
}
