//! What does not come in time: a connection, the first token, the next one, a whole answer. Each has its own limit, and
//! is told by its name.

use std::time::Duration;

use foreman_protocol::MessageId;
use futures_util::future::join;
use journeys::{
    database::Database,
    eventually,
    models::{Behaviour, Models},
};
use reqwest::{Method, header::COOKIE};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{CLAUDE, GPT, Heard, Patience, chat, message, scene_with};

/// The next token may take less than the first.
const PATIENCE: Patience = Patience { connect: 2, first_token: 4, idle: 2, whole: 3 };

/// Somebody listens there and takes nobody in: a connection is neither refused nor made.
async fn nobody_home() -> (Vec<TcpStream>, TcpListener, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(0).expect("it listens");
    let address = listener.local_addr().expect("bound");
    let mut waiting = Vec::new();
    // Until the queue is full.
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        waiting.push(stream);
    }
    (waiting, listener, format!("http://{address}/v1"))
}

/// Another one answered, and why this is so.
fn fell_back(heard: &Heard, to: &str, instead_of: &str) {
    assert_eq!((heard.status, heard.header("x-foreman-provider")), (200, to), "{}", heard.text);
    assert_eq!(heard.header("x-foreman-instead-of"), instead_of);
    assert!(heard.header("x-foreman-reason").ends_with("those before it failed"));
}

/// Nobody else could answer.
fn told(heard: &Heard, waited_for: &str) {
    let error = &heard.json()["error"];
    assert_eq!((heard.status, &error["code"]), (502, &json!("upstream_failed")), "{}", heard.text);
    let tried = &error["details"]["tried"][0];
    assert_eq!((&tried["cause"], &tried["waited_for"]), (&json!("timeout"), &json!(waited_for)), "{tried}");
}

async fn before_the_first_token_the_next_model_answers(database: Database) {
    let scene = scene_with(database, PATIENCE).await;
    let (gpt, claude) = (format!("openai/{GPT}"), format!("anthropic/{CLAUDE}"));
    let ask = async |path: &str, body: &Value| scene.ask(&scene.owner, path, body).await;

    // Somebody who takes nobody in.
    let (_waiting, _listener, address) = nobody_home().await;
    let open = Models::start(&["any"]).await;
    scene.plain_provider("shut", &open.base()).await;
    scene.change("shut", json!({ "base_url": address })).await;
    scene.auto_tries(&["shut/any", &gpt]).await;
    let (heard, named) = join(scene.chat("auto"), scene.chat("shut/any")).await;
    fell_back(&heard, "openai", "shut/any: no connection in time");
    told(&named, "connection");
    let heard = ask("/v1/messages", &message("auto", true)).await;
    fell_back(&heard, "openai", "shut/any: no connection in time");

    // Who takes a request and says nothing, or not enough.
    scene.auto_tries(&[&gpt, &claude]).await;
    let (completions, messages) = ("/v1/chat/completions", "/v1/messages");
    for (behaviour, stream, path, waited_for, said) in [
        (Behaviour::Silent, false, completions, "answer", "no answer in time"),
        (Behaviour::Hang, false, messages, "answer", "no answer in time"),
        (Behaviour::Silent, true, messages, "first_token", "no first token in time"),
        (Behaviour::HangFirst, true, completions, "first_token", "no first token in time"),
    ] {
        scene.openai.behave(behaviour);
        let (auto, named) = (message("auto", stream), message(GPT, stream));
        let (heard, named) = join(ask(path, &auto), ask(path, &named)).await;
        fell_back(&heard, "anthropic", &format!("{gpt}: {said}"));
        told(&named, waited_for);
        let health = scene.provider_of("openai").await["health"].clone();
        let limit = if stream { "No first token within 4 s." } else { "No answer within 3 s." };
        assert_eq!((&health["state"], &health["reason"]), (&json!("failing"), &json!(limit)), "{health}");
        scene.openai.behave(Behaviour::Answer);
        assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "openai");
    }
    scene.openai.cancelled(8).await;
    // One line for each, of the model that answered it.
    assert_eq!(scene.ended(15, "failed").await, 5);
    let sums = scene.usage("provider").await["sums"].clone();
    let sums = sums.as_array().expect("a list");
    let of = |name: &str| sums.iter().find(|sum| sum["name"] == name).expect("there");
    assert_eq!((&of("anthropic")["requests"], &of("anthropic")["failed"]), (&json!(4), &json!(0)));
    assert_eq!((&of("shut")["requests"], &of("shut")["failed"]), (&json!(1), &json!(1)));
}

async fn after_it_the_answer_ends_with_what_was_late(database: Database) {
    let scene = scene_with(database, PATIENCE).await;
    scene.auto_tries(&[&format!("openai/{GPT}"), &format!("anthropic/{CLAUDE}")]).await;
    let late = |heard: &Heard, kept: &str| {
        assert!(heard.status == 200 && heard.text.contains(kept), "what arrived is kept: {}", heard.text);
        let error = heard.events().pop().expect("one")["error"].clone();
        assert_eq!(error["code"], "upstream_failed", "{}", heard.text);
        assert_eq!(error["details"], json!({ "waited_for": "next_token", "after_s": 2 }));
        assert!(error["message"].as_str().is_some_and(|said| said.ends_with("Nothing came for 2 s.")));
    };
    scene.openai.behave(Behaviour::Hang);
    scene.anthropic.behave(Behaviour::Hang);
    let (completions, messages) = (chat("auto", true), message("auto", true));
    let (translated, own) = (chat(CLAUDE, true), message(CLAUDE, true));
    let ask = async |path: &str, body: &Value| scene.ask(&scene.owner, path, body).await;
    let (of_openai, of_anthropic) = join(
        join(ask("/v1/chat/completions", &completions), ask("/v1/messages", &messages)),
        join(ask("/v1/chat/completions", &translated), ask("/v1/messages", &own)),
    )
    .await;
    late(&of_openai.0, "good ");
    late(&of_openai.1, "good ");
    late(&of_anthropic.0, "claude-haiku-4-5 ");
    late(&of_anthropic.1, "claude-haiku-4-5 ");
    scene.openai.cancelled(2).await;
    scene.anthropic.cancelled(2).await;
    assert_eq!((scene.openai.count(), scene.anthropic.count()), (2, 2), "nobody else was asked");
    assert_eq!(scene.ended(4, "broken").await, 4);
}

async fn a_conversation_keeps_what_was_late(database: Database) {
    let mut scene = scene_with(database, PATIENCE).await;
    scene.auto_tries(&[&format!("openai/{GPT}"), &format!("anthropic/{CLAUDE}")]).await;
    // Conversations are a person's.
    let code = scene.server.program.line("Setup code:").await;
    let code = code.split_whitespace().last().expect("a code");
    let person = json!({ "code": code, "name": "Ada", "password": "correct horse battery staple 7" });
    let set_up = scene.client.post(format!("{}/api/v1/setup", scene.server.url)).json(&person).send();
    let set_up = set_up.await.expect("an answer");
    let cookie = set_up.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a cookie");
    let ada = async |method: Method, path: &str, body: Value| -> Value {
        let request = scene.client.request(method, format!("{}/api/v1/chats{path}", scene.server.url));
        let answer = request.header(COOKIE, cookie).json(&body).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    };
    scene.openai.once(Behaviour::HangFirst);
    let path = format!(
        "/{}",
        ada(Method::POST, "", json!({ "model": "auto" })).await["id"].as_str().expect("an id")
    );
    let question = json!({ "id": MessageId::fresh(), "text": "good morning" });
    ada(Method::POST, &format!("{path}/ask"), question).await;
    let answer = eventually("it is answered", || async {
        let page = ada(Method::GET, &format!("{path}/messages"), Value::Null).await;
        let items = page["items"].as_array().expect("a list").clone();
        items.into_iter().find(|message| message["state"] == "done" && message["route"].is_object())
    })
    .await;
    assert_eq!(
        answer["route"]["instead_of"],
        json!([{ "provider": "openai", "model": GPT, "cause": "timeout", "waited_for": "first_token" }]),
        "{answer}"
    );
    assert_eq!(
        (&answer["route"]["model"], &answer["route"]["because"][1]),
        (&json!(CLAUDE), &json!("fallback"))
    );
}

crate::on_both_databases!(
    before_the_first_token_the_next_model_answers,
    after_it_the_answer_ends_with_what_was_late,
    a_conversation_keeps_what_was_late,
);
