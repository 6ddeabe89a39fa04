//! Who is asked for a file: the server that it was begun with, whichever is shown now, or one of its devices.

use foreman_client::{DeviceConnection, Error, Foreman, RawAnswer, app::SaveSource};
use tauri::http::HeaderMap;

use crate::{ask::AskHead, desk::Desk, failure::Failure};

pub enum Peer {
    Server(Foreman),
    Device(DeviceConnection),
}

impl Peer {
    pub async fn of(desk: &Desk, source: &SaveSource) -> Result<Self, Failure> {
        let known = desk.servers().get(&source.server).cloned().ok_or_else(Failure::no_server)?;
        Ok(match source.device {
            Some(id) => Self::Device(desk.device_of(&known, id).await?),
            None => Self::Server(desk.foreman(&known).await?.ok_or_else(Failure::no_server)?),
        })
    }

    pub async fn ask(&self, source: &SaveSource, more: HeaderMap) -> Result<RawAnswer, Error> {
        let SaveSource { path, headers, .. } = source.clone();
        let head = AskHead { method: "GET".to_owned(), path, headers, device: None };
        let mut raw = head.raw(Vec::new()).map_err(|failure| Error::Invalid { message: failure.message })?;
        raw.headers.extend(more);
        match self {
            Self::Server(server) => server.exchange(raw).await,
            Self::Device(device) => device.exchange(raw).await,
        }
    }
}
