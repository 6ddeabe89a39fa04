//! `org.freedesktop.Notifications` on the session's bus.

use std::{collections::HashMap, sync::Mutex};

use futures_util::StreamExt;
use tokio::sync::{OnceCell, mpsc};
use zbus::{Connection, zvariant::Value};

use super::{Act, Card, Name, ScreenState, Touched};
use crate::{
    desk::unpoisoned,
    failure::{AppCode, Failure},
};

/// As the desktop knows this app.
const DESKTOP_ENTRY: &str = "foreman-app";
/// What the service decides; 0 is never.
const AS_USUAL: i32 = -1;

#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Notifications {
    #[allow(clippy::too_many_arguments, reason = "the protocol's own")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Value<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;
    fn close_notification(&self, id: u32) -> zbus::Result<()>;
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;
    fn get_server_information(&self) -> zbus::Result<(String, String, String, String)>;
    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: String) -> zbus::Result<()>;
    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

type Shown = std::sync::Arc<Mutex<HashMap<u32, Name>>>;

/// Where notifications are shown.
pub struct Screen {
    service: OnceCell<NotificationsProxy<'static>>,
    shown: Shown,
    touched: mpsc::UnboundedSender<Touched>,
}

impl Screen {
    /// What is pressed comes out of the other end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Touched>) {
        let (touched, heard) = mpsc::unbounded_channel();
        (Self { service: OnceCell::new(), shown: Shown::default(), touched }, heard)
    }

    async fn service(&self) -> zbus::Result<&NotificationsProxy<'static>> {
        let opened = self.service.get_or_try_init(|| async {
            let service = NotificationsProxy::new(&Connection::session().await?).await?;
            let pressed = service.receive_action_invoked().await?;
            let closed = service.receive_notification_closed().await?;
            tokio::spawn(hear(pressed, closed, self.shown.clone(), self.touched.clone()));
            Ok(service)
        });
        opened.await
    }

    pub async fn state(&self) -> ScreenState {
        let asked = async {
            let service = self.service().await?;
            let (name, ..) = service.get_server_information().await?;
            let can = service.get_capabilities().await?;
            let buttons = can.iter().any(|one| one == "actions");
            Ok::<_, zbus::Error>(ScreenState { available: true, by: Some(name), buttons, unasked: false })
        };
        asked.await.unwrap_or_default()
    }

    /// Nobody is asked here.
    #[allow(clippy::unused_async, reason = "elsewhere the system asks")]
    pub async fn ask(&self) {}

    /// # Errors
    /// When nobody shows notifications here.
    pub async fn show(&self, name: Name, card: &Card) -> Result<(), Failure> {
        let show = async {
            let service = self.service().await?;
            let can = service.get_capabilities().await?;
            let can = |what: &str| can.iter().any(|one| one == what);
            // A command line is no markup.
            let body = if can("body-markup") { escaped(&card.body) } else { card.body.clone() };
            let actions: Vec<&str> = if can("actions") {
                card.acts.iter().flat_map(|(act, words)| [act.key(), words.as_str()]).collect()
            } else {
                Vec::new()
            };
            let mut hints = HashMap::from([("desktop-entry", Value::from(DESKTOP_ENTRY))]);
            if card.stays {
                hints.insert("urgency", Value::from(1_u8));
                hints.insert("resident", Value::from(false));
            }
            let before = self.id_of(&name).unwrap_or_default();
            let shown = service
                .notify("Foreman", before, DESKTOP_ENTRY, &card.title, &body, &actions, hints, AS_USUAL)
                .await?;
            let mut all = unpoisoned(&self.shown);
            all.remove(&before);
            all.insert(shown, name);
            Ok::<_, zbus::Error>(())
        };
        show.await.map_err(|error| {
            Failure::new(AppCode::NoNotifications, format!("No notification could be shown: {error}"))
        })
    }

    pub async fn withdraw(&self, name: &Name) {
        let Some(id) = self.id_of(name) else { return };
        unpoisoned(&self.shown).remove(&id);
        if let Ok(service) = self.service().await {
            // It may have gone by itself in this moment.
            let _ = service.close_notification(id).await;
        }
    }

    /// The app ends: nobody would answer a press any more.
    pub async fn withdraw_all(&self) {
        let all: Vec<_> = unpoisoned(&self.shown).drain().map(|(id, _)| id).collect();
        let Some(service) = self.service.get() else { return };
        for id in all {
            let _ = service.close_notification(id).await;
        }
    }

    fn id_of(&self, name: &Name) -> Option<u32> {
        unpoisoned(&self.shown).iter().find(|(_, one)| *one == name).map(|(id, _)| *id)
    }
}

async fn hear(
    mut pressed: ActionInvokedStream,
    mut closed: NotificationClosedStream,
    shown: Shown,
    touched: mpsc::UnboundedSender<Touched>,
) {
    loop {
        let (id, act) = tokio::select! {
            Some(signal) = pressed.next() => {
                let Ok(said) = signal.args() else { continue };
                let known = Act::ALL.into_iter().find(|act| act.key() == said.action_key);
                let Some(act) = known else { continue };
                (said.id, Some(act))
            }
            Some(signal) = closed.next() => {
                let Ok(said) = signal.args() else { continue };
                (said.id, None)
            }
            else => return,
        };
        // Everybody's notifications are heard of; only the own ones count.
        let name = match act {
            Some(_) => unpoisoned(&shown).get(&id).cloned(),
            None => unpoisoned(&shown).remove(&id),
        };
        if let Some(name) = name {
            let _ = touched.send(Touched { name, act });
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
