//! A device, its owner and a client, and channels between them.

use foreman_link::{
    channel::{self, AcceptError, Accepted, Channel, ClientKeys, ConnectError, DeviceKeys, Welcome},
    grant::{Issuer, LinkSecret, Revocations, Trust, sign_grant, verify_grant},
};
use foreman_protocol::{Grant, GrantId, Hello, Level, Millis, RefusedBecause};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};

pub const NOW: Millis = 1_795_000_000_000;

pub struct Parties {
    pub owner: Issuer,
    pub identity: Issuer,
    pub device: DeviceKeys,
    pub client: LinkSecret,
    pub revocations: Revocations,
}

impl Parties {
    pub fn new() -> Self {
        let identity = Issuer::generate();
        let device = DeviceKeys { identity: identity.public_bytes(), secret: LinkSecret::generate() };
        Self {
            owner: Issuer::generate(),
            identity,
            device,
            client: LinkSecret::generate(),
            revocations: Revocations::default(),
        }
    }

    pub fn grant(&self) -> Grant {
        Grant {
            id: GrantId::fresh(),
            device: self.identity.public(),
            client: self.client.public(),
            name: "Mia's phone".to_owned(),
            level: Level::Operate,
            issued_at: NOW - 1000,
            expires_at: NOW + 1000,
            issuer: self.owner.public(),
        }
    }

    pub fn hello(&self) -> Hello {
        self.hello_with(sign_grant(&self.grant(), &self.owner))
    }

    pub fn hello_with(&self, grant: String) -> Hello {
        Hello::new(grant, "lan")
    }

    pub fn keys(&self) -> ClientKeys {
        ClientKeys::new(self.client.clone(), &self.identity.public(), &self.device.secret.public()).unwrap()
    }

    /// What the device says to a grant, whoever did the handshake.
    pub fn check(&self, client: &str, hello: &Hello) -> Result<Grant, RefusedBecause> {
        let issuers = [self.owner.public()];
        let device = self.identity.public();
        let trust =
            Trust { issuers: &issuers, device: &device, client, now: NOW, revocations: &self.revocations };
        verify_grant(&hello.grant, &trust)
    }

    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<Accepted<IO>, AcceptError> {
        channel::accept(io, &self.device, |client, hello| self.check(client, hello)).await
    }

    /// Both ends of a link over these two ends of a way.
    pub async fn link_over<A, B>(&self, client: A, device: B) -> (Channel<A>, Channel<B>)
    where
        A: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        let (keys, hello) = (self.keys(), self.hello());
        let (connected, accepted) =
            tokio::join!(channel::connect(client, &keys, &hello), self.accept(device));
        let (channel, welcome) = connected.unwrap();
        assert_eq!(welcome, Welcome { level: Level::Operate, expires_at: NOW + 1000 });
        let accepted = accepted.unwrap();
        assert_eq!((accepted.client, accepted.hello), (self.client.public(), hello));
        (channel, accepted.channel)
    }

    /// Both ends over a way that holds `room` bytes.
    pub async fn link(&self, room: usize) -> (Channel<DuplexStream>, Channel<DuplexStream>) {
        let (client, device) = duplex(room);
        self.link_over(client, device).await
    }

    /// What comes of this client's try with this hello.
    pub async fn try_with(
        &self,
        keys: &ClientKeys,
        hello: &Hello,
    ) -> (Result<Welcome, ConnectError>, Result<Grant, AcceptError>) {
        let (client, device) = duplex(4096);
        let (connected, accepted) = tokio::join!(channel::connect(client, keys, hello), self.accept(device));
        (connected.map(|(_, welcome)| welcome), accepted.map(|accepted| accepted.grant))
    }
}
