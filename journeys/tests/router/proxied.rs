//! A server in a company whose only way out is an HTTP proxy.

use journeys::{
    database::Database,
    models::Models,
    proxy::{Passed, Proxy},
    stack::{Folder, Setting},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{GPT, PASSWORD, Patience, Scene, scene_on};
use crate::tls;

/// Only the proxy knows where it is.
const CLOUD: &str = "cloud.test";
/// In a private network, where this server has no way to by itself.
const NEAR: &str = "192.168.77.1:8000";
const SECRET: &str = "the-proxys-own-password";

impl Scene {
    /// The same again with this environment, and its vault open.
    async fn again_with(&mut self, changed: &[(&str, &str)]) {
        self.server.program.kill().await;
        self.server.change(|setting| {
            setting.env.retain(|(name, _)| !changed.iter().any(|(other, _)| name == other));
            setting.env.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        });
        self.server.start_again().await;
        self.api(Method::POST, "vault/unlock", json!({ "password": PASSWORD })).await;
    }

    async fn why_not(&self, provider: &str) -> String {
        let id = self.provider_of(provider).await["id"].as_str().expect("text").to_owned();
        let health = self.api(Method::POST, &format!("providers/{id}/test"), Value::Null).await;
        assert_eq!(
            (&health["state"], &health["fault"]),
            (&json!("failing"), &json!("unreachable")),
            "{health}"
        );
        health["reason"].as_str().expect("text").to_owned()
    }
}

async fn clouds_are_asked_through_the_companys_proxy(database: Database) {
    let (keep, cloud) = (Folder::new(), Models::start(&[GPT]).await);
    let behind = cloud.base().replace("http://", "").replace("/v1", "");
    let root = keep.join("root.pem");
    let address = tls::terminate(&[CLOUD], &root, &behind).await.to_string();
    let passed = Passed::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = listener.local_addr().expect("bound");
    let leads = Proxy::new(passed.clone()).leading(&format!("{CLOUD}:443"), &address).leading(NEAR, &behind);
    tokio::spawn(leads.wanting("mia", SECRET).serve(listener));
    let with = |password: &str| format!("http://mia:{password}@{proxy}");
    let setting = Setting::on(database)
        .env("HTTPS_PROXY", with(SECRET))
        .env("http_proxy", with(SECRET))
        .env("NO_PROXY", "past.test")
        .env("SSL_CERT_FILE", root.display());
    let mut scene = scene_on(setting, Patience::of(5)).await;

    scene.plain_provider("cloud", &format!("https://{CLOUD}/v1")).await;
    scene.plain_provider("near", &format!("http://{NEAR}/v1")).await;
    scene.plain_provider("gone", "https://gone.test/v1").await;
    scene.plain_provider("past", "https://past.test/v1").await;
    for name in ["cloud", "near"] {
        let heard = scene.chat(&format!("{name}/{GPT}")).await;
        assert_eq!((heard.status, heard.header("x-foreman-provider")), (200, name), "{}", heard.text);
    }
    assert_eq!(cloud.count(), 2);
    let refused = "the proxy does not let this program through to gone.test:443 (502 Bad Gateway)";
    assert_eq!(scene.why_not("gone").await, refused);
    assert!(!scene.why_not("past").await.contains("proxy"), "it is looked for directly");
    // What runs on this machine is asked as ever, and the proxy has heard of nothing else.
    assert_eq!(scene.chat(&format!("openai/{GPT}")).await.status, 200);
    let lines = passed.lines();
    let wanted = [format!("{CLOUD}:443"), NEAR.to_owned(), "gone.test:443".to_owned()];
    let known = |line: &String| wanted.iter().any(|place| *line == format!("CONNECT {place}"));
    assert!(lines.iter().all(known), "{lines:#?}");

    // A proxy that says no is a reason like others for the next model.
    scene.auto_tries(&[&format!("cloud/{GPT}"), &format!("openai/{GPT}")]).await;
    scene.again_with(&[("HTTPS_PROXY", &with("another"))]).await;
    let heard = scene.chat("auto").await;
    assert_eq!((heard.status, heard.header("x-foreman-provider")), (200, "openai"), "{}", heard.text);
    assert_eq!(heard.header("x-foreman-instead-of"), format!("cloud/{GPT}: unreachable"));
    let said = scene.why_not("cloud").await;
    assert!(said.contains("407") && said.contains("name and password"), "{said}");

    scene.again_with(&[("HTTPS_PROXY", "socks5://127.0.0.1:1")]).await;
    assert_eq!(scene.why_not("cloud").await, "a socks5 proxy cannot be used, an HTTP proxy can");
    assert!(!scene.server.said.text().contains(SECRET));
}

crate::on_both_databases!(clouds_are_asked_through_the_companys_proxy);
