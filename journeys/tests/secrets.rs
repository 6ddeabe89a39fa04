//! No secret in any log or database: not those of users, devices, tasks or the server itself.

use std::time::Duration;

use foreman_protocol::{CreateApiToken, Role, TaskState};
use journeys::{
    database::Database,
    device::BareDevice,
    numbered,
    stack::{Agent, Folder, Server, Setting, new_device},
};
use serde_json::{Value, json};

struct Secret {
    what: &'static str,
    text: String,
}

fn assert_absent(secrets: &[Secret], place: &str, bytes: &[u8]) {
    for Secret { what, text } in secrets {
        assert!(text.len() >= 8, "{what} is too short to look for: {text}");
        let found = bytes.windows(text.len()).position(|window| window == text.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(80)..(at + text.len() + 20).min(bytes.len())];
            panic!("{what} is in {place}: …{}…", String::from_utf8_lossy(around));
        }
    }
}

async fn post(url: &str, body: Value) -> (u16, String, Option<String>) {
    let client = foreman_link::http::client().expect("a client");
    let answer =
        client.post(url).json(&body).timeout(Duration::from_secs(30)).send().await.expect("an answer");
    let cookie = answer.headers().get("set-cookie").map(|value| value.to_str().expect("text").to_owned());
    (answer.status().as_u16(), answer.text().await.expect("text"), cookie)
}

async fn no_log_and_no_database_holds_a_secret(database: Database) {
    let folder = Folder::new();
    // Everything is logged that can be.
    let setting = Setting::on(database.clone()).env("FOREMAN_LOG", "trace").env("RUST_BACKTRACE", 1);
    let mut server = Server::start(folder.join("server"), setting).await;
    let mut secrets = Vec::new();
    let mut keep = |what, text: &str| secrets.push(Secret { what, text: text.to_owned() });

    // The owner, by the code in the terminal; then a wrong and a right sign-in.
    let code = server.program.line("Setup code:").await;
    let code = code.split_whitespace().last().expect("a code").to_owned();
    let password = "correct horse battery staple 7";
    keep("the password", password);
    keep("a wrong password", "not the password at all");
    let body = json!({"code": code, "name": "Ada", "password": password});
    let (status, text, cookie) = post(&format!("{}/api/v1/setup", server.url), body).await;
    assert!(status < 300, "{status} {text}");
    keep("a session cookie", session_of(cookie.as_deref()));
    let wrong = json!({"name": "Ada", "password": "not the password at all"});
    assert_eq!(post(&format!("{}/api/v1/session", server.url), wrong).await.0, 401);
    let right = json!({"name": "Ada", "password": password});
    let (status, text, cookie) = post(&format!("{}/api/v1/session", server.url), right).await;
    assert!(status < 300, "{status} {text}");
    keep("a session cookie", session_of(cookie.as_deref()));
    let link = server.host(&["login-link"]).await;
    let ticket = link.split("ticket=").nth(1).expect("a ticket").trim().to_owned();
    let (status, ..) = post(&format!("{}/api/v1/session", server.url), json!({"ticket": ticket})).await;
    assert!(status < 300);
    keep("a ticket", &ticket);

    // Tokens, a device by hand, and a real agent with a task that has a secret in its environment.
    let (foreman, bearer) = server.client("owner").await;
    keep("a token made on the host", &bearer);
    let token = CreateApiToken { name: "t".to_owned(), role: Role::Viewer };
    keep("a token made by the API", &foreman.create_token(&token).await.expect("a token").secret);
    let made = new_device(&foreman, "by hand").await;
    keep("a connection token", &made.token);
    let unspent = new_device(&foreman, "never joined").await;
    keep("an unspent connection token", &unspent.token);
    let client = foreman_link::http::client().expect("a client");
    let device = BareDevice::join(&client, &server.url, &made.token).await;
    keep("a device's bearer", &device.bearer);
    let verbose = [("FOREMAN_LOG", "trace".to_owned()), ("RUST_LOG", "trace".to_owned())];
    let agent = Agent::join(&foreman, &server.url, folder.join("agent"), &verbose).await;
    let mut spec = numbered::shell("test \"$API_KEY\" = sk-environment-secret-1234 && echo good");
    // The command is shown to people; only values of the environment are secret.
    spec.command = foreman_protocol::TaskCommand::Shell { shell: "echo ${#API_KEY}".to_owned() };
    spec.env.insert("API_KEY".to_owned(), "sk-environment-secret-1234".to_owned());
    keep("a task's environment", "sk-environment-secret-1234");
    let (heard, task) = numbered::run(&foreman, agent.device, &spec).await;
    assert_eq!((task.state, heard.bytes.as_slice()), (TaskState::Succeeded, &b"26\n"[..]));
    assert_eq!(task.env_names, ["API_KEY"]);

    // One that waits for a device that does not come for it.
    spec.env.insert("API_KEY".to_owned(), "sk-waiting-secret-5678".to_owned());
    keep("the environment of a task that waits", "sk-waiting-secret-5678");
    foreman.start_task(device.id, &spec).await.expect("it waits");

    // Ending both writes what is still held back.
    let Agent { mut program, said: agent_said, .. } = agent;
    program.stop().await;
    server.program.stop().await;
    let server_said = server.said.text();
    assert!(server_said.len() > 1000, "trace was logged");
    assert_absent(&secrets, "the server's log", server_said.as_bytes());
    assert_absent(&secrets, "the agent's log", agent_said.text().as_bytes());
    assert_absent(&secrets, "the database", &database.dump(&folder.join("server")));
}

fn session_of(cookie: Option<&str>) -> &str {
    let cookie = cookie.expect("a cookie is set");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    cookie.split(['=', ';']).nth(1).expect("a value")
}

super::on_both_databases!(no_log_and_no_database_holds_a_secret);
