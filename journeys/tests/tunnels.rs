//! Cloudflare Tunnels against the documented API: made whole, taken back when half made, mended when they drift,
//! removed with their device; and their secrets are nowhere to be read.

use foreman_client::{AuditFilter, Foreman};
use foreman_link::http;
use foreman_protocol::{DeviceId, TunnelAccess, TunnelToken};
use futures_util::TryStreamExt;
use journeys::{
    cloudflare::{AtTheEdge, Cloudflare, SERVICE_SECRET, TOKEN, TUNNEL_TOKEN, ends_in},
    database::Database,
    device::BareDevice,
    eventually,
    stack::{Folder, Server, Setting, new_device},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

struct Scene {
    folder: Folder,
    cloudflare: Cloudflare,
    server: Server,
    foreman: Foreman,
    owner: String,
    client: Client,
}

async fn scene(database: Database) -> Scene {
    let folder = Folder::new();
    let cloudflare = Cloudflare::start().await;
    let token = folder.join("cloudflare-token");
    std::fs::write(&token, format!("{TOKEN}\n")).expect("written");
    let setting = Setting::on(database)
        .env("FOREMAN_CLOUDFLARE_API", &cloudflare.url)
        .env("FOREMAN_CLOUDFLARE_ACCOUNT", "acc")
        .env("FOREMAN_CLOUDFLARE_ZONE_ID", "zone")
        .env("FOREMAN_CLOUDFLARE_ZONE", "foreman.example")
        .env("FOREMAN_CLOUDFLARE_TOKEN_FILE", token.display());
    let server = Server::start(folder.join("server"), setting).await;
    let (foreman, owner) = server.client("owner").await;
    let client = http::client().expect("a client");
    Scene { folder, cloudflare, server, foreman, owner, client }
}

impl Scene {
    async fn device(&self) -> BareDevice {
        let token = new_device(&self.foreman, "Spark").await.token;
        BareDevice::join(&self.client, &self.server.url, &token).await
    }

    async fn hostname(&self, id: DeviceId) -> String {
        eventually("the device has a hostname", || async {
            self.foreman.device(id).await.expect("it is there").tunnel_hostname
        })
        .await
    }

    async fn mend(&self, id: DeviceId) {
        let address = format!("{}/api/v1/devices/{id}/tunnel", self.server.url);
        http::send(self.client.post(address).bearer_auth(&self.owner)).await.expect("taken");
    }
}

async fn a_device_gets_a_guarded_tunnel_and_it_goes_with_the_device(database: Database) {
    let scene = scene(database).await;
    let device = scene.device().await;
    let hostname = scene.hostname(device.id).await;
    assert!(hostname.starts_with("spark-") && hostname.ends_with(".foreman.example"), "{hostname}");

    let records = scene.cloudflare.all("dns_records/");
    assert_eq!(
        (records.len(), &records[0]["name"], &records[0]["proxied"]),
        (1, &json!(hostname), &json!(true))
    );
    let ingress = &scene.cloudflare.all("configurations")[0]["config"]["ingress"];
    assert_eq!(ingress[0]["hostname"], hostname);
    assert_eq!(ingress[1]["service"], "http_status:404");
    let policy = &scene.cloudflare.all("/policies/")[0];
    let token = &scene.cloudflare.all("service_tokens/")[0];
    assert_eq!(policy["decision"], "non_identity");
    assert_eq!(policy["include"], json!([{ "service_token": { "token_id": token["id"] } }]));
    // The name leads to the device only once Access stands before it.
    let calls = scene.cloudflare.calls();
    let place =
        |call: &str| calls.iter().position(|made| made.contains(call)).unwrap_or_else(|| panic!("{calls:?}"));
    let policies = calls.iter().position(|made| made.starts_with("POST") && made.ends_with("/policies"));
    assert!(policies < Some(place("POST /zones/zone/dns_records")), "{calls:?}");

    let for_device: TunnelToken = http::json(device.request(Method::GET, "tunnel")).await.expect("a token");
    assert_eq!((for_device.token.as_str(), &for_device.hostname), (TUNNEL_TOKEN, &hostname));
    let address = device.address("tunnel/access");
    let access: TunnelAccess =
        http::json(scene.client.get(&address).bearer_auth(&scene.owner)).await.expect("for its owner");
    assert_eq!(
        (&json!(access.client_id), &json!(access.client_secret)),
        (&token["client_id"], &token["client_secret"])
    );
    // Whoever may come by the relay may come this way: what they may do there the device says.
    let (_, viewer) = scene.server.client("viewer").await;
    let answer = http::send(scene.client.get(&address).bearer_auth(viewer)).await.expect("for a viewer");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let nobody =
        http::send(scene.client.get(&address).bearer_auth("x")).await.expect_err("not for a stranger");
    assert_eq!(nobody.status(), Some(401));
    scene.nothing_is_readable();

    scene.foreman.delete_device(device.id).await.expect("deleted");
    eventually("nothing is left at Cloudflare", || async { (scene.cloudflare.count() == 0).then_some(()) })
        .await;
}

impl Scene {
    /// Neither secret is in a file of the server, its log included.
    fn nothing_is_readable(&self) {
        for secret in [TOKEN, SERVICE_SECRET, TUNNEL_TOKEN] {
            for entry in std::fs::read_dir(self.folder.join("server")).expect("a folder") {
                let bytes = std::fs::read(entry.expect("an entry").path()).unwrap_or_default();
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} can be read");
            }
            assert!(!self.server.said.text().contains(secret), "{secret} is in the log");
        }
    }
}

async fn what_is_half_made_is_taken_back_and_then_made(database: Database) {
    let scene = scene(database).await;
    let steps = [
        (Method::POST, "cfd_tunnel"),
        (Method::PUT, "configurations"),
        (Method::POST, "service_tokens"),
        (Method::POST, "access/apps"),
        (Method::POST, "policies"),
        (Method::POST, "dns_records"),
    ];
    for (method, part) in steps {
        let calls = scene.cloudflare.calls().len();
        scene.cloudflare.fail(method.clone(), part, 1);
        let device = scene.device().await;
        eventually("it failed and was taken back", || async {
            let failed = scene.cloudflare.calls()[calls..]
                .iter()
                .any(|call| call.starts_with(method.as_str()) && call.contains(part));
            (failed && scene.cloudflare.count() == 0).then_some(())
        })
        .await;
        assert_eq!(scene.foreman.device(device.id).await.expect("there").tunnel_hostname, None, "{part}");
        // The claim is given back when the failure is written down.
        eventually("the next attempt makes it", || async {
            scene.mend(device.id).await;
            scene.foreman.device(device.id).await.expect("there").tunnel_hostname
        })
        .await;
        scene.foreman.delete_device(device.id).await.expect("deleted");
        eventually("nothing is left", || async { (scene.cloudflare.count() == 0).then_some(()) }).await;
    }
}

/// Names are taken there, so what nobody remembers would be in the way of every attempt after it.
async fn what_a_crash_left_behind_makes_room(database: Database) {
    let scene = scene(database).await;
    let added = new_device(&scene.foreman, "Spark").await;
    let id = added.device.id;
    let tail = id.to_string().split_off(id.to_string().len() - 4);
    let hostname = format!("spark-{tail}.foreman.example");
    scene.cloudflare.leave_behind("acc", "zone", &format!("foreman-{id}"), &hostname);
    // Something of somebody else, which only looks alike.
    scene.cloudflare.leave_behind("acc", "zone", "by hand", &format!("by-hand-{hostname}"));
    let left = scene.cloudflare.count();
    BareDevice::join(&scene.client, &scene.server.url, &added.token).await;
    assert_eq!(scene.hostname(id).await, hostname);
    scene.foreman.delete_device(id).await.expect("deleted");
    eventually("what is not ours is left", || async { (scene.cloudflare.count() == left / 2).then_some(()) })
        .await;
    assert_eq!(scene.cloudflare.all("dns_records/")[0]["comment"], "by hand");
}

async fn drift_is_mended(database: Database) {
    let scene = scene(database).await;
    let device = scene.device().await;
    let hostname = scene.hostname(device.id).await;
    let whole = scene.cloudflare.count();

    scene.cloudflare.remove("dns_records/");
    scene.mend(device.id).await;
    eventually("the record is back", || async { (scene.cloudflare.count() == whole).then_some(()) }).await;
    assert_eq!(scene.cloudflare.all("dns_records/")[0]["name"], hostname);

    // Somebody opened it to everyone.
    scene.cloudflare.change("/policies/", "include", &json!([{ "everyone": {} }]));
    scene.mend(device.id).await;
    eventually("the policy lets in only the token", || async {
        let policies = scene.cloudflare.all("/policies/");
        let closed = |policy: &Value| policy["include"][0].get("service_token").is_some();
        (policies.len() == 1 && policies.iter().all(closed)).then_some(())
    })
    .await;

    // Somebody led the tunnel elsewhere.
    let leads = || scene.cloudflare.all("/configurations")[0]["config"]["ingress"].clone();
    let made = leads();
    let elsewhere = json!({ "ingress": [{ "service": "http://localhost:22" }] });
    scene.cloudflare.change("/configurations", "config", &elsewhere);
    eventually("it leads to the device again", || async {
        scene.mend(device.id).await;
        (leads() == made).then_some(())
    })
    .await;

    // Nothing guards the name any more: its application guards another, and then there is none.
    let guarded = || {
        let token = &scene.cloudflare.all("service_tokens/")[0];
        let shown = token["client_id"].as_str().zip(token["client_secret"].as_str());
        let through = AtTheEdge::Through(made[0]["service"].as_str().expect("an address").to_owned());
        (scene.cloudflare.at_the_edge(&hostname, None), scene.cloudflare.at_the_edge(&hostname, shown))
            == (AtTheEdge::Shut, through)
    };
    let drifts: [&dyn Fn(); 2] =
        [&|| scene.cloudflare.change("/apps/", "domain", &json!("other.example")), &|| {
            scene.cloudflare.remove("/apps/")
        }];
    for drift in drifts {
        assert!(guarded());
        drift();
        assert!(!guarded());
        eventually("only the token is let in again", || async {
            scene.mend(device.id).await;
            guarded().then_some(())
        })
        .await;
        assert_eq!(scene.cloudflare.count(), whole, "and what guarded another name is gone");
    }

    // The whole tunnel is gone: the record follows the new one.
    scene.cloudflare.remove("cfd_tunnel/");
    scene.mend(device.id).await;
    eventually("a new tunnel has the name", || async {
        let tunnels = scene.cloudflare.all("cfd_tunnel/");
        let id = tunnels.iter().find_map(|tunnel| tunnel["id"].as_str())?;
        let content = format!("{id}.cfargotunnel.com");
        scene.cloudflare.all("dns_records/").iter().any(|record| record["content"] == content).then_some(())
    })
    .await;
    scene.foreman.delete_device(device.id).await.expect("deleted");
    eventually("nothing is left", || async { (scene.cloudflare.count() == 0).then_some(()) }).await;
}

/// A token ends after a year: it is prolonged before, and replaced when nobody was there to do it.
async fn the_key_to_a_tunnel_does_not_end(database: Database) {
    let scene = scene(database).await;
    let device = scene.device().await;
    scene.hostname(device.id).await;
    let token = || scene.cloudflare.all("service_tokens/")[0].clone();
    let made = token();
    assert_eq!(made["duration"], "8760h");
    scene.mend(device.id).await;
    let refreshed = || scene.cloudflare.calls().iter().filter(|call| call.ends_with("/refresh")).count();
    let checks = || {
        let calls = scene.cloudflare.calls();
        calls.iter().filter(|call| call.starts_with("GET") && call.contains("service_tokens/")).count()
    };
    eventually("it is looked at", || async { (checks() > 0).then_some(()) }).await;
    assert_eq!(refreshed(), 0, "a year is long");

    scene.cloudflare.change("service_tokens/", "expires_at", &json!(ends_in(20)));
    let mended = async || {
        let log = scene.foreman.audit(&AuditFilter {
            event_type: Some("device.tunnel.changed".into()),
            ..AuditFilter::default()
        });
        log.try_collect::<Vec<_>>().await.expect("the log").len()
    };
    let before = mended().await;
    eventually("it is prolonged, and stays the same", || async {
        scene.mend(device.id).await;
        (token()["expires_at"].as_str() > Some(ends_in(300).as_str())).then_some(())
    })
    .await;
    assert_eq!((refreshed(), &token()["id"]), (1, &made["id"]));
    eventually("that is in the log", || async { (mended().await > before).then_some(()) }).await;

    scene.cloudflare.change("service_tokens/", "expires_at", &json!(ends_in(-1)));
    eventually("another opens the way", || async {
        scene.mend(device.id).await;
        let tokens = scene.cloudflare.all("service_tokens/");
        let other = tokens.first().map(|token| token["id"].clone()).filter(|id| *id != made["id"])?;
        let policies = scene.cloudflare.all("/policies/");
        let ours = json!([{ "service_token": { "token_id": other } }]);
        (tokens.len() == 1 && policies.len() == 1 && policies[0]["include"] == ours).then_some(())
    })
    .await;
    let client = &token()["client_id"];
    eventually("clients are given it", || async {
        let answer = scene.client.get(device.address("tunnel/access")).bearer_auth(&scene.owner);
        let access: TunnelAccess = http::json(answer).await.expect("an answer");
        (*client == access.client_id).then_some(())
    })
    .await;

    scene.cloudflare.open_to_everyone();
    assert_eq!(scene.cloudflare.all("/policies/").len(), 2);
    eventually("only the token is let in", || async {
        scene.mend(device.id).await;
        let policies = scene.cloudflare.all("/policies/");
        (policies.len() == 1 && policies[0]["decision"] == "non_identity").then_some(())
    })
    .await;
}

/// It is not Foreman's to remove, so whoever runs the server is told what to do; once done, all is well by itself.
async fn a_policy_of_the_account_is_named_and_left_alone(database: Database) {
    let scene = scene(database).await;
    let device = scene.device().await;
    let hostname = scene.hostname(device.id).await;
    scene.cloudflare.open_to_everyone();
    scene.cloudflare.attach_account_policy("Everybody at Example");
    let said = ["Everybody at Example", &format!("lets others to {hostname}"), "take it out of its policies"];
    eventually("it is said what to do", || async {
        scene.mend(device.id).await;
        let text = scene.server.said.text();
        text.lines().any(|line| said.iter().all(|part| line.contains(part))).then_some(())
    })
    .await;
    let deleted = |call: &String| call.starts_with("DELETE") && call.ends_with("/policies/shared");
    assert!(!scene.cloudflare.calls().iter().any(deleted), "nobody tried");
    let policies = || scene.cloudflare.all("/policies/").len();
    assert_eq!(policies(), 2, "the token's, and the account's: the application's own is gone");

    scene.cloudflare.remove("/policies/shared");
    scene.cloudflare.change("/policies/", "include", &json!([{ "everyone": {} }]));
    eventually("it is mended again", || async {
        scene.mend(device.id).await;
        let all = scene.cloudflare.all("/policies/");
        (all.len() == 1 && all[0]["include"][0].get("service_token").is_some()).then_some(())
    })
    .await;
}

crate::on_both_databases!(
    a_device_gets_a_guarded_tunnel_and_it_goes_with_the_device,
    what_is_half_made_is_taken_back_and_then_made,
    what_a_crash_left_behind_makes_room,
    drift_is_mended,
    the_key_to_a_tunnel_does_not_end,
    a_policy_of_the_account_is_named_and_left_alone,
);
