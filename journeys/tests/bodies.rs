//! Every endpoint of the published description, with every kind of body: never a failure of the server, always a
//! problem that programs can read, never a hang.

use std::{sync::Arc, time::Duration};

use journeys::{
    database::Database,
    long,
    stack::{Folder, Server, Setting, new_device},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use reqwest::{Client, Method, header::CONTENT_TYPE};
use serde_json::Value;

/// One operation of the API description.
#[derive(Debug, Clone)]
struct Operation {
    method: Method,
    path: String,
    /// Names of the properties that bodies of this API have, as a hint for what to send.
    query: Vec<String>,
}

async fn operations(client: &Client, url: &str) -> (Vec<Operation>, Vec<String>) {
    let answer =
        client.get(format!("{url}/api/openapi.json")).send().await.expect("the server describes itself");
    let description: Value = answer.json().await.expect("JSON");
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let query = query.filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned())).collect();
            operations.push(Operation { method, path: path.clone(), query });
        }
    }
    let mut names: Vec<String> = Vec::new();
    collect_property_names(&description["components"]["schemas"], &mut names);
    names.sort();
    names.dedup();
    (operations, names)
}

fn collect_property_names(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                names.extend(properties.keys().cloned());
            }
            fields.values().for_each(|value| collect_property_names(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_property_names(item, names)),
        _ => {}
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,12}",
        "\\PC{0,20}",
        Just("\0".to_owned()),
        Just("../../etc/passwd".to_owned()),
        Just("' OR 1=1 --".to_owned()),
        Just("-1".to_owned()),
        Just(i64::MAX.to_string()),
        Just("NaN".to_owned()),
        Just("x".repeat(5000)),
        Just("ü\u{202e}\u{1F600}".to_owned()),
        Just("01928c2e-0000-7000-8000-000000000000".to_owned()),
    ]
}

fn json_value(names: Vec<String>) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        let name = prop_oneof![8 => prop::sample::select(names.clone()), 1 => text()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// What is sent: a body, its type, the ids in the path, the query.
#[derive(Debug, Clone)]
struct Attempt {
    body: Vec<u8>,
    content_type: &'static str,
    ids: Vec<String>,
    query: Vec<(usize, String)>,
    authenticated: bool,
}

fn attempt(names: Vec<String>, known_ids: Vec<String>) -> impl Strategy<Value = Attempt> {
    let body = prop_oneof![
        6 => json_value(names).prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => Just(Vec::new()),
        1 => Just(b"[".repeat(20_000)),
        1 => Just(vec![b' '; 3 * 1024 * 1024]),
    ];
    let content_type = prop_oneof![
        8 => Just("application/json"),
        1 => Just("text/plain"),
        1 => Just("application/octet-stream"),
        1 => Just("application/json; charset=latin-9"),
    ];
    let id = prop_oneof![3 => prop::sample::select(known_ids), 1 => text()];
    let query = prop::collection::vec((0usize..8, text()), 0..4);
    (body, content_type, prop::collection::vec(id, 2), query, prop::bool::weighted(0.9)).prop_map(
        |(body, content_type, ids, query, authenticated)| Attempt {
            body,
            content_type,
            ids,
            query,
            authenticated,
        },
    )
}

/// The path with ids put in, each as one segment whatever it contains.
fn address(url: &str, operation: &Operation, attempt: &Attempt) -> reqwest::Url {
    let mut address = reqwest::Url::parse(url).expect("our server");
    let mut ids = attempt.ids.iter();
    let mut segments = address.path_segments_mut().expect("an http address");
    segments.clear();
    for part in operation.path.split('/').skip(1) {
        let known = if part.starts_with('{') { ids.next().map_or("x", String::as_str) } else { part };
        segments.push(if known.is_empty() { "x" } else { known });
    }
    drop(segments);
    if !operation.query.is_empty() && !attempt.query.is_empty() {
        let pairs =
            attempt.query.iter().map(|(name, value)| (&operation.query[name % operation.query.len()], value));
        address.query_pairs_mut().extend_pairs(pairs);
    }
    address
}

async fn check(client: &Client, url: &str, secret: &str, operation: &Operation, attempt: &Attempt) {
    let address = address(url, operation, attempt);
    let mut request = client
        .request(operation.method.clone(), address.clone())
        .header(CONTENT_TYPE, attempt.content_type)
        .body(attempt.body.clone());
    if attempt.authenticated {
        request = request.bearer_auth(secret);
    }
    let what = format!("{} {address}\n{attempt:?}", operation.method);
    let answer = match tokio::time::timeout(Duration::from_secs(20), request.send()).await {
        Ok(Ok(answer)) => answer,
        // A server may hang up on a body that it will not read to its end.
        Ok(Err(error)) if attempt.body.len() > 1024 * 1024 && !error.is_timeout() => return,
        Ok(Err(error)) => panic!("no answer: {error:?}\n{what}"),
        Err(_) => panic!("it hangs\n{what}"),
    };
    let status = answer.status();
    assert!(!status.is_server_error(), "{status}\n{what}");
    if status.is_client_error() {
        let kind =
            answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{status} as {kind:?}\n{what}");
        let body = answer.bytes().await.expect("a body");
        let problem: foreman_protocol::Problem =
            serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}\n{what}"));
        assert_eq!(problem.status, status.as_u16(), "{what}");
        assert!(!problem.message.is_empty(), "{what}");
    }
    // Streams are accepted and not read: hanging up is fine.
}

async fn no_body_breaks_an_endpoint(database: Database) {
    let folder = Folder::new();
    let mut server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (foreman, secret) = server.client("owner").await;
    let device = new_device(&foreman, "target").await.device.id;
    let task = foreman.start_task(device, &journeys::numbered::shell("true")).await;
    let mut known = vec![device.to_string(), "01928c2e-0000-7000-8000-000000000000".to_owned()];
    known.extend(task.ok().map(|task| task.id.to_string()));
    let client = foreman_link::http::client().expect("a client");
    let (operations, names) = operations(&client, &server.url).await;
    assert!(operations.len() >= 25, "only {} operations are described", operations.len());
    assert!(names.len() > 50, "{names:?}");
    let strategy = attempt(names, known);
    let tries = if long() { 400 } else { 24 };
    let mut runner = TestRunner::new(Config::default());
    let (url, secret) = (Arc::<str>::from(server.url.as_str()), Arc::<str>::from(secret.as_str()));
    for operation in operations {
        // Deleting the target would leave the rest of the tries with nothing to meet.
        let deletes = operation.method == Method::DELETE && operation.path.ends_with("/devices/{id}");
        for _ in 0..tries {
            let mut attempt = strategy.new_tree(&mut runner).expect("a value").current();
            if deletes {
                attempt.ids.iter_mut().for_each(|id| *id = "01928c2e-0000-7000-8000-000000000000".to_owned());
            }
            check(&client, &url, &secret, &operation, &attempt).await;
        }
    }
    assert!(server.program.runs());
    assert!(!server.said.text().contains("panicked"), "{}", server.said.text());
    foreman.device(device).await.expect("the server still works");
}

super::on_both_databases!(no_body_breaks_an_endpoint);
