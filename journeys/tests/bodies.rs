//! Every endpoint of the published description, with every kind of body: never a failure of the server, always a
//! problem that programs can read, never a hang.

use std::{collections::BTreeMap, env, fmt::Write, time::Duration};

use foreman_protocol::ProblemCode;
use journeys::{
    database::Database,
    device::BareDevice,
    long,
    stack::{Folder, Server, Setting, new_device},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use reqwest::{Client, Method, StatusCode, header::CONTENT_TYPE};
use serde_json::{Map, Value};

/// One operation of the API description.
#[derive(Debug, Clone)]
struct Operation {
    method: Method,
    path: String,
    /// Names of the parameters behind `?`.
    query: Vec<String>,
    /// What its body should be, when it wants JSON.
    body: Option<Value>,
}

impl Operation {
    /// Takes away what the other tries need, so it is tried last.
    fn destroys(&self) -> bool {
        self.method == Method::DELETE || self.path.ends_with("/disconnect") || self.path.ends_with("/token")
    }

    /// Ends the token that all tries are made with.
    fn signs_out(&self) -> bool {
        self.method == Method::DELETE && self.path == "/api/v1/session"
    }

    /// Belongs to agents.
    fn is_a_devices(&self) -> bool {
        const AGENT: [&str; 6] =
            ["/commands", "/disconnect", "/facts", "/heartbeat", "/reports", "/{task}/output"];
        AGENT.iter().any(|end| self.path.ends_with(end))
    }
}

async fn operations(client: &Client, url: &str) -> (Vec<Operation>, Value) {
    let answer =
        client.get(format!("{url}/api/openapi.json")).send().await.expect("the server describes itself");
    let mut description: Value = answer.json().await.expect("JSON");
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let query = query.filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned())).collect();
            let body = operation.pointer("/requestBody/content/application~1json/schema").cloned();
            operations.push(Operation { method, path: path.clone(), query, body });
        }
    }
    operations.sort_by_key(|operation| (operation.destroys(), operation.signs_out()));
    (operations, description["components"]["schemas"].take())
}

/// Something of the shape that a schema describes, with now and then a value that does not fit.
fn shaped(schema: &Value, schemas: &Value, depth: usize, random: &mut impl Rng) -> Value {
    if depth > 8 || random.random_ratio(1, 40) {
        return odd(random);
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return shaped(&schemas[name], schemas, depth + 1, random);
    }
    if let Some(values) = schema["enum"].as_array() {
        return values[random.random_range(0..values.len())].clone();
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            return shaped(&choices[random.random_range(0..choices.len())], schemas, depth + 1, random);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut all = Map::new();
        for part in parts {
            if let Value::Object(fields) = shaped(part, schemas, depth + 1, random) {
                all.extend(fields);
            }
        }
        return all.into();
    }
    // `["string", "null"]` is how an optional value is described.
    if schema["format"] == "uuid" {
        return foreman_protocol::MessageId::fresh().to_string().into();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
    match kind {
        "string" => short_text(random).into(),
        "integer" => random.random_range(-2i64..200).into(),
        "number" => random.random_range(-1.0..200.0).into(),
        "boolean" => random.random::<bool>().into(),
        "array" => (0..random.random_range(0..4))
            .map(|_| shaped(&schema["items"], schemas, depth + 1, random))
            .collect(),
        _ => {
            let mut object = Map::new();
            let required: Vec<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if random.random_ratio(if required.contains(&name.as_str()) { 29 } else { 15 }, 30) {
                    object.insert(name.clone(), shaped(property, schemas, depth + 1, random));
                }
            }
            if schema["additionalProperties"].is_object() {
                object.insert(
                    short_text(random),
                    shaped(&schema["additionalProperties"], schemas, depth + 1, random),
                );
            }
            object.into()
        }
    }
}

fn odd(random: &mut impl Rng) -> Value {
    match random.random_range(0..7) {
        0 => Value::Null,
        1 => i64::MIN.into(),
        2 => u64::MAX.into(),
        3 => 1e300.into(),
        4 => "\0".into(),
        5 => Value::Array(vec![Value::Null; 3]),
        _ => "long ".repeat(5000).into(),
    }
}

fn short_text(random: &mut impl Rng) -> String {
    let texts = [
        "a",
        "journey",
        "/tmp",
        "true",
        "owner",
        "0",
        "",
        "ü\u{202e}\u{1F600}",
        "..",
        "a b\nc",
        "YWJj",
        "running",
    ];
    texts[random.random_range(0..texts.len())].to_owned()
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

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(text(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Owner,
    Device,
    Nobody,
}

/// What is sent: a body, its type, the ids in the path, the query.
#[derive(Debug, Clone)]
struct Attempt {
    body: Vec<u8>,
    content_type: &'static str,
    ids: Vec<String>,
    query: Vec<(usize, String)>,
    caller: Caller,
}

fn attempt(known_ids: Vec<String>) -> impl Strategy<Value = Attempt> {
    let body = prop_oneof![
        6 => json_value().prop_map(|value| value.to_string().into_bytes()),
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
    let caller = prop_oneof![5 => Just(Caller::Owner), 5 => Just(Caller::Device), 1 => Just(Caller::Nobody)];
    (body, content_type, prop::collection::vec(id, 2), query, caller).prop_map(
        |(body, content_type, ids, query, caller)| Attempt { body, content_type, ids, query, caller },
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

/// Where programs ask for their token, and are answered as OAuth has it.
const TOKEN_ENDPOINTS: [&str; 2] = ["/api/v1/auth/device/token", "/api/v1/auth/token"];

/// The server and the callers of all tries.
struct Scene {
    client: Client,
    url: String,
    owner: String,
    device: BareDevice,
    task: String,
    schemas: Value,
}

impl Scene {
    /// Gives the status, none where the server hung up on a large body.
    async fn check(&self, operation: &Operation, attempt: &Attempt) -> Option<u16> {
        let address = address(&self.url, operation, attempt);
        let mut request = self
            .client
            .request(operation.method.clone(), address.clone())
            .header(CONTENT_TYPE, attempt.content_type)
            .body(attempt.body.clone());
        match attempt.caller {
            Caller::Owner => request = request.bearer_auth(&self.owner),
            Caller::Device => request = request.bearer_auth(&self.device.bearer),
            Caller::Nobody => {}
        }
        let start = &attempt.body[..attempt.body.len().min(2000)];
        let what = format!(
            "{} {address} {:?}\n{}",
            operation.method,
            attempt.caller,
            String::from_utf8_lossy(start)
        );
        let answer = match tokio::time::timeout(Duration::from_secs(60), request.send()).await {
            Ok(Ok(answer)) => answer,
            // A server may hang up on a long body that it will not read to its end.
            Ok(Err(error)) if attempt.body.len() > 256 * 1024 && !error.is_timeout() => return None,
            Ok(Err(error)) => panic!("no answer: {error:?}\n{what}"),
            Err(_) => panic!("it hangs\n{what}"),
        };
        let status = answer.status();
        if operation.path.starts_with("/v1/") && !status.is_success() {
            check_vendors_error(answer, &what).await;
        } else if TOKEN_ENDPOINTS.contains(&operation.path.as_str()) && status == StatusCode::BAD_REQUEST {
            check_standard_error(answer, &what).await;
        } else if status.is_client_error() || status.is_server_error() {
            check_problem(answer, &what).await;
        }
        // Streams are accepted and not read: hanging up is fine.
        Some(status.as_u16())
    }

    /// A try that comes near to being right: the right caller, things that exist, the shape of the description.
    fn near(&self, operation: &Operation, random: &mut impl Rng) -> Attempt {
        let about_tasks = operation.path.contains("/tasks/{id}");
        let first = if about_tasks { self.task.clone() } else { self.device.id.to_string() };
        let body = operation.body.as_ref().map(|schema| shaped(schema, &self.schemas, 0, random).to_string());
        let count = random.random_range(0..3);
        let numbers = (0..count).map(|index| (index, random.random_range(0..300).to_string()));
        Attempt {
            body: body.unwrap_or_default().into_bytes(),
            content_type: "application/json",
            ids: vec![first, self.task.clone()],
            query: numbers.collect(),
            caller: if operation.is_a_devices() { Caller::Device } else { Caller::Owner },
        }
    }
}

async fn check_problem(answer: reqwest::Response, what: &str) {
    let status = answer.status().as_u16();
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert!(kind.starts_with("application/problem+json"), "{status} as {kind:?}\n{what}");
    let body = answer.bytes().await.expect("a body");
    let problem: foreman_protocol::Problem =
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}\n{what}"));
    assert_eq!(problem.status, status, "{what}");
    assert!(!problem.message.is_empty(), "{what}");
    // A provider or a device that does not answer is told as such and is no failure of the server.
    let elsewhere = [ProblemCode::UpstreamFailed, ProblemCode::DeviceUnreachable];
    assert!(status < 500 || elsewhere.contains(&problem.code), "{problem:?}\n{what}");
}

/// What the vendors' own libraries read: an object with a message, and Foreman's code in it.
async fn check_vendors_error(answer: reqwest::Response, what: &str) {
    let status = answer.status().as_u16();
    assert!(status < 500, "{status}\n{what}");
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert!(kind.starts_with("application/json"), "{status} as {kind:?}\n{what}");
    let body: Value = answer.json().await.unwrap_or_else(|error| panic!("{error}\n{what}"));
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}\n{what}");
}

/// What RFC 6749 prescribes where a program asks for its token: an object with the standard's own code.
async fn check_standard_error(answer: reqwest::Response, what: &str) {
    let body: Value = answer.json().await.unwrap_or_else(|error| panic!("{error}\n{what}"));
    assert!(body["error"].as_str().is_some_and(|code| !code.is_empty()), "{body}\n{what}");
}

/// More tries that come near to being right, for what has not taken one yet: that enough are taken is no matter of luck.
const NEARER: usize = 32;

fn was_accepted(statuses: &BTreeMap<u16, i32>) -> bool {
    statuses.keys().any(|status| (200..300).contains(status))
}

async fn no_body_breaks_an_endpoint(database: Database) {
    let folder = Folder::new();
    let mut server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (foreman, owner) = server.client("owner").await;
    // A connection for each try: a server may close one whose body it did not read.
    let client = Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
    let device = BareDevice::join(&client, &server.url, &new_device(&foreman, "target").await.token).await;
    let task = foreman.start_task(device.id, &journeys::numbered::shell("true")).await.expect("taken").id;
    let (operations, schemas) = operations(&client, &server.url).await;
    assert!(operations.len() >= 30, "only {} operations are described", operations.len());
    let known =
        vec![device.id.to_string(), task.to_string(), "01928c2e-0000-7000-8000-000000000000".to_owned()];
    let strategy = attempt(known);
    let scene = Scene { client, url: server.url.clone(), owner, device, task: task.to_string(), schemas };
    let tries = if long() { 400 } else { 16 };
    let mut runner = TestRunner::new(Config::default());
    let seed = env::var("FOREMAN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("the near tries come from FOREMAN_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut accepted, mut modifying) = (0, 0);
    let mut answered = String::new();
    for operation in &operations {
        let mut statuses = BTreeMap::new();
        for number in 0..tries {
            let attempt = match number % 2 {
                0 if !operation.destroys() => scene.near(operation, &mut random),
                _ => strategy.new_tree(&mut runner).expect("a value").current(),
            };
            let status = scene.check(operation, &attempt).await;
            *statuses.entry(status.unwrap_or_default()).or_insert(0) += 1;
        }
        if operation.body.is_some() && !operation.destroys() {
            for _ in 0..NEARER {
                if was_accepted(&statuses) {
                    break;
                }
                let status = scene.check(operation, &scene.near(operation, &mut random)).await;
                *statuses.entry(status.unwrap_or_default()).or_insert(0) += 1;
            }
        }
        let _ = writeln!(answered, "{} {}: {statuses:?}", operation.method, operation.path);
        if operation.body.is_some() {
            modifying += 1;
            accepted += usize::from(was_accepted(&statuses));
        }
    }
    // The others need a person and not a program, a provider of models, or what only a request before them makes.
    assert!(
        accepted * 5 > modifying,
        "only {accepted} of {modifying} operations with a body ever accepted one:\n{answered}"
    );
    assert!(server.program.runs());
    assert!(!server.said.text().contains("panicked"), "{}", server.said.text());
    let (another, _) = server.client("owner").await;
    another.server().await.expect("the server still works");
}

super::on_both_databases!(no_body_breaks_an_endpoint);
