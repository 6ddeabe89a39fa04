//! Answers callers who wait on the server's relay: the server says that somebody is there, and this device dials.
//!
//! The relay sees sealed bytes. A dial that fails is not tried again: its ticket is good once and briefly, and whoever
//! waits asks again.

use std::sync::Arc;

use foreman_link::{carrier::Dialer, http::RequestError};
use foreman_protocol::Dial;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    door::{Door, Via},
    refusals::Source,
};
use crate::uplink::Uplink;

/// Dials for as long as it is polled.
pub(super) async fn answer(door: &Arc<Door>, uplink: &Arc<Uplink>, mut dials: mpsc::Receiver<Dial>) {
    let dialer = match Dialer::from_environment() {
        Ok(dialer) => dialer,
        Err(error) => {
            tracing::error!(%error, "the relay cannot be used");
            return;
        }
    };
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            dial = dials.recv() => match dial {
                Some(dial) => {
                    let (door, uplink, dialer) = (Arc::clone(door), Arc::clone(uplink), dialer.clone());
                    links.spawn(async move {
                        if let Err(error) = meet(&door, &uplink, &dialer, &dial).await {
                            tracing::warn!(%error, "a caller on the relay was not reached; it can ask again");
                        }
                    });
                }
                None => return std::future::pending().await,
            },
            Some(_) = links.join_next() => {}
        }
    }
}

async fn meet(door: &Door, uplink: &Uplink, dialer: &Dialer, dial: &Dial) -> Result<(), RequestError> {
    // Bounds the dialling too.
    // A server of before says nothing of who it is.
    let from = dial.account.map_or(Source::Path("relay"), Source::Account);
    let Some(admitted) = door.admit(from) else { return Ok(()) };
    let (address, headers) = uplink.relay(dial).await?;
    let way = dialer.connect_websocket(&address, headers).await.inspect_err(|error| {
        if error.status() == Some(401) {
            uplink.forget_bearer();
        }
    })?;
    door.serve(way, from, Via::Relay, admitted).await;
    Ok(())
}
