//! Where updates come from, and the last one that was offered. On phones the shops have them.

#[cfg(desktop)]
mod desktop;

#[cfg(desktop)]
pub use desktop::Updates;

#[cfg(mobile)]
pub use none::Updates;

#[cfg(mobile)]
mod none {
    use tauri::AppHandle;

    use crate::{
        commands::updates::{UpdateOffer, UpdateProgress},
        failure::{AppCode, Failure},
    };

    #[derive(Default)]
    pub struct Updates;

    impl Updates {
        pub const fn are_configured() -> bool {
            false
        }

        pub async fn look(&self, _app: &AppHandle) -> Result<Option<UpdateOffer>, Failure> {
            Ok(None)
        }

        pub async fn install(&self, _version: &str, _tell: impl Fn(UpdateProgress)) -> Result<(), Failure> {
            Err(Failure::new(AppCode::UpdateFailed, "Updates come from where this app came from."))
        }
    }
}
