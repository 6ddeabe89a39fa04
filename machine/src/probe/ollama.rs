//! Ollama on this machine: its version, the models it has and the ones in memory, over its HTTP interface.

use std::time::Duration;

use foreman_protocol::{Ollama, OllamaModel};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::Skip;

const DEFAULT_PORT: u16 = 11434;
/// The most that is read of one answer, in bytes: room for some thousand models.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// How long a measurement may wait for Ollama.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct VersionAnswer {
    version: String,
}

#[derive(Deserialize)]
struct ModelsAnswer {
    #[serde(default)]
    models: Option<Vec<ModelRow>>,
}

#[derive(Deserialize)]
struct ModelRow {
    name: String,
    #[serde(default)]
    size: u64,
    /// Of a loaded one.
    #[serde(default)]
    context_length: Option<u32>,
}

pub(super) async fn probe(host: Option<&str>) -> Result<Ollama, Skip> {
    let endpoint = endpoint(host).ok_or_else(|| Skip("OLLAMA_HOST is not a plain HTTP address".into()))?;
    let version = get(&endpoint, "/api/version").await?;
    let version: VersionAnswer = serde_json::from_slice(&version).map_err(|_| Skip::said(""))?;
    let models = parse_models(&get(&endpoint, "/api/tags").await?).ok_or_else(|| Skip::said(""))?;
    Ok(Ollama { version: version.version, endpoint, models })
}

/// What there is now, without the other probes; `host` is in the form of `OLLAMA_HOST`. `None` when it does not run.
pub async fn now(host: Option<&str>) -> Option<Ollama> {
    probe(host).await.ok()
}

/// The models in memory, each with the context it runs with, tokens, where Ollama tells; none when it does not answer
/// in time.
pub(crate) async fn loaded_models(endpoint: &str) -> Vec<(String, Option<u32>)> {
    let answer = tokio::time::timeout(PATIENCE, get(endpoint, "/api/ps")).await;
    answer.ok().and_then(Result::ok).map(|body| parse_loaded(&body)).unwrap_or_default()
}

fn parse_loaded(body: &[u8]) -> Vec<(String, Option<u32>)> {
    let rows = parse_rows(body).unwrap_or_default();
    rows.into_iter().map(|row| (row.name, row.context_length.filter(|tokens| *tokens > 0))).collect()
}

pub(super) fn parse_models(body: &[u8]) -> Option<Vec<OllamaModel>> {
    let rows = parse_rows(body)?;
    Some(rows.into_iter().map(|row| OllamaModel { name: row.name, size: row.size }).collect())
}

fn parse_rows(body: &[u8]) -> Option<Vec<ModelRow>> {
    let answer: ModelsAnswer = serde_json::from_slice(body).ok()?;
    Some(answer.models.unwrap_or_default())
}

/// Where a client on this machine finds the server that listens at `OLLAMA_HOST`.
///
/// The variable is written for the server: `0.0.0.0`, `:11434` and `example.lan` are all usual. `None` for what is not
/// a plain HTTP address.
#[must_use]
pub fn endpoint(host: Option<&str>) -> Option<String> {
    let text = host.unwrap_or_default().trim().trim_matches(['"', '\'']);
    let (text, default_port) = match text.split_once("://") {
        None => (text, DEFAULT_PORT),
        Some(("http", rest)) => (rest, 80),
        Some(_) => return None,
    };
    let text = text.split('/').next().unwrap_or_default();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && (host.ends_with(']') || !host.contains(':')) => {
            (host, port.parse().ok()?)
        }
        _ => (text, default_port),
    };
    let host = match host.trim_matches(['[', ']']) {
        "" | "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        six if six.contains(':') => format!("[{six}]"),
        name => name.to_owned(),
    };
    Some(format!("http://{host}:{port}"))
}

async fn get(endpoint: &str, path: &str) -> Result<Bytes, Skip> {
    let authority = endpoint.strip_prefix("http://").unwrap_or(endpoint);
    let stream = TcpStream::connect(authority).await.map_err(|_| Skip("not running".into()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Skip(format!("no answer: {error}")))?;
    let exchange = async {
        let request = Request::get(path)
            .header("host", authority)
            .body(Empty::<Bytes>::new())
            .map_err(|error| Skip(format!("OLLAMA_HOST cannot be used: {error}")))?;
        let answer =
            sender.send_request(request).await.map_err(|error| Skip(format!("no answer: {error}")))?;
        if !answer.status().is_success() {
            return Err(Skip(format!("answered {}", answer.status())));
        }
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
        Ok(body.map_err(|error| Skip(format!("the answer broke off: {error}")))?.to_bytes())
    };
    // The connection is driven here and not in a task of its own, so that dropping the probe closes it.
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_loaded_says_how_much_context_it_runs_with() {
        let answer = br#"{"models":[{"name":"a","context_length":4096},{"name":"b"},{"name":"c","context_length":0}]}"#;
        let said = |name: &str, context| (name.to_owned(), context);
        assert_eq!(parse_loaded(answer), [said("a", Some(4_096)), said("b", None), said("c", None)]);
        assert_eq!(parse_loaded(b"<html>"), []);
    }

    #[test]
    fn the_variable_is_read_as_ollama_reads_it() {
        for (host, expected) in [
            (None, "http://127.0.0.1:11434"),
            (Some(""), "http://127.0.0.1:11434"),
            (Some("0.0.0.0"), "http://127.0.0.1:11434"),
            (Some(":4321"), "http://127.0.0.1:4321"),
            (Some("gpu.lan"), "http://gpu.lan:11434"),
            (Some("http://gpu.lan:8080/"), "http://gpu.lan:8080"),
            (Some("http://gpu.lan"), "http://gpu.lan:80"),
            (Some("[::]:11434"), "http://[::1]:11434"),
            (Some("::1"), "http://[::1]:11434"),
        ] {
            assert_eq!(endpoint(host).as_deref(), Some(expected), "{host:?}");
        }
        assert_eq!(endpoint(Some("https://gpu.lan")), None);
        assert_eq!(endpoint(Some("gpu.lan:many")), None);
    }

    #[test]
    fn models_are_read_from_the_documented_answer() {
        let models = parse_models(include_bytes!("../../tests/fixtures/ollama/tags.json")).unwrap();
        assert_eq!(models.len(), 2);
        assert_eq!(models[0].name, "deepseek-r1:latest");
        assert_eq!(models[0].size, 4_683_075_271);
        assert_eq!(parse_models(b"{\"models\":null}"), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(host in ".{0,40}", body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = endpoint(Some(&host));
            parse_models(&body);
        }
    }
}
