//! A circuit breaker for each provider: after several failures in a row nothing is sent to it for a while, then one
//! request tries; and who asks for patience (`Retry-After`) is left alone until then.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};
use foreman_protocol::{Event, MissCause, Provider, ProviderId, ProviderState, TenantId};

use crate::{App, db::now, events::Cause, providers::Standing};

/// Failures in a row that open it.
const FAILURES: u32 = 3;
/// The first pause; each that follows without a success between is twice as long, up to the longest.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A request that tries has this long before another may.
const TRIAL: Duration = Duration::from_secs(60);
/// The most patience a provider can ask for.
const MOST_PATIENCE: Duration = Duration::from_secs(3_600);

/// One provider's.
#[derive(Debug, Default)]
struct Breaker {
    /// In a row.
    failures: u32,
    /// Pauses in a row.
    pauses: u32,
    /// Nothing is sent before; open, or half open once it has passed.
    paused_until: Option<Instant>,
    /// A request is trying.
    trial_until: Option<Instant>,
    limited_until: Option<Instant>,
    /// The last word on it was that it is up.
    up: bool,
}

/// What changed for whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Up { was_paused: bool },
    Failing,
    Paused { retry: Duration },
    Limited { retry: Duration },
}

#[derive(Debug, Default)]
pub struct Breakers(Mutex<HashMap<ProviderId, Breaker>>);

impl Breakers {
    fn all(&self) -> MutexGuard<'_, HashMap<ProviderId, Breaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing may be sent to a provider now; asking changes nothing.
    pub fn standing(&self, provider: ProviderId) -> Option<MissCause> {
        let now = Instant::now();
        let all = self.all();
        let breaker = all.get(&provider)?;
        breaker.closed_to(now)
    }

    /// Lets a request through, or says why not. After a pause one request is let through to try.
    pub fn let_through(&self, provider: ProviderId, now: Instant) -> Result<(), MissCause> {
        let mut all = self.all();
        let Some(breaker) = all.get_mut(&provider) else { return Ok(()) };
        if let Some(cause) = breaker.closed_to(now) {
            return Err(cause);
        }
        if breaker.paused_until.is_some() {
            breaker.trial_until = Some(now + TRIAL);
        }
        Ok(())
    }

    /// It answered. That says nothing against patience it asked another request for: this one was on its way then.
    pub fn succeeded(&self, provider: ProviderId, now: Instant) -> Option<Change> {
        let mut all = self.all();
        let breaker = all.entry(provider).or_default();
        if breaker.is_limited(now) {
            // A circuit that was open closes with the first request after.
            let paused_until = breaker.paused_until.map(|until| until.min(now));
            *breaker = Breaker { limited_until: breaker.limited_until, paused_until, ..Breaker::default() };
            return None;
        }
        if breaker.up && breaker.failures == 0 {
            return None;
        }
        let was_paused = breaker.paused_until.is_some();
        *breaker = Breaker { up: true, ..Breaker::default() };
        Some(Change::Up { was_paused })
    }

    /// Somebody saw that it answers: nothing is known against it any more.
    pub fn reset(&self, provider: ProviderId) -> Option<Change> {
        let before = self.all().remove(&provider)?;
        let closed = before.closed_to(Instant::now()).is_some() || before.paused_until.is_some();
        (closed || !before.up).then_some(Change::Up { was_paused: before.paused_until.is_some() })
    }

    /// For how much longer it wants to be left alone.
    pub fn patience_left(&self, provider: ProviderId, now: Instant) -> Option<Duration> {
        self.all().get(&provider)?.limited_until?.checked_duration_since(now)
    }

    /// It did not answer, or with a failure of its own.
    pub fn failed(&self, provider: ProviderId, now: Instant) -> Option<Change> {
        let mut all = self.all();
        let breaker = all.entry(provider).or_default();
        breaker.failures += 1;
        let was_up = std::mem::take(&mut breaker.up);
        let tried = breaker.trial_until.take().is_some();
        if breaker.failures < FAILURES && !tried {
            // That it wants to be left alone, and until when, is the better word.
            let tells = (was_up || breaker.failures == 1) && !breaker.is_limited(now);
            return tells.then_some(Change::Failing);
        }
        // Requests that were on their way when it opened do not make the pause longer.
        if !tried && breaker.paused_until.is_some() {
            return None;
        }
        let retry = (PAUSE * 2u32.saturating_pow(breaker.pauses.min(16))).min(LONGEST_PAUSE);
        breaker.pauses += 1;
        breaker.paused_until = Some(now + retry);
        Some(Change::Paused { retry })
    }

    /// It asked for patience.
    pub fn limited(&self, provider: ProviderId, retry: Duration, now: Instant) -> Option<Change> {
        let retry = retry.min(MOST_PATIENCE);
        let mut all = self.all();
        let breaker = all.entry(provider).or_default();
        breaker.trial_until = None;
        breaker.up = false;
        // Of several answers that were on their way together, the longest patience counts.
        let until = breaker.limited_until.map_or(now + retry, |before| before.max(now + retry));
        breaker.limited_until = Some(until);
        Some(Change::Limited { retry: until - now })
    }
}

impl Breaker {
    fn is_limited(&self, now: Instant) -> bool {
        self.limited_until.is_some_and(|until| now < until)
    }

    fn closed_to(&self, now: Instant) -> Option<MissCause> {
        let ahead = |until: Option<Instant>| until.is_some_and(|until| now < until);
        if self.is_limited(now) {
            return Some(MissCause::RateLimited);
        }
        (ahead(self.paused_until) || ahead(self.trial_until)).then_some(MissCause::Paused)
    }
}

/// Shows a change in the provider's health, and writes a pause and its end into the log.
pub fn tell(app: &App, tenant: TenantId, provider: &Provider, change: Change, reason: Option<String>) {
    let at = |retry: Duration| Some(now() + i64::try_from(retry.as_millis()).unwrap_or(0));
    let (state, retry_at) = match change {
        Change::Up { .. } => (ProviderState::Up, None),
        Change::Failing => (ProviderState::Failing, None),
        Change::Paused { retry } => (ProviderState::Paused, at(retry)),
        Change::Limited { retry } => (ProviderState::Failing, at(retry)),
    };
    app.providers.stands(provider.id, Some(Standing { state, reason, retry_at }));
    if !matches!(change, Change::Paused { .. } | Change::Up { was_paused: true }) {
        return;
    }
    let (app, provider_id, name) = (app.clone(), provider.id, provider.name.clone());
    // Whoever asked a model does not wait for the log.
    tokio::spawn(async move {
        let written = app.db.write(move |tx| {
            Box::pin(async move {
                let event = Event::ProviderStateChanged { provider_id, name, state, fault: None };
                tx.emit(&Cause::system(tenant), event).await
            })
        });
        if let Err(error) = written.await {
            tracing::warn!(%error, "a provider's change was not written into the log");
        }
    });
}

/// What a provider that was asked too much wants: seconds or a date, or Anthropic's and OpenAI's milliseconds.
pub fn patience(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(ms / 1_000.0).ok();
    }
    let after = text(header::RETRY_AFTER.as_str())?;
    if let Ok(seconds) = after.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = httpdate::parse_http_date(after).ok()?;
    let until = until.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(until.saturating_sub(Duration::from_millis(u64::try_from(now_ms).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_lets_one_try_and_closes_again() {
        let (breakers, id, start) = (Breakers::default(), ProviderId::fresh(), Instant::now());
        assert_eq!(breakers.succeeded(id, start), Some(Change::Up { was_paused: false }));
        assert_eq!(breakers.succeeded(id, start), None);
        assert_eq!(breakers.failed(id, start), Some(Change::Failing));
        assert_eq!(breakers.failed(id, start), None);
        assert_eq!(breakers.failed(id, start), Some(Change::Paused { retry: PAUSE }));
        assert_eq!(breakers.failed(id, start), None, "one that was on its way");
        assert_eq!(breakers.let_through(id, start), Err(MissCause::Paused));

        let later = start + PAUSE;
        assert_eq!(breakers.let_through(id, later), Ok(()));
        assert_eq!(breakers.let_through(id, later), Err(MissCause::Paused), "only one tries");
        assert_eq!(breakers.failed(id, later), Some(Change::Paused { retry: PAUSE * 2 }));
        assert_eq!(breakers.let_through(id, later + PAUSE), Err(MissCause::Paused));

        let later = later + PAUSE * 2;
        assert_eq!(breakers.let_through(id, later), Ok(()));
        assert_eq!(
            breakers.let_through(id, later + TRIAL),
            Ok(()),
            "one that never ended blocks nobody for ever"
        );
        assert_eq!(breakers.succeeded(id, start), Some(Change::Up { was_paused: true }));
        assert_eq!(breakers.let_through(id, later), Ok(()));
        assert_eq!(breakers.let_through(id, later), Ok(()));
    }

    #[test]
    fn who_asks_for_patience_is_left_alone_until_then() {
        let (breakers, id, start) = (Breakers::default(), ProviderId::fresh(), Instant::now());
        breakers.limited(id, Duration::from_secs(20), start);
        assert_eq!(breakers.let_through(id, start + Duration::from_secs(19)), Err(MissCause::RateLimited));
        assert_eq!(breakers.let_through(id, start + Duration::from_secs(20)), Ok(()));
    }

    #[test]
    fn an_answer_that_was_on_its_way_ends_no_patience() {
        let (breakers, id, start) = (Breakers::default(), ProviderId::fresh(), Instant::now());
        let seconds = |seconds| start + Duration::from_secs(seconds);
        breakers.succeeded(id, start);
        breakers.limited(id, Duration::from_secs(20), start);
        assert_eq!(breakers.succeeded(id, seconds(1)), None, "nothing is told of it either");
        assert_eq!(breakers.failed(id, seconds(1)), None);
        assert_eq!(breakers.let_through(id, seconds(19)), Err(MissCause::RateLimited));
        // A second one that was limited too, for less.
        breakers.limited(id, Duration::from_secs(5), seconds(2));
        assert_eq!(breakers.let_through(id, seconds(19)), Err(MissCause::RateLimited));
        assert_eq!(breakers.let_through(id, seconds(20)), Ok(()));
        assert_eq!(breakers.succeeded(id, seconds(21)), Some(Change::Up { was_paused: false }));

        // An open circuit stays half open behind it.
        for _ in 0..FAILURES {
            breakers.failed(id, seconds(21));
        }
        breakers.limited(id, Duration::from_secs(20), seconds(21));
        assert_eq!(breakers.succeeded(id, seconds(22)), None);
        assert_eq!(breakers.let_through(id, seconds(41)), Ok(()));
        assert_eq!(breakers.succeeded(id, seconds(42)), Some(Change::Up { was_paused: true }));
    }

    #[test]
    fn who_looked_and_saw_it_answer_opens_the_way_at_once() {
        let (breakers, id, start) = (Breakers::default(), ProviderId::fresh(), Instant::now());
        assert_eq!(breakers.reset(id), None);
        for _ in 0..FAILURES {
            breakers.failed(id, start);
        }
        assert_eq!(breakers.let_through(id, start), Err(MissCause::Paused));
        assert_eq!(breakers.reset(id), Some(Change::Up { was_paused: true }));
        assert_eq!(breakers.let_through(id, start), Ok(()));
        breakers.limited(id, Duration::from_secs(20), start);
        assert_eq!(breakers.patience_left(id, start), Some(Duration::from_secs(20)));
        assert_eq!(breakers.reset(id), Some(Change::Up { was_paused: false }));
        assert_eq!(breakers.patience_left(id, start), None);
    }

    #[test]
    fn patience_is_asked_for_in_several_ways() {
        let with = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            patience(&headers, 784_111_777_000)
        };
        assert_eq!(with("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(with("retry-after-ms", "1500"), Some(Duration::from_millis(1_500)));
        assert_eq!(with("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(with("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT"), Some(Duration::ZERO));
        assert_eq!(with("retry-after", "-3"), None);
        assert_eq!(with("retry-after", "soon"), None);
    }
}
