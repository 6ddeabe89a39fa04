//! What the end-to-end tests stand on: the real programs as child processes, real databases, a network that can be
//! cut, and a device made of nothing but its key.
//!
//! Nothing here is a double of our own parts. Failing to set a scene is a failure of the test, so the code panics
//! where a product would return an error. Waiting is always for something that was said or has happened, with a
//! limit ([`PATIENCE`]) after which the test fails with what was said so far.

pub mod clock;
pub mod cloudflare;
pub mod database;
pub mod device;
pub mod models;
pub mod network;
pub mod numbered;
pub mod ollama;
pub mod processes;
pub mod program;
pub mod proxy;
pub mod push;
pub mod skipped;
pub mod stack;
pub mod tap;
pub mod tls;
pub mod wire;

use std::time::Duration;

/// Nothing that works takes this long, also in a debug build on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Whether the long mode is asked for: `FOREMAN_LONG=1`.
#[must_use]
pub fn long() -> bool {
    std::env::var_os("FOREMAN_LONG").is_some_and(|value| value == "1")
}

/// Waits for something with [`PATIENCE`].
///
/// # Panics
/// When it does not come in time.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {} s: {what}", PATIENCE.as_secs()),
    }
}

/// Asks again and again, for facts that are announced by nobody.
///
/// # Panics
/// When the answer stays `None` for [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    soon(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}
