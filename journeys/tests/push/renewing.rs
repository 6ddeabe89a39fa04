//! A browser whose address changes, and one in which somebody signs out or in anew.

use journeys::{
    database::Database,
    eventually,
    push::{Browser, Carriers},
};
use reqwest::{Method, StatusCode, header::COOKIE};
use serde_json::{Value, json};

use super::{Scene, fill, plain, scene, wanting};

/// Somebody signed in with a browser.
struct Session {
    scene: Scene,
    cookie: String,
}

impl Session {
    async fn start(database: Database) -> Self {
        let scene = scene(database, plain).await;
        let cookie = sign_in(&scene).await;
        Self { scene, cookie }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let address = format!("{}/api/v1/{path}", self.scene.server.url);
        let mut request = self.scene.client.request(method, address).header(COOKIE, &self.cookie);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json().await.unwrap_or(Value::Null))
    }

    /// Is told in this browser from now on.
    async fn is_told(&self, browser: &Browser) -> Value {
        let receiver = wanting(json!({ "name": "Laptop", "target": browser.target("web_push") }), "full");
        let (status, made) = self.ask(Method::POST, "push/receivers", Some(receiver)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        made
    }

    async fn renew(&self, to: &Browser, was: Option<&Browser>) -> (StatusCode, Value) {
        let body = renewal(to, was);
        self.ask(Method::POST, "push/receivers/renew", Some(body)).await
    }

    async fn receivers(&self) -> Vec<Value> {
        let (_, page) = self.ask(Method::GET, "push/receivers", None).await;
        page["items"].as_array().expect("a page").clone()
    }

    async fn told_of(&self, what: &str) -> usize {
        let (_, page) = self.ask(Method::GET, &format!("audit?type=push.{what}"), None).await;
        page["items"].as_array().expect("a page").len()
    }
}

/// The cookie of a new session of the owner.
async fn sign_in(scene: &Scene) -> String {
    let link = scene.server.host(&["login-link"]).await;
    let ticket = link.split("ticket=").nth(1).expect("a ticket").split_whitespace().next().expect("a ticket");
    let address = format!("{}/api/v1/session", scene.server.url);
    let answer = scene.client.post(address).json(&json!({ "ticket": ticket })).send().await;
    let answer = answer.expect("an answer");
    let cookie = answer.headers()["set-cookie"].to_str().expect("text");
    cookie.split(';').next().expect("a cookie").to_owned()
}

fn renewal(to: &Browser, was: Option<&Browser>) -> Value {
    let mut target = to.target("web_push");
    target.as_object_mut().expect("an object").remove("kind");
    match was {
        Some(was) => json!({ "target": target, "was": was.endpoint }),
        None => json!({ "target": target }),
    }
}

fn paths(carriers: &Carriers) -> Vec<String> {
    carriers.all().into_iter().map(|pushed| pushed.path).collect()
}

async fn a_browser_with_another_address_is_told_there_what_it_was_told(database: Database) {
    let session = Session::start(database).await;
    let browsers = ["one", "two", "three"].map(|name| Browser::subscribe(&session.scene.carriers, name));
    let [one, two, three] = &browsers;
    let made = session.is_told(one).await;

    let (status, renewed) = session.renew(two, Some(one)).await;
    assert_eq!(status, StatusCode::OK, "{renewed}");
    for same in ["id", "name", "says", "rules", "created_at"] {
        assert_eq!(renewed[same], made[same], "{same}");
    }
    assert_ne!(renewed["fingerprint"], made["fingerprint"]);
    let device = session.scene.device("Spark").await;
    fill(&device, 95).await;
    let told = two.read(&session.scene.carriers.nth(1).await);
    assert_eq!(told["title"], "GPU memory is nearly full on Spark");

    // A browser that does not know its old address is known by its session, and asking twice changes nothing more.
    let (_, renewed) = session.renew(three, None).await;
    assert_eq!(renewed["id"], made["id"]);
    assert_eq!(session.told_of("receiver_updated").await, 2);
    assert_eq!(session.renew(three, None).await.0, StatusCode::OK);
    assert_eq!((session.told_of("receiver_updated").await, session.receivers().await.len()), (2, 1));
    fill(&device, 10).await;
    assert_eq!(three.read(&session.scene.carriers.nth(2).await)["over"], true);
    assert_eq!(paths(&session.scene.carriers), ["/push/two", "/push/three"]);
}

async fn whoever_signs_in_anew_goes_on_being_told_and_nobody_else(database: Database) {
    let mut session = Session::start(database).await;
    let browser = Browser::subscribe(&session.scene.carriers, "one");
    session.is_told(&browser).await;
    assert_eq!(session.ask(Method::DELETE, "session", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(session.renew(&browser, Some(&browser)).await.0, StatusCode::UNAUTHORIZED);
    // Another account is not told there, whatever it knows of the browser.
    let asked = Some(renewal(&browser, Some(&browser)));
    let (status, problem) = session.scene.ask(Method::POST, "/receivers/renew", asked).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");

    session.cookie = sign_in(&session.scene).await;
    assert_eq!(session.receivers().await.len(), 1);
    assert_eq!(session.renew(&browser, None).await.0, StatusCode::OK);
    fill(&session.scene.device("Spark").await, 95).await;
    let told = browser.read(&session.scene.carriers.nth(1).await);
    assert_eq!(told["title"], "GPU memory is nearly full on Spark");

    // Signed out and not back: the first thing that is due ends it.
    session.ask(Method::DELETE, "session", None).await;
    fill(&session.scene.device("Forge").await, 95).await;
    session.cookie = sign_in(&session.scene).await;
    eventually("it ends", || async { session.receivers().await.is_empty().then_some(()) }).await;
    assert_eq!(session.scene.carriers.all().len(), 1);
    assert_eq!(session.renew(&browser, Some(&browser)).await.0, StatusCode::NOT_FOUND);
}

async fn an_old_address_that_ends_meanwhile_does_not_end_the_new_one(database: Database) {
    let session = Session::start(database).await;
    let [one, two] = ["one", "two"].map(|name| Browser::subscribe(&session.scene.carriers, name));
    session.is_told(&one).await;
    let release = session.scene.carriers.hold_next();
    session.scene.carriers.answer_next(410, None, "");
    fill(&session.scene.device("Spark").await, 95).await;
    session.scene.carriers.nth(1).await;
    assert_eq!(session.renew(&two, Some(&one)).await.0, StatusCode::OK);
    drop(release);
    let told = two.read(&session.scene.carriers.nth(2).await);
    assert_eq!(told["title"], "GPU memory is nearly full on Spark");
    assert_eq!(session.receivers().await.len(), 1);
}

crate::on_both_databases!(
    a_browser_with_another_address_is_told_there_what_it_was_told,
    whoever_signs_in_anew_goes_on_being_told_and_nobody_else,
    an_old_address_that_ends_meanwhile_does_not_end_the_new_one,
);
