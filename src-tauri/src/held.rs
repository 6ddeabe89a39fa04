//! Things that are kept open while they are used: what nobody asked for in a while is let go.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// A device that is not looked at for so long is let go; opening it again takes one handshake.
const UNUSED: Duration = Duration::from_secs(300);

pub struct Held<K, V>(HashMap<K, (Instant, V)>);

impl<K, V> Default for Held<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq, V> Held<K, V> {
    pub fn get(&mut self, key: &K) -> Option<&V> {
        let (used, value) = self.0.get_mut(key)?;
        *used = Instant::now();
        Some(value)
    }

    pub fn insert(&mut self, key: K, value: V) {
        let now = Instant::now();
        self.0.retain(|_, (used, _)| now.duration_since(*used) < UNUSED);
        self.0.insert(key, (now, value));
    }

    pub fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.0.retain(|key, _| keep(key));
    }
}
