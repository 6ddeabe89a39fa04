//! `foreman login URL`: the program shows a code, a signed-in person decides about it elsewhere.

mod browser;

use foreman_client::Store;
use foreman_link::http;
use journeys::{
    clock::Clock,
    database::Database,
    program::{Program, Said, command},
    stack::{Folder, Server, Setting},
};
use reqwest::{StatusCode, header::COOKIE};
use serde_json::{Value, json};
use tokio::process::Command;

/// A server with an owner who is signed in, and somebody with nothing but the program.
struct Scene {
    server: Server,
    /// As a browser would send it.
    cookie: String,
    folder: Folder,
}

impl Scene {
    async fn new(folder: Folder, setting: Setting) -> Self {
        let mut server = Server::start(folder.join("server"), setting).await;
        let code = server.program.line("Setup code:").await;
        let code = code.split_whitespace().last().expect("a code");
        let body = json!({"code": code, "name": "Ada", "password": "correct horse battery staple 7"});
        let client = http::client().expect("a client");
        let answer = client.post(format!("{}/api/v1/setup", server.url)).json(&body).send().await;
        let answer = answer.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        let cookie = answer.headers()["set-cookie"].to_str().expect("text");
        let cookie = cookie.split(';').next().expect("a cookie").to_owned();
        Self { server, cookie, folder }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut foreman = command("foreman");
        foreman
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .env("XDG_DATA_HOME", self.folder.join("data"))
            .args(args);
        foreman
    }

    /// `foreman login`, and the code that it shows.
    async fn login(&self) -> (Program, Said, String) {
        let said = Said::default();
        let login = self.command(&["login", &self.server.url]);
        let mut login = Program::start("foreman login", login, said.clone(), "");
        let line = login.line("compare the code: ").await;
        let code = line.rsplit(' ').next().expect("a code").to_owned();
        assert!(line.contains(&format!("{}/link?code={code}", self.server.url)), "{line}");
        (login, said, code)
    }

    /// What the person's browser sends about a code.
    async fn decide(&self, code: &str, what: &str, body: &Value) -> StatusCode {
        let address = format!("{}/api/v1/auth/device/{code}/{what}", self.server.url);
        let client = http::client().expect("a client");
        let request = client.post(address).header(COOKIE, &self.cookie).json(body);
        request.send().await.expect("an answer").status()
    }

    /// Whether this user of the program is signed in, and what it says of the devices.
    async fn devices(&self) -> (bool, String) {
        let output = self.command(&["devices"]).output().await.expect("foreman runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).expect("text"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_the_program_in_by_its_code() {
    let scene = Scene::new(Folder::new(), Setting::on(Database::Sqlite)).await;
    let (mut login, said, code) = scene.login().await;
    // As somebody types it from another screen.
    let typed = code.to_lowercase().replace('-', "");
    let approved = scene.decide(&typed, "approve", &json!({"role": "viewer"})).await;
    assert_eq!(approved, StatusCode::NO_CONTENT);
    assert!(login.ended().await.success(), "{}", said.text());
    let said = said.text();
    assert!(
        said.contains(&format!("Signed in to {}", scene.server.url)) && said.contains("(viewer)"),
        "{said}"
    );
    let store = Store::at(scene.folder.join("config/foreman"), scene.folder.join("data/foreman"));
    let kept = store.sign_in().expect("readable").expect("it is kept");
    assert!(!said.contains(&kept.token), "the token is not for the screen");
    let (signed_in, devices) = scene.devices().await;
    assert!(signed_in, "{devices}");
    // It got what was approved and no more, and the code is spent.
    let added = scene.command(&["devices", "add", "forge"]).output().await.expect("foreman runs");
    assert!(!added.status.success(), "a viewer adds no devices");
    assert_eq!(scene.decide(&code, "approve", &json!({})).await, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_turned_away_is_not_signed_in() {
    let scene = Scene::new(Folder::new(), Setting::on(Database::Sqlite)).await;
    let (mut login, said, code) = scene.login().await;
    // A program's token decides nothing, whoever made it.
    let (_, token) = scene.server.client("owner").await;
    let address = format!("{}/api/v1/auth/device/{code}/approve", scene.server.url);
    let by_token = http::client().expect("a client").post(address).bearer_auth(token).json(&json!({}));
    assert_eq!(by_token.send().await.expect("an answer").status(), StatusCode::FORBIDDEN);
    assert_eq!(scene.decide(&code, "deny", &json!({})).await, StatusCode::NO_CONTENT);
    assert!(!login.ended().await.success());
    assert!(said.text().contains("the request was turned away. Nothing was changed"), "{}", said.text());
    let (signed_in, devices) = scene.devices().await;
    assert!(!signed_in && devices.contains("You are not signed in"), "{devices}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_nobody_approves_in_time_is_worth_nothing() {
    let folder = Folder::new();
    let clock = Clock::new(&folder, "servers-clock");
    let Some(environment) = clock.environment() else { return };
    let setting = environment
        .into_iter()
        .fold(Setting::on(Database::Sqlite), |setting, (name, value)| setting.env(name, value));
    let scene = Scene::new(folder, setting).await;
    let (mut login, said, code) = scene.login().await;
    clock.set("+301s");
    assert_eq!(scene.decide(&code, "approve", &json!({})).await, StatusCode::NOT_FOUND);
    assert!(!login.ended().await.success());
    assert!(said.text().contains("nobody approved it in time"), "{}", said.text());
    let (signed_in, devices) = scene.devices().await;
    assert!(!signed_in && devices.contains("You are not signed in"), "{devices}");
}
