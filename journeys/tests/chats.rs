//! Conversations: asked once however often it is sent, brought by the server whoever listens, stopped at the model,
//! kept through a kill, and nobody else's.

use foreman_link::http;
use futures_util::StreamExt;
use journeys::{
    database::Database,
    eventually,
    models::{Behaviour, Models},
    soon,
    stack::{Folder, Server, Setting},
};
use reqwest::{Client, Method, StatusCode, header::COOKIE};
use serde_json::{Value, json};

use crate::on_both_databases;

on_both_databases!(
    an_answer_is_kept_with_its_route_and_numbers,
    a_question_sent_twice_is_asked_once,
    a_reader_that_was_cut_off_gets_the_rest_of_the_answer,
    stopping_an_answer_stops_the_model_and_keeps_what_arrived,
    a_killed_server_leaves_what_had_arrived_and_another_try,
    a_program_sees_the_conversations_of_who_signed_it_in_and_no_others,
    edited_questions_and_second_answers_are_branches,
    files_go_along_and_go_with_the_conversation,
    a_conversation_is_found_by_its_words_and_saved_as_a_file,
    what_does_not_fit_into_the_context_is_left_out_and_said,
    a_sign_out_ends_the_stream_of_an_answer,
);

/// What of `hold on tight` comes before the model holds on.
const BEGUN: &str = "talker heard: hold ";

struct Scene {
    server: Server,
    models: Models,
    cookie: String,
    client: Client,
    _folder: Folder,
}

async fn scene(database: Database) -> Scene {
    let folder = Folder::new();
    let models = Models::start(&["talker"]).await;
    let mut server = Server::start(folder.join("server"), Setting::on(database)).await;
    let code = server.program.line("Setup code:").await;
    let code = code.split_whitespace().last().expect("a code").to_owned();
    let client = http::client().expect("a client");
    let body = json!({"code": code, "name": "Ada", "password": "correct horse battery staple 7"});
    let answer =
        client.post(format!("{}/api/v1/setup", server.url)).json(&body).send().await.expect("an answer");
    let cookie = answer.headers()["set-cookie"].to_str().expect("text");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let scene = Scene { server, models, cookie, client, _folder: folder };
    let provider = json!({"kind": "openai_compatible", "name": "talk", "base_url": scene.models.base()});
    let made = scene.ask(Method::POST, "/api/v1/providers", Some(provider)).await;
    assert_eq!(made.0, StatusCode::CREATED, "{}", made.1);
    eventually("the model is known", || async {
        let (_, models) = scene.ask(Method::GET, "/api/v1/models", None).await;
        models["items"].as_array().is_some_and(|all| !all.is_empty()).then_some(())
    })
    .await;
    scene
}

impl Scene {
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.server.url)).header(COOKIE, &self.cookie)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("whole");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn chat(&self) -> String {
        let (status, chat) =
            self.ask(Method::POST, "/api/v1/chats", Some(json!({"model": "talk/talker"}))).await;
        assert_eq!(status, StatusCode::CREATED, "{chat}");
        chat["id"].as_str().expect("an id").to_owned()
    }

    /// Asks and gives what was begun.
    async fn say(&self, chat: &str, parent: Option<&str>, text: &str) -> Value {
        let mut body = json!({"id": id(), "text": text});
        if let Some(parent) = parent {
            body["parent"] = json!(parent);
        }
        let (status, asked) = self.ask(Method::POST, &format!("/api/v1/chats/{chat}/ask"), Some(body)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{asked}");
        asked
    }

    async fn message(&self, chat: &str, id: &str) -> Value {
        let page = self.get(&format!("/api/v1/chats/{chat}/messages?leaf={id}&limit=1")).await;
        page["items"][0].clone()
    }

    /// The answer once it is no longer on its way.
    async fn ended(&self, chat: &str, id: &str) -> Value {
        eventually("the answer ends", || async {
            let message = self.message(chat, id).await;
            (message["state"] != "streaming").then_some(message)
        })
        .await
    }

    /// What the model was told last.
    fn last_messages(&self) -> Vec<Value> {
        let asked = self.models.asked();
        asked.last().expect("it was asked").body["messages"].as_array().expect("messages").clone()
    }

    /// An answer that has begun and goes on when the model is released.
    async fn held(&self, chat: &str) -> Value {
        self.models.once(Behaviour::Hang);
        let asked = self.say(chat, None, "hold on tight").await;
        let id = text(&asked, "/answer/id");
        eventually("an answer begins", || async {
            (self.message(chat, id).await["text"] == BEGUN).then_some(())
        })
        .await;
        asked
    }

    /// Reads an answer's stream from a byte on, until `enough` of what was said.
    async fn follow(&self, chat: &str, id: &str, from: u64, enough: impl Fn(&str) -> bool) -> String {
        let path = format!("/api/v1/chats/{chat}/messages/{id}/stream");
        let request = self.request(Method::GET, &path).header("last-event-id", from.to_string());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let mut body = answer.bytes_stream();
        let mut said = String::new();
        soon("the stream says enough", async {
            while !enough(&said) {
                let Some(Ok(bytes)) = body.next().await else { break };
                said.push_str(&String::from_utf8_lossy(&bytes));
            }
        })
        .await;
        said
    }

    /// The frames of a stream that have this name.
    fn frames(said: &str, name: &str) -> Vec<Value> {
        let start = format!("event: {name}\n");
        said.split("\n\n")
            .filter_map(|frame| frame.split_once(&start)?.1.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).expect("JSON"))
            .collect()
    }
}

fn id() -> String {
    foreman_protocol::MessageId::fresh().to_string()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} of {value}"))
}

async fn an_answer_is_kept_with_its_route_and_numbers(database: Database) {
    let scene = scene(database).await;
    let chat = scene.chat().await;
    let asked = scene.say(&chat, None, "Why is the sky blue?\nBe short.").await;
    assert_eq!(text(&asked, "/answer/state"), "streaming");
    let answer = scene.ended(&chat, text(&asked, "/answer/id")).await;
    assert_eq!(answer["state"], "done", "{answer}");
    assert_eq!(answer["text"], "talker heard: Why is the sky blue?\nBe short.");
    assert_eq!((text(&answer, "/route/model"), text(&answer, "/route/provider")), ("talker", "talk"));
    assert_eq!(
        (&answer["usage"]["input_tokens"], &answer["usage"]["output_tokens"]),
        (&json!(12), &json!(8))
    );
    assert!(answer["usage"]["first_token_ms"].is_i64(), "{answer}");
    let chat = scene.get(&format!("/api/v1/chats/{chat}")).await;
    assert_eq!(chat["title"], "Why is the sky blue?");
    assert_eq!((&chat["leaf"], &chat["answering"]), (&answer["id"], &json!(false)));
}

async fn a_question_sent_twice_is_asked_once(database: Database) {
    let scene = scene(database).await;
    let chat = scene.chat().await;
    let path = format!("/api/v1/chats/{chat}/ask");
    let body = json!({"id": id(), "text": "hello"});
    let send = || scene.ask(Method::POST, &path, Some(body.clone()));
    let (first, second, third) = tokio::join!(send(), send(), send());
    for other in [&second, &third] {
        assert_eq!((other.0, &other.1["answer"]["id"]), (first.0, &first.1["answer"]["id"]), "{}", other.1);
    }
    scene.ended(&chat, text(&first.1, "/answer/id")).await;
    let tree = scene.get(&format!("/api/v1/chats/{chat}/messages")).await;
    assert_eq!(tree["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(scene.models.count(), 1);
    let elsewhere = format!("/api/v1/chats/{}/ask", scene.chat().await);
    let (status, problem) = scene.ask(Method::POST, &elsewhere, Some(body)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("conflict")));
}

async fn a_reader_that_was_cut_off_gets_the_rest_of_the_answer(database: Database) {
    let scene = scene(database).await;
    let chat = scene.chat().await;
    let asked = scene.held(&chat).await;
    let answer = text(&asked, "/answer/id");
    let first = scene.follow(&chat, answer, 0, |said| said.contains("event: piece")).await;
    assert_eq!(Scene::frames(&first, "route")[0]["model"], "talker");
    assert_eq!(Scene::frames(&first, "piece")[0], json!({"offset": 0, "text": BEGUN}));
    scene.models.release();
    // Nobody listened meanwhile; it went on all the same.
    scene.ended(&chat, answer).await;
    let rest = scene.follow(&chat, answer, 7, |said| said.contains("event: end")).await;
    assert_eq!(Scene::frames(&rest, "piece"), [json!({"offset": 7, "text": "heard: hold on tight"})]);
    assert!(rest.contains("id: 27\nevent: piece"), "{rest}");
    assert_eq!(Scene::frames(&rest, "end")[0]["text"], "talker heard: hold on tight");
}

async fn stopping_an_answer_stops_the_model_and_keeps_what_arrived(database: Database) {
    let scene = scene(database).await;
    let chat = scene.chat().await;
    let asked = scene.held(&chat).await;
    let answer = text(&asked, "/answer/id");
    let path = format!("/api/v1/chats/{chat}/messages/{answer}/stop");
    let (status, stopped) = scene.ask(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{stopped}");
    assert_eq!((&stopped["state"], &stopped["text"]), (&json!("stopped"), &json!(BEGUN)));
    scene.models.cancelled(1).await;
    let said = scene.follow(&chat, answer, 0, |said| said.contains("event: end")).await;
    assert_eq!(Scene::frames(&said, "end")[0]["state"], "stopped");
    // Again it changes nothing.
    let (_, again) = scene.ask(Method::POST, &path, None).await;
    assert_eq!(again["state"], "stopped");
}

async fn a_killed_server_leaves_what_had_arrived_and_another_try(database: Database) {
    let mut scene = scene(database).await;
    let chat = scene.chat().await;
    let asked = scene.held(&chat).await;
    let answer = text(&asked, "/answer/id");
    scene.server.program.kill().await;
    scene.server.start_again().await;
    let failed = scene.ended(&chat, answer).await;
    assert_eq!((&failed["state"], &failed["text"]), (&json!("failed"), &json!(BEGUN)));
    assert_eq!(failed["problem"]["code"], "unavailable");
    scene.models.release();
    let body = json!({"id": id(), "question": asked["question"]["id"]});
    let (status, again) =
        scene.ask(Method::POST, &format!("/api/v1/chats/{chat}/ask-again"), Some(body)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{again}");
    let second = scene.ended(&chat, text(&again, "/answer/id")).await;
    assert_eq!((&second["state"], &second["text"]), (&json!("done"), &json!("talker heard: hold on tight")));
    assert_eq!(second["versions"].as_array().map(Vec::len), Some(2));
}

async fn a_program_sees_the_conversations_of_who_signed_it_in_and_no_others(database: Database) {
    let scene = scene(database).await;
    let chat = scene.chat().await;
    let scene_ref = &scene;
    let with = |token: String, path: String| async move {
        let address = format!("{}{path}", scene_ref.server.url);
        scene_ref.client.get(address).bearer_auth(token).send().await.expect("an answer").status()
    };
    let (_, nobodys) = scene.server.client("owner").await;
    for path in ["/api/v1/chats".to_owned(), format!("/api/v1/chats/{chat}")] {
        assert_eq!(with(nobodys.clone(), path).await, StatusCode::FORBIDDEN);
    }
    // Signed in by its person, as RFC 8628 has it.
    let begin = json!({"client_name": "app"});
    let (status, code) = scene.ask(Method::POST, "/api/v1/auth/device/code", Some(begin)).await;
    assert!(status.is_success(), "{code}");
    let approve = format!("/api/v1/auth/device/{}/approve", text(&code, "/user_code"));
    assert_eq!(scene.ask(Method::POST, &approve, Some(json!({}))).await.0, StatusCode::NO_CONTENT);
    let asked = json!({"device_code": code["device_code"]});
    let (status, token) = scene.ask(Method::POST, "/api/v1/auth/device/token", Some(asked)).await;
    assert!(status.is_success(), "{token}");
    let theirs = text(&token, "/token").to_owned();
    assert_eq!(with(theirs, format!("/api/v1/chats/{chat}")).await, StatusCode::OK);
}

async fn edited_questions_and_second_answers_are_branches(database: Database) {
    let scene = scene(database).await;
    let chat = scene.chat().await;
    let first = scene.say(&chat, None, "first").await;
    let answer = text(&first, "/answer/id").to_owned();
    scene.ended(&chat, &answer).await;
    let second = scene.say(&chat, Some(&answer), "second").await;
    let old_leaf = text(&second, "/answer/id").to_owned();
    scene.ended(&chat, &old_leaf).await;
    let edited = scene.say(&chat, Some(&answer), "second, better").await;
    let new_leaf = text(&edited, "/answer/id").to_owned();
    scene.ended(&chat, &new_leaf).await;
    // The model is told of this branch and not of the other.
    let sent: Vec<_> = scene.last_messages().iter().map(|one| one["content"].clone()).collect();
    assert_eq!(sent, [json!("first"), json!("talker heard: first"), json!("second, better")]);
    let question = scene.message(&chat, text(&edited, "/question/id")).await;
    assert_eq!(question["versions"], json!([second["question"]["id"], edited["question"]["id"]]));
    // The other branch is shown by naming a message of it.
    let change = json!({"leaf": second["question"]["id"]});
    let (_, shown) = scene.ask(Method::PATCH, &format!("/api/v1/chats/{chat}"), Some(change)).await;
    assert_eq!(shown["leaf"], json!(old_leaf));
    // From the end upwards, page by page.
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = scene.get(&format!("/api/v1/chats/{chat}/messages?leaf={old_leaf}&limit=1{next}")).await;
        seen.extend(page["items"].as_array().expect("items").iter().map(|one| one["text"].clone()));
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(seen, ["talker heard: second", "second", "talker heard: first", "first"]);
    // A question follows an answer, not a question.
    let body = json!({"id": id(), "text": "x", "parent": second["question"]["id"]});
    let (status, _) = scene.ask(Method::POST, &format!("/api/v1/chats/{chat}/ask"), Some(body)).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest of a picture";

async fn files_go_along_and_go_with_the_conversation(database: Database) {
    let scene = scene(database).await;
    let chat = scene.chat().await;
    let upload = |name: &'static str, data: &'static [u8]| {
        let request = scene.request(Method::POST, &format!("/api/v1/attachments?name={name}")).body(data);
        async move { request.send().await.expect("an answer") }
    };
    let picture: Value = upload("a.png", PNG).await.json().await.expect("JSON");
    let notes: Value =
        upload("notes.html", b"<script>alert(1)</script>\n```").await.json().await.expect("JSON");
    assert_eq!((text(&picture, "/media_type"), text(&notes, "/media_type")), ("image/png", "text/plain"));
    assert_eq!(upload("x.bin", b"\x00\xff\xfe").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let shown = scene.request(Method::GET, &format!("/api/v1/attachments/{}", text(&notes, "/id"))).send();
    let shown = shown.await.expect("an answer");
    let header = |name: &str| shown.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/plain; charset=utf-8");
    assert!(header("content-disposition").starts_with("attachment"), "never shown as a page");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let body = json!({"id": id(), "text": "look", "attachments": [picture["id"], notes["id"]]});
    let (_, asked) = scene.ask(Method::POST, &format!("/api/v1/chats/{chat}/ask"), Some(body)).await;
    let answer = scene.ended(&chat, text(&asked, "/answer/id")).await;
    assert_eq!(asked["question"]["attachments"], json!([picture, notes]), "{answer}");
    let sent = scene.last_messages()[0]["content"].clone();
    assert!(text(&sent, "/0/text").starts_with("look\n\nnotes.html:\n````\n<script>"), "{sent}");
    assert!(text(&sent, "/1/image_url/url").starts_with("data:image/png;base64,iVBORw0KGgo"), "{sent}");
    let (status, _) = scene.ask(Method::DELETE, &format!("/api/v1/chats/{chat}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let path = format!("/api/v1/attachments/{}", text(&picture, "/id"));
    assert_eq!(scene.ask(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
}

async fn a_conversation_is_found_by_its_words_and_saved_as_a_file(database: Database) {
    let scene = scene(database).await;
    let (chat, other) = (scene.chat().await, scene.chat().await);
    let asked = scene.say(&chat, None, "Über 100% der Wale_singen").await;
    scene.ended(&chat, text(&asked, "/answer/id")).await;
    let others = scene.say(&other, None, "something else").await;
    scene.ended(&other, text(&others, "/answer/id")).await;
    for (q, found) in [
        ("über", true),
        ("WALE heard", true),
        ("100%25", true),
        ("100_", false),
        ("wale_singen", true),
        ("walexsingen", false),
        ("wale else", false),
    ] {
        let page = scene.get(&format!("/api/v1/chats?q={q}")).await;
        let ids: Vec<_> = page["items"].as_array().expect("items").iter().map(|one| &one["id"]).collect();
        assert_eq!(ids.contains(&&json!(chat)), found, "{q}: {page}");
        assert!(!ids.contains(&&json!(other)), "{q}: {page}");
    }
    let page = scene.get("/api/v1/chats?limit=1").await;
    assert_eq!(page["items"][0]["id"], json!(other), "the last used first");
    let next = scene.get(&format!("/api/v1/chats?limit=1&cursor={}", text(&page, "/next"))).await;
    assert_eq!((&next["items"][0]["id"], &next["next"]), (&json!(chat), &Value::Null));
    let (_, markdown) =
        scene.ask(Method::GET, &format!("/api/v1/chats/{chat}/export?format=markdown"), None).await;
    let markdown = markdown.as_str().expect("text");
    assert!(
        markdown.starts_with("# Über 100%") && markdown.contains("\n## talk/talker\n\ntalker heard:"),
        "{markdown}"
    );
    let json = scene.get(&format!("/api/v1/chats/{chat}/export?format=json")).await;
    assert_eq!(json["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["messages"][1]["parent"], asked["question"]["id"]);
}

async fn what_does_not_fit_into_the_context_is_left_out_and_said(database: Database) {
    let scene = scene(database).await;
    let chat = scene.chat().await;
    // Nothing is known of the model, so 32,768 tokens are reckoned with: three of these are too many.
    let mut parent: Option<String> = None;
    for n in 0..3 {
        let long = format!("{n} {}", "w ".repeat(12_000));
        let asked = scene.say(&chat, parent.as_deref(), &long).await;
        let answer = scene.ended(&chat, text(&asked, "/answer/id")).await;
        parent = Some(text(&answer, "/id").to_owned());
    }
    let last = scene.message(&chat, parent.as_deref().expect("asked")).await;
    assert_eq!((&last["state"], &last["left_out"]), (&json!("done"), &json!(2)), "{}", last["problem"]);
    let sent = scene.last_messages();
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[0]["role"], "user");
    assert!(sent[0]["content"].as_str().is_some_and(|text| text.starts_with("1 ")));
}

async fn a_sign_out_ends_the_stream_of_an_answer(database: Database) {
    let scene = scene(database).await;
    let chat = scene.chat().await;
    let asked = scene.held(&chat).await;
    let answer = text(&asked, "/answer/id");
    let path = format!("/api/v1/chats/{chat}/messages/{answer}/stream");
    let mut body = scene.request(Method::GET, &path).send().await.expect("an answer").bytes_stream();
    soon("the stream begins", body.next()).await.expect("a frame").expect("whole");
    let (status, _) = scene.ask(Method::DELETE, "/api/v1/session", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    soon("the stream ends", async { while body.next().await.is_some() {} }).await;
}
