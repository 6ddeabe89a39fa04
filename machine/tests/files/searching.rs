//! Searching: what `grep` finds, what `.gitignore` hides, an end at once when nobody listens.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use foreman_machine::files::{Case, FilesError, Find, LineStart, MAX_HITS, Search};
use foreman_protocol::{SearchEnd, SearchHit};

use crate::place::{Place, SECRET};

fn search(place: &Place, search: Search) -> Result<(Vec<SearchHit>, SearchEnd), FilesError> {
    let hits = Mutex::new(Vec::new());
    let hear = |hit| {
        hits.lock().unwrap().push(hit);
        true
    };
    let end = place.rules().search(&search, &hear, &AtomicBool::new(false))?;
    let mut hits = hits.into_inner().unwrap();
    hits.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok((hits, end))
}

fn plain(place: &Place, query: &str) -> Search {
    Search { path: place.text("work"), query: query.into(), ..Search::default() }
}

#[test]
fn it_finds_what_grep_finds() {
    let place = Place::new();
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let copied = Command::new("cp").args(["-r", sources]).arg(place.path("work/src")).status().unwrap();
    assert!(copied.success());
    let path = place.text("work/src");
    for query in ["fn ", "policy", "TODO-not-there", "Path::new("] {
        let wanted =
            Search { path: path.clone(), query: query.into(), case: Case::Matters, ..Search::default() };
        let (hits, end) = search(&place, wanted).unwrap();
        let grep = Command::new("grep").args(["-rnF", "--", query, &path]).output().unwrap();
        let expected: BTreeSet<String> =
            String::from_utf8(grep.stdout).unwrap().lines().map(str::to_owned).collect();
        let found: BTreeSet<String> =
            hits.iter().map(|hit| format!("{}:{}:{}", hit.path, hit.line, hit.text)).collect();
        if end.truncated {
            assert!(found.is_subset(&expected) && end.hits == MAX_HITS, "{query}");
        } else {
            assert_eq!(found, expected, "{query}");
            assert_eq!(end.hits, hits.len() as u64);
        }
        for hit in &hits {
            let units: Vec<u16> = hit.text.encode_utf16().collect();
            for &(start, end) in &hit.ranges {
                assert_eq!(String::from_utf16(&units[start as usize..end as usize]).unwrap(), query);
            }
        }
    }
}

#[test]
fn a_hit_says_where_its_line_begins() {
    let place = Place::new();
    let text = "ü first needle\r\n\n".to_owned() + &"x".repeat(200_000) + "\nneedle needle\nno\nlast needle";
    place.write("work/text", &text);
    let wanted = Search { path: place.text("work/text"), query: "needle".into(), ..Search::default() };
    let (hits, _) = search(&place, wanted).unwrap();
    let found: Vec<_> = hits
        .iter()
        .map(|hit| {
            let offset = usize::try_from(hit.offset.unwrap()).unwrap();
            (hit.line, text[offset..].lines().next().unwrap())
        })
        .collect();
    assert_eq!(found, [(1, "ü first needle"), (4, "needle needle"), (6, "last needle")]);
}

#[test]
fn what_is_ignored_hidden_or_binary_is_left_out() {
    let place = Place::new();
    fs::create_dir(place.path("work/.git")).unwrap();
    place.write("work/.gitignore", "built/\n*.log\n");
    for name in ["seen", "built/x", "a.log", ".hidden", "deep/sub.txt", "sub/.gitignore"] {
        place.write(&format!("work/{name}"), "needle\n");
    }
    place.write("work/binary", b"\0\0needle\n");
    let names = |search: Search| {
        let (hits, _) = self::search(&place, search).unwrap();
        hits.iter()
            .map(|hit| hit.path.strip_prefix(&place.text("work/")).unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(plain(&place, "needle")), ["deep/sub.txt", "seen"]);
    let hidden = Search { hidden: true, ..plain(&place, "needle") };
    assert_eq!(names(hidden), [".hidden", "deep/sub.txt", "seen", "sub/.gitignore"]);
    let glob = Search { glob: Some("*.txt".into()), ..plain(&place, "needle") };
    assert_eq!(names(glob), ["deep/sub.txt"]);
    let but = Search { glob: Some("!*.txt !none".into()), ..plain(&place, "needle") };
    assert_eq!(names(but), ["seen"]);
    // A directory inside a repository knows the repository's rules.
    place.write("work/deep/b.log", "needle\n");
    let inside = Search { path: place.text("work/deep"), ..plain(&place, "needle") };
    assert_eq!(names(inside), ["deep/sub.txt"]);
    let one = Search { path: place.text("work/a.log"), ..plain(&place, "needle") };
    assert_eq!(names(one), ["a.log"]);
}

#[test]
fn capitals_and_patterns_mean_what_is_asked() {
    let place = Place::new();
    place.write("work/text", "One\none\nO.e\n");
    let lines = |query: &str, case, regex| {
        let wanted = Search { case, regex, ..plain(&place, query) };
        search(&place, wanted).unwrap().0.iter().map(|hit| hit.line).collect::<Vec<_>>()
    };
    assert_eq!(lines("one", Case::Smart, false), [1, 2]);
    assert_eq!(lines("One", Case::Smart, false), [1]);
    assert_eq!(lines("one", Case::Matters, false), [2]);
    assert_eq!(lines("ONE", Case::Ignored, false), [1, 2]);
    assert_eq!(lines("O.e", Case::Smart, false), [3]);
    assert_eq!(lines("^O.e$", Case::Smart, true), [1, 3]);
    for (query, regex) in [("(", true), ("", false), ("a\nb", false), ("a{1000}{1000}{1000}", true)] {
        let refused = search(&place, Search { regex, ..plain(&place, query) });
        assert!(matches!(refused, Err(FilesError::Invalid { field: "q", .. })), "{query}: {refused:?}");
    }
    let glob = Search { glob: Some("[".into()), ..plain(&place, "x") };
    assert!(matches!(search(&place, glob), Err(FilesError::Invalid { field: "glob", .. })));
}

#[test]
fn nothing_is_found_where_nobody_may_look() {
    let place = Place::new();
    place.link(place.path("outside"), "work/out");
    place.link(place.path("outside/key"), "work/key");
    place.link("secret", "work/to-secret");
    assert_eq!(search(&place, Search { hidden: true, ..plain(&place, SECRET) }).unwrap().0, []);
    for name in ["outside", "work/out", "work/secret", "work/state", "work/key", "work-evil", "/proc/self"] {
        let refused = search(&place, Search { path: place.text(name), ..plain(&place, "x") });
        assert!(refused.is_err(), "{name}");
        let find = Find { path: place.text(name), query: "key".into(), limit: 10, hidden: true };
        assert!(place.rules().find(&find, &AtomicBool::new(false)).is_err(), "{name}");
    }
    let find = Find { path: place.text("work"), query: "key".into(), limit: 10, hidden: true };
    let found = place.rules().find(&find, &AtomicBool::new(false)).unwrap();
    assert_eq!(found.iter().map(|entry| entry.path.clone()).collect::<Vec<_>>(), [place.text("work/key")]);
}

#[test]
fn a_pipe_that_calls_itself_gitignore_stops_nothing() {
    let place = Place::new();
    place.write("work/trap/needle", "needle\n");
    place.write("work/seen", "needle\n");
    let made = Command::new("mkfifo").arg(place.path("work/trap/.gitignore")).status().unwrap();
    assert!(made.success());
    let (hits, _) = search(&place, plain(&place, "needle")).unwrap();
    assert_eq!(hits.len(), 1);
}

#[test]
fn it_is_enough_at_some_point() {
    let place = Place::new();
    place.write("work/many", "needle\n".repeat(5_000));
    let (hits, end) = search(&place, plain(&place, "needle")).unwrap();
    assert_eq!((hits.len() as u64, end.hits, end.truncated), (MAX_HITS, MAX_HITS, true));
}

#[test]
fn what_is_more_than_enough_is_gone_on_with_where_the_last_hit_was() {
    let place = Place::new();
    let text: String = (1..=5_000).map(|line| format!("ü needle {line}\n")).collect();
    place.write("work/many", &text);
    let file = Search { path: place.text("work/many"), ..plain(&place, "needle") };
    let (mut all, mut end) = search(&place, file.clone()).unwrap();
    while end.truncated {
        let last = all.last().unwrap();
        let from = LineStart { offset: last.offset.unwrap(), line: last.line };
        let (next, ended) = search(&place, Search { from: Some(from), ..file.clone() }).unwrap();
        // It begins with the line that it is given.
        assert_eq!(next.first(), Some(last));
        all.extend(next.into_iter().skip(1));
        end = ended;
    }
    for (line, hit) in (1..).zip(&all) {
        let offset = usize::try_from(hit.offset.unwrap()).unwrap();
        assert_eq!((hit.line, hit.text.as_str()), (line, format!("ü needle {line}").as_str()));
        assert_eq!(text[offset..].lines().next(), Some(hit.text.as_str()));
    }
    assert_eq!(all.len(), 5_000);

    let from = |offset| Some(LineStart { offset, line: u64::MAX });
    let (hits, _) =
        search(&place, Search { from: from(u64::try_from(text.len()).unwrap()), ..file.clone() }).unwrap();
    assert_eq!(hits, []);
    for wanted in
        [Search { from: from(u64::MAX), ..file }, Search { from: from(0), ..plain(&place, "needle") }]
    {
        let refused = search(&place, wanted);
        assert!(matches!(refused, Err(FilesError::Invalid { field: "from", .. })), "{refused:?}");
    }
}

#[test]
fn the_walkers_stop_when_nobody_listens() {
    let place = Place::new();
    for number in 0..2_000 {
        place.write(&format!("work/tree/{}/{number}", number % 50), "needle\n");
    }
    let heard = AtomicU64::new(0);
    let hear = |_| {
        heard.fetch_add(1, Ordering::Relaxed);
        false
    };
    let stop = AtomicBool::new(false);
    let end = place.rules().search(&plain(&place, "needle"), &hear, &stop).unwrap();
    assert!(stop.load(Ordering::Relaxed));
    assert!(end.files_searched < 100, "{} files were searched for nobody", end.files_searched);
    // Stopped before it began, it does not begin.
    let end = place.rules().search(&plain(&place, "needle"), &hear, &stop).unwrap();
    assert_eq!(end.files_searched, 0);
}

#[test]
fn names_are_found_from_a_few_letters_the_best_first() {
    let place = Place::new();
    for name in
        ["src/routes/devices.rs", "src/devices/routes.rs", "docs/devices.md", ".hidden/devices", "drs"]
    {
        place.write(&format!("work/{name}"), "");
    }
    let find = |query: &str, limit, hidden| {
        let find = Find { path: place.text("work"), query: query.into(), limit, hidden };
        let found = place.rules().find(&find, &AtomicBool::new(false)).unwrap();
        found.into_iter().map(|entry| entry.path[place.text("work/").len()..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(find("devicesmd", 10, false), ["docs/devices.md"]);
    assert_eq!(find("devices.rs", 10, false)[0], "src/routes/devices.rs");
    assert_eq!(find("src routes", 2, false).len(), 2);
    assert!(find("devices", 100, true).contains(&".hidden/devices".to_owned()));
    assert!(!find("devices", 100, false).contains(&".hidden/devices".to_owned()));
    assert!(find("zzzz", 10, true).is_empty());
}
