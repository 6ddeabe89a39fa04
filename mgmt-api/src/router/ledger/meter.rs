//! Measures one request. Whatever becomes of it, dropping the meter records it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use foreman_protocol::{MessageUsage, Millis, Model, ModelPrice, RouteMiss, UsageOutcome};
use uuid::Uuid;

use super::{Entry, Ledger, Settle};
use crate::{
    db::now,
    problem::ApiResult,
    providers::Known,
    router::{
        access::Who,
        tally::{Heard, Tally},
    },
};

/// How far an answer has come is journalled at most this often.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// The model a request goes to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub known: &'a Known,
    pub model: &'a Model,
}

pub struct Meter {
    ledger: Arc<Ledger>,
    /// This meter's alone until it ends.
    entry: Arc<Entry>,
    settle: Settle,
    price: Option<ModelPrice>,
    /// Estimated.
    input: i64,
    heard: Heard,
    started: Instant,
    noted: Instant,
    begun: bool,
    over: bool,
}

impl Meter {
    /// Starts the clock. Nothing is recorded before the first [`Meter::begin`].
    pub fn new(
        ledger: Arc<Ledger>,
        who: &Who,
        project: Option<String>,
        input: i64,
        target: Target<'_>,
    ) -> Self {
        let at = now();
        let entry = Entry {
            id: fresh_id(at),
            tenant: who.tenant,
            at,
            account: Ledger::account(&who.payer),
            key: who.key.as_ref().map(|key| key.id),
            project,
            provider_id: target.known.provider.id,
            provider: String::new(),
            model: String::new(),
            device_id: None,
            device: None,
            input: 0,
            output: 0,
            cached: 0,
            cost_micros: None,
            estimated: true,
            latency_ms: 0,
            first_token_ms: None,
            outcome: UsageOutcome::Interrupted,
            missed: Vec::new(),
        };
        let started = Instant::now();
        Self {
            ledger,
            entry: Arc::new(entry),
            settle: Settle::default(),
            price: None,
            input,
            heard: Heard::default(),
            started,
            noted: started,
            begun: false,
            over: false,
        }
    }

    /// This model is about to be asked, perhaps after others.
    ///
    /// # Errors
    /// `storage_unavailable` when that cannot be recorded: do not ask then.
    pub fn begin(&mut self, target: Target<'_>) -> ApiResult<()> {
        let provider = &target.known.provider;
        let entry = Arc::make_mut(&mut self.entry);
        entry.provider_id = provider.id;
        entry.provider.clone_from(&provider.name);
        entry.model.clone_from(&target.model.id);
        entry.device_id = provider.device_id;
        entry.device.clone_from(&target.known.device_name);
        // One's own devices cost nothing.
        self.price = if target.model.private { Some(ModelPrice::default()) } else { target.model.price };
        self.heard = Heard::default();
        self.count(false);
        self.ledger.begin(&self.entry, &mut self.settle)?;
        self.begun = true;
        Ok(())
    }

    /// These did not answer.
    pub fn missed(&mut self, missed: &[RouteMiss]) {
        if missed.len() != self.entry.missed.len() {
            Arc::make_mut(&mut self.entry).missed = missed.to_vec();
        }
    }

    fn count(&mut self, ended: bool) {
        let tally = self.heard.tally(self.input, ended);
        let entry = Arc::make_mut(&mut self.entry);
        entry.count(tally, tally.cost(self.price));
        entry.latency_ms = millis(self.started.elapsed());
    }

    /// The first token is there.
    pub fn first_token(&mut self) {
        if self.entry.first_token_ms.is_none() {
            Arc::make_mut(&mut self.entry).first_token_ms = Some(millis(self.started.elapsed()));
        }
    }

    /// Listens to an event of the answer, in the provider's format; whether it says what was used.
    pub fn event(&mut self, event: &[u8], now: Instant) -> bool {
        let says_usage = self.heard.event(event);
        if now.duration_since(self.noted) >= NOTE_EVERY {
            self.noted = now;
            self.count(false);
            self.ledger.note(&self.entry, &mut self.settle);
        }
        says_usage
    }

    /// Listens to a whole answer.
    pub fn whole(&mut self, json: &[u8]) {
        self.heard.json(json);
    }

    /// Records how it ended. Only the first word counts.
    pub fn end(&mut self, outcome: UsageOutcome) {
        if std::mem::replace(&mut self.over, true) || !self.begun {
            return;
        }
        match outcome {
            // Nothing came: nothing was used, as far as anybody says.
            UsageOutcome::Failed => {
                let entry = Arc::make_mut(&mut self.entry);
                entry.count(Tally::default(), self.price.map(|_| 0));
                entry.latency_ms = millis(self.started.elapsed());
            }
            _ => self.count(outcome == UsageOutcome::Answered),
        }
        Arc::make_mut(&mut self.entry).outcome = outcome;
        self.ledger.end(Arc::clone(&self.entry), std::mem::take(&mut self.settle));
    }

    /// How it ended is recorded.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// For the person who asked.
    pub fn usage(&self) -> MessageUsage {
        MessageUsage {
            input_tokens: self.entry.input,
            output_tokens: self.entry.output,
            cached_tokens: self.entry.cached,
            cost_micros: self.entry.cost_micros,
            first_token_ms: self.entry.first_token_ms,
            latency_ms: self.entry.latency_ms,
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Nobody waits for the answer any more.
        self.end(UsageOutcome::Cancelled);
    }
}

/// Ordered by time like every id, and without asking the system for each one's random part.
fn fresh_id(at: Millis) -> Uuid {
    let at = u64::try_from(at).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(at, &rand::random()).into_uuid()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
