use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes as Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use serde_json::json;

use super::*;
use crate::Foreman;

const KEY: [u8; 32] = [7; 32];

fn rename(about: &str, name: &str) -> Change {
    Change {
        key: format!("key-of-{about}-{name}-0000"),
        method: "PATCH".to_owned(),
        path: format!("/api/v1/devices/{about}"),
        body: json!({ "name": name }).to_string(),
        about: format!("device {about}"),
        label: json!({ "kind": "rename-device", "name": name }),
    }
}

/// What was asked, and the statuses to answer with; 200 when there are no more.
#[derive(Default)]
struct Heard {
    asked: Vec<(String, String, String)>,
    answers: Vec<u16>,
}

async fn server(heard: Arc<Mutex<Heard>>) -> Foreman {
    async fn take(
        State(heard): State<Arc<Mutex<Heard>>>,
        uri: Uri,
        headers: HeaderMap,
        body: Body,
    ) -> StatusCode {
        let mut heard = heard.lock().unwrap();
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let body = String::from_utf8(body.to_vec()).unwrap();
        heard.asked.push((uri.path().to_owned(), key, body));
        let status = if heard.answers.is_empty() { 200 } else { heard.answers.remove(0) };
        StatusCode::from_u16(status).unwrap()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(take).with_state(heard);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Foreman::new(&url, "a-token").unwrap()
}

async fn drained(outbox: &Outbox, server: &ServerId, foreman: &Foreman) -> Step {
    loop {
        match outbox.send_next(server, foreman).await.unwrap() {
            Step::Settled => {}
            over => return over,
        }
    }
}

fn names(heard: &Arc<Mutex<Heard>>) -> Vec<String> {
    let heard = heard.lock().unwrap();
    heard.asked.iter().map(|(_, _, body)| body[9..body.len() - 2].to_owned()).collect()
}

#[tokio::test]
async fn what_waits_survives_and_is_sent_in_order_to_its_own_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app/outbox.db");
    let (home, work) = (ServerId::fresh(), ServerId::fresh());
    let outbox = Outbox::open(&path, KEY).await.unwrap();
    for (name, at) in [("first", 1), ("second", 2), ("third", 3)] {
        outbox.add(&home, rename("a", name), at).await.unwrap();
    }
    outbox.add(&work, rename("b", "elsewhere"), 4).await.unwrap();
    // The same once more, as by somebody who did not hear that it waits.
    outbox.add(&home, rename("a", "first"), 9).await.unwrap();
    drop(outbox);
    let outbox = Outbox::open(&path, KEY).await.unwrap();
    let waiting = outbox.list(&home).await.unwrap();
    assert_eq!(waiting.iter().map(|one| one.at).collect::<Vec<_>>(), [1, 2, 3]);
    let heard = Arc::<Mutex<Heard>>::default();
    let foreman = server(Arc::clone(&heard)).await;
    assert_eq!(drained(&outbox, &home, &foreman).await, Step::Nothing);
    assert_eq!(names(&heard), ["first", "second", "third"]);
    assert_eq!(heard.lock().unwrap().asked[0].1, "key-of-a-first-0000");
    assert_eq!((outbox.list(&home).await.unwrap().len(), outbox.list(&work).await.unwrap().len()), (0, 1));
    outbox.forget(&work).await.unwrap();
    assert_eq!(outbox.list(&work).await.unwrap(), []);
}

#[tokio::test]
async fn a_refused_one_is_set_aside_and_only_what_depends_on_it_waits() {
    let folder = tempfile::tempdir().unwrap();
    let home = ServerId::fresh();
    let outbox = Outbox::open(&folder.path().join("outbox.db"), KEY).await.unwrap();
    for (about, name) in [("a", "wrong"), ("b", "other"), ("a", "after")] {
        outbox.add(&home, rename(about, name), 1).await.unwrap();
    }
    let heard = Arc::new(Mutex::new(Heard { answers: vec![422], ..Heard::default() }));
    let foreman = server(Arc::clone(&heard)).await;
    assert_eq!(drained(&outbox, &home, &foreman).await, Step::Nothing);
    assert_eq!(names(&heard), ["wrong", "other"]);
    let left = outbox.list(&home).await.unwrap();
    assert_eq!(left[0].refused.as_ref().map(|refusal| refusal.status), Some(422));
    assert_eq!((left[1].change.label["name"].as_str(), &left[1].refused), (Some("after"), &None));
    // Tried again by a person; then what waited behind it goes too.
    outbox.mark(&home, left[0].place, None).await.unwrap();
    assert_eq!(drained(&outbox, &home, &foreman).await, Step::Nothing);
    assert_eq!(names(&heard), ["wrong", "other", "wrong", "after"]);
}

#[tokio::test]
async fn what_may_work_later_holds_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let home = ServerId::fresh();
    let outbox = Outbox::open(&folder.path().join("outbox.db"), KEY).await.unwrap();
    outbox.add(&home, rename("a", "first"), 1).await.unwrap();
    outbox.add(&home, rename("b", "second"), 2).await.unwrap();
    let nobody = Foreman::new("http://127.0.0.1:1", "a-token").unwrap();
    assert_eq!(drained(&outbox, &home, &nobody).await, Step::Later);
    let heard = Arc::new(Mutex::new(Heard { answers: vec![503, 401, 429], ..Heard::default() }));
    let foreman = server(Arc::clone(&heard)).await;
    for _ in 0..3 {
        assert_eq!(drained(&outbox, &home, &foreman).await, Step::Later);
    }
    assert_eq!(drained(&outbox, &home, &foreman).await, Step::Nothing);
    assert_eq!(names(&heard), ["first", "first", "first", "first", "second"]);
}

#[tokio::test]
async fn nothing_of_a_change_can_be_read_from_the_file_and_there_is_an_end_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.db");
    let home = ServerId::fresh();
    let outbox = Outbox::open(&path, KEY).await.unwrap();
    let secret = Change { key: "k".repeat(20), ..rename("whale", "the-whale-sings") };
    outbox.add(&home, secret, 1).await.unwrap();
    let long = Change { key: "k".repeat(16), body: "x".repeat(CHANGE_BYTES * 2), ..rename("a", "long") };
    assert!(matches!(outbox.add(&home, long, 2).await, Err(OutboxError::TooLarge)));
    for count in 1..MOST {
        let change = Change { key: format!("{count:016}"), ..rename("a", "more") };
        outbox.add(&home, change, 3).await.unwrap();
    }
    assert!(matches!(outbox.add(&home, rename("a", "last"), 4).await, Err(OutboxError::Full)));
    outbox.pool.close().await;
    let file = std::fs::read(&path).unwrap();
    for secret in ["the-whale-sings", "rename-device", "PATCH"] {
        assert!(!file.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret}");
    }
    let stranger = Outbox::open(&path, [8; 32]).await.unwrap();
    assert_eq!(stranger.list(&home).await.unwrap(), []);
}

#[tokio::test]
async fn what_another_key_sealed_is_aside_until_that_key_is_there_or_nobody_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path().join("outbox.db"), ServerId::fresh());
    let before = Outbox::open(&path, KEY).await.unwrap();
    before.add(&home, rename("a", "first"), 1).await.unwrap();
    before.add(&home, rename("b", "second"), 2).await.unwrap();
    let outbox = Outbox::open(&path, [8; 32]).await.unwrap();
    outbox.add(&home, rename("a", "third"), 3).await.unwrap();
    let names = async || {
        let all = outbox.list(&home).await.unwrap();
        all.into_iter().map(|one| one.change.body).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((outbox.aside(&home).await.unwrap(), names().await.as_str()), (2, r#"{"name":"third"}"#));
    outbox.take_in(&home, [9; 32]).await.unwrap();
    assert_eq!(outbox.aside(&home).await.unwrap(), 2, "a key that opens nothing takes nothing in");
    before
        .mark(&home, 2, Some(Refusal { status: 409, code: "conflict".to_owned(), message: "no".to_owned() }))
        .await
        .unwrap();
    outbox.take_in(&home, KEY).await.unwrap();
    // In the order in which they were made, and what the server said of them is known still.
    assert_eq!(names().await, r#"{"name":"first"} {"name":"second"} {"name":"third"}"#);
    assert_eq!(outbox.list(&home).await.unwrap()[1].refused.as_ref().unwrap().status, 409);
    assert_eq!((outbox.aside(&home).await.unwrap(), before.aside(&home).await.unwrap()), (0, 3));
    before.forget_aside(&home).await.unwrap();
    assert_eq!(names().await, "");
}
