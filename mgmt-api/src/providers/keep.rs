//! What happens by itself: the picture follows the event log, Ollama is found on devices that have it, and lists of
//! models are renewed: daily, after failures, and when a device says that it has others. How each provider does is told
//! to whoever reads the stream of events whenever it changes: it is no event itself, as a measurement is none.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use foreman_protocol::{
    Device, Event, Millis, Provider, ProviderAuth, ProviderFault, ProviderHealth, ProviderId, ProviderKind,
    ProviderState, StreamProvider, UseFor,
};
use tokio::sync::{Semaphore, broadcast::error::RecvError};

use super::{Catalogue, Known, change, check, store};
use crate::{App, db::now, devices, events::Cause, problem::ApiResult};

/// What counts down by itself: what is due, and which models are loaded.
const EVERY: Duration = Duration::from_secs(10);
/// Events come in bursts.
const TOGETHER: Duration = Duration::from_millis(200);
/// A provider is not asked again and again when that changes nothing …
const APART: Duration = Duration::from_secs(60);
/// … but soon after what stood in the way has gone, or its device has told of other models.
const SOON: Duration = Duration::from_secs(5);
/// Lists fetched at once.
const AT_ONCE: usize = 4;
/// Events after which there may be something else to choose from.
const TELLING: [&[u8]; 8] = [
    b"\"type\":\"provider.",
    b"\"type\":\"model.",
    b"\"type\":\"vault.",
    b"\"type\":\"device.created",
    b"\"type\":\"device.connected",
    b"\"type\":\"device.disconnected",
    b"\"type\":\"device.o",
    b"\"type\":\"device.updated",
];

/// Runs until the server stops.
pub async fn run(app: App) {
    let mut live = app.hub.subscribe(app.tenant);
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looks = Looks::default();
    let mut looked = now();
    loop {
        let patience = app.providers.patience_ends(looked);
        tokio::select! {
            () = app.closing.cancelled() => return,
            _ = every.tick() => {}
            frame = live.recv() => match frame {
                Ok(frame) if frame.is_end() => return,
                Ok(frame) if !tells(&frame.bytes) => continue,
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    tokio::time::sleep(TOGETHER).await;
                    live = app.hub.subscribe(app.tenant);
                }
                Err(RecvError::Closed) => return,
            },
            () = app.providers.standing_changed.notified() => {}
            () = until(patience) => {}
        }
        looked = now();
        if let Err(error) = round(&app, &mut looks).await {
            tracing::warn!(%error, "providers could not be looked after; trying again");
        }
    }
}

/// Never, where there is no such moment.
async fn until(moment: Option<Millis>) {
    let Some(moment) = moment else { return std::future::pending().await };
    let left = u64::try_from(moment - now()).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(left)).await;
}

fn tells(frame: &[u8]) -> bool {
    // Measurements come all the time and carry no cursor.
    frame.starts_with(b"id:")
        && TELLING.iter().any(|part| frame.windows(part.len()).any(|there| there == *part))
}

/// Which providers were asked, and which are being asked.
struct Looks {
    asked: HashMap<ProviderId, Instant>,
    under_way: Arc<Mutex<HashSet<ProviderId>>>,
    places: Arc<Semaphore>,
    told: HashMap<ProviderId, ProviderHealth>,
}

impl Default for Looks {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self { asked: HashMap::new(), under_way: Arc::default(), places, told: HashMap::new() }
    }
}

async fn round(app: &App, looks: &mut Looks) -> ApiResult<()> {
    find(app).await?;
    let catalogue = app.providers.renew(app, app.tenant).await?;
    looks.tell(app, &catalogue)?;
    looks.asked.retain(|id, _| catalogue.providers.iter().any(|known| known.provider.id == *id));
    for known in &catalogue.providers {
        let id = known.provider.id;
        let Some(after) = due(known) else { continue };
        let waited = looks.asked.get(&id).is_none_or(|asked| asked.elapsed() >= after);
        if !waited || !looks.begin(id) {
            continue;
        }
        looks.asked.insert(id, Instant::now());
        let (app, under_way, places) = (app.clone(), Arc::clone(&looks.under_way), Arc::clone(&looks.places));
        tokio::spawn(async move {
            let _place = places.acquire().await;
            let cause = Cause::system(app.tenant);
            if let Err(error) = check::run_if(&app, cause, id, |known| due(known).is_some()).await {
                tracing::warn!(%error, "a provider's models were not listed");
            }
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
    }
    Ok(())
}

impl Looks {
    /// Whoever reads along hears what is another than it was.
    fn tell(&mut self, app: &App, catalogue: &Catalogue) -> ApiResult<()> {
        let before = std::mem::take(&mut self.told);
        for Provider { id, health, .. } in catalogue.providers.iter().map(|known| &known.provider) {
            if before.get(id) != Some(health) {
                let told = StreamProvider { provider_id: *id, health: health.clone() };
                app.hub.publish_provider(app.tenant, &told)?;
            }
            self.told.insert(*id, health.clone());
        }
        Ok(())
    }

    fn begin(&self, id: ProviderId) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }
}

/// Whether its models are to be listed, and how long after it was asked last.
fn due(known: &Known) -> Option<Duration> {
    let provider = &known.provider;
    if matches!(
        provider.health.state,
        ProviderState::Disabled | ProviderState::Offline | ProviderState::Locked
    ) {
        return None;
    }
    let freed = matches!(
        provider.health.fault,
        Some(ProviderFault::VaultLocked | ProviderFault::VaultMissing | ProviderFault::DeviceOffline)
    );
    if freed || has_others(known) {
        return Some(SOON);
    }
    (known.due_at <= now()).then_some(APART)
}

/// The device has other models than the list says.
fn has_others(known: &Known) -> bool {
    let found = known.device.as_ref().and_then(|device| device.capabilities.as_ref()?.ollama.as_ref());
    let Some(found) = found.filter(|_| known.provider.health.fault.is_none()) else { return false };
    let told: HashSet<&str> = found.models.iter().map(|model| model.name.as_str()).collect();
    let listed: HashSet<&str> = known.models.iter().map(|model| model.id.as_str()).collect();
    told != listed
}

/// Makes a provider of each Ollama that is seen for the first time.
async fn find(app: &App) -> ApiResult<()> {
    let tenant = app.tenant;
    let sql = format!(
        "{} WHERE d.tenant_id = $1 AND d.capabilities LIKE '%\"ollama\":{{%' AND NOT EXISTS \
         (SELECT 1 FROM providers r WHERE r.device_id = d.id) ORDER BY d.id LIMIT 100",
        devices::store::SELECT
    );
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.to_string()).fetch_all(app.db.read()).await?;
    for row in &rows {
        let device = devices::store::read(row)?;
        if device.capabilities.as_ref().is_some_and(|capabilities| capabilities.ollama.is_some()) {
            found(app, device).await?;
        }
    }
    Ok(())
}

async fn found(app: &App, device: Device) -> ApiResult<()> {
    let cause = Cause::system(app.tenant);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                // Another replica was faster, or the device is gone.
                let there = devices::store::find(tx.conn(), cause.tenant, device.id).await?.is_some();
                if !there || store::knows_device(tx, device.id).await? {
                    return Ok(());
                }
                let all = store::all(tx.conn(), cause.tenant).await?;
                let taken = |name: &str| all.iter().any(|row| row.provider.name == name);
                let provider = Provider {
                    id: ProviderId::fresh(),
                    kind: ProviderKind::Ollama,
                    auth: ProviderAuth::None,
                    name: change::free_name(&change::slug(&device.name), taken),
                    base_url: None,
                    device_id: Some(device.id),
                    vault_key: None,
                    found: true,
                    enabled: true,
                    is_default: false,
                    default_model: None,
                    use_for: vec![UseFor::All],
                    health: change::fresh_health(),
                    created_at: now(),
                };
                store::insert(tx, cause.tenant, &provider).await?;
                tracing::info!(device.id = %device.id, name = provider.name, "Ollama was found on a device");
                tx.emit(&cause, Event::ProviderAdded { provider: Box::new(provider) }).await?;
                Ok(())
            })
        })
        .await
}
