//! Files by their name, typed as people remember it: a few letters in order, the best first.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use foreman_protocol::FileEntry;
use ignore::WalkState;
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

use super::{
    FilesError, Result, Rules,
    search::tree::Tree,
    walk::{Last, parse},
};

/// The most entries of one answer.
pub const MAX_FOUND: usize = 200;
const MAX_TIME: Duration = Duration::from_secs(10);
/// Names that are looked at.
const MAX_SEEN: u64 = 2_000_000;
const MAX_QUERY: usize = 200;

#[derive(Debug, Clone)]
pub struct Find {
    /// Beneath this directory.
    pub path: String,
    pub query: String,
    pub limit: usize,
    /// Hidden names too.
    pub hidden: bool,
}

/// Better is greater: the score, then the shorter path, then the alphabet.
type Candidate = (u32, Reverse<usize>, Reverse<PathBuf>);

/// The best ones, the worst of them on top.
struct Best {
    limit: usize,
    heap: BinaryHeap<Reverse<Candidate>>,
}

impl Best {
    fn offer(&mut self, candidate: Candidate) {
        if self.heap.len() < self.limit {
            self.heap.push(Reverse(candidate));
        } else if self.heap.peek().is_some_and(|Reverse(worst)| candidate > *worst) {
            self.heap.pop();
            self.heap.push(Reverse(candidate));
        }
    }

    fn would_take(&self, score: u32) -> bool {
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|Reverse(worst)| score >= worst.0)
    }
}

impl Rules {
    /// What fits the query, best first. Ends early when `stop` is set.
    ///
    /// # Errors
    /// As everywhere.
    pub fn find(&self, find: &Find, stop: &AtomicBool) -> Result<Vec<FileEntry>> {
        if find.query.len() > MAX_QUERY {
            let why = format!("A name to look for has at most {MAX_QUERY} bytes.");
            return Err(FilesError::Invalid { field: "q", why });
        }
        let tree = Tree::new(self, parse(&find.path)?, None, find.hidden)?;
        let limit = find.limit.clamp(1, MAX_FOUND);
        let best = candidates(&tree, &find.query, limit, stop);
        // A name in the walk was only a name: what it stands for is looked at under the rules.
        let entry = |path: &Path| {
            let spot = self.walk(path, Last::Keep).ok().filter(|spot| spot.path == path)?;
            let stat = spot.found.as_ref()?;
            Some(self.entry(&spot.parent, &spot.name, &spot.path, stat))
        };
        Ok(best.iter().filter_map(|path| entry(path)).collect())
    }
}

fn candidates(tree: &Tree<'_>, query: &str, limit: usize, stop: &AtomicBool) -> Vec<PathBuf> {
    let pattern = Pattern::parse(query, CaseMatching::Smart, Normalization::Smart);
    let best = Mutex::new(Best { limit, heap: BinaryHeap::new() });
    let seen = AtomicU64::new(0);
    let until = Instant::now() + MAX_TIME;
    tree.walk(|| {
        let (pattern, best, seen) = (&pattern, &best, &seen);
        let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
        let mut letters = Vec::new();
        Box::new(move |entry| {
            let count = seen.fetch_add(1, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) || count > MAX_SEEN || Instant::now() > until {
                return WalkState::Quit;
            }
            let Ok(entry) = entry else { return WalkState::Continue };
            let Some(name) = entry.path().strip_prefix(tree.path()).ok().and_then(Path::to_str) else {
                return WalkState::Continue;
            };
            if name.is_empty() {
                return WalkState::Continue;
            }
            if let Some(score) = pattern.score(Utf32Str::new(name, &mut letters), &mut matcher) {
                let mut best = best.lock().unwrap_or_else(PoisonError::into_inner);
                if best.would_take(score) {
                    best.offer((score, Reverse(name.len()), Reverse(entry.path().to_owned())));
                }
            }
            WalkState::Continue
        })
    });
    let heap = best.into_inner().unwrap_or_else(PoisonError::into_inner).heap;
    heap.into_sorted_vec().into_iter().map(|Reverse((_, _, Reverse(path)))| path).collect()
}
