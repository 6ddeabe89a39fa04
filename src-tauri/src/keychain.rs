//! The system's keychain. It may ask its person for a password, and it may never answer: calls are made one after the
//! other on a thread of their own, and whoever makes one waits for a while only.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

use foreman_client::app::{SecretError, SecretStore};
use keyring_core::{CredentialStore, Entry, Error};
use zeroize::Zeroizing;

use crate::desk::unpoisoned;

/// What the keychain's own tool shows as the owner of the entries.
const SERVICE: &str = "dev.foreman.app";
/// For an answer. A person who types the password in after that finds it open when the app asks again.
const PATIENCE: Duration = Duration::from_secs(15);

pub type Open = Box<dyn Fn() -> keyring_core::Result<Arc<CredentialStore>> + Send>;
type Answer = Result<Option<Zeroizing<String>>, SecretError>;

enum Deed {
    Get,
    Set(Zeroizing<String>),
    Remove,
}

struct Call {
    name: String,
    deed: Deed,
    asked: Instant,
    given_up: Arc<AtomicBool>,
    answer: mpsc::Sender<Answer>,
}

/// How it stands, as of the last call.
#[derive(Debug, Default)]
struct Stands {
    answers: bool,
    /// Somebody waited too long for the call that is being made; nobody waits behind it.
    late: bool,
}

/// Opened by the first call, and again after it went away.
pub struct Keychain {
    calls: mpsc::Sender<Call>,
    stands: Arc<Mutex<Stands>>,
    patience: Duration,
}

impl Keychain {
    pub fn new() -> Self {
        Self::with(Box::new(system_store), PATIENCE)
    }

    pub fn with(open: Open, patience: Duration) -> Self {
        let (calls, asked) = mpsc::channel();
        let stands = Arc::<Mutex<Stands>>::default();
        let (told, thread) = (stands.clone(), std::thread::Builder::new().name("keychain".to_owned()));
        // Without it every call is told that nobody answers.
        if let Err(error) = thread.spawn(move || serve(&asked, &open, &told)) {
            tracing::warn!(%error, "no thread could be had to ask the keychain");
        }
        Self { calls, stands, patience }
    }

    /// What was asked of it last it did.
    pub fn answers(&self) -> bool {
        unpoisoned(&self.stands).answers
    }

    fn ask(&self, name: &str, deed: Deed) -> Answer {
        if unpoisoned(&self.stands).late {
            return Err(no_answer());
        }
        let given_up = Arc::<AtomicBool>::default();
        let (answer, answered) = mpsc::channel();
        let call =
            Call { name: name.to_owned(), deed, asked: Instant::now(), given_up: given_up.clone(), answer };
        let nobody = || SecretError::Missing { reason: "nobody can ask it".to_owned() };
        self.calls.send(call).map_err(|_| nobody())?;
        match answered.recv_timeout(self.patience) {
            Ok(answer) => return answer,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(nobody()),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        let mut stands = unpoisoned(&self.stands);
        // It may have come in this moment; from here on it tells that it is not late any more.
        answered.try_recv().unwrap_or_else(|_| {
            given_up.store(true, Relaxed);
            *stands = Stands { answers: false, late: true };
            Err(no_answer())
        })
    }
}

impl SecretStore for Keychain {
    fn get(&self, name: &str) -> Answer {
        self.ask(name, Deed::Get)
    }

    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError> {
        self.ask(name, Deed::Set(Zeroizing::new(secret.to_owned()))).map(drop)
    }

    fn remove(&self, name: &str) -> Result<(), SecretError> {
        self.ask(name, Deed::Remove).map(drop)
    }
}

/// For as long as there is a [`Keychain`].
fn serve(calls: &mpsc::Receiver<Call>, open: &Open, stands: &Mutex<Stands>) {
    let mut store = None;
    let mut refused: Option<(Instant, SecretError)> = None;
    for call in calls {
        if call.given_up.load(Relaxed) {
            unpoisoned(stands).late = false;
            continue;
        }
        // A person who said no to its question said no to all that waited for the answer.
        let together = refused.as_ref().filter(|(at, _)| *at >= call.asked).map(|(_, error)| error.clone());
        let done = match together {
            Some(error) => Err(error),
            None => reached(&mut store, open, &call).map_err(said),
        };
        if let Err(error @ SecretError::Locked { .. }) = &done {
            refused = Some((Instant::now(), error.clone()));
        }
        let mut stands = unpoisoned(stands);
        let answers = !matches!(done, Err(SecretError::Locked { .. } | SecretError::Missing { .. }));
        *stands = Stands { answers, late: false };
        let _ = call.answer.send(done);
    }
}

/// One that was opened before may be gone and another in its place: that is asked then.
fn reached(
    store: &mut Option<Arc<CredentialStore>>,
    open: &Open,
    call: &Call,
) -> keyring_core::Result<Option<Zeroizing<String>>> {
    if let Some(opened) = store {
        match done(&**opened, call) {
            Err(Error::PlatformFailure(_)) => *store = None,
            done => return done,
        }
    }
    done(&**store.insert(open()?), call)
}

fn done(store: &CredentialStore, call: &Call) -> keyring_core::Result<Option<Zeroizing<String>>> {
    let entry: Entry = store.build(SERVICE, &call.name, None)?;
    let done = match &call.deed {
        Deed::Get => entry.get_password().map(|secret| Some(Zeroizing::new(secret))),
        Deed::Set(secret) => entry.set_password(secret).map(|()| None),
        Deed::Remove => entry.delete_credential().map(|()| None),
    };
    match (done, &call.deed) {
        (Err(Error::NoEntry), Deed::Get | Deed::Remove) => Ok(None),
        (done, _) => done,
    }
}

fn no_answer() -> SecretError {
    SecretError::Locked { reason: "it does not answer".to_owned() }
}

/// Errors may carry what was read: only their kind and the system's reason are told.
fn said(error: Error) -> SecretError {
    match error {
        Error::NoStorageAccess(reason) => SecretError::Locked { reason: reason.to_string() },
        Error::BadEncoding(_) | Error::BadDataFormat(..) | Error::BadStoreFormat(_) => {
            SecretError::Damaged { reason: "it holds something else than was put there".to_owned() }
        }
        Error::PlatformFailure(reason) => SecretError::Missing { reason: reason.to_string() },
        other => SecretError::Missing { reason: other.to_string() },
    }
}

#[cfg(target_os = "linux")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(zbus_secret_service_keyring_store::Store::new()?)
}

#[cfg(target_os = "macos")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

#[cfg(target_os = "ios")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::protected::Store::new()?)
}

#[cfg(windows)]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(windows_native_keyring_store::Store::new()?)
}

#[cfg(target_os = "android")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(android_native_keyring_store::Store::new()?)
}

#[cfg(test)]
mod tests {
    use std::{io, sync::atomic::AtomicU32, thread};

    use keyring_core::mock;

    use super::*;

    fn refusal() -> Error {
        Error::NoStorageAccess(Box::new(io::Error::other("dismissed")))
    }

    fn call(name: &str, deed: Deed) -> (Call, mpsc::Receiver<Answer>) {
        let (answer, answered) = mpsc::channel();
        let given_up = Arc::default();
        (Call { name: name.to_owned(), deed, asked: Instant::now(), given_up, answer }, answered)
    }

    #[test]
    fn a_keychain_that_does_not_answer_is_waited_for_once_and_is_there_as_soon_as_it_does() {
        let (release, gate) = mpsc::channel();
        let store = mock::Store::new().unwrap();
        let open = move || {
            gate.recv().unwrap();
            Ok(store.clone() as Arc<CredentialStore>)
        };
        let patience = Duration::from_millis(300);
        let keychain = Keychain::with(Box::new(open), patience);
        let locked = |answer| matches!(answer, Err(SecretError::Locked { .. }));
        thread::scope(|scope| {
            // What waits behind the first is given up with it, and not done when nobody expects it any more.
            let first = scope.spawn(|| keychain.get("a"));
            let behind = scope.spawn(|| keychain.get("b"));
            assert!(locked(first.join().unwrap()) && locked(behind.join().unwrap()));
        });
        let began = Instant::now();
        assert!(locked(keychain.get("a")));
        assert!(began.elapsed() < patience, "nobody waits behind it");
        assert!(!keychain.answers());
        let (given_up, unheard) = call("b", Deed::Set("late".to_owned().into()));
        given_up.given_up.store(true, Relaxed);
        keychain.calls.send(given_up).unwrap();

        release.send(()).unwrap();
        while unpoisoned(&keychain.stands).late {
            thread::yield_now();
        }
        keychain.set("a", "secret").unwrap();
        assert_eq!(keychain.get("a").unwrap().unwrap().as_str(), "secret");
        assert!(unheard.recv().is_err());
        assert_eq!(keychain.get("b"), Ok(None));
        keychain.remove("a").unwrap();
        keychain.remove("a").unwrap();
        assert_eq!(keychain.get("a"), Ok(None));
        assert!(keychain.answers());
    }

    #[test]
    fn who_waits_while_a_person_says_no_is_told_so_too_and_only_a_later_call_asks_again() {
        let (release, gate) = mpsc::channel();
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let open = move || {
            counted.fetch_add(1, Relaxed);
            gate.recv().unwrap();
            Err(refusal())
        };
        let keychain = Keychain::with(Box::new(open), Duration::from_secs(60));
        let answers: Vec<_> = ["a", "b", "c"].map(|name| call(name, Deed::Get)).into();
        let answers = answers.into_iter().map(|(call, answered)| {
            keychain.calls.send(call).unwrap();
            answered
        });
        let answers: Vec<_> = answers.collect();
        release.send(()).unwrap();
        for answered in answers {
            assert!(matches!(answered.recv().unwrap(), Err(SecretError::Locked { .. })));
        }
        assert_eq!(asked.load(Relaxed), 1);
        release.send(()).unwrap();
        assert!(keychain.get("a").is_err());
        assert_eq!(asked.load(Relaxed), 2);
    }

    #[test]
    fn a_keychain_that_began_anew_is_opened_again() {
        let store = mock::Store::new().unwrap();
        let opened = Arc::new(AtomicU32::new(0));
        let (again, counted) = (store.clone(), opened.clone());
        let open = move || {
            counted.fetch_add(1, Relaxed);
            Ok(again.clone() as Arc<CredentialStore>)
        };
        let keychain = Keychain::with(Box::new(open), Duration::from_secs(60));
        keychain.set("a", "secret").unwrap();
        let store: Arc<CredentialStore> = store;
        let entry = store.build(SERVICE, "a", None).unwrap();
        let gone = Error::PlatformFailure(Box::new(io::Error::other("no such session")));
        entry.as_any().downcast_ref::<mock::Cred>().unwrap().set_error(gone);
        assert_eq!(keychain.get("a").unwrap().unwrap().as_str(), "secret");
        assert_eq!(opened.load(Relaxed), 2);
    }
}
