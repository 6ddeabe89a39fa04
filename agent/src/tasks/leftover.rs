//! Ends tasks that run while no agent does.

use std::{path::Path, time::Duration};

use foreman_machine::run::{News, TaskFolder, adopt};
use tokio::time::timeout;

/// Longer than a stop takes at its worst.
const LIMIT: Duration = Duration::from_secs(45);

/// Ends every task that still runs and says how many did.
pub async fn stop_leftovers(tasks: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(tasks) else { return 0 };
    let folders = entries.flatten().map(|entry| TaskFolder::at(entry.path()));
    let running: Vec<_> = folders.filter_map(|folder| adopt(&folder).ok().flatten()).collect();
    for supervised in &running {
        supervised.stop();
    }
    for supervised in &running {
        let gone = async { while !matches!(supervised.next().await, News::Ended | News::Gone) {} };
        if timeout(LIMIT, gone).await.is_err() {
            tracing::warn!("a task could not be ended");
        }
    }
    running.len()
}
