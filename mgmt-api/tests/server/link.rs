//! The device link through the server: what a device says of it, grants, the relay, and the device's own API.

mod attach;
pub mod device;
mod facts;
mod grants;
mod relay;
mod replicas;
mod reports;
mod through;

use journeys::database::Database;

use crate::running::Running;

/// The same on both databases.
async fn on_both(options: &[&str], test: impl AsyncFn(&Running)) {
    for database in [Database::Sqlite, Database::postgresql()] {
        test(&Running::on(&database, options)).await;
    }
}
