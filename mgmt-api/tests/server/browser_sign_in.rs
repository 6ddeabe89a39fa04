//! Signing in a program by the browser: OAuth 2.1's authorization code with PKCE, as any client would see it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    accounts::owner,
    running::{Running, json, problem},
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const PORT_RETURN: &str = "http://127.0.0.1:41234/signed-in";

fn asked() -> Value {
    json!({
        "response_type": "code",
        "client_id": "foreman-cli",
        "redirect_uri": PORT_RETURN,
        "state": "a state",
        "code_challenge": URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER)),
        "code_challenge_method": "S256",
        "client_name": "foreman on laptop",
    })
}

/// With one thing changed.
fn other(name: &str, value: &str) -> Value {
    let mut asked = asked();
    asked[name] = value.into();
    asked
}

fn query(of: &Value) -> String {
    let mut url = Url::parse("http://x/").unwrap();
    for (name, value) in of.as_object().unwrap() {
        url.query_pairs_mut().append_pair(name, value.as_str().unwrap());
    }
    url.query().unwrap().to_owned()
}

struct Person {
    server: Running,
    cookie: String,
}

impl Person {
    async fn new() -> Self {
        let server = Running::fresh();
        let cookie = owner(&server).await;
        Self { server, cookie }
    }

    async fn look(&self, asked: &Value) -> Value {
        let path = format!("/api/v1/auth/authorize?{}", query(asked));
        json(self.server.get(&path).header("cookie", &self.cookie)).await
    }

    fn decision(&self, asked: &Value, allow: bool) -> reqwest::RequestBuilder {
        let body = json!({ "request": asked, "allow": allow, "role": "operator" });
        let request = self.server.post("/api/v1/auth/authorize", body).header("cookie", &self.cookie);
        request.header("origin", &self.server.url)
    }

    /// What the browser is led to, by name.
    async fn decide(&self, asked: &Value, allow: bool) -> Vec<(String, String)> {
        let decided = json(self.decision(asked, allow)).await;
        let url = Url::parse(decided["redirect_to"].as_str().unwrap()).unwrap();
        assert!(url.as_str().starts_with(asked["redirect_uri"].as_str().unwrap()), "{url}");
        url.query_pairs().into_owned().collect()
    }

    async fn code(&self) -> String {
        let back = self.decide(&asked(), true).await;
        assert_eq!(back[1..], [pair("state", "a state"), pair("iss", &self.server.url)]);
        assert_eq!(back[0].0, "code");
        back[0].1.clone()
    }

    async fn exchange(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let address = format!("{}/api/v1/auth/token", self.server.url);
        let body = url_encoded(form);
        let request = reqwest::Client::new().post(address).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        (answer.status(), answer.json().await.unwrap())
    }

    async fn may(&self, token: &Value) -> StatusCode {
        let bearer = token["access_token"].as_str().unwrap();
        self.server.get("/api/v1/session").bearer_auth(bearer).send().await.unwrap().status()
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn url_encoded(form: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://x/").unwrap();
    url.query_pairs_mut().extend_pairs(form);
    url.query().unwrap().to_owned()
}

fn claim<'c>(code: &'c str, verifier: &'c str) -> [(&'c str, &'c str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", PORT_RETURN),
        ("client_id", "foreman-cli"),
        ("code_verifier", verifier),
    ]
}

fn refused(error: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, json!({ "error": error }))
}

#[tokio::test]
async fn a_person_allows_it_and_the_program_gets_one_token() {
    let person = Person::new().await;
    // Looking needs a person and changes nothing.
    let path = format!("/api/v1/auth/authorize?{}", query(&asked()));
    assert_eq!(problem(person.server.get(&path)).await.0, StatusCode::UNAUTHORIZED);
    let look = person.look(&asked()).await;
    assert_eq!(
        look,
        json!({ "outcome": "ask", "client": "command_line", "client_name": "foreman on laptop",
            "redirect_uri": PORT_RETURN, "role": "owner" })
    );
    assert_eq!(person.look(&other("scope", "viewer")).await["role"], "viewer");

    let code = person.code().await;
    let (status, token) = person.exchange(&claim(&code, VERIFIER)).await;
    assert_eq!(
        (status, &token["token_type"], &token["scope"]),
        (StatusCode::OK, &json!("Bearer"), &json!("operator"))
    );
    let bearer = token["access_token"].as_str().unwrap();
    let me = json(person.server.get("/api/v1/session").bearer_auth(bearer)).await;
    assert_eq!((me["name"].as_str(), me["role"].as_str()), (Some("foreman on laptop"), Some("operator")));

    // It is in the list that people take rights back from, and its making is in the log with who allowed it.
    let listed = json(person.server.get("/api/v1/tokens").header("cookie", &person.cookie)).await;
    let entry =
        listed["items"].as_array().unwrap().iter().find(|it| it["name"] == "foreman on laptop").unwrap();
    let log =
        json(person.server.get("/api/v1/audit?limit=50").header("cookie", &person.cookie)).await.to_string();
    assert!(log.contains("api_token.created") && log.contains("foreman on laptop"), "{log}");
    for secret in [code.as_str(), bearer, VERIFIER] {
        assert!(!log.contains(secret));
        for file in std::fs::read_dir(&person.server.data).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
    let revoke = format!("/api/v1/tokens/{}", entry["id"].as_str().unwrap());
    let revoke = person.server.request(reqwest::Method::DELETE, &revoke).header("cookie", &person.cookie);
    assert_eq!(revoke.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(person.may(&token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_code_that_comes_twice_takes_back_what_it_gave() {
    let person = Person::new().await;
    let code = person.code().await;
    let (status, token) = person.exchange(&claim(&code, VERIFIER)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(person.may(&token).await, StatusCode::OK);
    assert_eq!(person.exchange(&claim(&code, VERIFIER)).await, refused("invalid_grant"));
    assert_eq!(person.may(&token).await, StatusCode::UNAUTHORIZED);
    let log =
        json(person.server.get("/api/v1/audit?limit=50").header("cookie", &person.cookie)).await.to_string();
    assert!(log.contains("api_token.revoked"), "{log}");
}

#[tokio::test]
async fn a_code_is_worth_something_only_to_the_program_it_is_for() {
    let person = Person::new().await;
    // Each takes a code of its own: a wrong try spends it.
    for (at, value) in [
        (2, "http://127.0.0.1:41235/signed-in"),
        (3, "foreman-app"),
        (4, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"),
    ] {
        let code = person.code().await;
        let mut form = claim(&code, VERIFIER);
        form[at].1 = value;
        assert_eq!(person.exchange(&form).await, refused("invalid_grant"), "{form:?}");
    }
    let spent = person.code().await;
    assert_eq!(person.exchange(&claim(&spent, "wrong")).await, refused("invalid_grant"));
    assert_eq!(person.exchange(&claim(&spent, VERIFIER)).await, refused("invalid_grant"));
}

#[tokio::test]
async fn what_makes_no_sense_gets_no_token() {
    let person = Person::new().await;
    let none = claim("fmb_nothing", VERIFIER);
    assert_eq!(person.exchange(&none).await, refused("invalid_grant"));
    assert_eq!(person.exchange(&none[1..]).await, refused("invalid_request"));
    assert_eq!(person.exchange(&none[..4]).await, refused("invalid_request"));
    let mut form = none;
    form[0].1 = "password";
    assert_eq!(person.exchange(&form).await, refused("unsupported_grant_type"));
    form = none;
    form[3].1 = "somebody";
    assert_eq!(person.exchange(&form).await, refused("invalid_client"));
    let doubled: Vec<_> = none.into_iter().chain([("code", "another")]).collect();
    assert_eq!(person.exchange(&doubled).await, refused("invalid_request"));
}

#[tokio::test]
async fn only_a_person_on_our_own_page_decides() {
    let person = Person::new().await;
    let elsewhere =
        person.server.post("/api/v1/auth/authorize", json!({ "request": asked(), "allow": true }));
    let elsewhere = elsewhere.header("cookie", &person.cookie).header("origin", "https://evil.example");
    assert_eq!(problem(elsewhere).await.1, "forbidden");
    let nowhere = person.server.post("/api/v1/auth/authorize", json!({ "request": asked(), "allow": true }));
    assert_eq!(problem(nowhere.header("cookie", &person.cookie)).await.1, "forbidden");
    let bearer = person.server.token("owner");
    let by_token = person.server.post("/api/v1/auth/authorize", json!({ "request": asked(), "allow": true }));
    assert_eq!(
        problem(by_token.bearer_auth(bearer).header("origin", &person.server.url)).await.1,
        "forbidden"
    );

    // A program never gets more than the person has, and the page cannot be put into another one.
    let page = person.server.get("/authorize").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
}

#[tokio::test]
async fn a_refusal_goes_back_and_a_forged_request_goes_nowhere() {
    let person = Person::new().await;
    let back = person.decide(&asked(), false).await;
    assert_eq!(back[..2], [pair("error", "access_denied"), pair("state", "a state")]);
    assert_eq!(back[2], pair("iss", &person.server.url));
    let wrong = person.look(&other("code_challenge_method", "plain")).await;
    assert_eq!(
        (wrong["outcome"].as_str(), wrong["error"].as_str()),
        (Some("refuse"), Some("invalid_request"))
    );
    assert!(
        wrong["redirect_to"].as_str().unwrap().starts_with(&format!("{PORT_RETURN}?error=invalid_request&"))
    );
    let back = person.decide(&other("response_type", "token"), true).await;
    assert_eq!(back[0], pair("error", "unsupported_response_type"));
    for (name, value) in [("redirect_uri", "https://evil.example/"), ("client_id", "somebody")] {
        let path = format!("/api/v1/auth/authorize?{}", query(&other(name, value)));
        let looked = problem(person.server.get(&path).header("cookie", &person.cookie)).await;
        assert_eq!((looked.0, looked.1.as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"));
        assert_eq!(problem(person.decision(&other(name, value), true)).await.1, "invalid_request");
    }
    let doubled = format!("/api/v1/auth/authorize?{}&state=two", query(&asked()));
    assert_eq!(
        problem(person.server.get(&doubled).header("cookie", &person.cookie)).await.1,
        "invalid_request"
    );
}

#[tokio::test]
async fn the_server_says_what_it_offers_under_the_name_it_was_asked_by() {
    let server = Running::fresh();
    let described = json(server.get("/.well-known/oauth-authorization-server")).await;
    assert_eq!(described["issuer"], server.url);
    assert_eq!(described["authorization_endpoint"], format!("{}/authorize", server.url));
    assert_eq!(described["token_endpoint"], format!("{}/api/v1/auth/token", server.url));
    assert_eq!(described["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(described["authorization_response_iss_parameter_supported"], true);
    let by_name = server.get("/.well-known/oauth-authorization-server").header("host", "localhost:7");
    assert_eq!(json(by_name).await["issuer"], "http://localhost:7");
}

#[tokio::test]
async fn codes_are_not_made_or_tried_in_bulk() {
    let person = Person::new().await;
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(person.decision(&asked(), true).send().await.unwrap().status());
    }
    assert_eq!(answers.last(), Some(&StatusCode::TOO_MANY_REQUESTS), "{answers:?}");
    let address = format!("{}/api/v1/auth/token", person.server.url);
    let tried = reqwest::Client::new().post(address).body("").send().await.unwrap();
    assert_eq!(tried.status(), StatusCode::TOO_MANY_REQUESTS);
}
