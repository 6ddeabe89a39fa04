//! The sign-ins of one person on one device: beginning, renewing, handing over, ending.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foreman_protocol::Millis;
use reqwest::{Client, Url};
use tokio::{
    sync::{OwnedMutexGuard, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    Definition, DefinitionId, Definitions, Flow, Handed, OAuthProblem, ProviderSignInError, TokenRequest,
    UserCode,
    answer::{Granted, ask},
    browser::BrowserAttempt,
    device::DeviceAttempt,
    endpoints::Endpoints,
    hand_over,
    kept::Kept,
};
use crate::{
    Foreman,
    app::{SecretStore, ServerId},
    browser_sign_in::{BROWSER_LIMIT, Returned},
};

/// After a renewal that did not succeed, the next one waits.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What a person has to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInStep {
    /// Type this in.
    Code(UserCode),
    /// Go on in the browser, on this page.
    Browser(Url),
}

/// Whether somebody is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInState {
    SignedOut,
    SignedIn,
    /// The provider no longer takes it.
    Ended,
}

/// One provider and how this device stands with it. No secret is in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub definition: Definition,
    pub shipped: bool,
    pub under_way: bool,
    pub state: SignInState,
    pub signed_in_at: Option<Millis>,
    pub expires_at: Option<Millis>,
    /// This device gets a new token before the old one ends.
    pub renews: bool,
    pub handed: Option<Handed>,
}

/// Whether the provider took the token back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    Yes,
    /// It has no endpoint for that: a person does it on its page.
    NotOffered,
    Failed,
}

/// Milliseconds since the epoch.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Clones share everything.
#[derive(Clone)]
pub struct SignIns(Arc<Inner>);

struct Inner {
    http: Client,
    secrets: Arc<dyn SecretStore>,
    definitions: Mutex<Definitions>,
    /// Locked while one is read, renewed or ended: whoever comes meanwhile gets what came of it.
    slots: Mutex<HashMap<DefinitionId, Arc<tokio::sync::Mutex<Slot>>>>,
    /// Browsers that are away, by their state. Taken out by the first return, so that a second one is nobody's.
    away: Mutex<HashMap<String, oneshot::Sender<Returned>>>,
    under_way: Mutex<HashMap<DefinitionId, CancellationToken>>,
    clock: Clock,
}

#[derive(Default)]
struct Slot {
    loaded: bool,
    kept: Option<Kept>,
    /// The keychain did not take the newest: it is tried again, and used from here until then.
    unsaved: bool,
    failed: Option<(Instant, ProviderSignInError)>,
}

impl SignIns {
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(
        definitions: Definitions,
        secrets: Arc<dyn SecretStore>,
        clock: Clock,
    ) -> Result<Self, ProviderSignInError> {
        let http = foreman_link::http::client()
            .map_err(|error| ProviderSignInError::Unreachable { reason: error.to_string() })?;
        Ok(Self(Arc::new(Inner {
            http,
            secrets,
            definitions: Mutex::new(definitions),
            slots: Mutex::default(),
            away: Mutex::default(),
            under_way: Mutex::default(),
            clock,
        })))
    }

    /// The definitions, to read and to change.
    pub fn definitions(&self) -> MutexGuard<'_, Definitions> {
        unpoisoned(&self.0.definitions)
    }

    /// Signs in; answers when it is done and kept. `tell` hears what the person has to do. A second attempt for the
    /// same provider ends the first.
    ///
    /// # Errors
    /// See [`ProviderSignInError`]; then nothing was kept.
    pub async fn begin(
        &self,
        id: &DefinitionId,
        tell: impl Fn(SignInStep) + Send,
    ) -> Result<(), ProviderSignInError> {
        let definition = self.definition(id)?;
        let stop = CancellationToken::new();
        if let Some(before) = unpoisoned(&self.0.under_way).insert(id.clone(), stop.clone()) {
            before.cancel();
        }
        let attempt = async {
            let at = Endpoints::of(&self.0.http, &definition.oauth).await?;
            let granted = self.0.granted(definition.oauth.flow, &at, tell).await?;
            Ok((granted, at))
        };
        let done = tokio::select! {
            done = attempt => done,
            () = stop.cancelled() => Err(ProviderSignInError::Cancelled),
        };
        if !stop.is_cancelled() {
            unpoisoned(&self.0.under_way).remove(id);
        }
        let (granted, at) = done?;
        let mut slot = self.0.loaded(id).await?;
        // A server that has the token of an earlier sign-in gets this one in its place.
        let handed = slot.kept.as_ref().and_then(|before| before.handed.clone());
        let handed = handed.map(|handed| Handed { behind: true, ..handed });
        let kept = Kept::new(granted, &at, (self.0.clock)()).handed_to(handed);
        self.0.save(id, kept.clone()).await?;
        *slot = Slot { loaded: true, kept: Some(kept), ..Slot::default() };
        Ok(())
    }

    /// Gives an attempt up; nothing when there is none.
    pub fn cancel(&self, id: &DefinitionId) {
        if let Some(stop) = unpoisoned(&self.0.under_way).remove(id) {
            stop.cancel();
        }
    }

    /// A browser came back by a link.
    ///
    /// # Errors
    /// [`ProviderSignInError::WrongReturn`] when it belongs to no attempt, or to one that had its return.
    pub fn came_back(&self, returned: Returned) -> Result<(), ProviderSignInError> {
        let waits = unpoisoned(&self.0.away).remove(returned.state());
        let waits = waits.ok_or(ProviderSignInError::WrongReturn)?;
        waits.send(returned).map_err(|_| ProviderSignInError::WrongReturn)
    }

    /// A token that can be used now; renewed when it is time. However many ask, it is renewed once.
    ///
    /// # Errors
    /// See [`ProviderSignInError`].
    pub async fn token(&self, id: &DefinitionId) -> Result<Zeroizing<String>, ProviderSignInError> {
        Ok(self.fresh(id).await?.access().clone())
    }

    async fn fresh(&self, id: &DefinitionId) -> Result<Kept, ProviderSignInError> {
        let (inner, id) = (self.0.clone(), id.clone());
        // On its own: with rotation, a renewal that is left halfway would lose the sign-in.
        let renewal = tokio::spawn(async move {
            let mut slot = inner.loaded(&id).await?;
            inner.fresh(&mut slot, &id).await
        });
        renewal.await.map_err(|_| ProviderSignInError::Cancelled)?
    }

    /// Renews what is due, and says what a server has yet to get.
    pub async fn renew_due(&self) -> Vec<(DefinitionId, ServerId)> {
        let ids: Vec<_> = self.definitions().all().into_iter().map(|one| one.id).collect();
        let mut behind = Vec::new();
        for id in ids {
            match self.fresh(&id).await {
                Ok(Kept { handed: Some(handed), .. }) if handed.behind => behind.push((id, handed.server)),
                Ok(_) | Err(ProviderSignInError::SignedOut | ProviderSignInError::SignInAgain) => {}
                Err(error) => tracing::warn!(provider = %id, %error, "a sign-in could not be renewed"),
            }
        }
        behind
    }

    /// Hands the token to a server's vault.
    ///
    /// # Errors
    /// See [`ProviderSignInError`].
    pub async fn hand_over(
        &self,
        id: &DefinitionId,
        to: &ServerId,
        server: &Foreman,
    ) -> Result<(), ProviderSignInError> {
        let definition = self.definition(id)?;
        let entry = definition.vault.as_ref().ok_or(ProviderSignInError::NoVault)?;
        let mut slot = self.0.loaded(id).await?;
        let kept = self.0.fresh(&mut slot, id).await?;
        let had = kept.handed.as_ref().filter(|handed| handed.server == *to).map(|handed| handed.provider);
        let provider = match had {
            Some(had) if hand_over::renew(server, had, kept.access()).await? => had,
            _ => hand_over::add(server, &definition, entry, kept.access()).await?,
        };
        let handed = Some(Handed { server: to.clone(), provider, behind: false });
        self.0.keep(&mut slot, id, kept.handed_to(handed)).await
    }

    /// Gives the newer token to the server that has the older one. Where somebody removed the provider meanwhile, it
    /// stays removed.
    ///
    /// # Errors
    /// See [`ProviderSignInError`].
    pub async fn bring_newer(&self, id: &DefinitionId, server: &Foreman) -> Result<(), ProviderSignInError> {
        let mut slot = self.0.loaded(id).await?;
        let kept = self.0.fresh(&mut slot, id).await?;
        let Some(handed) = kept.handed.clone() else { return Ok(()) };
        let there = hand_over::renew(server, handed.provider, kept.access()).await?;
        let handed = there.then_some(Handed { behind: false, ..handed });
        self.0.keep(&mut slot, id, kept.handed_to(handed)).await
    }

    /// Takes the token out of a server's vault again.
    ///
    /// # Errors
    /// See [`ProviderSignInError`].
    pub async fn take_back(&self, id: &DefinitionId, server: &Foreman) -> Result<(), ProviderSignInError> {
        let mut slot = self.0.loaded(id).await?;
        let Some(kept) = slot.kept.clone() else { return Ok(()) };
        if let Some(handed) = &kept.handed {
            hand_over::take_back(server, handed.provider).await?;
        }
        self.0.keep(&mut slot, id, kept.handed_to(None)).await
    }

    /// Signs out: the provider is asked to take the tokens back, and they are forgotten here in any case.
    ///
    /// # Errors
    /// When the secrets cannot be reached.
    pub async fn sign_out(&self, id: &DefinitionId) -> Result<Revoked, ProviderSignInError> {
        self.cancel(id);
        let mut slot = self.0.loaded(id).await?;
        let Some(kept) = slot.kept.clone() else { return Ok(Revoked::Yes) };
        let revoked = self.0.revoke(&kept).await;
        let (secrets, id) = (self.0.secrets.clone(), id.clone());
        off_thread(move || Kept::remove(&*secrets, &id)).await?;
        *slot = Slot { loaded: true, ..Slot::default() };
        Ok(revoked)
    }

    /// Every provider and how this device stands with it.
    ///
    /// # Errors
    /// When the secrets cannot be reached.
    pub async fn standings(&self) -> Result<Vec<Standing>, ProviderSignInError> {
        let (definitions, mut all) = (self.definitions().all(), Vec::new());
        for definition in definitions {
            let slot = self.0.loaded(&definition.id).await?;
            let kept = slot.kept.as_ref();
            let over =
                |kept: &Kept| kept.ended || (kept.refresh().is_none() && kept.is_over((self.0.clock)()));
            all.push(Standing {
                shipped: self.definitions().is_shipped(&definition.id),
                under_way: unpoisoned(&self.0.under_way).contains_key(&definition.id),
                state: match kept {
                    None => SignInState::SignedOut,
                    Some(kept) if over(kept) => SignInState::Ended,
                    Some(_) => SignInState::SignedIn,
                },
                signed_in_at: kept.map(|kept| kept.signed_in_at),
                expires_at: kept.and_then(|kept| kept.expires_at),
                renews: kept.is_some_and(|kept| kept.refresh().is_some()),
                handed: kept.and_then(|kept| kept.handed.clone()),
                definition,
            });
        }
        Ok(all)
    }

    fn definition(&self, id: &DefinitionId) -> Result<Definition, ProviderSignInError> {
        self.definitions().get(id).ok_or(ProviderSignInError::Unknown)
    }
}

impl Inner {
    fn slot(&self, id: &DefinitionId) -> Arc<tokio::sync::Mutex<Slot>> {
        unpoisoned(&self.slots).entry(id.clone()).or_default().clone()
    }

    /// What is kept of one, held so that nobody else changes it.
    async fn loaded(&self, id: &DefinitionId) -> Result<OwnedMutexGuard<Slot>, ProviderSignInError> {
        let mut slot = self.slot(id).lock_owned().await;
        if !slot.loaded {
            let (secrets, id) = (self.secrets.clone(), id.clone());
            slot.kept = off_thread(move || Kept::read(&*secrets, &id)).await?;
            slot.loaded = true;
        }
        Ok(slot)
    }

    async fn save(&self, id: &DefinitionId, kept: Kept) -> Result<(), ProviderSignInError> {
        let (secrets, id) = (self.secrets.clone(), id.clone());
        off_thread(move || kept.write(&*secrets, &id)).await
    }

    /// Uses it from now on, whether or not the keychain takes it.
    async fn keep(&self, slot: &mut Slot, id: &DefinitionId, kept: Kept) -> Result<(), ProviderSignInError> {
        slot.kept = Some(kept.clone());
        slot.unsaved = true;
        self.save(id, kept).await?;
        slot.unsaved = false;
        Ok(())
    }

    async fn granted(
        &self,
        flow: Flow,
        at: &Endpoints,
        tell: impl Fn(SignInStep) + Send,
    ) -> Result<Granted, ProviderSignInError> {
        match flow {
            Flow::Device => {
                let attempt = DeviceAttempt::start(&self.http, at).await?;
                tell(SignInStep::Code(attempt.shown.clone()));
                attempt.wait(&self.http, at).await
            }
            Flow::Browser => {
                let attempt = BrowserAttempt::start(at)?;
                let (send, returned) = oneshot::channel();
                let state = attempt.state().to_owned();
                {
                    let mut away = unpoisoned(&self.away);
                    away.retain(|_, waits| !waits.is_closed());
                    away.insert(state, send);
                }
                tell(SignInStep::Browser(attempt.page.clone()));
                let returned = tokio::time::timeout(BROWSER_LIMIT, returned).await;
                let returned = returned.map_err(|_| ProviderSignInError::Expired)?;
                let returned = returned.map_err(|_| ProviderSignInError::Cancelled)?;
                attempt.finish(&self.http, at, returned).await
            }
        }
    }

    async fn fresh(&self, slot: &mut Slot, id: &DefinitionId) -> Result<Kept, ProviderSignInError> {
        let kept = slot.kept.clone().ok_or(ProviderSignInError::SignedOut)?;
        if slot.unsaved {
            slot.unsaved = self.save(id, kept.clone()).await.is_err();
        }
        let now = (self.clock)();
        if kept.ended {
            return Err(ProviderSignInError::SignInAgain);
        }
        if !kept.is_due(now) {
            return Ok(kept);
        }
        let Some(refresh) = kept.refresh() else {
            return if kept.is_over(now) { Err(ProviderSignInError::SignInAgain) } else { Ok(kept) };
        };
        slot.failed = slot.failed.take().filter(|(at, _)| at.elapsed() < AFTER_FAILURE);
        let renewed = match &slot.failed {
            Some((_, error)) => Err(error.clone()),
            None => self.refresh(&kept, refresh).await,
        };
        match renewed {
            Ok(granted) => {
                let renewed = kept.renewed(granted, (self.clock)());
                slot.failed = None;
                if let Err(error) = self.keep(slot, id, renewed.clone()).await {
                    tracing::warn!(provider = %id, %error, "a renewed sign-in could not be kept yet");
                }
                Ok(renewed)
            }
            Err(ProviderSignInError::SignInAgain) => {
                self.keep(slot, id, kept.over()).await?;
                Err(ProviderSignInError::SignInAgain)
            }
            Err(error) => {
                if slot.failed.is_none() {
                    slot.failed = Some((Instant::now(), error.clone()));
                }
                // It is only nearly over: it does for now.
                if kept.is_over(now) { Err(error) } else { Ok(kept) }
            }
        }
    }

    async fn refresh(&self, kept: &Kept, refresh: &str) -> Result<Granted, ProviderSignInError> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", kept.client_id.as_str()),
        ];
        let answer = ask(&self.http, &kept.token_endpoint, kept.token_request, &fields).await?;
        match answer.problem() {
            None => answer.granted(),
            Some(OAuthProblem::InvalidGrant | OAuthProblem::Expired) => Err(ProviderSignInError::SignInAgain),
            Some(problem) => Err(problem.into()),
        }
    }

    /// RFC 7009: with the refresh token, what was made of it goes too.
    async fn revoke(&self, kept: &Kept) -> Revoked {
        if kept.ended {
            return Revoked::Yes;
        }
        let Some(url) = &kept.revocation_endpoint else { return Revoked::NotOffered };
        let (token, hint) = match kept.refresh() {
            Some(refresh) => (refresh, "refresh_token"),
            None => (kept.access(), "access_token"),
        };
        let fields =
            [("token", token.as_str()), ("token_type_hint", hint), ("client_id", kept.client_id.as_str())];
        match ask(&self.http, url, TokenRequest::Form, &fields).await {
            Ok(answer) if answer.ok => Revoked::Yes,
            _ => Revoked::Failed,
        }
    }
}

/// The keychain may wait for a person.
async fn off_thread<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, ProviderSignInError> + Send + 'static,
) -> Result<T, ProviderSignInError> {
    tokio::task::spawn_blocking(act).await.map_err(|_| ProviderSignInError::Cancelled)?
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
