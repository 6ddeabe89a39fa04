//! What was typed into pages and not sent.

use foreman_client::app::DraftsError;
use serde::Serialize;
use tauri::State;
use ts_rs::TS;

use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
};

use super::servers::find;

/// All of the shown server.
#[derive(Debug, Clone, Serialize, TS)]
pub struct KeptDrafts {
    /// Named again with each that is kept: another one may be shown by then.
    pub server: String,
    /// By name.
    pub drafts: Vec<(String, String)>,
}

#[tauri::command]
pub async fn drafts(desk: State<'_, Desk>) -> Result<KeptDrafts, Failure> {
    let server = desk.selected()?;
    let drafts = desk.drafts().await?.list(&server.id).await?;
    Ok(KeptDrafts { server: server.id.as_str().to_owned(), drafts })
}

/// Keeps one, or, with no text, takes it out. For nobody who is signed out: theirs are gone.
#[tauri::command]
pub async fn keep_draft(
    desk: State<'_, Desk>,
    server: String,
    name: String,
    text: Option<String>,
) -> Result<(), Failure> {
    let server = find(&desk, &server)?;
    if desk.foreman(&server).await?.is_none() {
        return Err(Failure::no_server());
    }
    let drafts = desk.drafts().await?;
    match text {
        Some(text) => drafts.keep(&server.id, &name, &text).await?,
        None => drafts.remove(&server.id, &name).await?,
    }
    Ok(())
}

impl From<DraftsError> for Failure {
    fn from(error: DraftsError) -> Self {
        Self::new(AppCode::Storage, error.to_string())
    }
}
