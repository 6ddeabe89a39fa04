//! What is served without signing in, how it is guarded, and what is said when the server cannot start.

use std::process::Command;

use reqwest::StatusCode;
use sha2::{Digest, Sha256};

use crate::running::{Running, json};

#[tokio::test]
async fn the_page_loads_only_what_comes_from_here() {
    let server = Running::fresh();
    let answer = server.get("/devices").send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let scripts = policy.split(';').find(|part| part.trim().starts_with("script-src")).unwrap();
    assert!(!scripts.contains("unsafe"), "{scripts}");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn the_api_is_described_for_programs_and_people() {
    let server = Running::fresh();
    let api = json(server.get("/api/openapi.json")).await;
    assert!(api["paths"]["/api/v1/devices"]["post"].is_object());
    let page = server.get("/api").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("POST /api/v1/devices") && !page.contains("<script"));
}

#[tokio::test]
async fn the_install_script_points_here_and_binaries_fit_their_checksum() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("foreman-agent-aarch64-linux"), b"an agent").unwrap();
    let data = folder.path().join("data");
    let server = Running::over(data, &["--agent-binaries", folder.path().to_str().unwrap()]);

    for (script, name) in
        [("/install-agent.sh", "foreman-agent-"), ("/install-agent.ps1", "foreman-agent-x86_64-windows")]
    {
        let script = server.get(script).send().await.unwrap().text().await.unwrap();
        assert!(script.contains(&server.url) && !script.contains("@FOREMAN_URL@") && script.contains(name));
    }
    let binary =
        server.get("/downloads/foreman-agent-aarch64-linux").send().await.unwrap().bytes().await.unwrap();
    let sum = server
        .get("/downloads/foreman-agent-aarch64-linux.sha256")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let digest: String = Sha256::digest(&binary).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sum, format!("{digest}  foreman-agent-aarch64-linux\n"));
    for name in ["foreman-agent-mips-linux", "..%2Fforeman.db", "foreman-agent-..%2F..%2Fetc%2Fpasswd"] {
        let missing = server.get(&format!("/downloads/{name}")).send().await.unwrap();
        assert_eq!(missing.status(), StatusCode::NOT_FOUND, "{name}");
    }
}

#[test]
fn a_port_in_use_and_a_folder_in_use_are_said_in_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let serve = |listen: String, data: &std::path::Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_foreman-server"))
            .args(["serve", "--listen", &listen, "--data"])
            .arg(data)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = serve(taken.local_addr().unwrap().to_string(), folder.path());
    assert!(said.contains("another program listens there") && said.lines().count() == 1, "{said}");

    let server = Running::fresh();
    let said = serve("127.0.0.1:0".to_owned(), &server.data);
    assert!(said.contains("another foreman-server is using") && said.lines().count() == 1, "{said}");
}

#[tokio::test]
async fn metrics_count_by_route_and_hold_no_ids() {
    let server = Running::fresh();
    let viewer = server.token("viewer");
    let missing = "/api/v1/devices/01a1fd32-31ab-7322-b26a-bc705ba312b0";
    assert_eq!(
        server.get(missing).bearer_auth(&viewer).send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    let text = server.get("/metrics").bearer_auth(&viewer).send().await.unwrap().text().await.unwrap();
    let line = text
        .lines()
        .find(|line| line.contains("foreman_http_requests_total") && line.contains("404"))
        .unwrap();
    assert!(line.contains("route=\"/api/v1/devices/{id}\"") && line.ends_with(" 1"), "{line}");
    assert!(!text.contains("01a1fd32"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_streams_cleanly_and_exits_with_success() {
    let mut server = Running::fresh();
    let viewer = server.token("viewer");
    let mut stream = server.get("/api/v1/events").bearer_auth(&viewer).send().await.unwrap();
    let first = stream.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("event: ready\n"), "{first:?}");

    let started = std::time::Instant::now();
    let stopping = tokio::task::spawn_blocking(move || server.terminate());
    // The stream ends as a whole, not as a broken connection.
    while stream.chunk().await.unwrap().is_some() {}
    assert_eq!(stopping.await.unwrap(), Some(0));
    assert!(started.elapsed() < std::time::Duration::from_secs(9), "it did not wait to be cut off");
}
