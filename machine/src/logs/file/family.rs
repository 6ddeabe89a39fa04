//! The files that a log became when it was rotated: `app.log.1`, `app.log-20261121`, `app-2026-11-21.log`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::place::FileId;

/// So many names of a directory are looked at.
const NAMES: usize = 10_000;
/// A directory whose names keep changing is taken as it is after so many looks.
const LOOKS: usize = 5;
const PACKED: [&str; 6] = [".gz", ".xz", ".zst", ".bz2", ".lz4", ".Z"];

/// A former file of a log.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub path: PathBuf,
    pub id: FileId,
    pub length: u64,
    pub modified: SystemTime,
    /// Compressed: its lines are there, but not for reading on.
    pub packed: bool,
    number: Option<u32>,
}

impl Member {
    fn name(&self) -> (&Path, FileId) {
        (&self.path, self.id)
    }
}

/// The former files of the log at this path, the oldest first. The log itself is not among them.
pub(super) fn of(path: &Path) -> io::Result<Vec<Member>> {
    let mut members = look(path)?;
    // A directory that is read while names in it change can leave some out: it counts when it is the same twice.
    for _ in 0..LOOKS {
        let again = look(path)?;
        let same = members.iter().map(Member::name).eq(again.iter().map(Member::name));
        members = again;
        if same {
            break;
        }
    }
    Ok(members)
}

fn look(path: &Path) -> io::Result<Vec<Member>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let mut members = Vec::new();
    for entry in fs::read_dir(folder)?.take(NAMES).flatten() {
        let other = entry.file_name();
        let Some(mark) = other.to_str().and_then(|other| rotation_mark(name, other)) else { continue };
        // It may be renamed at this moment; the next look finds it.
        let Ok(facts) = entry.metadata() else { continue };
        if !facts.is_file() {
            continue;
        }
        members.push(Member {
            path: entry.path(),
            id: FileId::of(&facts),
            length: facts.len(),
            modified: facts.modified()?,
            packed: PACKED.iter().any(|end| mark.ends_with(end)),
            number: number(mark),
        });
    }
    // Numbers say the order exactly; where dates are used instead, the time of the last line does.
    if members.iter().all(|member| member.number.is_some()) {
        members.sort_by_key(|member| std::cmp::Reverse(member.number));
    } else {
        members.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    }
    Ok(members)
}

/// What a rotated file's name has besides the log's own.
fn rotation_mark<'a>(name: &str, other: &'a str) -> Option<&'a str> {
    let digit = |mark: &str| mark.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let separated = |rest: &'a str| rest.strip_prefix(['.', '-', '_']);
    let behind = other.strip_prefix(name).and_then(separated);
    if let Some(mark) = behind.filter(|mark| digit(mark) || *mark == "old") {
        return Some(mark);
    }
    let (stem, extension) = name.rsplit_once('.')?;
    let inside = other.strip_prefix(stem)?.strip_suffix(extension)?.strip_suffix('.')?;
    separated(inside).filter(|mark| digit(mark))
}

/// `3` and `3.gz` count rotations; longer numbers are dates.
fn number(mark: &str) -> Option<u32> {
    let digits = mark.split('.').next()?;
    (digits.len() <= 4).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotated_files_are_known() {
        let table = [
            ("app.log.1", Some("1")),
            ("app.log.2.gz", Some("2.gz")),
            ("app.log-20261121", Some("20261121")),
            ("app-2026-11-21.log", Some("2026-11-21")),
            ("app.3.log", Some("3")),
            ("app.log.old", Some("old")),
            ("app.log", None),
            ("app.log.lock", None),
            ("apple.log", None),
            ("other.log.1", None),
        ];
        for (name, mark) in table {
            assert_eq!(rotation_mark("app.log", name), mark, "{name}");
        }
        assert_eq!(rotation_mark("syslog", "syslog.1"), Some("1"));
    }

    #[test]
    fn the_oldest_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["app.log", "app.log.1", "app.log.10.gz", "app.log.2", "else"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let members = of(&folder.path().join("app.log")).unwrap();
        let names: Vec<_> = members.iter().map(|m| m.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["app.log.10.gz", "app.log.2", "app.log.1"]);
        assert!(members[0].packed && !members[1].packed);
    }
}
