//! A model behind the router, chosen by its rules (`auto`), with a key and usage, against the same model behind nginx,
//! which is told its name: what each adds to a request, how many it carries, when the first token comes, and what a
//! thousand open streams hold.

use std::time::{Duration, Instant};

use foreman_link::http;
use futures_util::{StreamExt, future::join_all, stream};
use journeys::{
    database::Database,
    models::Models,
    program::Program,
    stack::{Folder, Server, Setting},
};
use serde_json::{Value, json};

use crate::{
    load::{Connection, request},
    measure::{cpu_time, held_memory, median},
    peers::nginx,
    table::{Table, Target},
};

/// One after the other, in turns, so that a noisy moment meets all of them.
const ROUNDS: usize = 12;
const A_ROUND: usize = 250;
const CONNECTIONS: usize = 32;
const TURNS: u32 = 4;
const STREAMS: usize = 1_000;
const KEY: &str = "sk-of-the-measurement";

/// The model that answers on every way.
const MODEL: &str = "gpt-4o";
/// One that says so much and goes on when it is let.
const HANGS: &str = "hangs-on";
/// What else there is to choose from.
const OTHERS: [&str; 16] = [
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4o-mini",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5-pro",
    "gpt-5.1",
    "gpt-5.1-codex",
    "o1",
    "o3",
    "o3-mini",
    "o4-mini",
    "text-embedding-3-large",
    "text-embedding-3-small",
];

/// One way to the model.
struct Way {
    url: String,
    path: &'static str,
    key: String,
    /// By what it is asked for here.
    model: &'static str,
}

impl Way {
    fn ask(&self, stream: bool) -> Vec<u8> {
        self.ask_of(self.model, stream)
    }

    fn ask_of(&self, model: &str, stream: bool) -> Vec<u8> {
        let text = "What is the airspeed velocity of an unladen swallow? ".repeat(8);
        let body =
            json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": text }] });
        request("POST", &self.url, self.path, &self.key, &body.to_string())
    }
}

pub async fn measure(table: &mut Table, seconds: u64) {
    let folder = Folder::new();
    let listed: Vec<&str> = OTHERS.into_iter().chain([MODEL, HANGS]).collect();
    let stub = Models::start(&listed).await;
    stub.forget();
    let (server, key) = ours(&folder, &stub).await;
    let path = "/v1/chat/completions";
    let way = |url: String, key: &str, model| Way { url, path, key: key.to_owned(), model };
    let bare = way(stub.base().trim_end_matches("/v1").to_owned(), KEY, MODEL);
    let router = way(server.url.clone(), &key, "auto");
    let (nginx, proxied) = match nginx::proxy(&folder, &bare.url).await {
        Ok((program, url)) => (program, way(url, KEY, MODEL)),
        Err(why) => return table.skipped("the router to models against nginx", why),
    };
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let [direct, peer, own] = latencies([&bare, &proxied, &router]).await;
    table.ratio(
        "model request, added by the router and by nginx",
        "µs",
        micros(own.saturating_sub(direct)),
        micros(peer.saturating_sub(direct)),
        Target::AtMost(2.5),
    );
    table.told("model request with nothing between", "µs", micros(direct), None);
    let [peer, own] = rates([(&proxied, &nginx), (&router, &server.program)], seconds).await;
    table.ratio(
        format!("model requests at {CONNECTIONS} connections"),
        "/s",
        own.a_second,
        peer.a_second,
        Target::AtLeast(0.6),
    );
    // The model and who asks it share the processor with what is measured: this is what is its own.
    table.told("processor time of a model request", "µs", micros(own.each), Some(micros(peer.each)));
    let [peer, own] = first_tokens([&proxied, &router]).await;
    table.ratio("first token of a model", "µs", micros(own), micros(peer), Target::AtMost(1.5));
    memory(table, &server.program, &router).await;
}

/// A server with a provider, whose key is in the vault, and a placeholder key. `auto` finds [`MODEL`] among all others.
async fn ours(folder: &Folder, stub: &Models) -> (Server, String) {
    let server = Server::start(folder.join("server"), Setting::on(Database::Sqlite)).await;
    let (_, owner) = server.client("owner").await;
    let client = http::client().expect("a client");
    let post = async |path: &str, body: Value| -> Value {
        let address = format!("{}/api/v1/{path}", server.url);
        http::json(client.post(address).bearer_auth(&owner).json(&body)).await.expect("taken")
    };
    post("vault", json!({ "password": "the password of the measurement" })).await;
    let provider = json!({ "kind": "openai", "name": "stub", "base_url": stub.base(), "key": KEY });
    let id = post("providers", provider).await["id"].as_str().expect("an id").to_owned();
    let patch = async |path: &str, body: Value| {
        let request = client.patch(format!("{}/api/v1/{path}", server.url)).bearer_auth(&owner);
        http::send(request.json(&body)).await.expect("taken");
    };
    patch(&format!("providers/{id}"), json!({ "default_model": MODEL, "is_default": true })).await;
    // Under a cap nothing is asked whose price nobody knows.
    let price = json!({ "price": { "input_micros": 1, "output_micros": 1 }, "enabled": true });
    patch(&format!("models/stub/{HANGS}"), price).await;
    let explained = post("routing/explain", json!({ "model": "auto" })).await;
    assert_eq!(explained["routes"][0]["model"], MODEL, "{explained}");
    assert!(explained["routes"].as_array().is_some_and(|routes| routes.len() >= 10), "{explained}");
    let made = post("model-keys", json!({ "name": "bench", "cap_micros": 1_000_000_000_000_i64 })).await;
    let key = made["secret"].as_str().expect("a secret").to_owned();
    (server, key)
}

/// The middle time of a whole answer, each way.
async fn latencies<const N: usize>(ways: [&Way; N]) -> [Duration; N] {
    let mut times: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::new());
    let mut connections = Vec::new();
    for way in ways {
        let mut connection = Connection::open(&way.url).await;
        for _ in 0..A_ROUND {
            assert_eq!(connection.ask(&way.ask(false)).await, 200, "warming up");
        }
        connections.push(connection);
    }
    for _ in 0..ROUNDS {
        for ((way, connection), times) in ways.iter().zip(&mut connections).zip(&mut times) {
            let ask = way.ask(false);
            for _ in 0..A_ROUND {
                let started = Instant::now();
                connection.ask(&ask).await;
                times.push(started.elapsed());
            }
        }
    }
    times.map(|mut times| median(&mut times))
}

/// What one way carries.
struct Rate {
    a_second: f64,
    /// Processor time of a request, of the program between alone.
    each: Duration,
}

/// Requests a second, by turns.
async fn rates<const N: usize>(ways: [(&Way, &Program); N], seconds: u64) -> [Rate; N] {
    let mut sums = [(0, Duration::ZERO, Duration::ZERO); N];
    for _ in 0..TURNS {
        for ((way, program), (count, took, busy)) in ways.iter().zip(&mut sums) {
            let (before, started) = (all_cpu_time(program.pid()), Instant::now());
            *count += ask_together(way, Duration::from_secs(seconds) / TURNS).await;
            *took += started.elapsed();
            *busy += all_cpu_time(program.pid()) - before;
        }
    }
    sums.map(|(count, took, busy)| Rate {
        a_second: f64::from(count) / took.as_secs_f64(),
        each: busy / count.max(1),
    })
}

/// Of a program and those that it started.
fn all_cpu_time(pid: u32) -> Duration {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.map(cpu_time).sum::<Duration>() + cpu_time(pid)
}

/// How many requests there were on all connections.
async fn ask_together(way: &Way, time: Duration) -> u32 {
    let until = Instant::now() + time;
    let askers = (0..CONNECTIONS).map(|_| {
        let (url, ask) = (way.url.clone(), way.ask(false));
        tokio::spawn(async move {
            let mut connection = Connection::open(&url).await;
            let mut count = 0_u32;
            while Instant::now() < until {
                assert_eq!(connection.ask(&ask).await, 200);
                count += 1;
            }
            count
        })
    });
    join_all(askers).await.into_iter().map(|count| count.expect("no asker fails")).sum()
}

/// The middle time from a request to the first word of its streamed answer.
async fn first_tokens<const N: usize>(ways: [&Way; N]) -> [Duration; N] {
    let mut times: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..ROUNDS * 20 {
        for (way, times) in ways.iter().zip(&mut times) {
            let ask = way.ask(true);
            let connection = Connection::open(&way.url).await;
            let started = Instant::now();
            let mut connection = connection.stream(&ask).await;
            connection.read_until("gpt-4o ").await;
            times.push(started.elapsed());
            connection.read_until("[DONE]").await;
        }
    }
    times.map(|mut times| median(&mut times))
}

/// What streams that are open and quiet hold.
async fn memory(table: &mut Table, program: &Program, way: &Way) {
    let before = held_memory(program.pid());
    let ask = way.ask_of(HANGS, true);
    let open: Vec<Connection> = stream::iter(0..STREAMS)
        .map(|_| async {
            let mut connection = Connection::open_stream(&way.url, &ask).await;
            connection.read_until("heard: ").await;
            connection
        })
        .buffer_unordered(64)
        .collect()
        .await;
    let held = held_memory(program.pid()).saturating_sub(before);
    drop(open);
    let most = 20.0 + 32.0 * STREAMS as f64 / 1024.0;
    table.value(format!("memory of {STREAMS} streams"), "MB", held as f64 / 1048576.0, Target::AtMost(most));
}
