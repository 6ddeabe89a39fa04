//! When a pass is asked for, kept and forgotten, with a server that speaks HTTP.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use foreman_protocol::Problem;
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use super::*;

const NAME: &str = "spark-3f9e.example.org";

#[derive(Clone, Default)]
struct Gate(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// The name and the secret that the server has for the device.
    has: Option<(String, String)>,
    asked: usize,
}

impl Gate {
    fn has(&self, hostname: &str, secret: &str) {
        self.0.lock().unwrap().has = Some((hostname.to_owned(), secret.to_owned()));
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }
}

async fn answer(State(gate): State<Gate>) -> axum::response::Response {
    let mut inner = gate.0.lock().unwrap();
    inner.asked += 1;
    match &inner.has {
        Some((hostname, secret)) => {
            Json(json!({ "hostname": hostname, "client_id": "id.access", "client_secret": secret }))
                .into_response()
        }
        None => {
            let problem = Problem::new(ProblemCode::NotFound, "gone", None);
            (StatusCode::NOT_FOUND, Json(problem)).into_response()
        }
    }
}

struct Scene {
    gate: Gate,
    server: Foreman,
    serving: JoinHandle<()>,
    store: Store,
    device: DeviceId,
    _folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let gate = Gate::default();
        gate.has(NAME, "first");
        let router =
            Router::new().route("/api/v1/devices/{id}/tunnel/access", get(answer)).with_state(gate.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Foreman::new(&format!("http://{}", listener.local_addr().unwrap()), "t").unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("config"), folder.path().join("data"));
        Self { gate, server, serving, store, device: DeviceId::fresh(), _folder: folder }
    }

    /// As another program of this user has them.
    fn passes(&self, server: Option<&Foreman>) -> Passes {
        Passes::new(self.device, Some(self.store.clone()), server.cloned())
    }

    fn kept(&self) -> Option<String> {
        self.store.pass(self.device).unwrap().map(|pass| pass.client_secret.to_string())
    }
}

fn secret(pass: Result<Pass, String>) -> String {
    pass.unwrap().client_secret.to_string()
}

#[tokio::test]
async fn a_pass_is_asked_for_once_and_serves_without_a_server() {
    let scene = Scene::new().await;
    let passes = scene.passes(Some(&scene.server));
    let (one, other) = tokio::join!(passes.pass(NAME, None), passes.pass(NAME, None));
    assert_eq!((secret(one), secret(other)), ("first".to_owned(), "first".to_owned()));
    assert_eq!(scene.gate.asked(), 1);
    let alone = scene.passes(None);
    let pass = alone.pass(NAME, None).await.unwrap();
    let headers = pass.headers();
    assert_eq!(headers["cf-access-client-id"], "id.access");
    assert!(headers.values().all(HeaderValue::is_sensitive), "nothing prints them");
    // Shown to nobody else.
    assert_eq!(alone.pass("other.example.org", None).await.unwrap_err(), NOT_ASKED);
}

#[tokio::test]
async fn one_that_is_not_taken_is_asked_for_anew_and_not_shown_again() {
    let scene = Scene::new().await;
    let passes = scene.passes(Some(&scene.server));
    let first = passes.pass(NAME, None).await.unwrap();
    assert_eq!(passes.pass(NAME, Some(&first)).await.unwrap_err(), SHUT, "the server has no other one");
    scene.gate.has(NAME, "second");
    let second = passes.pass(NAME, Some(&first)).await.unwrap();
    assert_eq!((&**second.client_secret, scene.kept().as_deref()), ("second", Some("second")));
    // Another program knows the first one still, and finds what this one kept before it asks anybody.
    let asked = scene.gate.asked();
    assert_eq!(secret(scene.passes(Some(&scene.server)).pass(NAME, Some(&first)).await), "second");
    assert_eq!(scene.gate.asked(), asked);
    assert_eq!(scene.passes(None).pass(NAME, Some(&second)).await.unwrap_err(), SHUT);
}

#[tokio::test]
async fn a_server_that_gives_none_takes_the_one_before_along_and_one_that_is_away_does_not() {
    let scene = Scene::new().await;
    let passes = scene.passes(Some(&scene.server));
    let first = passes.pass(NAME, None).await.unwrap();
    *scene.gate.0.lock().unwrap() = Inner::default();
    let said = passes.pass(NAME, Some(&first)).await.unwrap_err();
    assert!(said.contains("gone") && !said.contains("first"), "{said}");
    assert_eq!(scene.kept(), None);

    scene.gate.has(NAME, "second");
    let second = passes.pass(NAME, None).await.unwrap();
    scene.serving.abort();
    let _ = scene.serving.await;
    let (again, nobody) = (passes.pass(NAME, None).await, passes.pass(NAME, Some(&second)).await);
    assert_eq!(secret(again), "second");
    assert!(nobody.unwrap_err().starts_with("the server gave no pass"));
    let kept = scene.store.pass(scene.device).unwrap();
    assert_eq!(kept, Some(second), "it may be good again");
}

#[tokio::test]
async fn what_will_be_needed_is_there_before_and_goes_with_the_tunnel() {
    let scene = Scene::new().await;
    let passes = scene.passes(Some(&scene.server));
    passes.look_ahead(Some(NAME)).await;
    passes.look_ahead(Some(NAME)).await;
    assert_eq!((scene.kept().as_deref(), scene.gate.asked()), (Some("first"), 1));
    // The tunnel was made anew under another name.
    scene.gate.has("spark-77aa.example.org", "second");
    passes.look_ahead(Some("spark-77aa.example.org")).await;
    assert_eq!((scene.kept().as_deref(), scene.gate.asked()), (Some("second"), 2));
    assert_eq!(secret(passes.pass("spark-77aa.example.org", None).await), "second");
    // A day later it is compared with the server's.
    let mut old = scene.store.pass(scene.device).unwrap().unwrap();
    old.asked_at = 0;
    scene.store.keep_pass(scene.device, scene.server.url(), &old).unwrap();
    passes.look_ahead(Some("spark-77aa.example.org")).await;
    assert_eq!(scene.gate.asked(), 3);
    passes.look_ahead(None).await;
    assert_eq!(scene.kept(), None);
}

#[test]
fn what_access_answers_is_told_from_what_the_device_and_the_edge_answer() {
    let from = |status| Error::from_answer(status, b"");
    for status in [302, 307, 401, 403] {
        assert!(is_shut(&from(status)), "{status}");
    }
    // A tunnel that is down, a name without one, an agent that answers.
    for status in [404, 429, 502, 530] {
        assert!(!is_shut(&from(status)), "{status}");
    }
    let problem = json!(Problem::new(ProblemCode::Forbidden, "No.", None));
    assert!(!is_shut(&Error::from_answer(403, problem.to_string().as_bytes())));
}
