//! Somebody who listens between two programs and hears every byte, both ways.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What passed, one entry for each direction of each connection.
type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

pub struct Tap {
    address: SocketAddr,
    heard: Heard,
}

impl Tap {
    /// # Panics
    /// When no port is free.
    pub async fn to(server: &str) -> Self {
        let target = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let heard = Heard::default();
        let hears = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(from_near, to_far, Arc::clone(&hears)));
                tokio::spawn(carry(from_far, to_near, Arc::clone(&hears)));
            }
        });
        Self { address, heard }
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether this passed in one piece, in any direction.
    #[must_use]
    pub fn heard(&self, what: &str) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().any(|bytes| bytes.windows(what.len()).any(|window| window == what.as_bytes()))
    }

    /// Bytes that passed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Vec::len).sum()
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, heard: Heard) {
    let place = {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(Vec::new());
        heard.len() - 1
    };
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut piece).await {
        heard.lock().unwrap_or_else(PoisonError::into_inner)[place].extend_from_slice(&piece[..length]);
        if length == 0 || to.write_all(&piece[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
