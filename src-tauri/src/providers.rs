//! The sign-ins to providers of models, while the app runs: renewed ahead of their end, and the newer token brought to
//! the server that has the older one.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use foreman_client::{
    Returned,
    app::{
        SecretStore,
        providers_sign_in::{DefinitionId, Definitions, SignIns},
    },
};
use tauri::{AppHandle, Manager};
use tokio::sync::OnceCell;

use crate::{
    desk::{Desk, now, unpoisoned},
    failure::Failure,
};

/// Tokens are renewed two minutes ahead; see `foreman_client`.
const LOOK: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Providers {
    sign_ins: OnceCell<SignIns>,
    /// Where the browser is to be led, for attempts that are under way. With the state in them: not for the window.
    pages: Mutex<HashMap<DefinitionId, String>>,
}

impl Providers {
    pub async fn sign_ins(&self, folder: &Path, secrets: Arc<dyn SecretStore>) -> Result<SignIns, Failure> {
        let opened = self.sign_ins.get_or_try_init(|| async {
            let definitions = Definitions::load(folder.join("sign-ins.json"))?;
            Ok::<_, Failure>(SignIns::new(definitions, secrets, Arc::new(now))?)
        });
        opened.await.cloned()
    }

    pub fn lead_to(&self, id: &DefinitionId, page: String) {
        unpoisoned(&self.pages).insert(id.clone(), page);
    }

    pub fn page(&self, id: &DefinitionId) -> Option<String> {
        unpoisoned(&self.pages).get(id).cloned()
    }

    pub fn forget_page(&self, id: &DefinitionId) {
        unpoisoned(&self.pages).remove(id);
    }

    /// A browser came back. What belongs to no attempt is left alone.
    pub fn came_back(&self, returned: Returned) {
        let Some(sign_ins) = self.sign_ins.get() else { return };
        if let Err(error) = sign_ins.came_back(returned) {
            tracing::warn!(%error, "a link was left alone");
        }
    }
}

/// Runs as long as the app.
pub async fn keep(app: AppHandle) {
    let desk = app.state::<Desk>();
    loop {
        tokio::time::sleep(LOOK).await;
        // Nobody is asked for a password because of this.
        if !desk.has_secrets() {
            continue;
        }
        if let Err(failure) = look(&desk).await {
            tracing::warn!(reason = failure.message, "a sign-in to a provider could not be looked after");
        }
    }
}

async fn look(desk: &Desk) -> Result<(), Failure> {
    let sign_ins = desk.sign_ins().await?;
    for (id, server) in sign_ins.renew_due().await {
        let Some(known) = desk.servers().get(&server).cloned() else { continue };
        if let Some(foreman) = desk.foreman(&known).await? {
            sign_ins.bring_newer(&id, &foreman).await?;
        }
    }
    Ok(())
}
