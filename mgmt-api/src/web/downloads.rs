//! The agent's install scripts and binaries, so that the command in the dashboard works against this server.

use std::path::PathBuf;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use foreman_protocol::ProblemCode;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use crate::{
    App,
    config::Settings,
    events::hex,
    problem::{ApiError, ApiResult},
};

const SCRIPT: &str = include_str!("../../../deploy/install-agent.sh");
const WINDOWS_SCRIPT: &str = include_str!("../../../deploy/install-agent.ps1");
const PREFIX: &str = "foreman-agent-";
const CHECKSUM: &str = ".sha256";

pub fn router() -> Router<App> {
    Router::new()
        .route("/install-agent.sh", get(script))
        .route("/install-agent.ps1", get(windows_script))
        .route("/downloads/{file}", get(download))
}

async fn script(State(app): State<App>) -> Response {
    addressed(&app, SCRIPT, "text/x-shellscript; charset=utf-8")
}

async fn windows_script(State(app): State<App>) -> Response {
    addressed(&app, WINDOWS_SCRIPT, "text/plain; charset=utf-8")
}

/// With this server's own address in it.
fn addressed(app: &App, script: &str, kind: &'static str) -> Response {
    let text = script.replace("@FOREMAN_URL@", &app.settings.public_url);
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

/// An agent binary, or its checksum with `.sha256`.
async fn download(State(app): State<App>, Path(file): Path<String>) -> ApiResult<Response> {
    let (name, checksum) = match file.strip_suffix(CHECKSUM) {
        Some(name) => (name, true),
        None => (file.as_str(), false),
    };
    let path = find(&app.settings, name).ok_or_else(|| {
        ApiError::new(
            ProblemCode::NotFound,
            format!(
                "This server has no agent called {name}. Put it into the folder given with --agent-binaries."
            ),
        )
    })?;
    let opened = tokio::fs::File::open(&path).await.map_err(ApiError::internal)?;
    if checksum {
        return Ok(format!("{}  {name}\n", digest(opened).await?).into_response());
    }
    let size = opened.metadata().await.map_err(ApiError::internal)?.len();
    let mut response = Body::from_stream(ReaderStream::new(opened)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    Ok(response)
}

async fn digest(mut file: tokio::fs::File) -> ApiResult<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer).await.map_err(ApiError::internal)?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}

/// In the given folder, or, for this machine's own kind, the agent that was built beside the server.
fn find(settings: &Settings, name: &str) -> Option<PathBuf> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !name.starts_with(PREFIX) || !plain {
        return None;
    }
    let given = settings.agent_binaries.as_ref().map(|folder| folder.join(name));
    let own = format!("{PREFIX}{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let beside = || {
        let server = std::env::current_exe().ok()?;
        (name == own).then(|| server.with_file_name("foreman-agent"))
    };
    given.filter(|path| path.is_file()).or_else(|| beside().filter(|path| path.is_file()))
}
