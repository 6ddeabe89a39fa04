//! Places that many share and nobody may take all of: each has at most a share.
//!
//! This must not know what the places are for, nor how those who take them are told apart.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// See the module.
#[derive(Debug)]
pub struct Places<K> {
    all: Arc<Semaphore>,
    /// What each may still take. It goes with the last place of theirs.
    shares: Mutex<HashMap<K, Weak<Semaphore>>>,
}

/// A taken place; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    _share: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The share of whoever asks is used up; others still have room.
    Share,
    All,
}

impl<K: Eq + Hash> Places<K> {
    #[must_use]
    pub fn new(all: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), shares: Mutex::default() }
    }

    /// A place for one who may have `most`, if there is one now.
    ///
    /// # Errors
    /// Who is in the way.
    pub fn take(&self, who: K, most: usize) -> Result<Place, Full> {
        let share = self.share(who, most).try_acquire_owned().map_err(|_| Full::Share)?;
        let place = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::All)?;
        Ok(Place { _share: share, _place: place })
    }

    /// The same, as soon as there is one.
    #[cfg(unix)]
    pub async fn wait(&self, who: K, most: usize) -> Option<Place> {
        // The own share first: who waits for it holds up nobody else.
        let share = self.share(who, most).acquire_owned().await.ok()?;
        let place = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place { _share: share, _place: place })
    }

    fn share(&self, who: K, most: usize) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|_, share| share.strong_count() > 0);
        if let Some(share) = shares.get(&who).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(Semaphore::new(most));
        shares.insert(who, Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_takes_a_share_and_the_others_have_the_rest() {
        let places = Places::new(4);
        let mut mias: Vec<_> = std::iter::from_fn(|| places.take("mia", 2).ok()).collect();
        assert_eq!((mias.len(), places.take("mia", 2).unwrap_err()), (2, Full::Share));
        let toms: Vec<_> = std::iter::from_fn(|| places.take("tom", 4).ok()).collect();
        assert_eq!((toms.len(), places.take("tom", 4).unwrap_err()), (2, Full::All));
        assert_eq!(places.take("eve", 2).unwrap_err(), Full::All);
        mias.pop();
        assert!(places.take("eve", 2).is_ok());
        drop((mias, toms));
        assert!(places.take("eve", 2).is_ok());
        assert_eq!(places.shares.lock().unwrap().len(), 1, "who has no place is forgotten");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn who_waits_for_their_own_share_holds_up_nobody_else() {
        let places = Places::new(3);
        let first = places.wait("mia", 1).await.unwrap();
        let mut second = std::pin::pin!(places.wait("mia", 1));
        assert!(futures_util::FutureExt::now_or_never(second.as_mut()).is_none());
        let toms = [places.take("tom", 2).unwrap(), places.take("tom", 2).unwrap()];
        drop(first);
        assert!(second.await.is_some());
        drop(toms);
    }
}
