//! The network between two programs: a TCP relay that can be cut and mended.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Whole,
    /// Connections break and none is made.
    Cut,
    /// Connections stay but carry nothing, as behind a dead radio link; new ones are accepted and say nothing.
    Mute,
}

/// A relay to an address that may change and need not answer yet.
pub struct Wire {
    address: SocketAddr,
    condition: watch::Sender<Condition>,
}

impl Wire {
    /// # Panics
    /// When no port is free.
    pub async fn to(server: &str) -> Self {
        let target = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let condition = watch::Sender::new(Condition::Whole);
        let subscriber = condition.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target.clone(), subscriber.subscribe()));
            }
        });
        Self { address, condition }
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn cut(&self) {
        self.condition.send_replace(Condition::Cut);
    }

    pub fn mute(&self) {
        self.condition.send_replace(Condition::Mute);
    }

    pub fn mend(&self) {
        self.condition.send_replace(Condition::Whole);
    }
}

/// Carries one connection until the wire's condition changes; then it is broken, or held mute until it does again.
async fn carry(mut near: TcpStream, target: String, mut condition: watch::Receiver<Condition>) {
    let now = *condition.borrow_and_update();
    if now == Condition::Whole {
        let Ok(mut far) = TcpStream::connect(&target).await else { return };
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            _ = condition.changed() => {}
        }
        if *condition.borrow_and_update() == Condition::Mute {
            let _ = condition.changed().await;
        }
    } else if now == Condition::Mute {
        let _ = condition.changed().await;
    }
    // Dropping with a reset, as a cable does after all: no polite goodbye.
    let _ = near.set_zero_linger();
}
