//! A sign-in of the app handed to the server's vault: the app's own code, its secrets in its own file, the real server
//! between it and a vendor, and an OAuth server that gives each token once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};

use axum::{Form, Json, Router, extract::State, routing::post};
use foreman_client::{
    Foreman,
    app::{
        SecretFile, ServerId,
        providers_sign_in::{
            Definition, DefinitionId, Definitions, Revoked, SignInState, SignInStep, SignIns, Standing,
        },
    },
};
use journeys::{
    database::Database,
    models::Models,
    soon,
    stack::{Folder, Server, Setting},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use super::Asker;

const MODEL: &str = "gpt-4o";
const NAME: &str = "code-assistant";
const PASSWORD: &str = "correct horse battery";
/// Seconds that a token lives.
const LIFE: i64 = 3_600;

/// Gives `access-N` with `refresh-N`, and takes only the newest of them.
#[derive(Clone, Default)]
struct OAuth(Arc<Mutex<Given>>);

#[derive(Default)]
struct Given {
    tokens: u32,
    taken_back: Vec<String>,
    url: String,
}

type Fields = Form<HashMap<String, String>>;

impl OAuth {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stub = Self::default();
        stub.0.lock().expect("whole").url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new()
            .route("/code", post(code))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .with_state(stub.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stub
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.0.lock().expect("whole").url)
    }

    fn taken_back(&self) -> Vec<String> {
        self.0.lock().expect("whole").taken_back.clone()
    }
}

async fn code(State(stub): State<OAuth>) -> Json<Value> {
    let page = stub.at("page");
    Json(
        json!({ "device_code": "d", "user_code": "WDJB-MJHT", "verification_uri": page, "expires_in": 900, "interval": 1 }),
    )
}

async fn token(State(stub): State<OAuth>, Form(fields): Fields) -> (StatusCode, Json<Value>) {
    let mut given = stub.0.lock().expect("whole");
    let newest = format!("refresh-{}", given.tokens);
    if fields["grant_type"] == "refresh_token" && fields["refresh_token"] != newest {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })));
    }
    given.tokens += 1;
    let number = given.tokens;
    let answer = json!({ "access_token": format!("access-{number}"), "refresh_token": format!("refresh-{number}"),
        "token_type": "bearer", "expires_in": LIFE });
    (StatusCode::OK, Json(answer))
}

async fn revoke(State(stub): State<OAuth>, Form(fields): Fields) -> StatusCode {
    stub.0.lock().expect("whole").taken_back.push(fields["token"].clone());
    StatusCode::OK
}

/// The app of somebody who signs in, with a clock that is set by hand.
struct App {
    sign_ins: SignIns,
    clock: Arc<AtomicI64>,
    id: DefinitionId,
}

impl App {
    fn new(folder: &Folder, oauth: &OAuth, vendor: &Models) -> Self {
        let definition = json!({
            "id": NAME,
            "name": "Code assistant",
            "oauth": {
                "flow": "device",
                "device_authorization_endpoint": oauth.at("code"),
                "token_endpoint": oauth.at("token"),
                "revocation_endpoint": oauth.at("revoke"),
                "client_id": "foreman-app",
            },
            "vault": { "kind": "openai_compatible", "base_url": vendor.base() },
        });
        let definition: Definition = serde_json::from_value(definition).expect("a definition");
        let id = definition.id.clone();
        let mut definitions = Definitions::load(folder.join("sign-ins.json")).expect("none yet");
        definitions.put(definition).expect("it is kept");
        let secrets = SecretFile::make(folder.join("secrets"), "a passphrase of the test").expect("a file");
        let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
        let now = clock.clone();
        let clock_of_it = Arc::new(move || now.load(SeqCst));
        let sign_ins = SignIns::new(definitions, Arc::new(secrets), clock_of_it).expect("a client");
        Self { sign_ins, clock, id }
    }

    /// A person types in the code that is shown.
    async fn sign_in(&self) {
        let (tell, mut steps) = mpsc::unbounded_channel();
        let begun = self.sign_ins.begin(&self.id, |step| drop(tell.send(step)));
        soon("somebody is signed in", begun).await.expect("signed in");
        assert!(matches!(steps.try_recv(), Ok(SignInStep::Code(shown)) if shown.code == "WDJB-MJHT"));
    }

    /// What the app does every half minute.
    async fn look(&self, server: &Foreman) -> usize {
        let due = self.sign_ins.renew_due().await;
        for (id, _) in &due {
            self.sign_ins.bring_newer(id, server).await.expect("brought");
        }
        due.len()
    }

    async fn standing(&self) -> Standing {
        let all = self.sign_ins.standings().await.expect("they can be read");
        all.into_iter().find(|one| one.definition.id == self.id).expect("there")
    }
}

/// What a question is answered, and with which token the vendor was asked.
async fn asked(owner: &Asker, vendor: &Models) -> (u16, String) {
    let status = owner.chat(&format!("{NAME}/{MODEL}"), false).await.status().as_u16();
    let last = vendor.asked().pop();
    let shown = last.and_then(|asked| Some(asked.headers.get("authorization")?.to_str().ok()?.to_owned()));
    (status, shown.unwrap_or_default())
}

async fn a_sign_in_of_the_app_is_used_by_the_server_until_it_ends(database: Database) {
    let folder = Folder::new();
    let setting = Setting::on(database.clone()).env("FOREMAN_LOG", "trace");
    let mut server = Server::start(folder.join("server"), setting).await;
    let (foreman, token) = server.client("owner").await;
    let owner = Asker::new(&server.url, &token);
    let (oauth, vendor) = (OAuth::start().await, Models::start(&[MODEL]).await);
    vendor.want_key("access-1");
    let (app, here) = (App::new(&folder, &oauth, &vendor), ServerId::fresh());
    app.sign_in().await;

    // With no vault nothing is there that could be half handed over.
    assert!(app.sign_ins.hand_over(&app.id, &here, &foreman).await.is_err());
    assert!(app.standing().await.handed.is_none() && owner.providers().await.is_empty());
    assert_eq!(owner.post("/vault", json!({ "password": PASSWORD })).await.0, 201);
    app.sign_ins.hand_over(&app.id, &here, &foreman).await.expect("handed over");
    let provider = &owner.providers().await[0];
    assert_eq!(
        (&provider["name"], &provider["auth"], &provider["health"]["state"]),
        (&json!(NAME), &json!("oauth"), &json!("up")),
        "{provider}"
    );
    assert_eq!(asked(&owner, &vendor).await, (200, "Bearer access-1".to_owned()));

    // Renewed while the old one still lives, and the vendor takes only the new one then.
    app.clock.fetch_add((LIFE - 200) * 1_000, SeqCst);
    assert_eq!(app.look(&foreman).await, 0, "it is not yet time");
    app.clock.fetch_add(100 * 1_000, SeqCst);
    vendor.want_key("access-2");
    assert_eq!(app.look(&foreman).await, 1);
    assert_eq!(asked(&owner, &vendor).await, (200, "Bearer access-2".to_owned()));
    let keys = owner.get("/vault/keys").await;
    assert_eq!(keys["items"].as_array().map(Vec::len), Some(1), "{keys}");
    assert_eq!(owner.providers().await[0]["health"]["state"], "up");

    // The server's copy goes first, then the vendor hears of it.
    app.sign_ins.take_back(&app.id, &foreman).await.expect("taken back");
    assert_eq!(app.sign_ins.sign_out(&app.id).await.expect("signed out"), Revoked::Yes);
    assert_eq!(oauth.taken_back(), ["refresh-2"]);
    assert_eq!(app.standing().await.state, SignInState::SignedOut);
    assert!(owner.providers().await.is_empty());
    assert_eq!(owner.get("/vault/keys").await["items"], json!([]), "nor has the vault anything of it");
    assert_eq!(asked(&owner, &vendor).await.0, 404);

    server.program.stop().await;
    let places = [server.said.text().into_bytes(), database.dump(&folder.join("server"))];
    for (place, bytes) in ["the log", "the database"].iter().zip(places) {
        assert!(bytes.len() > 100, "{place} is empty");
        for secret in ["access-1", "access-2", "refresh-"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
    }
}

crate::on_both_databases!(a_sign_in_of_the_app_is_used_by_the_server_until_it_ends);
