//! The SDK against a small server that speaks the contract: what must not be lost or doubled is not.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event as Sse, Sse as SseResponse},
    },
    routing::get,
};
use foreman_client::{Error, Foreman, LiveUpdate, OutputUpdate, PageRequest, Turn};
use foreman_protocol::{DeviceId, ProblemCode, TaskId};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

async fn serve(router: Router) -> Foreman {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Foreman::new(&url, "secret").unwrap()
}

fn device(id: DeviceId, name: &str, version: i64) -> Value {
    json!({"id": id, "name": name, "type": "inference", "status": "online", "status_since": 1, "created_at": 1,
        "version": version})
}

fn event(cursor: i64, device: Value) -> Sse {
    let record = json!({"cursor": cursor, "at": 1, "actor": {"kind": "system"}, "type": "device.updated",
        "data": {"device": device}, "hash": ""});
    Sse::default().event("event").id(cursor.to_string()).json_data(record).unwrap()
}

fn named(name: &str, data: Value) -> Sse {
    Sse::default().event(name).json_data(data).unwrap()
}

fn stream_of(events: Vec<Sse>) -> Response {
    SseResponse::new(stream::iter(events.into_iter().map(Ok::<_, Infallible>))).into_response()
}

#[tokio::test]
async fn lists_are_walked_to_their_end_with_the_bearer() {
    async fn devices(headers: HeaderMap, Query(query): Query<Vec<(String, String)>>) -> Response {
        assert_eq!(headers["authorization"], "Bearer secret");
        let cursor = query.iter().find(|(key, _)| key == "cursor").map(|(_, value)| value.as_str());
        let (count, next) = match cursor {
            None => (2, Some("a b&")),
            Some("a b&") => (1, Some("c")),
            Some(_) => (0, None),
        };
        let items: Vec<_> = (0..count).map(|_| device(DeviceId::fresh(), "d", 1)).collect();
        Json(json!({"items": items, "next": next})).into_response()
    }
    let foreman = serve(Router::new().route("/api/v1/devices", get(devices))).await;
    let all: Vec<_> = foreman.devices(&Default::default()).try_collect().await.unwrap();
    assert_eq!(all.len(), 3);
    let page = foreman.devices_page(&Default::default(), &PageRequest::default()).await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (2, Some("a b&")));
}

#[tokio::test]
async fn problems_keep_their_code() {
    let body =
        json!({"type": "urn:foreman:problem:not_found", "status": 404, "code": "not_found", "detail": "No."});
    let answer = move || async move { (StatusCode::NOT_FOUND, Json(body)) };
    let foreman = serve(Router::new().route("/api/v1/devices/{id}", get(answer))).await;
    let error = foreman.device(DeviceId::fresh()).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::NotFound));
    let foreign: Error = foreman.server().await.unwrap_err();
    assert_eq!((foreign.code(), foreign.status()), (None, Some(404)));
}

/// The second snapshot is newer than the events replayed after it.
#[tokio::test]
async fn a_mirror_takes_the_snapshot_after_the_stream_and_never_goes_back() {
    let id = DeviceId::fresh();
    let turns = Arc::new(AtomicUsize::new(0));
    let opened = turns.clone();
    let events = move |headers: HeaderMap| async move {
        let ready = json!({"cursor": 5, "server_time": 1, "version": "0"});
        match opened.fetch_add(1, SeqCst) {
            0 => stream_of(vec![
                named("ready", ready),
                event(6, device(id, "older than the snapshot", 6)),
                event(8, device(id, "newer", 8)),
                named("surprise", json!({})),
                named("sample", json!({"device_id": id, "at": 9, "sample": {"cpu_percent": 50.0}})),
            ]),
            _ => {
                assert_eq!(headers["last-event-id"], "8");
                stream_of(vec![named("reset", ready)])
            }
        }
    };
    let listed = turns.clone();
    let devices = move |State(()): State<()>| async move {
        assert!(listed.load(SeqCst) > 0, "the stream comes first");
        Json(json!({"items": [device(id, "snapshot", 7)]}))
    };
    let none = || async { Json(json!({"items": []})) };
    let router = Router::new()
        .route("/api/v1/events", get(events))
        .route("/api/v1/devices", get(devices))
        .route("/api/v1/tasks", get(none));
    let mut live = serve(router.with_state(())).await.live();

    assert!(matches!(live.next().await.unwrap(), Turn::Snapshot));
    assert_eq!(live.mirror().devices[&id].name, "snapshot");
    assert!(matches!(live.next().await.unwrap(), Turn::Event(record) if record.cursor == 8));
    assert_eq!(live.mirror().devices[&id].name, "newer");
    assert!(matches!(live.next().await.unwrap(), Turn::Sample(_)));
    assert_eq!(live.mirror().devices[&id].latest.as_ref().unwrap().cpu_percent, 50.0);
    assert!(matches!(live.next().await.unwrap(), Turn::Lost { .. }));
    assert!(matches!(live.next().await.unwrap(), Turn::Snapshot));
    assert_eq!(live.mirror().devices[&id].name, "snapshot");
}

#[tokio::test]
async fn a_stream_that_is_opened_anew_goes_on_where_the_silent_one_stood() {
    let id = DeviceId::fresh();
    let turns = Arc::new(AtomicUsize::new(0));
    let opened = turns.clone();
    let events = move |headers: HeaderMap| async move {
        let ready = named("ready", json!({"cursor": 5, "server_time": 1, "version": "0"}));
        let told = match opened.fetch_add(1, SeqCst) {
            0 => vec![ready, event(6, device(id, "before", 6))],
            _ => {
                assert_eq!(headers["last-event-id"], "6");
                vec![ready, event(7, device(id, "missed", 7))]
            }
        };
        // It stays open and says nothing more, as one whose other end went away while this machine slept.
        let told = stream::iter(told.into_iter().map(Ok::<_, Infallible>)).chain(stream::pending());
        SseResponse::new(told).into_response()
    };
    let devices = move || async move { Json(json!({"items": [device(id, "snapshot", 5)]})) };
    let none = || async { Json(json!({"items": []})) };
    let router = Router::new()
        .route("/api/v1/events", get(events))
        .route("/api/v1/devices", get(devices))
        .route("/api/v1/tasks", get(none));
    let mut live = serve(router).await.live();

    assert!(matches!(live.next().await.unwrap(), Turn::Snapshot));
    assert!(matches!(live.next().await.unwrap(), Turn::Event(record) if record.cursor == 6));
    live.reopen();
    assert!(matches!(live.next().await.unwrap(), Turn::Resumed));
    assert!(matches!(live.next().await.unwrap(), Turn::Event(record) if record.cursor == 7));
    assert_eq!(live.mirror().devices[&id].name, "missed");
    assert_eq!(turns.load(SeqCst), 2);
}

#[tokio::test]
async fn an_event_of_the_future_is_passed_on_and_does_not_stop_the_stream() {
    let record = json!({"cursor": 1, "at": 1, "actor": {"kind": "system"}, "type": "device.levitated", "data": {},
        "hash": ""});
    let events = move || async move {
        stream_of(vec![named("event", record), event(2, device(DeviceId::fresh(), "d", 2))])
    };
    let mut events = serve(Router::new().route("/api/v1/events", get(events))).await.events(None);
    assert!(matches!(events.next().await, LiveUpdate::Unknown { name, .. } if name == "event"));
    assert!(matches!(events.next().await, LiveUpdate::Event(record) if record.cursor == 2));
}

#[tokio::test]
async fn output_is_given_once_across_a_loss_that_repeats_some() {
    let turns = Arc::new(AtomicUsize::new(0));
    let chunk = |offset: u64, data: &str, id: u64| {
        named("output", json!({"offset": offset, "data": data})).id(id.to_string())
    };
    let output = move |headers: HeaderMap| async move {
        match turns.fetch_add(1, SeqCst) {
            // "abc" then "def", which is never heard of as a whole: the stream ends here.
            0 => stream_of(vec![chunk(0, "YWJj", 3)]),
            _ => {
                assert_eq!(headers["last-event-id"], "3");
                let task = json!({"id": TaskId::fresh(), "device_id": DeviceId::fresh(), "command": {"shell": "x"},
                    "state": "succeeded", "requested_by": {"kind": "host"}, "created_at": 1, "output_bytes": 9,
                    "output_start": 0, "version": 3});
                stream_of(vec![
                    chunk(1, "YmNkZWY=", 6),
                    named("ping", json!({"server_time": 1})),
                    named("gap", json!({"from": 6, "to": 8})),
                    chunk(8, "aQ==", 9),
                    named("end", task),
                ])
            }
        }
    };
    let foreman = serve(Router::new().route("/api/v1/tasks/{id}/output", get(output))).await;
    let updates: Vec<_> = foreman.live_output(TaskId::fresh(), 0).collect().await;
    let mut said = String::new();
    for update in &updates {
        match update {
            OutputUpdate::Bytes { offset, data } => {
                said += &format!("{offset}:{} ", String::from_utf8_lossy(data));
            }
            OutputUpdate::Gap(gap) => said += &format!("gap {}-{} ", gap.from, gap.to),
            OutputUpdate::Lost { .. } => said += "lost ",
            OutputUpdate::Ended(task) => said += task.state.as_str(),
        }
    }
    assert_eq!(said, "0:abc lost 3:def gap 6-8 8:i succeeded");
}
