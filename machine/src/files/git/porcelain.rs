//! What `git status --porcelain=v2 --branch -z` says. The format is documented in git-status(1).

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use foreman_protocol::{GitEntry, GitStatus};

use super::MAX_ENTRIES;

/// Reads it; paths that may not be seen are left out, and so is one that was cut off at the end.
pub(super) fn read(root: &Path, said: &[u8], may_see: impl Fn(&Path) -> bool) -> GitStatus {
    let mut status = GitStatus {
        root: root.to_string_lossy().into_owned(),
        branch: None,
        upstream: None,
        ahead: 0,
        behind: 0,
        entries: Vec::new(),
        truncated: false,
    };
    let Some(end) = said.iter().rposition(|byte| *byte == 0) else { return status };
    let mut records = said[..end].split(|byte| *byte == 0);
    while let Some(record) = records.next() {
        if let Some(header) = record.strip_prefix(b"# ") {
            head(&mut status, &String::from_utf8_lossy(header));
            continue;
        }
        if record.starts_with(b"2 ") {
            // The name before, which has a record of its own.
            records.next();
        }
        let Some((name, staged, unstaged)) = entry(record) else { continue };
        let path = root.join(OsStr::from_bytes(name));
        if !may_see(&path) {
            continue;
        }
        if status.entries.len() == MAX_ENTRIES {
            status.truncated = true;
            break;
        }
        status.entries.push(GitEntry { path: path.to_string_lossy().into_owned(), staged, unstaged });
    }
    status
}

fn head(status: &mut GitStatus, header: &str) {
    let Some((name, value)) = header.split_once(' ') else { return };
    match name {
        "branch.head" if value != "(detached)" => status.branch = Some(value.to_owned()),
        "branch.upstream" => status.upstream = Some(value.to_owned()),
        "branch.ab" => {
            for count in value.split(' ') {
                match (count.strip_prefix('+'), count.strip_prefix('-')) {
                    (Some(ahead), _) => status.ahead = ahead.parse().unwrap_or(0),
                    (_, Some(behind)) => status.behind = behind.parse().unwrap_or(0),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

type Entry<'a> = (&'a [u8], Option<String>, Option<String>);

fn entry(record: &[u8]) -> Option<Entry<'_>> {
    let kind = *record.first()?;
    // How many fields come before the name.
    let before = match kind {
        b'1' => 8,
        b'2' => 9,
        b'u' => 10,
        b'?' => 1,
        _ => return None,
    };
    let mut fields = record.splitn(before + 1, |byte| *byte == b' ');
    let states = fields.nth(1)?;
    if kind == b'?' {
        return Some((states, None, Some("untracked".to_owned())));
    }
    let name = fields.last()?;
    if kind == b'u' {
        let conflicted = Some("conflicted".to_owned());
        return Some((name, conflicted.clone(), conflicted));
    }
    Some((name, word(*states.first()?), word(*states.get(1)?)))
}

fn word(state: u8) -> Option<String> {
    let word = match state {
        b'M' | b'T' => "modified",
        b'A' => "added",
        b'D' => "deleted",
        b'R' | b'C' => "renamed",
        b'U' => "conflicted",
        _ => return None,
    };
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_of_record_is_read() {
        let said = b"# branch.oid 1\0# branch.head main\0# branch.upstream origin/main\0# branch.ab +2 -3\0\
            1 .M N... 100644 100644 100644 aa bb a file.txt\0\
            2 R. N... 100644 100644 100644 aa bb R100 new name\0old name\0\
            u UU N... 100644 100644 100644 100644 aa bb cc both\0\
            1 A. N... 000000 100644 100644 aa bb secret/x\0? new\0cut off";
        let status = read(Path::new("/r"), said, |path| !path.starts_with("/r/secret"));
        assert_eq!(status.branch.as_deref(), Some("main"));
        assert_eq!(status.upstream.as_deref(), Some("origin/main"));
        assert_eq!((status.ahead, status.behind), (2, 3));
        let told: Vec<_> = status
            .entries
            .iter()
            .map(|entry| (entry.path.as_str(), entry.staged.as_deref(), entry.unstaged.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("/r/a file.txt", None, Some("modified")),
                ("/r/new name", Some("renamed"), None),
                ("/r/both", Some("conflicted"), Some("conflicted")),
                ("/r/new", None, Some("untracked")),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(said in prop::collection::vec(any::<u8>(), 0..300)) {
            read(Path::new("/r"), &said, |_| true);
        }

        #[test]
        fn nothing_like_a_record_makes_it_panic(said in "([12u?#] ?[MADRCU.]{0,2} ?[a-z. +-]{0,20}\u{0}?){0,8}") {
            read(Path::new("/r"), said.as_bytes(), |_| true);
        }
    }
}
