//! Keys go before files: when somebody types, what is downloaded from this device rests for a moment, so that the echo
//! finds a processor that is free.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// How long downloads rest for a key.
const REST: Duration = Duration::from_millis(1);
/// And how long they go on after that, however much is typed.
const GO_ON: Duration = Duration::from_millis(2);
/// What is longer was pasted or sent by a program: nobody waits for its echo.
const KEYS: usize = 64;

/// Shared by all links of this device.
#[derive(Debug, Default)]
pub struct Precedence {
    /// Until when downloads rest, or rested last.
    rest: Mutex<Option<Instant>>,
}

impl Precedence {
    /// So many bytes were typed.
    pub fn typed(&self, bytes: usize) {
        if bytes > KEYS {
            return;
        }
        let now = Instant::now();
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if rest.is_none_or(|until| now >= until + GO_ON) {
            *rest = Some(now + REST);
        }
    }

    /// Waits while it is a key's turn.
    pub async fn give_way(&self) {
        let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = rest.filter(|until| Instant::now() < *until) {
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    fn goes_on(precedence: &Precedence) -> bool {
        precedence.give_way().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_comes_first_and_a_download_still_goes_on() {
        let precedence = Precedence::default();
        assert!(goes_on(&precedence));
        precedence.typed(1);
        assert!(!goes_on(&precedence));
        precedence.give_way().await;
        // Whoever types without an end gets no more than its share.
        let mut went_on = 0;
        for _ in 0..300 {
            precedence.typed(1);
            went_on += u32::from(goes_on(&precedence));
            advance(Duration::from_micros(100)).await;
        }
        assert!((150..=220).contains(&went_on), "{went_on} of 300");
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_person_types_holds_nobody_up() {
        let precedence = Precedence::default();
        precedence.typed(KEYS + 1);
        assert!(goes_on(&precedence));
    }
}
