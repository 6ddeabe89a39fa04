//! A device's own API through the server, over the real link to a device that serves a small one.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};
use foreman_protocol::{Hello, Level, Problem, ProblemCode};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::device::TestDevice;
use crate::{
    accounts::owner,
    running::{Running, json, problem},
};

type Lines = mpsc::UnboundedReceiver<Result<Bytes, Infallible>>;

/// What the device was sent and what it is to say.
#[derive(Clone, Default)]
struct Said {
    uploads: Arc<Mutex<Vec<usize>>>,
    lines: Arc<Mutex<Option<Lines>>>,
}

fn api(said: &Said) -> Router {
    let (uploads, lines) = (said.uploads.clone(), said.lines.clone());
    Router::new()
        .route("/hello", get(|headers: HeaderMap| async move { Json(names(&headers)) }))
        .route("/terminals", post(|body: Bytes| async move { (StatusCode::CREATED, body) }))
        .route("/files/content", get(content))
        .route("/page", get(page))
        .route("/forward", post(|body: Body| async move { body }))
        .route("/uploads", post(|| async { Body::from_stream(begun()) }))
        .route(
            "/refused",
            get(|| async {
                let problem =
                    Problem::new(ProblemCode::PolicyForbids, "No.", Some(json!({ "setting": "ALLOW_READ" })));
                (StatusCode::FORBIDDEN, [("content-type", "application/problem+json")], Json(problem))
            }),
        )
        .route(
            "/logs/stream",
            get(move || async move {
                let lines = lines.lock().await.take().unwrap();
                let body = Body::from_stream(UnboundedReceiverStream::new(lines));
                ([("content-type", "text/event-stream")], body)
            }),
        )
        .route(
            "/uploads/{id}",
            patch(move |body: Body| async move {
                let mut pieces = body.into_data_stream();
                while let Some(piece) = pieces.next().await {
                    uploads.lock().await.push(piece.unwrap().len());
                }
                StatusCode::NO_CONTENT
            }),
        )
}

fn names(headers: &HeaderMap) -> Vec<String> {
    headers.keys().map(ToString::to_string).collect()
}

async fn content(headers: HeaderMap, request: Request) -> Response {
    assert_eq!(request.uri().query(), Some("path=%2Fvar%2Flog%2Fa%20b"));
    let range = headers.get("range").map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(range.as_deref(), Some("bytes=2-5"));
    let extra = [
        ("content-range", "bytes 2-5/10"),
        ("content-type", "text/plain"),
        ("etag", "\"e\""),
        ("content-disposition", "attachment; filename=\"b\""),
        ("set-cookie", "foreman_session=stolen"),
        ("access-control-allow-origin", "*"),
        ("x-else", "x"),
    ];
    (StatusCode::PARTIAL_CONTENT, extra, "2345").into_response()
}

async fn page() -> Response {
    let policy = ("content-security-policy", "default-src *");
    ([("content-type", "text/html"), policy], "<script>alert(1)</script>".repeat(100)).into_response()
}

/// A first piece of something that goes on for ever.
fn begun() -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    let first = futures_util::stream::once(async { Ok(Bytes::from_static(b"begun")) });
    first.chain(futures_util::stream::pending())
}

struct Scene {
    server: Running,
    admin: String,
    operator: String,
    device: TestDevice,
    said: Said,
    hellos: mpsc::UnboundedReceiver<Hello>,
}

async fn scene() -> Scene {
    let server = Running::fresh();
    let admin = server.token("admin");
    let operator = server.token("operator");
    let device = TestDevice::join(&server, &admin).await;
    device.tell(Some(device.link(1, Some(Level::Operate)))).await;
    let said = Said::default();
    let hellos = device.serve(device.listen().await, api(&said));
    Scene { server, admin, operator, device, said, hellos }
}

impl Scene {
    fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.server.request(method, &self.device.path(&format!("link/{path}"))).bearer_auth(&self.operator)
    }
}

#[tokio::test]
async fn the_devices_answers_come_as_they_are_and_bring_nothing_along() {
    let mut scene = scene().await;
    let content = scene
        .ask(Method::GET, "files/content?path=%2Fvar%2Flog%2Fa%20b")
        .header("range", "bytes=2-5")
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(content.status(), StatusCode::PARTIAL_CONTENT);
    let headers = content.headers().clone();
    for (name, value) in [("content-range", "bytes 2-5/10"), ("etag", "\"e\""), ("content-length", "4")] {
        assert_eq!(headers[name], value);
    }
    assert!(headers.contains_key("content-disposition"));
    for name in ["set-cookie", "access-control-allow-origin", "x-else", "content-encoding"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(content.text().await.unwrap(), "2345");

    let hello = scene.hellos.recv().await.unwrap();
    assert_eq!((hello.path.as_str(), hello.on_behalf_of.as_deref()), ("server", Some("operator (token)")));
    let reached = scene.ask(Method::GET, "hello").header("cookie", "x=y").header("x-forwarded-for", "x");
    let names = json(reached.body("read by nobody")).await;
    let names: Vec<_> = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["accept"], "nothing but what the device needs");
    assert!(scene.hellos.try_recv().is_err(), "both went over one link");

    let posted = scene.ask(Method::POST, "terminals").json(&json!({ "cols": 80 })).send().await.unwrap();
    assert_eq!(
        (posted.status(), posted.text().await.unwrap().as_str()),
        (StatusCode::CREATED, "{\"cols\":80}")
    );
    let head = scene.ask(Method::HEAD, "hello").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(
        problem(scene.ask(Method::GET, "refused")).await,
        (StatusCode::FORBIDDEN, "policy_forbids".to_owned())
    );
    assert_eq!(scene.ask(Method::GET, "nothing").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    // Last, as its connection is not used again: not all of it was read.
    let large = scene.ask(Method::POST, "terminals").body(vec![0; 300_000]);
    assert_eq!(problem(large).await.1, "too_large");
}

#[tokio::test]
async fn a_devices_page_runs_nothing_on_our_address() {
    let scene = scene().await;
    let page = scene.ask(Method::GET, "page").header("accept-encoding", "gzip").send().await.unwrap();
    let policies: Vec<_> = page.headers().get_all("content-security-policy").iter().collect();
    assert!(policies.iter().any(|policy| policy.to_str().unwrap().contains("sandbox")), "{policies:?}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    assert!(!page.headers().contains_key("content-encoding"));
    let script = scene.ask(Method::GET, "page").header("sec-fetch-dest", "script");
    assert_eq!(problem(script).await.1, "forbidden");
}

#[tokio::test]
async fn live_streams_come_line_by_line_and_end_with_the_server() {
    let mut scene = scene().await;
    let (lines, receiver) = mpsc::unbounded_channel();
    *scene.said.lines.lock().await = Some(receiver);
    let asked = scene.ask(Method::GET, "logs/stream").header("accept-encoding", "gzip");
    let mut stream = asked.send().await.unwrap();
    assert_eq!(stream.headers()["x-accel-buffering"], "no");
    for line in ["event: line\ndata: 1\n\n", "event: line\ndata: 2\n\n"] {
        lines.send(Ok(Bytes::from(line))).unwrap();
        assert_eq!(stream.chunk().await.unwrap().unwrap(), line.as_bytes());
    }
    let stopping = tokio::task::spawn_blocking(move || scene.server.terminate());
    assert_eq!(stream.chunk().await.unwrap(), None);
    assert_eq!(stopping.await.unwrap(), Some(0));
}

#[tokio::test]
async fn an_upload_of_any_size_flows_without_being_kept() {
    let scene = scene().await;
    let (pieces, receiver) = mpsc::unbounded_channel::<Result<Bytes, Infallible>>();
    let body = reqwest::Body::wrap_stream(UnboundedReceiverStream::new(receiver));
    let request =
        scene.ask(Method::PATCH, "uploads/01a1fd32-31ab-7322-b26a-bc705ba312b0?offset=0").body(body);
    let upload = tokio::spawn(request.send());
    pieces.send(Ok(Bytes::from_static(b"first"))).unwrap();
    // The device has the first piece while the rest is not even made.
    journeys::eventually("the first piece", || async { scene.said.uploads.lock().await.first().copied() })
        .await;
    for _ in 0..64 {
        pieces.send(Ok(Bytes::from(vec![1; 64 * 1024]))).unwrap();
    }
    drop(pieces);
    assert_eq!(upload.await.unwrap().unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(scene.said.uploads.lock().await.iter().sum::<usize>(), 5 + 64 * 64 * 1024);
}

#[tokio::test]
async fn roles_and_accounts_are_checked_before_the_device_is_asked() {
    let mut scene = scene().await;
    let viewer = scene.server.token("viewer");
    let path = scene.device.path("link/terminals");
    let post = scene.server.post(&path, json!({})).bearer_auth(&viewer);
    assert_eq!(problem(post).await.1, "forbidden");
    let delete = scene.server.request(Method::DELETE, &path).bearer_auth(&viewer);
    assert_eq!(problem(delete).await.1, "forbidden");
    assert_eq!(problem(scene.server.get(&path)).await.1, "unauthenticated");
    let as_device = scene.server.get(&path).bearer_auth(&scene.device.bearer);
    assert_eq!(problem(as_device).await.1, "unauthenticated");
    let other = "/api/v1/devices/01a1fd32-31ab-7322-b26a-bc705ba312b0/link/hello";
    assert_eq!(problem(scene.server.get(other).bearer_auth(&scene.operator)).await.1, "not_found");
    assert!(scene.hellos.try_recv().is_err(), "none of them reached the device");

    let get = scene.server.get(&scene.device.path("link/hello")).bearer_auth(&viewer);
    assert_eq!(get.send().await.unwrap().status(), StatusCode::OK);
    // Each person has a link of their own, so the device knows whom it serves.
    scene.ask(Method::GET, "hello").send().await.unwrap();
    let names = [scene.hellos.recv().await.unwrap(), scene.hellos.recv().await.unwrap()]
        .map(|hello| hello.on_behalf_of.unwrap());
    assert_eq!(names, ["viewer (token)", "operator (token)"]);
}

#[tokio::test]
async fn a_device_that_lets_the_server_do_everything_lets_each_person_do_what_their_role_says() {
    let mut scene = scene().await;
    scene.device.tell(Some(scene.device.link(1, Some(Level::Admin)))).await;
    let viewer = scene.server.token("viewer");
    for (bearer, most) in
        [(&viewer, Level::View), (&scene.operator, Level::Operate), (&scene.admin, Level::Admin)]
    {
        let path = scene.device.path("link/hello");
        let answer = scene.server.get(&path).bearer_auth(bearer).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let hello = scene.hellos.recv().await.unwrap();
        assert_eq!(hello.at_most, Some(most));
        assert!(hello.on_behalf_of_id.unwrap().starts_with("token 0"), "names repeat");
    }
    // One whose agent does not know of that is not used for more than the role allows.
    let mut old = TestDevice::join(&scene.server, &scene.admin).await;
    old.is_old = true;
    old.tell(Some(old.link(1, Some(Level::Admin)))).await;
    let _hellos = old.serve(old.listen().await, api(&Said::default()));
    let ask = |bearer: &str| scene.server.get(&old.path("link/hello")).bearer_auth(bearer);
    assert_eq!(problem(ask(&scene.operator)).await, (StatusCode::FORBIDDEN, "forbidden".to_owned()));
    for bearer in [&viewer, &scene.admin] {
        assert_eq!(ask(bearer).send().await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_open_ends_when_its_token_is_revoked_or_its_person_signs_out() {
    let scene = scene().await;
    let server = &scene.server;
    let cookie = owner(server).await;
    let made = server.post("/api/v1/tokens", json!({ "name": "ci", "role": "operator" }));
    let made = json(made.header("cookie", &cookie)).await;
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let task = server.post(&scene.device.path("tasks"), json!({ "program": "true" }));
    let task = json(task.bearer_auth(&scene.admin)).await;
    let output = format!("/api/v1/tasks/{}/output", task["id"].as_str().unwrap());
    let link = |rest: &str| scene.device.path(&format!("link/{rest}"));
    let (_typing, typed) = mpsc::unbounded_channel::<Result<Bytes, Infallible>>();
    _typing.send(Ok(Bytes::from_static(b"begun"))).unwrap();
    let typed = reqwest::Body::wrap_stream(UnboundedReceiverStream::new(typed));

    let (lines, receiver) = mpsc::unbounded_channel();
    *scene.said.lines.lock().await = Some(receiver);
    lines.send(Ok(Bytes::from_static(b"event: line\ndata: 1\n\n"))).unwrap();
    let from_page = |request: reqwest::RequestBuilder| request.header("cookie", &cookie);
    let from_program = |request: reqwest::RequestBuilder| request.header("authorization", &bearer);
    let mut of_page = Vec::new();
    for request in [server.get("/api/v1/events"), server.get(&link("logs/stream")), server.get(&output)] {
        of_page.push(opened(from_page(request.header("accept", "text/event-stream"))).await);
    }
    let mut of_program = Vec::new();
    for request in [server.get("/api/v1/events"), server.get(&output)] {
        of_program.push(opened(from_program(request.header("accept", "text/event-stream"))).await);
    }
    let mut forward = opened(from_program(server.post(&link("forward"), json!({})).body(typed))).await;
    let mut download = opened(from_program(server.post(&link("uploads"), json!({})))).await;
    // Still on its way to the device.
    let (_sending, sent) = mpsc::unbounded_channel::<Result<Bytes, Infallible>>();
    let sent = reqwest::Body::wrap_stream(UnboundedReceiverStream::new(sent));
    let upload = from_program(server.request(Method::PATCH, &link("uploads/1")).body(sent));
    let upload = tokio::spawn(upload.send());

    let token = format!("/api/v1/tokens/{}", made["token"]["id"].as_str().unwrap());
    let revoked = from_page(server.request(Method::DELETE, &token)).send().await.unwrap();
    assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
    for stream in &mut of_program {
        while soon(stream.chunk()).await.unwrap().is_some() {}
    }
    // What has an end of its own breaks instead of seeming whole.
    for stream in [&mut forward, &mut download] {
        assert!(soon(stream.chunk()).await.is_err());
    }
    assert_eq!(soon(upload).await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);

    let out = from_page(server.request(Method::DELETE, "/api/v1/session")).send().await.unwrap();
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    for stream in &mut of_page {
        while soon(stream.chunk()).await.unwrap().is_some() {}
    }
}

/// An answer that began.
async fn opened(request: reqwest::RequestBuilder) -> reqwest::Response {
    let mut answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    if answer.url().path().ends_with("/output") {
        return answer;
    }
    assert!(answer.chunk().await.unwrap().is_some());
    answer
}

/// Well before the server looks again by itself whether somebody still may, which is once a minute.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(20), what).await.expect("it ends")
}

#[tokio::test]
async fn without_the_devices_trust_or_presence_it_is_said_why() {
    let scene = scene().await;
    let shy = TestDevice::join(&scene.server, &scene.admin).await;
    let _listening = shy.listen().await;
    let ask = |device: &TestDevice| scene.server.get(&device.path("link/hello")).bearer_auth(&scene.operator);
    assert_eq!(problem(ask(&shy)).await, (StatusCode::FORBIDDEN, "server_not_trusted".to_owned()));
    shy.tell(Some(shy.link(1, None))).await;
    assert_eq!(problem(ask(&shy)).await.1, "server_not_trusted");

    let away = TestDevice::join(&scene.server, &scene.admin).await;
    away.tell(Some(away.link(1, Some(Level::View)))).await;
    let answer = ask(&away).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["code"], "device_unreachable");
    assert!(said["detail"].as_str().unwrap().contains("last heard"), "{said}");
}

#[tokio::test]
async fn a_link_that_was_lost_is_opened_again() {
    let mut scene = scene().await;
    assert_eq!(scene.ask(Method::GET, "hello").send().await.unwrap().status(), StatusCode::OK);
    scene.hellos.recv().await.unwrap();
    // The device comes back under the same identity: what was open breaks.
    scene.device.break_links();
    assert_eq!(scene.ask(Method::GET, "hello").send().await.unwrap().status(), StatusCode::OK);
    scene.hellos.recv().await.unwrap();
}
