//! Signing in by a code that is typed in elsewhere (RFC 8628), as GitHub does it too.

use std::time::Duration;

use reqwest::Client;

use super::{
    Endpoint, OAuthProblem, ProviderSignInError, TokenRequest,
    answer::{Answer, Granted, ask},
    endpoints::Endpoints,
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How much slower to ask when the server says so, and when nobody answers; RFC 8628, section 3.5.
const SLOWER_BY: Duration = Duration::from_secs(5);
/// Where the server does not say; RFC 8628, section 3.2.
const INTERVAL: Duration = Duration::from_secs(5);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// Nobody looks for a browser longer than this.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);

/// What the person has to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode {
    pub code: String,
    /// Where it is typed in.
    pub page: Endpoint,
    /// The same with the code in it, where the provider has such a page.
    pub page_with_code: Option<Endpoint>,
    pub lives: Duration,
}

pub(super) struct DeviceAttempt {
    device_code: zeroize::Zeroizing<String>,
    interval: Duration,
    pub shown: UserCode,
}

impl DeviceAttempt {
    pub async fn start(http: &Client, at: &Endpoints) -> Result<Self, ProviderSignInError> {
        let url = at.device_authorization.as_ref();
        let url = url.ok_or(ProviderSignInError::Garbage { reason: "it offers no sign-in by a code" })?;
        let scope = at.scopes.join(" ");
        let mut fields = vec![("client_id", at.client_id.as_str())];
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        let answer = ask(http, url, TokenRequest::Form, &fields).await?;
        match answer.problem() {
            Some(problem) => Err(problem.into()),
            None => Self::of(&answer),
        }
    }

    fn of(answer: &Answer) -> Result<Self, ProviderSignInError> {
        let garbage = |reason| ProviderSignInError::Garbage { reason };
        let page = |name: &str| -> Option<Endpoint> {
            answer.text(name).and_then(|text| text.to_owned().try_into().ok())
        };
        let code = answer
            .text("user_code")
            .filter(|code| code.chars().count() <= 64 && !code.chars().any(char::is_control));
        let device_code = answer.text("device_code").filter(|code| code.len() <= 4_096);
        // Some say `verification_url`, from before the RFC.
        let address = page("verification_uri").or_else(|| page("verification_url"));
        let lives = answer.seconds("expires_in").filter(|seconds| *seconds > 0);
        let interval = answer.seconds("interval").map_or(INTERVAL, Duration::from_secs);
        Ok(Self {
            device_code: device_code.ok_or(garbage("it gives no device code"))?.to_owned().into(),
            interval: interval.clamp(Duration::from_secs(1), LONGEST_INTERVAL),
            shown: UserCode {
                code: code.ok_or(garbage("it gives no code for people"))?.to_owned(),
                page: address.ok_or(garbage("it names no safe page for the code"))?,
                page_with_code: page("verification_uri_complete"),
                lives: lives.map_or(LONGEST_LIFE, Duration::from_secs).min(LONGEST_LIFE),
            },
        })
    }

    /// Asks until somebody decided. Never longer than the code lives.
    pub async fn wait(self, http: &Client, at: &Endpoints) -> Result<Granted, ProviderSignInError> {
        let fields = [
            ("grant_type", GRANT),
            ("device_code", self.device_code.as_str()),
            ("client_id", at.client_id.as_str()),
        ];
        let mut interval = self.interval;
        let asking = async {
            loop {
                tokio::time::sleep(interval).await;
                let answer = match ask(http, &at.token, at.token_request, &fields).await {
                    Ok(answer) => answer,
                    Err(error) if error.is_transient() => {
                        interval = (interval + SLOWER_BY).min(LONGEST_INTERVAL);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                match answer.problem() {
                    None => return answer.granted(),
                    Some(OAuthProblem::Pending) => {}
                    Some(OAuthProblem::SlowDown(named)) => {
                        let named = named.map_or(Duration::ZERO, Duration::from_secs);
                        interval = (interval + SLOWER_BY).max(named).min(LONGEST_INTERVAL);
                    }
                    // Some say so of a device code that is too old.
                    Some(OAuthProblem::InvalidGrant) => return Err(ProviderSignInError::Expired),
                    Some(problem) => return Err(problem.into()),
                }
            }
        };
        let late = |_| ProviderSignInError::Expired;
        tokio::time::timeout(self.shown.lives, asking).await.map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: Value) -> Result<UserCode, ProviderSignInError> {
        let Value::Object(body) = body else { panic!("no object") };
        DeviceAttempt::of(&Answer { ok: true, body }).map(|attempt| attempt.shown)
    }

    #[test]
    fn a_page_that_is_not_safe_is_never_shown() {
        let with = |page: &str| {
            read(
                json!({ "device_code": "d", "user_code": "AB-CD", "verification_uri": page, "expires_in": 9 }),
            )
        };
        assert_eq!(with("https://x/device").unwrap().lives, Duration::from_secs(9));
        for page in ["javascript:alert(1)", "http://x/device", "file:///etc/passwd", "", "foreman://open"] {
            assert!(with(page).is_err(), "{page}");
        }
        assert!(
            read(json!({ "device_code": "d", "user_code": "A\u{7}", "verification_uri": "https://x" }))
                .is_err()
        );
        assert!(read(json!({})).is_err());
    }
}
