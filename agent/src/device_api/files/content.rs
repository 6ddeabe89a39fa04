//! The bytes of a file: whole or a range, resumable, and never as a page that a browser would run.

use std::{
    io,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use foreman_machine::files::Opened;
use foreman_protocol::ProblemCode;
use futures_util::{Stream, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use tokio::{task::JoinHandle, time::Instant};

use super::{Here, POLICY_READ_EVERY, Params, blocking};
use crate::device_api::{ApiError, ApiResult, Caller};

/// Read from a disk at once. One such piece is read ahead while the one before it is sent.
const PIECE: usize = 512 * 1024;
/// Given on at once, so that others get their turn between: what fits into one record of the link.
const SLICE: usize = 60 * 1024;

/// What a browser may show in place; these cannot carry a program.
const PICTURES: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"];

/// As RFC 8187 has them in a parameter.
const IN_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContentParams {
    path: String,
    /// To be saved, also if it is a picture.
    #[serde(default)]
    download: bool,
}

pub(super) async fn content(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Params(asked): Params<ContentParams>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let path = asked.path;
    let opened = here.clone().look(&caller, move |rules| rules.open(&path)).await?;
    let told = described(&opened, asked.download);
    if matches_any(&headers, &opened.etag) {
        return Ok((StatusCode::NOT_MODIFIED, told).into_response());
    }
    let (status, start, end) = match wanted(&headers, &opened) {
        Wanted::All => (StatusCode::OK, 0, opened.size),
        Wanted::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        Wanted::Nothing => return Ok(beyond(opened.size)),
    };
    let size = opened.size;
    let mut response = (status, told, Body::from_stream(pieces(here, opened, start, end))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, (end - start).into());
    if status == StatusCode::PARTIAL_CONTENT {
        insert(headers, header::CONTENT_RANGE, &format!("bytes {start}-{}/{size}", end - 1));
    }
    Ok(response)
}

fn described(opened: &Opened, download: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let text = opened.mime.starts_with("text/");
    let kind = if text { format!("{}; charset=utf-8", opened.mime) } else { opened.mime.clone() };
    let place = if PICTURES.contains(&opened.mime.as_str()) && !download { "inline" } else { "attachment" };
    let name = utf8_percent_encode(&opened.name, IN_NAME);
    insert(&mut headers, header::CONTENT_TYPE, &kind);
    insert(&mut headers, header::CONTENT_DISPOSITION, &format!("{place}; filename*=UTF-8''{name}"));
    insert(&mut headers, header::ETAG, &opened.etag);
    insert(&mut headers, header::LAST_MODIFIED, &last_modified(opened));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn last_modified(opened: &Opened) -> String {
    let since = Duration::from_millis(u64::try_from(opened.modified_at).unwrap_or(0));
    // What a date can say in a header ends with the year 9999.
    let latest = Duration::from_secs(253_402_300_799);
    httpdate::fmt_http_date(UNIX_EPOCH + since.min(latest))
}

fn matches_any(headers: &HeaderMap, etag: &str) -> bool {
    let value = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        value.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// `end` is the first byte that is not wanted.
    Part {
        start: u64,
        end: u64,
    },
    Nothing,
}

fn wanted(headers: &HeaderMap, opened: &Opened) -> Wanted {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(range) = text(header::RANGE) else { return Wanted::All };
    let same =
        text(header::IF_RANGE).is_none_or(|known| known == opened.etag || known == last_modified(opened));
    if same { range_of(range, opened.size) } else { Wanted::All }
}

/// One range; what is no range, or several at once, is answered with everything, as RFC 9110 allows.
fn range_of(range: &str, size: u64) -> Wanted {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Wanted::All;
    };
    match (first.trim(), last.trim()) {
        ("", last) => match last.parse::<u64>() {
            Ok(0) => Wanted::Nothing,
            Ok(_) if size == 0 => Wanted::Nothing,
            Ok(length) => Wanted::Part { start: size.saturating_sub(length), end: size },
            Err(_) => Wanted::All,
        },
        (first, last) => {
            let Ok(start) = first.parse::<u64>() else { return Wanted::All };
            let end = match last {
                "" => size,
                last => match last.parse::<u64>() {
                    Ok(last) if last >= start => last.saturating_add(1).min(size),
                    _ => return Wanted::All,
                },
            };
            if start < size { Wanted::Part { start, end } } else { Wanted::Nothing }
        }
    }
}

fn beyond(size: u64) -> Response {
    let message = format!("This file has {size} bytes; the range begins behind them.");
    let error = ApiError::new(ProblemCode::InvalidRequest, message).with(json!({ "field": "range" }));
    let mut response = error.into_response();
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

struct Reading {
    here: Here,
    /// When the policy was asked last.
    allowed_at: Instant,
    opened: Arc<Opened>,
    /// What is to be read next.
    at: u64,
    end: u64,
    /// What was read and not given on yet.
    here_now: Bytes,
    ahead: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Reading {
    /// What the device forbids holds for what is on its way, too. Whoever asks again for the rest is told why.
    async fn still_allowed(&mut self) -> ApiResult<()> {
        if self.allowed_at.elapsed() < POLICY_READ_EVERY {
            return Ok(());
        }
        let (here, opened) = (self.here.clone(), Arc::clone(&self.opened));
        blocking(move || here.files.reading(&here.device.policy())?.admit(&opened.path)).await?;
        self.allowed_at = Instant::now();
        Ok(())
    }

    /// Gets what comes next; `false` at the end. What is in memory is read here, which is cheaper than to wake a
    /// thread; a disk is waited for elsewhere.
    async fn fill(&mut self) -> io::Result<bool> {
        if self.ahead.is_none() && self.take_now() {
            return Ok(true);
        }
        if self.ahead.is_none() {
            self.read_ahead();
        }
        let Some(ahead) = self.ahead.take() else { return Ok(false) };
        self.here_now = ahead.await.map_err(io::Error::other)??;
        if self.opened.read_now(self.at, 1).is_none() {
            self.read_ahead();
        }
        Ok(true)
    }

    fn take_now(&mut self) -> bool {
        let length = usize::try_from(self.end - self.at).unwrap_or(SLICE).min(SLICE);
        let Some(bytes) = self.opened.read_now(self.at, length) else { return false };
        self.at += bytes.len() as u64;
        self.here_now = bytes.into();
        true
    }

    fn read_ahead(&mut self) {
        if self.at >= self.end {
            return;
        }
        let length = usize::try_from(self.end - self.at).unwrap_or(PIECE).min(PIECE);
        let (opened, at) = (Arc::clone(&self.opened), self.at);
        self.at += length as u64;
        self.ahead = Some(tokio::task::spawn_blocking(move || {
            let bytes = opened.read_at(at, length).map_err(io::Error::other)?;
            if bytes.len() < length {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
            }
            Ok(bytes.into())
        }));
    }
}

/// The file's bytes, one piece read ahead; nothing is read before somebody wants it.
fn pieces(
    here: Here,
    opened: Opened,
    start: u64,
    end: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let allowed_at = Instant::now();
    let reading = Reading {
        here,
        allowed_at,
        opened: Arc::new(opened),
        at: start,
        end,
        here_now: Bytes::new(),
        ahead: None,
    };
    stream::try_unfold(reading, |mut reading| async move {
        if reading.here_now.is_empty() {
            reading.still_allowed().await.map_err(|error| io::Error::other(error.message))?;
            if !reading.fill().await? {
                return Ok(None);
            }
        }
        reading.here.device.precedence.give_way().await;
        let slice = reading.here_now.split_to(SLICE.min(reading.here_now.len()));
        Ok(Some((slice, reading)))
    })
}

#[cfg(test)]
mod tests {
    use foreman_machine::files::Files;
    use foreman_protocol::{DeviceId, Policy};
    use futures_util::{FutureExt, StreamExt};
    use proptest::prelude::*;

    use super::*;
    use crate::device_api::Device;

    #[tokio::test(start_paused = true)]
    async fn a_download_rests_when_a_key_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("large");
        std::fs::write(&path, vec![7; 4 * SLICE]).unwrap();
        let policy = folder.path().join("policy.env");
        let device = Device::new(DeviceId::fresh(), "a device".to_owned(), policy);
        let device = Arc::new(device);
        let files = Arc::new(Files::new(folder.path().join("state")));
        let policy = Policy { allow_file_read: true, ..Policy::default() };
        let opened = files.reading(&policy).unwrap().open(path.to_str().unwrap()).unwrap();
        let end = opened.size;
        let here = Here::new(Arc::clone(&device), files);
        let mut pieces = std::pin::pin!(pieces(here, opened, 0, end));
        assert_eq!(pieces.next().await.unwrap().unwrap().len(), SLICE);
        device.precedence.typed(1);
        assert!(pieces.next().now_or_never().is_none(), "it goes before the key");
        let mut left = 0;
        while let Some(piece) = pieces.next().await {
            left += piece.unwrap().len();
        }
        assert_eq!(left, 3 * SLICE);
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part { start: 0, end: 1 }),
            ("bytes=2-", Wanted::Part { start: 2, end: 10 }),
            ("bytes=2-100", Wanted::Part { start: 2, end: 10 }),
            ("bytes=-3", Wanted::Part { start: 7, end: 10 }),
            ("bytes=-30", Wanted::Part { start: 0, end: 10 }),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=3-2", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("lines=1-2", Wanted::All),
            ("bytes=a-b", Wanted::All),
        ] {
            assert_eq!(range_of(range, 10), expected, "{range}");
        }
        assert_eq!(range_of("bytes=-1", 0), Wanted::Nothing);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(range in "bytes=[0-9]{0,20}-[0-9]{0,20}", size: u64) {
            if let Wanted::Part { start, end } = range_of(&range, size) {
                prop_assert!(start < end && end <= size);
            }
        }
    }
}
