//! Text in many files at once, found as ripgrep finds it and told as it is found.
//!
//! What `.gitignore` names, hidden files and binary ones are left out, as there. The walk works by names; what a
//! file holds is only read from a handle that was opened beneath the searched directory without any link.

mod shown;
pub(super) mod tree;

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use foreman_protocol::{SearchEnd, SearchHit};
use grep_matcher::Matcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkMatch};
use ignore::WalkState;
use rustix::fs::FileType;

use super::{
    FilesError, Result, Rules,
    read::open_regular,
    walk::{Last, kind, parse},
};
use tree::{Beneath, Tree};

/// What one search tells at most.
pub const MAX_HITS: u64 = 2_000;
/// How long one search goes on at most.
const MAX_TIME: Duration = Duration::from_secs(60);
/// The longest line that is looked into.
const MAX_LINE: usize = 8 << 20;
const MAX_QUERY: usize = 1_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Case {
    /// Capitals in the query mean what they say; without any, none matter.
    #[default]
    Smart,
    Matters,
    Ignored,
}

#[derive(Debug, Clone, Default)]
pub struct Search {
    /// A directory, or one file.
    pub path: String,
    pub query: String,
    pub case: Case,
    /// The query is a pattern and not plain text.
    pub regex: bool,
    /// Which files, as `rg -g` takes it; several with spaces between them.
    pub glob: Option<String>,
    /// In hidden files too.
    pub hidden: bool,
    /// Where in the one file it begins; a directory has no such place.
    pub from: Option<LineStart>,
}

/// Where a line begins, as a [`SearchHit`] says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineStart {
    /// Bytes.
    pub offset: u64,
    /// From 1.
    pub line: u64,
}

impl LineStart {
    const FIRST: Self = Self { offset: 0, line: 1 };
}

/// What all threads of one search share.
struct Shared<'a> {
    hit: &'a (dyn Fn(SearchHit) -> bool + Sync),
    /// Set from outside when nobody wants to know any more, and from inside when it is enough.
    stop: &'a AtomicBool,
    until: Instant,
    hits: AtomicU64,
    files: AtomicU64,
    truncated: AtomicBool,
}

impl Shared<'_> {
    fn over(&self) -> bool {
        if self.stop.load(Ordering::Relaxed) {
            return true;
        }
        let late = Instant::now() >= self.until;
        if late {
            self.cut();
        }
        late
    }

    fn cut(&self) {
        self.truncated.store(true, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether to go on.
    fn tell(&self, hit: SearchHit) -> bool {
        if self.over() {
            return false;
        }
        if self.hits.fetch_add(1, Ordering::Relaxed) >= MAX_HITS {
            self.cut();
            return false;
        }
        if !(self.hit)(hit) {
            self.stop.store(true, Ordering::Relaxed);
            return false;
        }
        true
    }
}

impl Rules {
    /// Searches and calls `hit` for each place, from several threads; it says whether to go on. Ends soon after
    /// `stop` is set.
    ///
    /// # Errors
    /// As everywhere; [`FilesError::Invalid`] for a pattern that is none.
    pub fn search(
        &self,
        search: &Search,
        hit: &(dyn Fn(SearchHit) -> bool + Sync),
        stop: &AtomicBool,
    ) -> Result<SearchEnd> {
        let matcher = matcher(search)?;
        let shared = Shared {
            hit,
            stop,
            until: Instant::now() + MAX_TIME,
            hits: AtomicU64::new(0),
            files: AtomicU64::new(0),
            truncated: AtomicBool::new(false),
        };
        let spot = self.walk(parse(&search.path)?, Last::Follow)?;
        if kind(spot.stat()?) == FileType::Directory {
            if search.from.is_some() {
                return Err(FilesError::Invalid {
                    field: "from",
                    why: "Only a file has such a place.".into(),
                });
            }
            let tree = Tree::new(self, &spot.path, search.glob.as_deref(), search.hidden)?;
            search_tree(&tree, &matcher, &shared)?;
        } else {
            let (file, _) = open_regular(self, &spot)?;
            let (mut file, from) = (std::fs::File::from(file), search.from.unwrap_or(LineStart::FIRST));
            file.seek(SeekFrom::Start(from.offset))
                .map_err(|_| FilesError::Invalid { field: "from", why: "No file is as long.".into() })?;
            search_file(&mut searcher(), &matcher, &shared, &spot.path, file, from);
        }
        Ok(SearchEnd {
            hits: shared.hits.into_inner().min(MAX_HITS),
            files_searched: shared.files.into_inner(),
            truncated: shared.truncated.into_inner(),
        })
    }
}

fn search_tree(tree: &Tree<'_>, matcher: &RegexMatcher, shared: &Shared<'_>) -> Result<()> {
    let beneath = tree.beneath()?;
    tree.walk(|| {
        let (beneath, matcher, mut searcher) = (&beneath, matcher.clone(), searcher());
        Box::new(move |entry| {
            if shared.over() {
                return WalkState::Quit;
            }
            if let Ok(entry) = entry
                && entry.file_type().is_some_and(|kind| kind.is_file())
                && let Some(file) = open(beneath, entry.path())
            {
                search_file(&mut searcher, &matcher, shared, entry.path(), file, LineStart::FIRST);
            }
            WalkState::Continue
        })
    });
    Ok(())
}

/// What cannot be opened is not searched, as with ripgrep.
fn open(beneath: &Beneath<'_>, path: &Path) -> Option<std::fs::File> {
    // A path that cannot be said in UTF-8 cannot be asked for either.
    path.to_str()?;
    beneath.open(path).ok()
}

fn matcher(search: &Search) -> Result<RegexMatcher> {
    let invalid = |why: String| FilesError::Invalid { field: "q", why };
    if search.query.is_empty() || search.query.len() > MAX_QUERY {
        return Err(invalid(format!("A search has between 1 and {MAX_QUERY} bytes.")));
    }
    let mut builder = RegexMatcherBuilder::new();
    builder
        .multi_line(true)
        .line_terminator(Some(b'\n'))
        .fixed_strings(!search.regex)
        .case_smart(search.case == Case::Smart)
        .case_insensitive(search.case == Case::Ignored)
        .size_limit(10 << 20)
        .nest_limit(100);
    builder.build(&search.query).map_err(|error| invalid(format!("This pattern cannot be used: {error}")))
}

fn searcher() -> Searcher {
    SearcherBuilder::new()
        .binary_detection(BinaryDetection::quit(0))
        .line_number(true)
        .heap_limit(Some(MAX_LINE))
        .build()
}

fn search_file(
    searcher: &mut Searcher,
    matcher: &RegexMatcher,
    shared: &Shared<'_>,
    path: &Path,
    file: std::fs::File,
    from: LineStart,
) {
    shared.files.fetch_add(1, Ordering::Relaxed);
    let reader = Stoppable { file, shared };
    let sink = Told { matcher, shared, path, from };
    // A line that is too long, a file that cannot be read on: what was found until there counts.
    let _ = searcher.search_reader(matcher, reader, sink);
}

/// A file that ends when the search does: one without any hit would otherwise be read to its end.
struct Stoppable<'a, 'b> {
    file: std::fs::File,
    shared: &'a Shared<'b>,
}

impl Read for Stoppable<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.shared.over() { Ok(0) } else { self.file.read(buffer) }
    }
}

struct Told<'a, 'b> {
    matcher: &'a RegexMatcher,
    shared: &'a Shared<'b>,
    path: &'a Path,
    from: LineStart,
}

impl Sink for Told<'_, '_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        let line = found.bytes();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut matches = Vec::new();
        self.matcher
            .find_iter(line, |found| {
                matches.push((found.start(), found.end()));
                matches.len() < shown::MAX_RANGES
            })
            .map_err(io::Error::other)?;
        let bare = line.strip_suffix(b"\r").unwrap_or(line);
        let line = if matches.last().is_none_or(|(_, end)| *end <= bare.len()) { bare } else { line };
        let (text, ranges) = shown::shown(line, &matches);
        let path = self.path.to_string_lossy().into_owned();
        let line = self.from.line.saturating_add(found.line_number().unwrap_or(1) - 1);
        let offset = Some(self.from.offset.saturating_add(found.absolute_byte_offset()));
        Ok(self.shared.tell(SearchHit { path, line, offset, text, ranges }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_hit_is_not_read_on_when_the_search_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, "x".repeat(1 << 20)).unwrap();
        let stop = AtomicBool::new(false);
        let shared = Shared {
            hit: &|_| true,
            stop: &stop,
            until: Instant::now() + MAX_TIME,
            hits: AtomicU64::new(0),
            files: AtomicU64::new(0),
            truncated: AtomicBool::new(false),
        };
        let mut reader = Stoppable { file: std::fs::File::open(path).unwrap(), shared: &shared };
        let mut buffer = [0; 1_000];
        assert_eq!(reader.read(&mut buffer).unwrap(), 1_000);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
        assert!(!shared.truncated.load(Ordering::Relaxed));
        // Time that is up ends it too, and then there may have been more.
        stop.store(false, Ordering::Relaxed);
        let late = Shared { until: Instant::now(), ..shared };
        let mut reader =
            Stoppable { file: std::fs::File::open(folder.path().join("large")).unwrap(), shared: &late };
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
        assert!(reader.shared.truncated.load(Ordering::Relaxed));
    }
}
