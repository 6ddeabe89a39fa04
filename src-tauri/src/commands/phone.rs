//! What a phone offers, and whether its person is asked for.

use serde::{Deserialize, Serialize};
use tauri::{AppHandle, State};
use ts_rs::TS;

use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
    phone::{self, Tick},
    pushes::{self, PushRegistration, PushState},
};

/// Longer reasons are not asked with. Characters.
const LONGEST_REASON: usize = 200;

/// When the person who holds this is asked to show who they are.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, TS)]
pub struct PersonChecks {
    /// At the start, and when it comes back after a while.
    pub at_start: bool,
    /// Before what cannot be undone.
    pub before_acts: bool,
}

/// What there is here.
#[derive(Debug, Clone, Serialize, TS)]
pub struct PhoneState {
    /// It is a phone or a tablet.
    pub phone: bool,
    /// It can tell who holds it.
    pub knows_person: bool,
    pub checks: PersonChecks,
    /// Nothing is shown before its person showed who they are.
    pub locked: bool,
}

#[tauri::command]
pub async fn phone(desk: State<'_, Desk>, app: AppHandle) -> Result<PhoneState, Failure> {
    let checks = {
        let kept = desk.preferences();
        PersonChecks { at_start: kept.get().ask_at_start, before_acts: kept.get().ask_before_acts }
    };
    let knows_person = waited(move || Ok(phone::knows_person(&app))).await?;
    Ok(PhoneState { phone: cfg!(mobile), knows_person, checks, locked: desk.is_locked() })
}

#[tauri::command]
pub async fn tick(app: AppHandle, tick: Tick) -> Result<(), Failure> {
    waited(move || {
        phone::tick(&app, tick);
        Ok(())
    })
    .await
}

/// Its person is asked first: nobody else shall switch it off.
#[tauri::command]
pub async fn choose_person_checks(
    desk: State<'_, Desk>,
    app: AppHandle,
    checks: PersonChecks,
    reason: String,
) -> Result<(), Failure> {
    asked(app, reason).await?;
    Ok(desk.preferences().change(|kept| {
        kept.ask_at_start = checks.at_start;
        kept.ask_before_acts = checks.before_acts;
    })?)
}

/// Succeeds once whoever holds this showed who they are.
#[tauri::command]
pub async fn ask_person(app: AppHandle, reason: String) -> Result<(), Failure> {
    asked(app, reason).await
}

/// The same, and what was locked is open afterwards.
#[tauri::command]
pub async fn unlock(desk: State<'_, Desk>, app: AppHandle, reason: String) -> Result<(), Failure> {
    asked(app, reason).await?;
    desk.unlock();
    Ok(())
}

/// Locks it, where that is wanted. True when it is locked now.
#[tauri::command]
pub fn lock(desk: State<'_, Desk>) -> bool {
    let wanted = desk.preferences().get().ask_at_start;
    if wanted && cfg!(mobile) {
        desk.lock();
    }
    desk.is_locked()
}

/// Who brings messages here while the app is closed, and what there is for the shown server; nothing on systems without
/// such.
#[tauri::command]
pub async fn push_state(desk: State<'_, Desk>, app: AppHandle) -> Result<Option<PushState>, Failure> {
    pushes::state(&app, &desk.selected()?).await
}

/// Has messages of the shown server brought here, whose key `key` is. The first time the system asks its person whether
/// the app may show them.
#[tauri::command]
pub async fn register_push(
    desk: State<'_, Desk>,
    app: AppHandle,
    distributor: Option<String>,
    key: String,
) -> Result<PushRegistration, Failure> {
    let server = desk.selected()?;
    if pushes::state(&app, &server).await?.is_some_and(|state| state.mine.is_none()) {
        desk.screen.ask().await;
    }
    pushes::register(&app, &server, distributor, key).await
}

#[tauri::command]
pub async fn unregister_push(desk: State<'_, Desk>, app: AppHandle) -> Result<(), Failure> {
    pushes::forget(&app, &desk.selected()?).await;
    Ok(())
}

async fn asked(app: AppHandle, reason: String) -> Result<(), Failure> {
    let reason = reason.chars().take(LONGEST_REASON).collect();
    waited(move || phone::ask_person(&app, reason)).await
}

/// Where waiting for a person disturbs nobody.
async fn waited<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let gone = |_| Failure::new(AppCode::NotTaken, "The system did not answer.");
    tauri::async_runtime::spawn_blocking(act).await.map_err(gone)?
}
