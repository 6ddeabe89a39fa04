//! Several attempts at the same thing: the preferred ones start first, the others a little later or as soon as
//! those have failed, and the first success wins.

use std::{future::Future, pin::Pin, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

pub(super) type Attempt<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// `attempts` in order of their head starts, counted from now. An error for which `is_final` holds ends the race.
///
/// # Errors
/// All failures, in the order they happened; the final one is the last.
pub(super) async fn race<T, E>(
    attempts: Vec<(Duration, Attempt<'_, T, E>)>,
    is_final: impl Fn(&E) -> bool,
) -> Result<T, Vec<E>> {
    let begin = Instant::now();
    let mut waiting = attempts.into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        let due = waiting.peek().map(|(delay, _)| begin + *delay);
        if let Some(start) = due.filter(|start| running.is_empty() || *start <= Instant::now()) {
            // With nothing running there is nobody to give a head start to; those of the same time go together.
            while let Some((_, attempt)) = waiting.next_if(|(delay, _)| begin + *delay <= start) {
                running.push(attempt);
            }
        }
        let next_start = waiting.peek().map(|(delay, _)| begin + *delay);
        let start_next = async {
            match next_start {
                Some(start) => sleep_until(start).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            outcome = running.next() => match outcome {
                Some(Ok(winner)) => return Ok(winner),
                Some(Err(failure)) => {
                    let over = is_final(&failure);
                    failures.push(failure);
                    if over {
                        return Err(failures);
                    }
                }
                None => return Err(failures),
            },
            () = start_next => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(delay: u64, takes: u64, outcome: Result<u8, u8>) -> (Duration, Attempt<'static, u8, u8>) {
        let attempt = async move {
            tokio::time::sleep(Duration::from_millis(takes)).await;
            outcome
        };
        (Duration::from_millis(delay), Box::pin(attempt))
    }

    #[tokio::test(start_paused = true)]
    async fn the_preferred_wins_within_its_head_start_and_the_faster_one_after_it() {
        let winner = race(vec![after(0, 90, Ok(1)), after(100, 1, Ok(2))], |_| false).await;
        assert_eq!(winner, Ok(1));
        let begin = Instant::now();
        let winner = race(vec![after(0, 5_000, Ok(1)), after(100, 10, Ok(2))], |_| false).await;
        assert_eq!(winner, Ok(2));
        assert!(begin.elapsed() < Duration::from_millis(120));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once() {
        let begin = Instant::now();
        let winner = race(vec![after(0, 1, Err(1)), after(100, 1, Err(2)), after(200, 1, Ok(3))], |_| false);
        assert_eq!(winner.await, Ok(3));
        assert!(begin.elapsed() < Duration::from_millis(10), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_are_told_and_a_final_one_ends_it() {
        let attempts = || vec![after(0, 5, Err(1)), after(0, 1, Err(2)), after(9, 1, Err(3))];
        assert_eq!(race(attempts(), |_| false).await, Err(vec![2, 1, 3]));
        assert_eq!(race(attempts(), |failure| *failure == 2).await, Err(vec![2]));
        assert_eq!(race(Vec::<(Duration, Attempt<'_, u8, u8>)>::new(), |_| false).await, Err(vec![]));
    }
}
