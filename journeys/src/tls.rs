//! A server's end of TLS, with a certificate of a company's own.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// Ends TLS for these names and hands on what was in it to `target`; gives the address where it listens. The root that
/// vouches for it is written as a file of the system would hold it.
///
/// # Panics
/// When no port is free, or the file cannot be written.
pub async fn terminate(names: &[&str], root: &Path, target: &str) -> SocketAddr {
    let (config, root_pem) = certified(names);
    std::fs::write(root, root_pem).expect("written");
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let target = target.to_owned();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (tls, target) = (tls.clone(), target.clone());
            tokio::spawn(async move {
                let Ok(mut near) = tls.accept(near).await else { return };
                let Ok(mut far) = TcpStream::connect(&target).await else { return };
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

/// How a server speaks for these names, and the root that vouches for it.
///
/// # Panics
/// When these are no names.
#[must_use]
pub fn certified(names: &[&str]) -> (ServerConfig, String) {
    let mut root = CertificateParams::new(Vec::<String>::new()).expect("no names");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "A company's own root");
    let root_key = KeyPair::generate().expect("a key");
    let root_pem = root.self_signed(&root_key).expect("a certificate").pem();
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let own = CertificateParams::new(names).expect("names");
    let own = own.signed_by(&key, &Issuer::new(root, root_key)).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key);
    (config.expect("key and certificate fit"), root_pem)
}
