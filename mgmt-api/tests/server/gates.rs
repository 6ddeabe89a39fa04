//! Nothing answers without authentication, other hosts and other origins are refused, errors are problem JSON.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::running::{Running, elsewhere, json, problem};

/// Every operation of the description that is not one of the few public ones asks who is calling.
#[tokio::test]
async fn every_route_asks_who_is_calling() {
    let server = Running::fresh();
    let api = json(server.get("/api/openapi.json")).await;
    let public = [
        "/api/v1/setup",
        "/api/v1/session",
        "/api/v1/devices/connect",
        "/api/v1/auth/device/code",
        "/api/v1/auth/device/token",
        "/api/v1/auth/token",
    ];
    let mut asked = 0_u8;
    for (path, methods) in api["paths"].as_object().unwrap() {
        let proves_itself = path.ends_with("/challenge") || path.ends_with("/bearer");
        if public.contains(&path.as_str()) || proves_itself {
            continue;
        }
        let path = path.replace("{id}", "01a1fd32-31ab-7322-b26a-bc705ba312b0");
        let path = path.replace("{task}", "01a1fd32-31ab-7322-b26a-bc705ba312b1");
        // These speak as the model vendors do, so that their libraries understand.
        let vendors = path.starts_with("/v1/");
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let plain = server.request(method.clone(), &path).json(&json!({}));
            // Ten from one address would be too many.
            let forger = elsewhere(100 + asked / 10);
            let forged = forger.request(method.clone(), format!("{}{path}", server.url));
            let forged = forged.bearer_auth("fma_AAAA").json(&json!({}));
            for stranger in [plain, forged] {
                if vendors {
                    let answer = stranger.send().await.unwrap();
                    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
                } else {
                    assert_eq!(problem(stranger).await.1, "unauthenticated", "{method} {path}");
                }
            }
            asked += 1;
        }
    }
    assert!(asked > 25, "only {asked} operations were tried");
    assert_eq!(problem(server.get("/metrics")).await.1, "unauthenticated");
}

#[tokio::test]
async fn names_the_server_was_not_told_are_refused() {
    let server = Running::fresh();
    let strange = server.get("/healthz").header("host", "evil.example");
    assert_eq!(problem(strange).await, (StatusCode::MISDIRECTED_REQUEST, "host_not_allowed".to_owned()));
    for host in ["localhost:1", "127.0.0.1", "[::1]:80", "192.0.2.7:3001"] {
        let answer = server.get("/healthz").header("host", host).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_the_cookie() {
    let server = Running::fresh();
    let link = String::from_utf8(server.host(&["login-link"]).stdout).unwrap();
    let ticket = link.trim().split_once("#ticket=").unwrap().1;
    let answer = server.post("/api/v1/session", json!({ "ticket": ticket })).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let make = |origin: &str| {
        server
            .post("/api/v1/devices", json!({ "name": "x", "type": "inference" }))
            .header("cookie", &cookie)
            .header("origin", origin)
    };
    assert_eq!(problem(make("http://evil.example")).await.1, "forbidden");
    assert_eq!(problem(make("null")).await.1, "forbidden");
    assert_eq!(make(&server.url.clone()).send().await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn what_cannot_be_understood_is_said_in_problem_json() {
    let server = Running::fresh();
    let admin = server.token("admin");
    let authorized = |request: reqwest::RequestBuilder| request.bearer_auth(&admin);
    let cases = [
        (authorized(server.get("/api/v1/devices/not-an-id")), "not_found"),
        (authorized(server.get("/api/v1/nothing")), "not_found"),
        (authorized(server.request(Method::PUT, "/api/v1/devices")), "method_not_allowed"),
        (
            authorized(server.post("/api/v1/devices", json!({ "name": "" , "type": "inference" }))),
            "invalid_request",
        ),
        (authorized(server.post("/api/v1/devices", json!({ "name": "x" }))), "invalid_request"),
        (authorized(server.request(Method::POST, "/api/v1/devices").body("{")), "invalid_request"),
        (authorized(server.get("/api/v1/tasks?limit=many")), "invalid_request"),
        (authorized(server.get("/api/v1/tasks?state=sleeping")), "invalid_request"),
        (
            authorized(
                server.post("/api/v1/devices", json!({ "name": "x".repeat(300_000), "type": "inference" })),
            ),
            "too_large",
        ),
    ];
    for (request, code) in cases {
        assert_eq!(problem(request).await.1, code);
    }
}

#[tokio::test]
async fn lists_are_paged() {
    let server = Running::fresh();
    let admin = server.token("admin");
    for n in 0..5 {
        json(
            server
                .post("/api/v1/devices", json!({ "name": format!("d{n}"), "type": "inference" }))
                .bearer_auth(&admin),
        )
        .await;
    }
    let mut names = Vec::new();
    let mut path = "/api/v1/devices?limit=2".to_owned();
    loop {
        let page: Value = json(server.get(&path).bearer_auth(&admin)).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        names.extend(items.iter().map(|device| device["name"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/devices?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["d0", "d1", "d2", "d3", "d4"]);
    let found = json(server.get("/api/v1/devices?q=D3").bearer_auth(&admin)).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

/// Who is refused is still sending: the answer arrives, and the wire serves the next request.
#[tokio::test]
async fn a_refusal_reaches_who_is_still_sending() {
    let server = Running::fresh();
    let mut wire = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let length = 11_000_000;
    let head = format!(
        "POST /api/v1/devices HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    );
    wire.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    wire.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    wire.write_all(&vec![b'['; length]).await.unwrap();
    wire.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    wire.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("HTTP/1.1 200"), "{rest}");
}
