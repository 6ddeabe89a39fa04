//! The sign-in to a server that this app began in a browser. A link that says "signed in" counts only when it belongs to
//! it, and once: whoever makes such a link up, or sends one of their own, reaches nothing.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::{BrowserSignIn, Returned, SignInError, browser_sign_in::BROWSER_LIMIT};

/// At most one waits: a new one ends the one before.
#[derive(Default)]
pub struct AwaitedReturn(Mutex<Option<(String, oneshot::Sender<Returned>)>>);

/// A return that is waited for.
pub struct Waiting(oneshot::Receiver<Returned>);

impl AwaitedReturn {
    /// From now on a link may belong to this attempt.
    pub fn expect(&self, attempt: &BrowserSignIn) -> Waiting {
        self.expect_state(attempt.state())
    }

    fn expect_state(&self, state: &str) -> Waiting {
        let (send, receive) = oneshot::channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((state.to_owned(), send));
        Waiting(receive)
    }

    /// A link came; whether it belongs to what is waited for.
    #[must_use]
    pub fn came_back(&self, returned: Returned) -> bool {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waits.as_ref().is_none_or(|(state, _)| state != returned.state()) {
            return false;
        }
        waits.take().is_some_and(|(_, send)| send.send(returned).is_ok())
    }
}

impl Waiting {
    /// What the browser came back with.
    ///
    /// # Errors
    /// [`SignInError::Expired`] after [`BROWSER_LIMIT`], or when another attempt took its place.
    pub async fn returned(self) -> Result<Returned, SignInError> {
        let returned = tokio::time::timeout(BROWSER_LIMIT, self.0).await;
        returned.ok().and_then(Result::ok).ok_or(SignInError::Expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppLink;

    fn link(state: &str) -> Returned {
        let link = format!("foreman://signed-in?code=c&state={state}&iss=https%3A%2F%2Fforeman.example");
        let Ok(AppLink::SignedIn(returned)) = AppLink::parse(&link) else { panic!("{link}") };
        returned
    }

    #[tokio::test]
    async fn a_link_counts_once_and_only_for_what_was_begun_here() {
        let awaited = AwaitedReturn::default();
        assert!(!awaited.came_back(link("s")), "nothing was begun");
        let waiting = awaited.expect_state("s");
        assert!(!awaited.came_back(link("t")), "of somebody else");
        assert!(awaited.came_back(link("s")));
        assert!(!awaited.came_back(link("s")), "a second time");
        assert_eq!(waiting.returned().await.unwrap(), link("s"));
    }

    #[tokio::test]
    async fn a_new_attempt_ends_the_one_before_and_one_that_was_given_up_is_over() {
        let awaited = AwaitedReturn::default();
        let first = awaited.expect_state("s");
        let second = awaited.expect_state("t");
        assert!(matches!(first.returned().await, Err(SignInError::Expired)));
        drop(second);
        assert!(!awaited.came_back(link("t")), "nobody waits any more");
    }

    #[tokio::test(start_paused = true)]
    async fn after_ten_minutes_it_is_over() {
        let awaited = AwaitedReturn::default();
        let waiting = awaited.expect_state("s");
        assert!(matches!(waiting.returned().await, Err(SignInError::Expired)));
        assert!(!awaited.came_back(link("s")));
    }
}
