//! Everything the window may ask of the app. A command unpacks, calls and maps the error; what is decided is decided
//! elsewhere.

pub mod ask;
pub mod devices;
pub mod outbox;
pub mod phone;
pub mod preferences;
pub mod providers;
pub mod saves;
pub mod servers;
pub mod shell;
pub mod updates;
