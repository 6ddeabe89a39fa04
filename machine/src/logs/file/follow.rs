//! Reads one log step by step: a piece of the file, or the change to the next one. Knows no waiting.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use foreman_protocol::LogLine;

use super::{
    super::{
        OpenError,
        filter::Filter,
        lines::{Line, Lines},
        steps::{State, Step, Steps},
        stream::Item,
        wake::Wake,
    },
    family::{self, Member},
    open::Rules,
    place::{Beginning, FileId, Place, reaches},
};

/// Bytes read in one step.
const PIECE: usize = 32 << 10;
/// So often is looked again when files are renamed while they are looked at.
const LOOKS: usize = 5;

/// See the module.
pub(in crate::logs) struct Follower {
    path: PathBuf,
    rules: Rules,
    filter: Filter,
    follow: bool,
    /// `None` while there is no file at the path.
    reading: Option<Reading>,
    /// Given with the next step.
    items: Vec<Item>,
}

/// An open file and how far it was read.
struct Reading {
    file: File,
    id: FileId,
    at: u64,
    beginning: Beginning,
    lines: Lines,
}

enum Piece {
    Bytes(Vec<u8>),
    End,
    /// The file was emptied: it does not hold any more what was read from it.
    Emptied,
}

/// Where to go on when a file is read to its end.
enum Next {
    /// It is still the log.
    Stay,
    File(PathBuf, FileId),
    /// The files between are compressed; the lines in them are not read.
    Behind(PathBuf, FileId),
}

impl Follower {
    /// Begins in the middle of the file that was opened.
    pub(super) fn start(
        path: PathBuf,
        rules: Rules,
        filter: Filter,
        follow: bool,
        file: File,
        begin: u64,
    ) -> io::Result<Self> {
        let reading = Some(Reading::new(file, begin)?);
        Ok(Self { path, rules, filter, follow, reading, items: Vec::new() })
    }

    /// Goes on at a place that was reached before, wherever that lies now.
    pub(super) fn resume(
        path: PathBuf,
        rules: Rules,
        filter: Filter,
        follow: bool,
        place: Place,
    ) -> Result<Self, OpenError> {
        let now = match rules.open(&path) {
            Ok(file) => Some(file),
            // Between two files, or gone: what is left may have another name.
            Err(OpenError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let mut follower = Self { path, rules, filter, follow, reading: None, items: Vec::new() };
        let told = |error| super::open::unreadable(&follower.path, &error);
        let found = follower.locate(&place, now.as_ref()).map_err(told)?;
        follower.reading = match (found, now) {
            (Some(reading), _) => Some(reading),
            (None, now) => {
                follower.items.push(Item::Gap);
                now.map(|file| Reading::new(file, 0)).transpose().map_err(told)?
            }
        };
        Ok(follower)
    }

    fn take(&mut self, bytes: &[u8]) -> Option<String> {
        let Self { reading: Some(reading), filter, items, .. } = self else { return None };
        let Reading { lines, beginning, id, .. } = reading;
        let (mut last, before) = (None, items.len());
        lines.feed(bytes, |line| {
            last = Some(line.end);
            items.extend(item(line, filter, beginning, *id));
        });
        last.filter(|_| items.len() == before).map(|end| beginning.place(*id, end).to_string())
    }

    /// A line that nobody will complete is given as it is.
    fn finish_line(&mut self) {
        let Self { reading: Some(reading), filter, items, .. } = self else { return };
        if let Some(line) = reading.lines.rest() {
            items.extend(item(line, filter, &reading.beginning, reading.id));
        }
    }

    fn wait_for_file(&mut self) -> io::Result<State> {
        match self.rules.open(&self.path) {
            Ok(file) => {
                self.reading = Some(Reading::new(file, 0)?);
                Ok(State::More)
            }
            Err(_) if !self.follow => Ok(State::Over(None)),
            Err(OpenError::NotFound(_)) => Ok(State::Idle),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }

    fn ended(&mut self) -> io::Result<State> {
        let Some(reading) = &mut self.reading else { return Ok(State::Idle) };
        let next = next(&self.path, reading, self.follow)?;
        if let Next::Stay = next {
            if self.follow {
                return Ok(State::Idle);
            }
            self.finish_line();
            return Ok(State::Over(None));
        }
        // The last lines may have been written after the end was seen and before the next file was.
        match reading.piece()? {
            Piece::End => {}
            Piece::Emptied => return self.emptied(),
            Piece::Bytes(bytes) => {
                self.take(&bytes);
                return Ok(State::More);
            }
        }
        let (Next::File(path, id) | Next::Behind(path, id)) = &next else { return Ok(State::Idle) };
        let file = match self.rules.open(path) {
            Ok(file) if FileId::of(&file.metadata()?) == *id => file,
            // Renamed again since; the next step looks anew.
            Ok(_) | Err(OpenError::NotFound(_)) => return Ok(State::Idle),
            Err(error) => return Err(io::Error::other(error.to_string())),
        };
        self.finish_line();
        if matches!(next, Next::Behind(..)) {
            self.items.push(Item::Gap);
        }
        self.reading = Some(Reading::new(file, 0)?);
        Ok(State::More)
    }

    /// The rest of what was there is in a copy, or nowhere.
    fn emptied(&mut self) -> io::Result<State> {
        let Some(reading) = &self.reading else { return Ok(State::Idle) };
        let place = reading.beginning.known(reading.id, reading.at);
        let copy = self.former(&place)?;
        if let (Some(reading), Some((file, id))) = (&mut self.reading, copy) {
            (reading.file, reading.id) = (file, id);
            return Ok(State::More);
        }
        self.finish_line();
        self.items.push(Item::Gap);
        self.reading = None;
        self.wait_for_file()
    }

    fn locate(&self, place: &Place, now: Option<&File>) -> io::Result<Option<Reading>> {
        if let Some(file) = now
            && FileId::of(&file.metadata()?) == place.file
            && place.lies_in(file)?
        {
            return Reading::new(file.try_clone()?, place.offset).map(Some);
        }
        let former = self.former(place)?;
        former.map(|(file, _)| Reading::new(file, place.offset)).transpose()
    }

    /// The former file that holds a place: the very file under another name, or else a copy of it.
    fn former(&self, place: &Place) -> io::Result<Option<(File, FileId)>> {
        for _ in 0..LOOKS {
            let family = family::of(&self.path)?;
            let (same, others): (Vec<_>, Vec<_>) =
                family.iter().rev().partition(|member| member.id == place.file);
            let mut moved = false;
            for member in same.into_iter().chain(others) {
                let copy = member.id != place.file;
                if member.packed || member.length < place.offset || (copy && place.length == 0) {
                    continue;
                }
                match self.rules.open(&member.path) {
                    Ok(file) if FileId::of(&file.metadata()?) != member.id => moved = true,
                    Ok(file) if place.lies_in(&file)? => return Ok(Some((file, member.id))),
                    Err(OpenError::NotFound(_)) => moved = true,
                    Ok(_) | Err(_) => {}
                }
            }
            if !moved {
                break;
            }
        }
        Ok(None)
    }
}

impl Steps for Follower {
    /// Reads a piece, or changes to the next file.
    fn step(&mut self) -> io::Result<Step> {
        let mut reached = None;
        let state = match self.reading.as_mut().map(Reading::piece).transpose()? {
            None => self.wait_for_file()?,
            Some(Piece::Bytes(bytes)) => {
                reached = self.take(&bytes);
                State::More
            }
            Some(Piece::Emptied) => self.emptied()?,
            Some(Piece::End) => self.ended()?,
        };
        Ok(Step { items: std::mem::take(&mut self.items), reached, state })
    }

    fn watch(&self, wake: &Wake) {
        wake.file(&self.path);
    }
}

impl Reading {
    fn new(file: File, at: u64) -> io::Result<Self> {
        let id = FileId::of(&file.metadata()?);
        let beginning = Beginning::of(&file)?;
        Ok(Self { file, id, at, beginning, lines: Lines::new(at) })
    }

    fn piece(&mut self) -> io::Result<Piece> {
        let mut bytes = vec![0; PIECE];
        let count = loop {
            match crate::at::read_at(&self.file, &mut bytes, self.at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        bytes.truncate(count);
        // Looked at after reading: a file that still begins as it did was not emptied before.
        if (count == 0 && !reaches(&self.file, self.at)?) || !self.beginning.holds(&self.file)? {
            return Ok(Piece::Emptied);
        }
        if count == 0 {
            return Ok(Piece::End);
        }
        self.beginning.seen(self.at, &bytes);
        self.at += count as u64;
        Ok(Piece::Bytes(bytes))
    }
}

fn item(line: Line, filter: &mut Filter, beginning: &Beginning, id: FileId) -> Option<Item> {
    let (wanted, level) = filter.judge(&line.text, None);
    let cursor = || beginning.place(id, line.end).to_string();
    wanted.then(|| Item::Line {
        cursor: cursor(),
        line: LogLine { at: None, level, from: None, text: line.text },
    })
}

/// The file that came after this one.
fn next(path: &Path, reading: &Reading, follow: bool) -> io::Result<Next> {
    let now = match fs::metadata(path) {
        Ok(facts) => Some((FileId::of(&facts), facts.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if now.is_some_and(|(id, _)| id == reading.id) {
        return Ok(Next::Stay);
    }
    let family = family::of(path)?;
    let modified = reading.file.metadata()?.modified()?;
    let later: Vec<&Member> = match family.iter().position(|member| member.id == reading.id) {
        Some(position) => family[position + 1..].iter().collect(),
        // Deleted: what was changed later came later.
        None => family.iter().filter(|member| member.modified > modified).collect(),
    };
    let packed = later.iter().any(|member| member.packed);
    let to = match later.into_iter().find(|member| !member.packed) {
        Some(member) => Some((member.path.clone(), member.id)),
        // While the new file is empty, its writer may still write to the old one.
        None => {
            now.filter(|(_, length)| *length > 0 || packed && !follow).map(|(id, _)| (path.to_owned(), id))
        }
    };
    Ok(match to {
        None => Next::Stay,
        Some((path, id)) if packed => Next::Behind(path, id),
        Some((path, id)) => Next::File(path, id),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The kernel says that its own files are empty, and a file system of a user may do so too.
    #[test]
    fn a_file_that_says_it_is_empty_is_read_once() {
        let path = PathBuf::from("/proc/version");
        let rules = || Rules { policy: "/none".into(), private: "/none".into(), system: "/none".into() };
        let file = File::open(&path).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        let mut follower = Follower::start(path.clone(), rules(), Filter::default(), true, file, 0).unwrap();
        let (first, then) = (follower.step().unwrap(), follower.step().unwrap());
        let [Item::Line { cursor, .. }] = first.items.as_slice() else { panic!("{:?}", first.items) };
        assert!(then.items.is_empty() && matches!(then.state, State::Idle), "{:?}", then.items);
        assert!(cursor.parse::<Place>().unwrap().lies_in(&File::open(&path).unwrap()).unwrap());
    }
}
