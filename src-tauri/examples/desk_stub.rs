//! What a desktop has on its bus, for tests of the app: somebody who shows notifications, and somebody who shows icons in
//! a tray. What happens is said on standard output, a JSON object a line; what a person would do comes as lines on
//! standard input: `press ID KEY`, `dismiss ID`, `menu`, `choose LABEL`; and `secrets`.
#![allow(clippy::unwrap_used, reason = "a test's program ends where something is wrong")]

#[cfg(target_os = "linux")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> zbus::Result<()> {
    linux::run().await
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value as Json, json};
    use tokio::sync::mpsc;
    use zbus::{
        Connection, connection, interface,
        message::Header,
        object_server::SignalEmitter,
        zvariant::{OwnedObjectPath, OwnedValue, Structure, Value},
    };

    const NOTIFICATIONS: &str = "/org/freedesktop/Notifications";
    const WATCHER: &str = "/StatusNotifierWatcher";

    fn say(what: &Json) {
        println!("{what}");
    }

    #[derive(Default)]
    struct Notifications {
        last: u32,
    }

    #[interface(name = "org.freedesktop.Notifications")]
    impl Notifications {
        #[allow(clippy::too_many_arguments, reason = "the protocol's own")]
        fn notify(
            &mut self,
            _app_name: &str,
            replaces_id: u32,
            _app_icon: &str,
            summary: &str,
            body: &str,
            actions: Vec<String>,
            _hints: HashMap<String, OwnedValue>,
            _expire_timeout: i32,
        ) -> u32 {
            let id = if replaces_id > 0 {
                replaces_id
            } else {
                self.last += 1;
                self.last
            };
            say(&json!({ "shown": id, "title": summary, "body": body, "actions": actions }));
            id
        }

        async fn close_notification(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>, id: u32) {
            say(&json!({ "withdrawn": id }));
            emitter.notification_closed(id, 3).await.unwrap();
        }

        fn get_capabilities(&self) -> Vec<&'static str> {
            vec!["actions", "body", "body-markup"]
        }

        fn get_server_information(&self) -> (&'static str, &'static str, &'static str, &'static str) {
            ("Desk stub", "Foreman", "1", "1.2")
        }

        #[zbus(signal)]
        async fn action_invoked(emitter: &SignalEmitter<'_>, id: u32, action_key: &str) -> zbus::Result<()>;

        #[zbus(signal)]
        async fn notification_closed(emitter: &SignalEmitter<'_>, id: u32, reason: u32) -> zbus::Result<()>;
    }

    /// Who shows a file in its folder.
    struct Files;

    #[interface(name = "org.freedesktop.FileManager1")]
    impl Files {
        fn show_items(&self, addresses: Vec<String>, _startup_id: &str) {
            for address in addresses {
                say(&json!({ "revealed": address }));
            }
        }
    }

    /// The sender and the path of the icon that came last.
    type Icon = Arc<Mutex<Option<(String, String)>>>;

    struct Watcher(Icon);

    #[interface(name = "org.kde.StatusNotifierWatcher")]
    impl Watcher {
        fn register_status_notifier_item(&self, service: &str, #[zbus(header)] header: Header<'_>) {
            let sender = header.sender().unwrap().to_string();
            *self.0.lock().unwrap() = Some((sender, service.to_owned()));
            say(&json!({ "icon": service }));
        }

        fn register_status_notifier_host(&self, _service: &str) {}

        #[zbus(property)]
        fn is_status_notifier_host_registered(&self) -> bool {
            true
        }

        #[zbus(property)]
        fn protocol_version(&self) -> i32 {
            0
        }

        #[zbus(property)]
        fn registered_status_notifier_items(&self) -> Vec<String> {
            Vec::new()
        }
    }

    pub async fn run() -> zbus::Result<()> {
        let icon = Icon::default();
        let bus = connection::Builder::session()?
            .serve_at(NOTIFICATIONS, Notifications::default())?
            .serve_at(WATCHER, Watcher(icon.clone()))?
            .serve_at("/org/freedesktop/FileManager1", Files)?
            .name("org.freedesktop.FileManager1")?
            .name("org.freedesktop.Notifications")?
            .name("org.kde.StatusNotifierWatcher")?
            .build()
            .await?;
        say(&json!({ "ready": true }));
        let (told, mut lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                told.send(line).unwrap();
            }
        });
        while let Some(line) = lines.recv().await {
            let emitter = SignalEmitter::new(&bus, NOTIFICATIONS)?;
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("press", rest) => {
                    let (id, key) = rest.split_once(' ').unwrap();
                    Notifications::action_invoked(&emitter, id.parse().unwrap(), key).await?;
                }
                ("dismiss", id) => {
                    Notifications::notification_closed(&emitter, id.parse().unwrap(), 2).await?;
                }
                ("menu", _) => {
                    let words: Vec<_> =
                        menu(&bus, &icon).await?.into_iter().map(|(_, words)| words).collect();
                    say(&json!({ "menu": words }));
                }
                ("choose", label) => {
                    let all = menu(&bus, &icon).await?;
                    let (id, _) = all.iter().find(|(_, words)| words == label).unwrap();
                    let args = (*id, "clicked", Value::from(0_i32), 0_u32);
                    call(&bus, &icon, "Event", &args).await?;
                }
                ("secrets", _) => say(&json!({ "secrets": secrets(&bus).await? })),
                _ => say(&json!({ "unknown": line })),
            }
        }
        Ok(())
    }

    async fn call<B>(bus: &Connection, icon: &Icon, method: &str, args: &B) -> zbus::Result<zbus::Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType + Sync,
    {
        let (sender, path) = icon.lock().unwrap().clone().unwrap();
        let item =
            zbus::Proxy::new(bus, sender.clone(), path, "org.kde.StatusNotifierItem".to_owned()).await?;
        let menu: OwnedObjectPath = item.get_property("Menu").await?;
        bus.call_method(Some(sender.as_str()), &menu, Some("com.canonical.dbusmenu"), method, args).await
    }

    /// All that the app keeps in the keyring, asked for in a session that seals nothing: who is on this bus may know.
    async fn secrets(bus: &Connection) -> zbus::Result<Vec<String>> {
        const KEYRING: Option<&str> = Some("org.freedesktop.secrets");
        const PATH: &str = "/org/freedesktop/secrets";
        const SERVICE: Option<&str> = Some("org.freedesktop.Secret.Service");
        /// Session, parameters, secret, content type.
        type Secret = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);
        let plain = ("plain", Value::from(""));
        let answer = bus.call_method(KEYRING, PATH, SERVICE, "OpenSession", &plain).await?;
        let (_, session): (OwnedValue, OwnedObjectPath) = answer.body().deserialize()?;
        let wanted = HashMap::from([("service", "dev.foreman.app")]);
        let answer = bus.call_method(KEYRING, PATH, SERVICE, "SearchItems", &wanted).await?;
        let (open, _): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = answer.body().deserialize()?;
        let answer = bus.call_method(KEYRING, PATH, SERVICE, "GetSecrets", &(open, session)).await?;
        let all: HashMap<OwnedObjectPath, Secret> = answer.body().deserialize()?;
        Ok(all.into_values().map(|(_, _, secret, _)| String::from_utf8(secret).unwrap()).collect())
    }

    /// A line's id, what is said of it, and the lines below it.
    type Layout = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

    /// The lines of the menu with their ids.
    async fn menu(bus: &Connection, icon: &Icon) -> zbus::Result<Vec<(i32, String)>> {
        let all = (0_i32, -1_i32, Vec::<&str>::new());
        let answer = call(bus, icon, "GetLayout", &all).await?;
        let body = answer.body();
        let (_, (_, _, lines)): (u32, Layout) = body.deserialize()?;
        let line = |value: OwnedValue| {
            let line = Structure::try_from(value).ok()?;
            let id = i32::try_from(line.fields().first()?).ok()?;
            let facts =
                HashMap::<String, OwnedValue>::try_from(line.fields().get(1)?.try_clone().ok()?).ok()?;
            let words = <&str>::try_from(&**facts.get("label")?).ok()?.to_owned();
            Some((id, words))
        };
        Ok(lines.into_iter().filter_map(line).collect())
    }
}
