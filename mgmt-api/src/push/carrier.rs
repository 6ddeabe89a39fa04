//! One push to one receiver, whoever carries it, and what came of it.

use std::{sync::Arc, time::Duration};

use foreman_link::http;
use foreman_protocol::{Millis, ProblemCode, PushFailure, PushFailureCode, PushKind, PushTarget};
use reqwest::{Response, StatusCode, header::RETRY_AFTER};

use super::{
    apns::Apns,
    fcm::Fcm,
    message::Message,
    ntfy,
    place::{NotAllowed, Reach},
    web_push,
};
use crate::{
    config::Settings,
    db::now,
    problem::{ApiError, ApiResult},
    push::{options::PushOptions, signed::Signer},
};

/// For one push, from the first byte to the answer.
pub const PATIENCE: Duration = Duration::from_secs(6);
/// Of an answer that says why not.
const LONGEST_ANSWER: usize = 4_096;
/// Characters of a reason.
const LONGEST_REASON: usize = 160;
/// Nobody may have us wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    /// The receiver is no more.
    Gone,
    /// Not now: try again, not before what the service asked for.
    Later {
        after: Option<Duration>,
        why: PushFailure,
    },
    /// This one never.
    Refused {
        why: PushFailure,
    },
}

impl Outcome {
    /// Not now, for a reason that needs no more words.
    pub const fn later(code: PushFailureCode) -> Self {
        Self::Later { after: None, why: PushFailure::of(code) }
    }

    /// Never, for a reason that needs no more words.
    pub const fn refused(code: PushFailureCode) -> Self {
        Self::Refused { why: PushFailure::of(code) }
    }
}

/// Everybody who carries pushes.
pub struct Carriers {
    pub signer: Signer,
    /// For claims: whom push services may write to.
    pub contact: String,
    pub private: bool,
    open: reqwest::Client,
    plain: reqwest::Client,
    apns: Option<Apns>,
    fcm: Option<Fcm>,
}

impl Carriers {
    pub fn new(signer: Signer, options: &PushOptions, settings: &Settings) -> anyhow::Result<Self> {
        let private = options.push_private;
        let contact = options.push_contact.clone().unwrap_or_else(|| {
            if settings.secure() {
                settings.public_url.clone()
            } else {
                "mailto:foreman@example.invalid".into()
            }
        });
        Ok(Self {
            signer,
            contact,
            private,
            open: client(Reach { private, plain: false })?,
            plain: client(Reach { private, plain: true })?,
            apns: options.apns()?,
            fcm: options.fcm()?,
        })
    }

    /// What can be pushed to.
    pub fn kinds(&self) -> Vec<PushKind> {
        let has = |kind: &PushKind| match kind {
            PushKind::WebPush | PushKind::UnifiedPush | PushKind::Ntfy => true,
            PushKind::Apns => self.apns.is_some(),
            PushKind::Fcm => self.fcm.is_some(),
        };
        PushKind::ALL.into_iter().filter(has).collect()
    }

    /// For addresses that somebody gave.
    pub fn client(&self, plain: bool) -> &reqwest::Client {
        if plain { &self.plain } else { &self.open }
    }

    pub async fn carry(&self, target: &PushTarget, message: &Message) -> Outcome {
        let carried = match target {
            PushTarget::WebPush(endpoint) | PushTarget::UnifiedPush(endpoint) => {
                web_push::carry(self, endpoint, message).await
            }
            PushTarget::Ntfy { address, token } => {
                ntfy::carry(self, address, token.as_deref(), message).await
            }
            PushTarget::Apns(device) => match &self.apns {
                Some(apns) => apns.carry(device, message).await,
                None => Ok(Outcome::refused(PushFailureCode::NotConfigured)),
            },
            PushTarget::Fcm { token } => match &self.fcm {
                Some(fcm) => fcm.carry(token, message).await,
                None => Ok(Outcome::refused(PushFailureCode::NotConfigured)),
            },
        };
        carried.unwrap_or_else(|failed| failed)
    }
}

fn client(reach: Reach) -> ApiResult<reqwest::Client> {
    http::install_crypto_provider();
    reqwest::Client::builder()
        .user_agent(concat!("foreman/", env!("CARGO_PKG_VERSION")))
        .timeout(PATIENCE)
        .pool_max_idle_per_host(2)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .https_only(!reach.plain)
        .dns_resolver(Arc::new(reach))
        .build()
        .map_err(ApiError::internal)
}

/// For a vendor's address, which whoever runs the server named.
pub fn vendor_client(only_http2: bool) -> ApiResult<reqwest::Client> {
    http::install_crypto_provider();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("foreman/", env!("CARGO_PKG_VERSION")))
        .timeout(PATIENCE)
        .pool_max_idle_per_host(2)
        .redirect(reqwest::redirect::Policy::none());
    let builder = if only_http2 { builder.http2_prior_knowledge() } else { builder };
    builder.build().map_err(ApiError::internal)
}

impl From<ApiError> for Outcome {
    /// What is wrong with a receiver is wrong with its address: nothing else of it is looked at on the way.
    fn from(error: ApiError) -> Self {
        if error.code == ProblemCode::InvalidRequest {
            return Self::refused(PushFailureCode::AddressRefused);
        }
        tracing::warn!(cause = ?error.internal, %error, "a push could not be made");
        Self::refused(PushFailureCode::Internal)
    }
}

impl From<reqwest::Error> for Outcome {
    /// The innermost cause says what happened; an address may hold what is nobody's business.
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::later(PushFailureCode::NoAnswer);
        }
        let error = error.without_url();
        let mut cause: &(dyn std::error::Error + 'static) = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        if cause.is::<NotAllowed>() {
            return Self::later(PushFailureCode::AddressRefused);
        }
        let said = cause.to_string();
        let detail = short(said.split(" (os error").next().unwrap_or_default());
        let why = PushFailure { detail: Some(detail), ..PushFailure::of(PushFailureCode::Unreachable) };
        Self::Later { after: None, why }
    }
}

/// A reason as it is kept: one line of bounded length.
pub fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect()
}

/// As much of an answer as says why.
pub async fn text(mut answer: Response) -> String {
    let mut read = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        read.extend_from_slice(&piece[..piece.len().min(LONGEST_ANSWER - read.len())]);
        if read.len() == LONGEST_ANSWER {
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// An answer that was no yes, with what it said.
pub fn answered(code: PushFailureCode, status: StatusCode, said: &str) -> PushFailure {
    let detail = (!said.is_empty()).then(|| short(said));
    PushFailure { code, status: Some(status.as_u16()), detail }
}

/// What a status says where nothing better is known.
pub fn by_status(status: StatusCode, after: Option<Duration>, said: &str) -> Outcome {
    let why = |code| answered(code, status, said);
    match status.as_u16() {
        200..=299 => Outcome::Taken,
        429 => Outcome::Later { after, why: why(PushFailureCode::Busy) },
        408 | 425 | 500..=599 => Outcome::Later { after, why: why(PushFailureCode::Trouble) },
        401 | 403 => Outcome::Refused { why: why(PushFailureCode::NotAllowed) },
        _ => Outcome::Refused { why: why(PushFailureCode::Refused) },
    }
}

/// How long the service wants to be left alone: seconds, or a date.
pub fn wait_asked(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let wait = match value.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(value).ok()?;
            let at = until.duration_since(std::time::UNIX_EPOCH).ok()?;
            at.saturating_sub(Duration::from_millis(u64::try_from(now()).unwrap_or_default()))
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Before it is tried again: 5 s, doubling, at most an hour.
pub fn back_off(failures: i64) -> Millis {
    const FIRST: Millis = 5_000;
    const MOST: Millis = 3_600_000;
    let doubled = FIRST << failures.clamp(0, 12);
    let jitter = rand::random_range(0..=FIRST / 5);
    doubled.min(MOST) + jitter
}
