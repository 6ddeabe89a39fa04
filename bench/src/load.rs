//! The load: HTTP/1.1 spoken by hand, so that the two cores are spent on the server and not on its caller.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// One kept connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    /// `url` is `http://host:port`.
    pub async fn open(url: &str) -> Self {
        let stream = TcpStream::connect(host(url)).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP stream");
        Self { stream: BufReader::new(stream), line: String::new(), body: Vec::new() }
    }

    /// Sends a whole request and reads the whole answer; gives the status.
    pub async fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.expect("the server reads");
        let (status, length) = self.head().await;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await.expect("the body comes");
        status
    }

    async fn head(&mut self) -> (u16, usize) {
        let (mut status, mut length) = (0, 0);
        loop {
            self.line.clear();
            let read = self.stream.read_line(&mut self.line).await.expect("the server answers");
            assert!(read > 0, "the server hung up");
            let line = self.line.trim_end();
            if line.is_empty() {
                return (status, length);
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().expect("a status");
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
        }
    }

    /// Sends a request for a stream and reads until the head is there.
    pub async fn open_stream(url: &str, request: &[u8]) -> Self {
        Self::open(url).await.stream(request).await
    }

    /// The same on a connection that stands.
    pub async fn stream(mut self, request: &[u8]) -> Self {
        self.stream.write_all(request).await.expect("the server reads");
        let (status, _) = self.head().await;
        assert_eq!(status, 200, "a stream is refused");
        self
    }

    /// Reads until `marker` came by.
    pub async fn read_until(&mut self, marker: &str) {
        let marker = marker.as_bytes();
        // What was read last, at least a marker long, so that one cut in two is found.
        let mut tail: Vec<u8> = Vec::new();
        loop {
            let chunk = self.stream.fill_buf().await.expect("the stream goes on");
            assert!(!chunk.is_empty(), "the stream ended");
            let length = chunk.len();
            tail.extend_from_slice(chunk);
            self.stream.consume(length);
            if tail.windows(marker.len()).any(|window| window == marker) {
                return;
            }
            let keep = tail.len().min(marker.len());
            tail.drain(..tail.len() - keep);
        }
    }
}

fn host(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}

/// A request as it stands on the wire.
pub fn request(method: &str, url: &str, path: &str, bearer: &str, body: &str) -> Vec<u8> {
    let host = host(url);
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {bearer}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
