//! What a press on a notification does.

use foreman_client::app::{ServerId, notices::Subject};
use tauri::{AppHandle, Manager};
use tokio::sync::mpsc;

use crate::{
    desk::Desk,
    failure::Failure,
    links,
    notify::{Act, Name, Touched},
};

/// Does what people press, for as long as the app runs.
pub async fn heed(app: AppHandle, mut presses: mpsc::UnboundedReceiver<Touched>) {
    while let Some(Touched { name, act }) = presses.recv().await {
        let done = match name {
            Name::Test => {
                if act.is_some() {
                    crate::show(&app);
                }
                Ok(())
            }
            Name::Thing(server, subject) => pressed(&app, &server, subject, act).await,
        };
        if let Err(failure) = done {
            tracing::warn!(reason = failure.message, "what was pressed on a notification could not be done");
        }
    }
}

async fn pressed(
    app: &AppHandle,
    server: &ServerId,
    subject: Subject,
    act: Option<Act>,
) -> Result<(), Failure> {
    let desk = app.state::<Desk>();
    match (act, subject) {
        (None, _) => {}
        (Some(Act::StopTask), Subject::Task(id)) => {
            let known = desk.servers().get(server).cloned().ok_or_else(Failure::no_server)?;
            let foreman = desk.foreman(&known).await?.ok_or_else(Failure::no_server)?;
            foreman.stop_task(id).await?;
        }
        (Some(Act::MuteDevice), Subject::Reach(id) | Subject::GpuMemory(id)) => {
            desk.preferences().change(|kept| {
                let mut rules = kept.notices(server);
                rules.muted.insert(id);
                kept.set_notices(server, rules);
            })?;
        }
        (Some(_), subject) => links::go(app, server, subject.page())?,
    }
    desk.screen.withdraw(&Name::Thing(server.clone(), subject)).await;
    desk.watch.put_away(server, subject);
    Ok(())
}
