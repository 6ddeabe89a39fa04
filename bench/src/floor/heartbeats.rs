//! The least that a durable heartbeat costs: read JSON, put one row into SQLite with `synchronous=FULL`, answer when
//! it is on the disk. Whoever waits while a commit runs goes into the next one together.

use std::path::Path;

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use foreman_protocol::Sample;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot};

type Waiting = (String, oneshot::Sender<()>);

pub async fn router(database: &Path) -> Router {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await.expect("SQLite opens");
    sqlx::query("CREATE TABLE IF NOT EXISTS sample (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        .execute(&mut connection)
        .await
        .expect("a table");
    let (give, take) = mpsc::channel(4096);
    tokio::spawn(write(connection, take));
    Router::new().route("/heartbeat", post(heartbeat)).with_state(give)
}

async fn heartbeat(
    State(writer): State<mpsc::Sender<Waiting>>,
    Json(sample): Json<Sample>,
) -> (StatusCode, &'static str) {
    let body = serde_json::to_string(&sample).expect("it was JSON");
    let (done, durable) = oneshot::channel();
    if writer.send((body, done)).await.is_ok() && durable.await.is_ok() {
        (StatusCode::OK, "{}")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "")
    }
}

async fn write(mut connection: SqliteConnection, mut waiting: mpsc::Receiver<Waiting>) {
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, 512).await > 0 {
        let mut transaction = connection.begin().await.expect("SQLite begins");
        for (body, _) in &group {
            sqlx::query("INSERT INTO sample (body) VALUES ($1)")
                .bind(body)
                .execute(&mut *transaction)
                .await
                .expect("SQLite inserts");
        }
        transaction.commit().await.expect("SQLite commits");
        for (_, done) in group.drain(..) {
            let _ = done.send(());
        }
    }
}
