//! Thousands of relayed links that only stand there: what each takes of the server's memory, and that all are held.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header::AUTHORIZATION},
    routing::get,
};
use foreman_agent::{
    identity::{fresh_key, public_key},
    uplink::{self, Delivery, Uplink},
};
use foreman_link::{
    carrier::Dialer,
    channel::{self, ClientKeys, DeviceKeys},
    grant::{Issuer, LinkSecret, read_grant, sign_grant},
    h2::{self, Client},
    http,
};
use foreman_protocol::{Dial, Grant, GrantId, Hello, Level, Millis, RefusedBecause};
use futures_util::{StreamExt, future::join_all, stream};
use journeys::{
    database::Database,
    soon,
    stack::{Folder, Server, Setting, new_device},
};
use tokio::sync::oneshot;

use crate::{
    device::{get as ask, sealed},
    measure::{cpu_time, held_memory},
    table::{Table, Target},
};

/// Calls at the same time: a device is called by so many at once.
const AT_ONCE: usize = 8;
/// Long enough for each end to have asked once whether the other lives.
const STANDING: Duration = Duration::from_secs(12);
/// The end of the year 9999.
const NEVER: Millis = 253_402_300_799_000;

pub async fn measure(table: &mut Table, links: usize) {
    let folder = Folder::new();
    let setting = Setting::on(Database::Sqlite).env("FOREMAN_RELAYS", links);
    let server = Server::start(folder.join("server"), setting).await;
    let pid = server.program.pid();
    let (foreman, secret) = server.client("owner").await;
    let made = new_device(&foreman, "called").await;
    let (http, key) = (http::client().expect("a client"), fresh_key());
    let connected =
        uplink::enrol(&http, &server.url, &made.token, public_key(&key)).await.expect("a good token");
    let uplink = Uplink::new(http, &server.url, connected.device_id, key.clone());
    let device = Device::new(Issuer::from(key), &server.url, connected.device_id, &secret);
    let (opened, ready) = oneshot::channel();
    let answering = tokio::spawn(answer(uplink, device.keys.clone(), opened));
    soon("the device listens", ready).await.expect("it does");

    // What the first ones take is the server's own.
    let warm = device.call(2 * AT_ONCE).await;
    let before = held_memory(pid);
    let held = device.call(links - warm.len()).await;
    let cpu = cpu_time(pid);
    tokio::time::sleep(STANDING).await;
    let share = (cpu_time(pid) - cpu).as_secs_f64() / STANDING.as_secs_f64() * 100.0;
    let each = held_memory(pid).saturating_sub(before) as f64 / held.len() as f64 / 1024.0;
    let answers = join_all(held.iter().chain(&warm).map(Client::ping)).await;
    let dead = answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(dead, 0, "not all of {links} links were held");
    answering.abort();
    table.value(format!("memory an idle relayed link, {links} links"), "KB", each, Target::AtMost(64.0));
    table.told(format!("server CPU with {links} idle links"), "% of a core", share, None);
}

/// A device, and the client that calls it.
struct Device {
    keys: DeviceKeys,
    client: ClientKeys,
    hello: Hello,
    address: String,
    headers: HeaderMap,
    dialer: Dialer,
}

impl Device {
    fn new(identity: Issuer, url: &str, id: foreman_protocol::DeviceId, secret: &str) -> Self {
        let keys = DeviceKeys { identity: identity.public_bytes(), secret: LinkSecret::generate() };
        let client = LinkSecret::generate();
        let grant = Grant {
            id: GrantId::fresh(),
            device: identity.public(),
            client: client.public(),
            name: "bench".to_owned(),
            level: Level::View,
            issued_at: 0,
            expires_at: NEVER,
            issuer: identity.public(),
        };
        let grant = sign_grant(&grant, &identity);
        let bearer = HeaderValue::from_str(&format!("Bearer {secret}")).expect("a token");
        Self {
            client: ClientKeys {
                secret: client,
                device: keys.identity,
                link_key: keys.secret.public_bytes(),
            },
            keys,
            hello: Hello::new(grant, "relay"),
            address: format!("{url}/api/v1/devices/{id}/relay"),
            headers: HeaderMap::from_iter([(AUTHORIZATION, bearer)]),
            dialer: Dialer::from_environment().expect("a dialler"),
        }
    }

    /// Opens links; each has asked something and then stands.
    async fn call(&self, count: usize) -> Vec<Client> {
        let calls = (0..count).map(|_| async {
            let way = self.dialer.connect_websocket(&self.address, self.headers.clone());
            let way = soon("the relay", way).await.expect("the relay opens");
            let client = sealed(way, &self.client, &self.hello).await;
            ask(&client, "/hello").await;
            client
        });
        stream::iter(calls).buffer_unordered(AT_ONCE).collect().await
    }
}

/// The device's side: comes when it is called, and answers.
async fn answer(uplink: Arc<Uplink>, keys: DeviceKeys, opened: oneshot::Sender<()>) {
    let dialer = Dialer::from_environment().expect("a dialler");
    let mut commands = uplink.commands();
    let mut opened = Some(opened);
    loop {
        match commands.next().await {
            Delivery::Opened => {
                let _ = opened.take().map(|opened| opened.send(()));
            }
            Delivery::Dial(dial) => {
                let (uplink, dialer, keys) = (uplink.clone(), dialer.clone(), keys.clone());
                tokio::spawn(meet(uplink, dialer, keys, dial));
            }
            Delivery::Lost { error, .. } => panic!("the device lost its server: {error}"),
            Delivery::Gone => panic!("the device is gone"),
            Delivery::Commands(_) => {}
        }
    }
}

async fn meet(uplink: Arc<Uplink>, dialer: Dialer, keys: DeviceKeys, dial: Dial) {
    let (address, headers) = uplink.relay(&dial).await.expect("an address");
    let way = dialer.connect_websocket(&address, headers).await.expect("the relay takes the ticket");
    let judge = |_: &str, hello: &Hello| read_grant(&hello.grant).map_err(|_| RefusedBecause::Forged);
    let accepted = channel::accept(way, &keys, judge).await.expect("the client is let in");
    let router = Router::new().route("/hello", get(async || "here"));
    // Ends when the client goes.
    let _ = h2::serve(accepted.channel, router, (), std::future::pending()).await;
}
