//! Signing in by the browser: the SDK and `foreman login --browser` against the real server, with somebody who presses
//! what a person would.

use std::{fs, os::unix::fs::PermissionsExt};

use foreman_client::{BrowserSignIn, Foreman, Returned, SignInError, Store, app::AppLink};
use foreman_link::http;
use foreman_protocol::Role;
use journeys::{
    database::Database,
    eventually,
    program::{Program, Said},
    stack::{Folder, Setting},
};
use reqwest::{
    StatusCode, Url,
    header::{COOKIE, HOST, ORIGIN},
};
use serde_json::{Map, Value, json};

use super::Scene;
use crate::on_both_databases;

on_both_databases!(
    the_app_is_signed_in_by_the_link_that_the_browser_comes_back_with,
    a_code_is_exchanged_once_however_many_try
);

impl Scene {
    /// What the page at this address sends when the person presses a button; where the browser goes then.
    async fn press(&self, page: &str, allow: bool) -> String {
        let page = Url::parse(page).expect("an address");
        assert!(page.as_str().starts_with(&format!("{}/authorize?", self.server.url)), "{page}");
        let asked: Map<String, Value> =
            page.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect();
        let body = json!({ "request": asked, "allow": allow, "role": "operator" });
        let address = format!("{}/api/v1/auth/authorize", self.server.url);
        let request = http::client().expect("a client").post(address).json(&body);
        let request = request.header(COOKIE, &self.cookie).header(ORIGIN, &self.server.url);
        let decided: Value = http::json(request).await.expect("a decision");
        decided["redirect_to"].as_str().expect("a way back").to_owned()
    }
}

fn came_back(link: &str) -> Returned {
    match AppLink::parse(link) {
        Ok(AppLink::SignedIn(returned)) => returned,
        other => panic!("{other:?}"),
    }
}

async fn the_app_is_signed_in_by_the_link_that_the_browser_comes_back_with(database: Database) {
    let scene = Scene::new(Folder::new(), Setting::on(database)).await;
    let url = &scene.server.url;
    let begin = || async { BrowserSignIn::begin_for_app(url, "Foreman on laptop").await.expect("it begins") };

    let attempt = begin().await;
    let link = scene.press(attempt.page(), true).await;
    assert!(link.starts_with("foreman://signed-in?code="), "{link}");
    let approval = attempt.finish(came_back(&link)).await.expect("it is allowed");
    assert_eq!(approval.role, Role::Operator);
    let app = Foreman::new(url, &approval.token).expect("a client");
    assert_eq!(app.me().await.expect("it may ask").name, "Foreman on laptop");

    // The link of one attempt is nothing to another, nor what another server says.
    let attempt = begin().await;
    assert!(!attempt.is_for(&came_back(&link)));
    assert!(matches!(attempt.finish(came_back(&link)).await, Err(SignInError::WrongReturn)));
    let attempt = begin().await;
    let link = scene.press(attempt.page(), true).await;
    let elsewhere = link.replace("iss=http%3A%2F%2F", "iss=http%3A%2F%2Fevil.example%2F");
    assert_ne!(elsewhere, link);
    assert!(matches!(attempt.finish(came_back(&elsewhere)).await, Err(SignInError::WrongReturn)));

    let attempt = begin().await;
    let link = scene.press(attempt.page(), false).await;
    assert!(matches!(attempt.finish(came_back(&link)).await, Err(SignInError::Denied)));
    let attempt = begin().await;
    let link = scene.press(attempt.page(), true).await.replace("code=fmb_", "code=fmb_x");
    assert!(matches!(attempt.finish(came_back(&link)).await, Err(SignInError::TurnedDown)));

    // From the app's side: it signs itself out.
    app.sign_out().await.expect("it may");
    assert_eq!(app.me().await.expect_err("it is signed out").status(), Some(401));
}

async fn a_code_is_exchanged_once_however_many_try(database: Database) {
    let scene = Scene::new(Folder::new(), Setting::on(database)).await;
    // The two of RFC 7636, appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let mut page = Url::parse(&format!("{}/authorize", scene.server.url)).expect("an address");
    page.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", "foreman-cli"),
        ("redirect_uri", "http://127.0.0.1:41234/back"),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ]);
    let back = Url::parse(&scene.press(page.as_str(), true).await).expect("an address");
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
    let mut form = Url::parse("http://form/").expect("an address");
    form.query_pairs_mut().extend_pairs([
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://127.0.0.1:41234/back"),
        ("client_id", "foreman-cli"),
        ("code_verifier", verifier),
    ]);
    let exchange = || async {
        let request =
            http::client().expect("a client").post(format!("{}/api/v1/auth/token", scene.server.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form.query().expect("fields").to_owned()).send().await.expect("an answer");
        (answer.status(), answer.json::<Value>().await.expect("JSON"))
    };
    let all = tokio::join!(exchange(), exchange(), exchange());
    let all = [all.0, all.1, all.2];
    let won: Vec<_> = all.iter().filter(|(status, _)| *status == StatusCode::OK).collect();
    let [(_, token)] = won.as_slice() else { panic!("{all:?}") };
    // Two had it, so nobody keeps what it gave.
    let bearer = token["access_token"].as_str().expect("a token");
    let me = Foreman::new(&scene.server.url, bearer).expect("a client").me().await;
    assert_eq!(me.expect_err("it was taken back").status(), Some(401));
}

/// `foreman login --browser` where a browser is a program that notes what it is asked to open.
async fn login(scene: &Scene, screen: bool) -> (Program, Said) {
    let programs = scene.folder.join("programs");
    fs::create_dir_all(&programs).expect("a folder");
    let browser = programs.join("xdg-open");
    let note = scene.folder.join("opened");
    fs::write(&browser, format!("#!/bin/sh\nprintf %s \"$1\" > '{}'\n", note.display())).expect("a program");
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).expect("it may run");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = scene.command(&["login", &scene.server.url, "--browser"]);
    command.env("PATH", format!("{}:{path}", programs.display()));
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"] {
        command.env_remove(name);
    }
    if screen {
        command.env("DISPLAY", ":0");
    }
    let said = Said::default();
    (Program::start("foreman login", command, said.clone(), ""), said)
}

async fn opened(scene: &Scene) -> String {
    let note = scene.folder.join("opened");
    eventually("the browser is opened", || async {
        fs::read_to_string(&note).ok().filter(|page| page.contains("client_name="))
    })
    .await
}

async fn get(address: &str, host: Option<&str>) -> (StatusCode, String) {
    let mut request = http::client().expect("a client").get(address);
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.text().await.expect("a page"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_line_is_signed_in_by_the_browser_and_hears_nothing_else() {
    let scene = Scene::new(Folder::new(), Setting::on(Database::Sqlite)).await;
    let (mut login, said) = login(&scene, true).await;
    let page = opened(&scene).await;
    let back = scene.press(&page, true).await;
    let url = Url::parse(&back).expect("an address");
    assert_eq!((url.host_str(), url.path()), (Some("127.0.0.1"), "/signed-in"), "{back}");

    // Others on this machine, and pages that point their own name at it.
    let other_state = back.replace("state=", "state=x");
    for (address, host) in [
        (other_state.as_str(), None),
        (back.split('?').next().expect("a path"), None),
        (back.as_str(), Some("evil.example")),
        (&back.replace("/signed-in?", "/?"), None),
    ] {
        let (status, text) = get(address, host).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{address}");
        assert!(text.contains("Nothing waits for this"));
    }
    assert!(login.runs(), "{}", said.text());

    let (status, text) = get(&back, None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("Go back to your terminal"), "{text}");
    assert!(login.ended().await.success(), "{}", said.text());
    let said = said.text();
    assert!(said.contains("(operator)"), "{said}");
    let store = Store::at(scene.folder.join("config/foreman"), scene.folder.join("data/foreman"));
    let kept = store.sign_in().expect("readable").expect("it is kept");
    assert!(!said.contains(&kept.token), "the token is not for the screen");
    let (signed_in, devices) = scene.devices().await;
    assert!(signed_in, "{devices}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_line_is_told_of_a_refusal_and_shows_a_code_where_there_is_no_browser() {
    let scene = Scene::new(Folder::new(), Setting::on(Database::Sqlite)).await;
    let (mut denied, said) = login(&scene, true).await;
    let back = scene.press(&opened(&scene).await, false).await;
    let (_, text) = get(&back, None).await;
    assert!(text.contains("Not signed in"), "{text}");
    assert!(!denied.ended().await.success());
    assert!(said.text().contains("the request was turned away. Nothing was changed"), "{}", said.text());

    let (mut without, _) = login(&scene, false).await;
    without.line("no browser can be opened on this machine, so a code is shown instead").await;
    without.line("compare the code: ").await;
}
