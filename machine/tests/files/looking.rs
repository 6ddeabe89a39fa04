//! Ordinary looking: pages, order, links, what a file is.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, time::Instant};

use foreman_machine::files::{FilesError, ListOptions};
use foreman_protocol::{FileKind, Policy};

use crate::place::Place;

fn options(limit: usize, cursor: Option<String>) -> ListOptions {
    ListOptions { limit, cursor, hidden: false }
}

#[test]
fn nothing_is_read_while_the_switch_is_off() {
    let place = Place::new();
    let off = Policy { allow_file_read: false, ..place.policy.clone() };
    assert!(matches!(place.files.reading(&off), Err(FilesError::Off("ALLOW_FILE_READ"))));
    assert!(place.files.roots(&off).is_err());
    let off = Policy { allow_file_write: false, ..place.policy.clone() };
    assert!(matches!(place.files.writing(&off), Err(FilesError::Off("ALLOW_FILE_WRITE"))));
    assert!(!place.files.roots(&off).unwrap().may_write);
}

#[test]
fn what_is_read_without_waiting_is_what_is_there() {
    let place = Place::new();
    let content: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    place.write("work/large", &content);
    let opened = place.rules().open(&place.text("work/large")).unwrap();
    for (from, length) in [(0, 10), (70_000, 30_000), (99_990, 20)] {
        let expected = &content[from..content.len().min(from + length)];
        assert_eq!(opened.read_at(from as u64, length).unwrap(), expected);
        // Where the system does not say what is in memory, nothing is read in this way.
        if let Some(read) = opened.read_now(from as u64, length) {
            assert!(!read.is_empty() && expected.starts_with(&read));
        }
    }
    assert_eq!(opened.read_now(100_000, 10), None);
    assert_eq!(opened.read_now(0, 0), None);
}

#[test]
fn directories_come_first_and_numbers_count() {
    let place = Place::new();
    for name in ["b10", "b9", "B1", ".hidden"] {
        place.write(&format!("work/list/{name}"), "");
    }
    for name in ["z10/x", "z9/x"] {
        place.write(&format!("work/list/{name}"), "");
    }
    place.link("z9", "work/list/link");
    let page = place.rules().list(&place.text("work/list"), &options(100, None)).unwrap();
    let names: Vec<&str> = page.items.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["z9", "z10", "B1", "b9", "b10", "link"]);
    assert_eq!(page.next, None);
    assert_eq!(page.items[0].path, place.text("work/list/z9"));
    assert_eq!(page.items[0].kind, FileKind::Directory);
    assert_eq!(page.items[5].kind, FileKind::Symlink);
    assert_eq!(page.items[5].target.as_deref(), Some("z9"));
    assert_eq!(page.items[5].target_kind, Some(FileKind::Directory));
    assert!(place.names("work/list").unwrap().contains(&".hidden".to_owned()));
}

#[test]
fn what_is_blocked_is_not_in_a_list() {
    let place = Place::new();
    assert_eq!(place.names("work").unwrap(), ["deep", "readme.md"]);
}

#[test]
fn a_link_out_of_sight_says_only_where_it_points() {
    let place = Place::new();
    place.link(place.path("outside/key"), "work/out");
    place.link("nowhere", "work/broken");
    for name in ["work/out", "work/broken"] {
        let entry = place.rules().stat(&place.text(name)).unwrap();
        assert_eq!((entry.kind, entry.size, entry.target_kind), (FileKind::Symlink, 0, None), "{name}");
        assert!(entry.target.is_some() && entry.etag.is_none() && entry.mime.is_none(), "{name}");
    }
}

#[test]
fn stat_says_what_a_file_is_and_when_it_changes() {
    let place = Place::new();
    fs::set_permissions(place.path("work/readme.md"), fs::Permissions::from_mode(0o640)).unwrap();
    let path = place.text("work/readme.md");
    let entry = place.rules().stat(&path).unwrap();
    assert_eq!((entry.kind, entry.size, entry.mode), (FileKind::File, 8, 0o640));
    assert_eq!(entry.mime.as_deref(), Some("text/markdown"));
    let opened = place.rules().open(&path).unwrap();
    assert_eq!(Some(&opened.etag), entry.etag.as_ref());
    assert_eq!(opened.modified_at, entry.modified_at);
    place.write("work/readme.md", "# Other\n");
    assert_ne!(place.rules().stat(&path).unwrap().etag, entry.etag);
    assert_eq!(place.rules().stat(&place.text("work")).unwrap().kind, FileKind::Directory);
}

#[test]
fn parts_of_a_file_are_read_where_they_are() {
    let place = Place::new();
    place.write("work/abc", "abcdefghij");
    let opened = place.rules().open(&place.text("work/abc")).unwrap();
    assert_eq!(opened.read_at(2, 3).unwrap(), b"cde");
    assert_eq!(opened.read_at(8, 30).unwrap(), b"ij");
    assert!(opened.read_at(10, 3).unwrap().is_empty());
}

#[test]
fn a_tree_begins_at_home_when_that_may_be_seen() {
    let place = Place::new();
    assert_eq!(place.files.roots(&place.policy).unwrap().roots, [place.text("work")]);
    let everything = Policy { allowed_paths: Vec::new(), ..place.policy.clone() };
    let home = std::env::home_dir().unwrap().canonicalize().unwrap();
    assert_eq!(place.files.roots(&everything).unwrap().roots, [home.to_str().unwrap(), "/"]);
}

#[test]
fn a_root_written_with_a_link_is_found_by_both_names() {
    let mut place = Place::new();
    place.link("work", "alias");
    place.link(place.path("alias/deep"), "work/by-alias");
    place.policy.allowed_paths = vec![place.text("alias")];
    assert_eq!(place.read("alias/deep/er/leaf.txt").unwrap(), "leaf");
    assert_eq!(place.read("work/deep/er/leaf.txt").unwrap(), "leaf");
    assert_eq!(place.read("work/by-alias/er/leaf.txt").unwrap(), "leaf");
    assert!(place.read("alias/../outside/key").is_err());
}

#[test]
fn a_hundred_thousand_entries_are_paged_whole_while_others_come_and_go() {
    let place = Place::new();
    let directory = place.path("work/many");
    fs::create_dir(&directory).unwrap();
    for number in 0..100_000 {
        fs::File::create(directory.join(format!("entry-{number}"))).unwrap();
    }
    let path = place.text("work/many");
    let started = Instant::now();
    let first = place.rules().list(&path, &options(500, None)).unwrap();
    eprintln!("the first 500 of 100,000 took {:?}", started.elapsed());
    assert_eq!(first.items.len(), 500);
    let mut seen = BTreeSet::new();
    let mut next = Some(first);
    let mut pages = 0;
    while let Some(page) = next {
        pages += 1;
        for entry in page.items {
            assert!(seen.insert(entry.name.clone()), "{} came twice", entry.name);
        }
        fs::File::create(directory.join(format!("between-{pages}"))).unwrap();
        fs::File::create(directory.join(format!("zzz-{pages}"))).unwrap();
        next = page.next.map(|cursor| place.rules().list(&path, &options(10_000, Some(cursor))).unwrap());
    }
    let whole = (0..100_000).filter(|number| !seen.contains(&format!("entry-{number}"))).count();
    assert_eq!(whole, 0, "entries are missing");
    assert!(seen.contains("zzz-1"));
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    let place = Place::new();
    for cursor in ["", "x", "!!!", "cXh4"] {
        let error = place.rules().list(&place.text("work"), &options(5, Some(cursor.into()))).unwrap_err();
        assert!(matches!(error, FilesError::Invalid { field: "cursor", .. }), "{cursor}: {error}");
    }
}
