//! The device's files over HTTP, as a client of the link meets them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Extension;
use foreman_agent::device_api::{Caller, Device, files, uploads};
use foreman_machine::files::{Change, Files};
use foreman_protocol::{DeviceId, FileEntry, FileRoots, Level, Page, SearchEnd, SearchHit, Trashed, Upload};
use futures_util::{StreamExt, stream};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

struct Served {
    folder: TempDir,
    top: PathBuf,
    address: String,
    client: Client,
    changes: Arc<Mutex<Vec<Change>>>,
}

const POLICY: &str = "ALLOW_FILE_READ=true\nALLOW_FILE_WRITE=true\n";

impl Served {
    /// A device whose `files` may be seen, asked by somebody with this level.
    async fn to(level: Level) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        for name in ["files", "state", "outside"] {
            fs::create_dir(top.join(name)).unwrap();
        }
        let changes = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&changes);
        let policy = top.join("state/policy.env");
        let device = Arc::new(Device::new(DeviceId::fresh(), "a device".into(), policy));
        let all = Files::new(top.join("state")).on_change(move |change| hears.lock().unwrap().push(change));
        let all = Arc::new(all);
        let caller = Caller {
            name: "Mia's phone".into(),
            client_key: String::new(),
            level,
            expires_at: i64::MAX,
            path: "lan".into(),
            on_behalf_of: None,
        };
        let router = files::router(Arc::clone(&device), Arc::clone(&all))
            .merge(uploads::router(device, all))
            .layer(Extension(caller));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let served = Self { folder, top, address, client: foreman_link::http::client().unwrap(), changes };
        served.policy(POLICY);
        served
    }

    fn policy(&self, switches: &str) {
        let allowed = format!("{switches}ALLOWED_PATHS={}\n", self.path("files"));
        fs::write(self.folder.path().join("state/policy.env"), allowed).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.top.join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.top.join("files").join(name), content).unwrap();
    }

    fn ask(&self, method: Method, address: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{address}", self.address))
    }

    /// An address with a path beneath `files`.
    fn at(&self, address: &str, name: &str) -> String {
        format!("{address}path={}", self.path(&format!("files/{name}")))
    }

    async fn get(&self, address: &str) -> Response {
        self.ask(Method::GET, address).send().await.unwrap()
    }

    async fn start(&self, name: &str, size: usize) -> Upload {
        let wanted = json!({ "path": self.path(&format!("files/{name}")), "size": size });
        let answer = self.ask(Method::POST, "/uploads").json(&wanted).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json().await.unwrap()
    }

    async fn send(&self, upload: &Upload, offset: u64, bytes: impl Into<reqwest::Body>) -> Response {
        let address = format!("/uploads/{}?offset={offset}", upload.id);
        self.ask(Method::PATCH, &address).body(bytes).send().await.unwrap()
    }
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

async fn problem(answer: Response) -> (u16, String, Value) {
    let status = answer.status().as_u16();
    assert_eq!(header(&answer, "content-type"), "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    (status, problem["code"].as_str().unwrap().to_owned(), problem["details"].clone())
}

async fn decoded<T: DeserializeOwned>(answer: Response) -> T {
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_tree_is_looked_at() {
    let served = Served::to(Level::View).await;
    for name in ["b", "a10", "a9", ".hidden"] {
        served.write(name, "x");
    }
    let roots: FileRoots = decoded(served.get("/files/roots").await).await;
    assert_eq!((roots.roots, roots.may_write), (vec![served.path("files")], true));
    let first: Page<FileEntry> = decoded(served.get(&served.at("/files?limit=2&", "")).await).await;
    let names =
        |page: &Page<FileEntry>| page.items.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["a9", "a10"]);
    let rest = format!("/files?cursor={}&", first.next.unwrap());
    let rest: Page<FileEntry> = decoded(served.get(&served.at(&rest, "")).await).await;
    assert_eq!((names(&rest), rest.next), (vec!["b".to_owned()], None));
    let all: Page<FileEntry> = decoded(served.get(&served.at("/files?hidden=true&", "")).await).await;
    assert_eq!(all.items.len(), 4);
    let entry: FileEntry = decoded(served.get(&served.at("/files/stat?", "b")).await).await;
    assert_eq!((entry.size, entry.mime.as_deref()), (1, Some("text/plain")));
    let found: Page<FileEntry> = decoded(served.get(&served.at("/files/find?q=a1&", "")).await).await;
    assert_eq!(names(&found), ["a10"]);
}

#[tokio::test]
async fn a_refusal_says_why() {
    let served = Served::to(Level::Operate).await;
    let outside = format!("/files/stat?path={}", served.path("outside"));
    let (status, code, details) = problem(served.get(&outside).await).await;
    assert_eq!(
        (status, code.as_str(), &details["setting"]),
        (403, "policy_forbids", &json!("ALLOWED_PATHS"))
    );
    let own = format!("/files/content?path={}", served.path("state/policy.env"));
    assert_eq!(problem(served.get(&own).await).await.0, 403);
    let none = problem(served.get(&served.at("/files/stat?", "none")).await).await;
    assert_eq!((none.0, none.1.as_str()), (404, "not_found"));
    for address in ["/files", "/files?path=relative", "/files?path=/&limit=x", "/files?path=/&what=1"] {
        let (status, code, _) = problem(served.get(address).await).await;
        assert_eq!((status, code.as_str()), (422, "invalid_request"), "{address}");
    }
    served.policy("ALLOW_FILE_WRITE=false\n");
    let (status, _, details) = problem(served.get("/files/roots").await).await;
    assert_eq!((status, &details["setting"]), (403, &json!("ALLOW_FILE_READ")));
    let wanted = json!({ "path": served.path("files/new") });
    let refused = served.ask(Method::POST, "/files/directories").json(&wanted).send().await.unwrap();
    assert_eq!(problem(refused).await.2["setting"], json!("ALLOW_FILE_WRITE"));
}

#[tokio::test]
async fn who_may_only_look_changes_nothing() {
    let served = Served::to(Level::View).await;
    served.write("a", "a");
    let path = |name: &str| served.path(&format!("files/{name}"));
    let upload = foreman_protocol::UploadId::fresh();
    let tries = [
        served.ask(Method::DELETE, &served.at("/files?", "a")),
        served.ask(Method::POST, "/files/move").json(&json!({ "from": path("a"), "to": path("b") })),
        served.ask(Method::POST, "/files/directories").json(&json!({ "path": path("d") })),
        served.ask(Method::POST, "/files/restore").json(&json!({ "id": "1" })),
        served.ask(Method::POST, "/uploads").json(&json!({ "path": path("u"), "size": 1 })),
        served.ask(Method::PATCH, &format!("/uploads/{upload}?offset=0")).body("x"),
        served.ask(Method::DELETE, &format!("/uploads/{upload}")),
    ];
    for request in tries {
        let (status, code, details) = problem(request.send().await.unwrap()).await;
        assert_eq!((status, code.as_str(), &details["needed"]), (403, "grant_not_enough", &json!("operate")));
    }
    assert_eq!(fs::read_dir(served.top.join("files")).unwrap().count(), 1);
}

#[tokio::test]
async fn ranges_and_tags_follow_the_standard() {
    let served = Served::to(Level::View).await;
    served.write("abc", "abcdefghij");
    let address = served.at("/files/content?", "abc");
    let whole = served.get(&address).await;
    assert_eq!((header(&whole, "content-length"), header(&whole, "accept-ranges")), ("10", "bytes"));
    let etag = header(&whole, "etag").to_owned();
    let modified = header(&whole, "last-modified").to_owned();
    assert_eq!(whole.bytes().await.unwrap(), "abcdefghij");
    let with = |name: &'static str, value: &str| served.ask(Method::GET, &address).header(name, value);
    let part = with("range", "bytes=2-4").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!((header(&part, "content-range"), header(&part, "content-length")), ("bytes 2-4/10", "3"));
    assert_eq!(part.bytes().await.unwrap(), "cde");
    let beyond = with("range", "bytes=10-").send().await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&beyond, "content-range"), "bytes */10");
    let same = with("if-none-match", &etag).send().await.unwrap();
    assert_eq!((same.status(), same.bytes().await.unwrap().len()), (StatusCode::NOT_MODIFIED, 0));
    for tag in [&etag, &modified] {
        let part = with("range", "bytes=0-0").header("if-range", tag).send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    }
    let other = with("range", "bytes=0-0").header("if-range", "\"other\"").send().await.unwrap();
    assert_eq!(other.status(), StatusCode::OK);
    let head = served.ask(Method::HEAD, &address).send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "10"));
}

#[tokio::test]
async fn a_large_file_comes_whole() {
    let served = Served::to(Level::View).await;
    let content: Vec<u8> = (0..5_000_001_u32).map(|number| (number % 251) as u8).collect();
    served.write("large", &content);
    let got = served.get(&served.at("/files/content?", "large")).await.bytes().await.unwrap();
    assert!(got == content);
    forget(&served.top.join("files/large"));
    let got = served.get(&served.at("/files/content?", "large")).await.bytes().await.unwrap();
    assert!(got == content, "it comes from the disk as it came from memory");
}

/// Has the system take a file out of its memory, where it can.
fn forget(path: &std::path::Path) {
    let file = fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    #[cfg(target_os = "linux")]
    {
        use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
        posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    }
}

#[tokio::test]
async fn no_file_becomes_a_page() {
    let served = Served::to(Level::View).await;
    for (name, content, kind, place) in [
        ("p.png", &b"\x89PNG\r\n\x1a\n"[..], "image/png", "inline"),
        ("p.svg", b"<svg/>", "image/svg+xml", "attachment"),
        ("p.html", b"<script>alert(1)</script>", "text/html; charset=utf-8", "attachment"),
        ("p.png.html", b"\x89PNG\r\n\x1a\n", "image/png", "inline"),
        ("\"\n; filename=x.html", b"a", "text/html; charset=utf-8", "attachment"),
        ("ü", b"\0\x01", "application/octet-stream", "attachment"),
    ] {
        served.write(name, content);
        let path = served.path(&format!("files/{name}"));
        let request = served.client.get(format!("{}/files/content", served.address));
        let url = reqwest::Url::parse_with_params(request.build().unwrap().url().as_str(), [("path", path)]);
        let answer = served.client.get(url.unwrap()).send().await.unwrap();
        assert_eq!(header(&answer, "content-type"), kind, "{name}");
        let disposition = header(&answer, "content-disposition");
        assert!(disposition.starts_with(&format!("{place}; filename*=UTF-8''")), "{disposition}");
        assert_eq!(disposition.matches(';').count(), 1, "{disposition}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(header(&answer, "content-security-policy"), "sandbox");
    }
    let saved = served.get(&served.at("/files/content?download=true&", "p.png")).await;
    assert!(header(&saved, "content-disposition").starts_with("attachment"));
}

#[tokio::test]
async fn changes_are_made_undone_and_told() {
    let served = Served::to(Level::Operate).await;
    served.write("a", "a");
    let path = |name: &str| served.path(&format!("files/{name}"));
    let made =
        served.ask(Method::POST, "/files/directories").json(&json!({ "path": path("d") })).send().await;
    assert_eq!(made.unwrap().status(), StatusCode::CREATED);
    let wanted = json!({ "from": path("a"), "to": path("d/a") });
    let moved: FileEntry =
        decoded(served.ask(Method::POST, "/files/move").json(&wanted).send().await.unwrap()).await;
    assert_eq!(moved.path, path("d/a"));
    let trashed: Trashed =
        decoded(served.ask(Method::DELETE, &served.at("/files?", "d")).send().await.unwrap()).await;
    assert!(!served.top.join("files/d").exists());
    let wanted = json!({ "id": trashed.id });
    let restored: FileEntry =
        decoded(served.ask(Method::POST, "/files/restore").json(&wanted).send().await.unwrap()).await;
    assert_eq!(restored.path, path("d"));
    assert_eq!(fs::read(served.top.join("files/d/a")).unwrap(), b"a");
    let changes = served.changes.lock().unwrap();
    let actions: Vec<_> = changes.iter().map(|change| change.action).collect();
    assert_eq!(actions, ["mkdir", "rename", "trash", "restore"]);
    assert!(changes.iter().all(|change| change.by == "Mia's phone"));
}

#[tokio::test]
async fn an_upload_goes_on_after_the_connection_was_cut() {
    let served = Served::to(Level::Operate).await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let upload = served.start("up", content.len()).await;
    // Half of it, then the connection breaks.
    let half = content[..1_500_000].to_vec();
    let broken = stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
    let address = format!("{}/uploads/{}?offset=0", served.address, upload.id);
    let cut = served.client.patch(address).body(reqwest::Body::wrap_stream(broken)).send().await;
    assert!(cut.is_err());
    let wrong = problem(served.send(&upload, content.len() as u64, "x").await).await;
    assert_eq!((wrong.0, wrong.1.as_str()), (409, "upload_offset"));
    // What the device says it has is where to go on.
    let mut at = wrong.2["expected"].as_u64().unwrap();
    let done: Upload = loop {
        let rest = content[usize::try_from(at).unwrap()..].to_vec();
        let answer = served.send(&upload, at, rest).await;
        if answer.status().is_success() {
            break answer.json().await.unwrap();
        }
        at = problem(answer).await.2["expected"].as_u64().unwrap();
    };
    assert!(done.done && done.received == content.len() as u64);
    assert!(fs::read(served.top.join("files/up")).unwrap() == content);
    let told: Upload = decoded(served.get(&format!("/uploads/{}", upload.id)).await).await;
    assert_eq!(told, done);
    assert_eq!(served.changes.lock().unwrap()[0].action, "write");
}

#[tokio::test]
async fn what_is_on_its_way_ends_when_the_policy_says_so() {
    for (policy, elsewhere) in
        [("ALLOW_FILE_READ=false\nALLOW_FILE_WRITE=false\n", "files"), (POLICY, "outside")]
    {
        let served = Served::to(Level::Operate).await;
        // Sparse, and more than any buffer between here and there holds.
        served.write("large", "");
        fs::File::options()
            .write(true)
            .open(served.top.join("files/large"))
            .unwrap()
            .set_len(1 << 36)
            .unwrap();
        let mut download = served.get(&served.at("/files/content?", "large")).await;
        assert!(download.chunk().await.unwrap().is_some());
        let upload = served.start("up", 1 << 20).await;
        let (pieces, body) = tokio::sync::mpsc::unbounded_channel::<Result<Vec<u8>, std::io::Error>>();
        pieces.send(Ok(vec![1; 1_000])).unwrap();
        let body = stream::unfold(body, |mut body| async move { Some((body.recv().await?, body)) });
        let address = format!("{}/uploads/{}?offset=0", served.address, upload.id);
        let going = served.client.patch(address).body(reqwest::Body::wrap_stream(body)).send();
        let going = tokio::spawn(going);

        let allowed = format!("{policy}ALLOWED_PATHS={}\n", served.path(elsewhere));
        fs::write(served.folder.path().join("state/policy.env"), allowed).unwrap();
        let going = tokio::time::timeout(Duration::from_secs(30), going).await.unwrap().unwrap().unwrap();
        assert_eq!(problem(going).await.1, "policy_forbids");
        // Far more than can be sent before the device looks at its policy again.
        let ended = async {
            while download.chunk().await?.is_some() {}
            Ok::<_, reqwest::Error>(())
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
        assert!(ended.is_err(), "it broke off");
        // Whoever asks for the rest is told why.
        let rest =
            served.ask(Method::GET, &served.at("/files/content?", "large")).header(header::RANGE, "bytes=5-");
        assert_eq!(problem(rest.send().await.unwrap()).await.1, "policy_forbids");
    }
}

#[tokio::test]
async fn an_upload_fits_what_was_read_or_is_refused() {
    let served = Served::to(Level::Operate).await;
    served.write("a", "old");
    let entry: FileEntry = decoded(served.get(&served.at("/files/stat?", "a")).await).await;
    let wanted = json!({ "path": served.path("files/a"), "size": 3, "replace": true });
    let start = |etag: String| {
        served.ask(Method::POST, "/uploads").header(header::IF_MATCH, etag).json(&wanted).send()
    };
    let stale = problem(start("\"stale\"".into()).await.unwrap()).await;
    assert_eq!((stale.0, stale.1.as_str()), (412, "changed"));
    let upload: Upload = decoded(start(entry.etag.unwrap()).await.unwrap()).await;
    let ended = served.ask(Method::DELETE, &format!("/uploads/{}", upload.id)).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert_eq!(problem(served.send(&upload, 0, "new").await).await.0, 404);
    assert_eq!(problem(served.get("/uploads/none").await).await.0, 404);
    assert_eq!(fs::read(served.top.join("files/a")).unwrap(), b"old");
}

/// The events of a stream until it ends.
async fn events(answer: Response) -> Vec<(String, Value)> {
    assert_eq!(header(&answer, "content-type"), "text/event-stream");
    let text = answer.text().await.unwrap();
    let blocks = text.split("\n\n").filter(|block| block.contains("event:"));
    blocks
        .map(|block| {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
            (field("event:").to_owned(), serde_json::from_str(field("data:")).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_search_streams_hits_and_says_how_it_ended() {
    let served = Served::to(Level::View).await;
    served.write("a", "one needle\n");
    served.write("b", "Needle\n");
    let told = events(served.get(&served.at("/files/search?q=needle&", "")).await).await;
    assert_eq!(told.len(), 3);
    let end: SearchEnd = serde_json::from_value(told[2].1.clone()).unwrap();
    assert_eq!((told[2].0.as_str(), end.hits, end.truncated), ("end", 2, false));
    let told = events(served.get(&served.at("/files/search?q=needle&case=true&", "")).await).await;
    let hit: SearchHit = serde_json::from_value(told[0].1.clone()).unwrap();
    assert_eq!((hit.line, hit.text.as_str(), &hit.ranges[..]), (1, "one needle", &[(4, 10)][..]));
    served.write("c", "a needle\na needle\n");
    let told = events(served.get(&served.at("/files/search?q=needle&from=9&from_line=2&", "c")).await).await;
    let hit: SearchHit = serde_json::from_value(told[0].1.clone()).unwrap();
    assert_eq!((told.len(), hit.line, hit.offset), (2, 2, Some(9)), "it goes on where a hit was");
    let (status, code, details) =
        problem(served.get(&served.at("/files/search?q=(&regex=true&", "")).await).await;
    assert_eq!((status, code.as_str(), &details["field"]), (422, "invalid_request", &json!("q")));
}

#[tokio::test]
async fn a_search_ends_when_its_client_goes_away() {
    let served = Served::to(Level::View).await;
    // More than fits on the way, so that each search waits for its reader until that goes.
    let line = format!("needle {}\n", "x".repeat(400));
    for number in 0..100 {
        served.write(&format!("f{number}"), line.repeat(10_000));
    }
    // More of them than may run at the same time: each has a turn only because the ones before it ended.
    for _ in 0..12 {
        let answer = served.get(&served.at("/files/search?q=needle&", "")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let mut stream = answer.bytes_stream();
        let first = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap();
        assert!(first.unwrap().is_ok());
    }
}

#[tokio::test]
async fn git_is_not_asked_where_files_may_be_written_and_no_commands_run() {
    let served = Served::to(Level::View).await;
    served.policy("ALLOW_BASH=false\nALLOW_FILE_READ=true\nALLOW_FILE_WRITE=true\n");
    let asked = || served.ask(Method::GET, &format!("/files/git?path={}", served.path("files")));
    let (status, _, details) = problem(asked().send().await.unwrap()).await;
    assert_eq!((status, &details["setting"]), (403, &json!("ALLOW_BASH")));
    served.policy("ALLOW_BASH=false\nALLOW_FILE_READ=true\n");
    // Without a repository there is an answer, and nothing for a browser to log as an error.
    assert_eq!(decoded::<Value>(asked().send().await.unwrap()).await, Value::Null);
    let nowhere = served.get(&served.at("/files/git?", "nowhere")).await;
    assert_eq!(problem(nowhere).await.1, "not_found");
}
