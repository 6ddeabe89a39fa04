//! What can be seen of a server before anybody signs in there: that it is one, and who says so.

use foreman_protocol::SetupState;
use reqwest::{Method, tls::TlsInfo};
use sha2::{Digest, Sha256};

use super::ServerAddress;
use crate::{Error, Foreman, request::Query};

/// Who could read along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// Nobody: it does not leave this machine.
    ThisMachine,
    /// Nobody, when the certificate is the server's: SHA-256 of it, 64 hexadecimal digits.
    Certificate(String),
    /// Everybody on the way.
    None,
}

/// What a server looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLooks {
    pub address: ServerAddress,
    pub encryption: Encryption,
    /// Nobody has set it up: there is no account to sign in to.
    pub needs_setup: bool,
}

impl ServerLooks {
    /// Asks the server what everybody may know. Nothing is sent that could be kept.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Unrecognised`] when there is something else than Foreman.
    pub async fn of(address: &ServerAddress) -> Result<Self, Error> {
        let server = Foreman::anonymous(address.as_str())?;
        let response = server.request(Method::GET, "setup", &Query::default()).send().await?;
        let certificate = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
        let encryption = match certificate {
            Some(certificate) => Encryption::Certificate(hex(&Sha256::digest(certificate))),
            None if address.is_this_machine() => Encryption::ThisMachine,
            None => Encryption::None,
        };
        let status = response.status();
        let body = response.bytes().await?;
        if !status.is_success() {
            return Err(Error::from_answer(status.as_u16(), &body));
        }
        let setup: SetupState = serde_json::from_slice(&body)
            .map_err(|_| Error::Malformed { message: "there is something else than Foreman".to_owned() })?;
        Ok(Self { address: address.clone(), encryption, needs_setup: setup.needed })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
