//! Conversations of two people of one tenant: neither learns that the other's exist.

use journeys::database::Database;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection};

use crate::running::{Running, json, problem};

struct People {
    server: Running,
    ada: String,
    grace: String,
}

/// Two people, each with a program that they signed in.
async fn people(database: &Database) -> People {
    let server = Running::on(database, &[]);
    let (ada, grace) = (server.token("owner"), server.token("owner"));
    sqlx::any::install_default_drivers();
    let url = match database {
        Database::Sqlite => format!("sqlite://{}", server.data.join("foreman.db").display()),
        Database::PostgreSql { url, .. } => url.clone(),
    };
    let mut conn = AnyConnection::connect(&url).await.unwrap();
    for (n, name) in ["Ada", "Grace"].into_iter().enumerate() {
        let id = format!("01890000-0000-7000-8000-00000000000{n}");
        let made = "INSERT INTO users (id, tenant_id, name, role, created_at) \
                    SELECT $1, id, $2, 'owner', 0 FROM tenants";
        sqlx::query(made).bind(&id).bind(name).execute(&mut conn).await.unwrap();
        let order = if n == 0 { "MIN" } else { "MAX" };
        let given =
            format!("UPDATE api_tokens SET for_user = $1 WHERE id = (SELECT {order}(id) FROM api_tokens)");
        sqlx::query(sqlx::AssertSqlSafe(given)).bind(&id).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
    People { server, ada, grace }
}

const ID: &str = "01890000-0000-7000-8000-0000000000aa";

async fn nobody_sees_or_touches_anothers_conversation(database: Database) {
    let People { server, ada, grace } = people(&database).await;
    let made = json(server.post("/api/v1/chats", json!({"title": "A secret"})).bearer_auth(&ada)).await;
    let chat = made["id"].as_str().unwrap();
    let file = server.request(Method::POST, "/api/v1/attachments?name=a.txt").bearer_auth(&ada).body("mine");
    let file = json(file).await["id"].as_str().unwrap().to_owned();
    let question = json!({"id": ID, "text": "Are you there?"});
    let asked =
        json(server.post(&format!("/api/v1/chats/{chat}/ask"), question.clone()).bearer_auth(&ada)).await;
    let answer = asked["answer"]["id"].as_str().unwrap();
    let again = json!({"id": "01890000-0000-7000-8000-0000000000bb", "question": ID});
    let attempts: [(Method, String, Option<Value>); 10] = [
        (Method::GET, format!("/api/v1/chats/{chat}"), None),
        (Method::PATCH, format!("/api/v1/chats/{chat}"), Some(json!({"title": "ours"}))),
        (Method::GET, format!("/api/v1/chats/{chat}/messages"), None),
        (Method::GET, format!("/api/v1/chats/{chat}/messages/{answer}/stream"), None),
        (Method::POST, format!("/api/v1/chats/{chat}/messages/{answer}/stop"), None),
        (Method::GET, format!("/api/v1/chats/{chat}/export?format=json"), None),
        (Method::POST, format!("/api/v1/chats/{chat}/ask"), Some(question)),
        (Method::POST, format!("/api/v1/chats/{chat}/ask-again"), Some(again)),
        (Method::GET, format!("/api/v1/attachments/{file}"), None),
        (Method::DELETE, format!("/api/v1/chats/{chat}"), None),
    ];
    for (method, path, body) in attempts {
        let mut request = server.request(method.clone(), &path).bearer_auth(&grace);
        if let Some(body) = &body {
            request = request.json(body);
        }
        assert_eq!(problem(request).await.0, StatusCode::NOT_FOUND, "{method} {path}");
    }
    let found = json(server.get("/api/v1/chats?q=secret").bearer_auth(&grace)).await;
    assert_eq!(found["items"], json!([]));
    let own = json(server.post("/api/v1/chats", json!({})).bearer_auth(&grace)).await;
    let body = json!({"id": "01890000-0000-7000-8000-0000000000cc", "text": "x", "attachments": [file]});
    let path = format!("/api/v1/chats/{}/ask", own["id"].as_str().unwrap());
    let taken = problem(server.post(&path, body).bearer_auth(&grace)).await;
    assert_eq!(taken.0, StatusCode::NOT_FOUND, "nobody sends another's file");
    let kept = json(server.get(&format!("/api/v1/chats/{chat}")).bearer_auth(&ada)).await;
    assert_eq!(kept["title"], "A secret");
}

#[tokio::test]
async fn nobody_sees_anothers_conversation_on_sqlite() {
    nobody_sees_or_touches_anothers_conversation(Database::Sqlite).await;
}

#[tokio::test]
async fn nobody_sees_anothers_conversation_on_postgresql() {
    nobody_sees_or_touches_anothers_conversation(Database::postgresql()).await;
}

#[tokio::test]
async fn what_cannot_be_a_question_a_title_or_a_file_is_refused() {
    let People { server, ada, .. } = people(&Database::Sqlite).await;
    let chat = json(server.post("/api/v1/chats", json!({})).bearer_auth(&ada)).await;
    let path = format!("/api/v1/chats/{}", chat["id"].as_str().unwrap());
    for body in [
        json!({"id": ID, "text": "  "}),
        json!({"id": ID, "text": "a\u{0}b"}),
        json!({"id": ID, "text": "x".repeat(129 * 1024)}),
        json!({"id": ID, "text": "x", "model": ""}),
        json!({"id": ID, "text": "x", "attachments": vec![ID; 11]}),
        json!({"id": "no id", "text": "x"}),
    ] {
        let refused = problem(server.post(&format!("{path}/ask"), body).bearer_auth(&ada)).await;
        assert_eq!(refused, (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request".to_owned()));
    }
    for title in ["", "a\nb", &"x".repeat(201)] {
        let request = server.request(Method::PATCH, &path).bearer_auth(&ada).json(&json!({"title": title}));
        assert_eq!(problem(request).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let upload = |data: Vec<u8>| {
        let request = server.request(Method::POST, "/api/v1/attachments?name=x").bearer_auth(&ada);
        problem(request.body(data))
    };
    assert_eq!(upload(vec![0, 1, 2]).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(upload(vec![b'a'; 1024 * 1024 + 1]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    picture.resize(10 * 1024 * 1024 + 1, 0);
    assert_eq!(upload(picture).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}
