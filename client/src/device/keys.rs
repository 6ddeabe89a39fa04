//! The right to call a device: the grant kept here, the one that the server carries, or one signed with this user's
//! own owner key; and what a device's refusal means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foreman_link::grant::{Issuer, read_grant, sign_grant};
use foreman_protocol::{Grant, GrantId, Level, Millis, Problem, ProblemCode, RefusedBecause};
use futures_util::TryStreamExt;
use serde_json::json;

use super::known::KnownDevice;
use crate::{Error, Foreman};

/// A grant that ends sooner is not begun with.
const MARGIN: Millis = 60_000;

/// How long to wait with the own key after a refusal, in milliseconds.
const AGAIN_AFTER: u64 = 60_000;

/// How long a grant is good that a user signs for an own program.
const OWN_GRANT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Milliseconds since the epoch, by this machine's clock.
pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// Whether a grant is for this client on this device and has some time left.
fn is_good(grant: &Grant, device: &KnownDevice, client: &str) -> bool {
    grant.device == device.identity && grant.client == client && grant.expires_at > now() + MARGIN
}

/// Whether the device's record holds a grant that can be used.
pub(super) fn has_grant(device: &KnownDevice, client: &str) -> bool {
    let grant = device.grant.as_deref().and_then(|text| read_grant(text).ok());
    grant.is_some_and(|grant| is_good(&grant, device, client))
}

/// The best grant that the server carries for this client.
pub(super) async fn carried(server: &Foreman, device: &KnownDevice, client: &str) -> Option<String> {
    let grants: Vec<_> = server.grants(device.id).try_collect().await.ok()?;
    let mut good: Vec<_> = grants
        .into_iter()
        .filter(|carried| carried.revoked_at.is_none() && is_good(&carried.grant, device, client))
        .collect();
    good.sort_by_key(|carried| (carried.grant.level, carried.grant.expires_at));
    good.pop().map(|carried| carried.signed)
}

/// What a grant should say.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// X25519, standard base64.
    pub client: String,
    /// For people: "Mia's phone".
    pub name: String,
    pub level: Level,
    pub lasts: Duration,
}

/// Signs a grant for a device. It counts there when the device trusts the issuer.
#[must_use]
pub fn make_grant(issuer: &Issuer, device: &KnownDevice, new: &NewGrant) -> (Grant, String) {
    let issued_at = now();
    let lasts = Millis::try_from(new.lasts.as_millis()).unwrap_or(Millis::MAX);
    let grant = Grant {
        id: GrantId::fresh(),
        device: device.identity.clone(),
        client: new.client.clone(),
        name: new.name.clone(),
        level: new.level,
        issued_at,
        expires_at: issued_at.saturating_add(lasts),
        issuer: issuer.public(),
    };
    let signed = sign_grant(&grant, issuer);
    (grant, signed)
}

/// A grant of this user for this program.
pub(super) fn own_grant(issuer: &Issuer, device: &KnownDevice, client: &str) -> String {
    let new = NewGrant {
        client: client.to_owned(),
        name: "foreman".to_owned(),
        level: Level::Admin,
        lasts: OWN_GRANT,
    };
    make_grant(issuer, device, &new).1
}

/// Whether this user signed the device's grant, and not somebody whom a server may have made up.
pub(super) fn is_own(issuer: &Issuer, device: &KnownDevice) -> bool {
    let grant = device.grant.as_deref().and_then(|text| read_grant(text).ok());
    grant.is_some_and(|grant| grant.issuer == issuer.public())
}

/// Whether more than half of what this user signed is over: then it is signed anew before it runs out.
pub(super) fn is_half_over(device: &KnownDevice) -> bool {
    let grant = device.grant.as_deref().and_then(|text| read_grant(text).ok());
    grant.is_some_and(|grant| {
        now().saturating_sub(grant.issued_at) > grant.expires_at.saturating_sub(grant.issued_at) / 2
    })
}

/// Whether the grant was signed a moment ago: one more would say the same.
pub(super) fn is_fresh(device: &KnownDevice) -> bool {
    let grant = device.grant.as_deref().and_then(|text| read_grant(text).ok());
    grant.is_some_and(|grant| now().abs_diff(grant.issued_at) < AGAIN_AFTER)
}

/// Whether the device refused this user's own key a moment ago: each try counts there as a failed one.
pub(super) fn refused_lately(device: &KnownDevice) -> bool {
    device.refused_at.is_some_and(|at| now().abs_diff(at) < AGAIN_AFTER)
}

/// Whether the device would say the same to another call.
pub(super) const fn is_final(because: RefusedBecause) -> bool {
    matches!(because, RefusedBecause::Forged | RefusedBecause::Expired | RefusedBecause::Revoked)
}

pub(super) fn sentence(because: RefusedBecause) -> String {
    let text = match because {
        RefusedBecause::Forged => "it trusts no key that signed this client's right",
        RefusedBecause::Expired => "this client's right on it has expired",
        RefusedBecause::Revoked => "this client's right on it was taken back",
        RefusedBecause::TooMany => "it had too many failed tries from here and waits a while",
        RefusedBecause::TooManyLinks => {
            "it has too many links open at the same time. Close some of this client's"
        }
        RefusedBecause::Handshake | RefusedBecause::Unknown => "it turned the call away",
    };
    text.to_owned()
}

/// A refusal in the words that all other answers have.
pub(super) fn refusal(name: &str, because: RefusedBecause) -> Error {
    let message = format!(
        "{name} was reached and refused: {}. Nothing was done there. See `foreman trust {name}`.",
        sentence(because)
    );
    not_enough(message, Some(json!({ "refused": because })))
}

pub(super) fn no_grant(name: &str) -> Error {
    not_enough(format!("This client has no right of its own on {name}. See `foreman trust {name}`."), None)
}

/// An attached terminal that was sealed does not go on where the server reads along.
pub(super) fn not_unsealed(name: &str, why: &str) -> Error {
    let message = format!(
        "There is no way end to end to {name} any more ({why}), and the server, which can read what is typed, is not \
         used in its place unasked. The terminal runs on there. Attach again to go on through the server"
    );
    not_enough(message, None)
}

/// What somebody asked for whose key the device does not trust.
pub(super) fn not_an_owner(name: &str) -> Error {
    not_enough(format!("Only an owner of {name} can do that."), Some(json!({ "owner": false })))
}

fn not_enough(message: String, details: Option<serde_json::Value>) -> Error {
    let problem = Problem::new(ProblemCode::GrantNotEnough, message, details);
    Error::Refused { status: problem.status, problem: Box::new(problem) }
}
