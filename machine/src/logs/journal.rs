//! systemd's journal, by the program that comes with it: `journalctl` knows every format the journal ever had.
//!
//! First a look back from the newest entry until enough are found, then one child that follows. An entry's cursor is
//! the journal's own, so a reader goes on exactly where it was.

mod entry;
mod units;

use std::{collections::VecDeque, time::Duration};

use foreman_protocol::LogReason;
use tokio::time::{Instant, sleep, timeout};

use super::{
    OpenError, Why,
    filter::Filter,
    program::{Running, ask, unread},
    stream::{Item, Out},
};
use crate::probe::Places;
use entry::Entry;
pub(super) use units::list;

pub(super) const PROGRAM: &str = "journalctl";
const ALWAYS: [&str; 5] = [
    "--output=json",
    "--output-fields=MESSAGE,PRIORITY,_TRANSPORT,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,UNIT,_COMM",
    "--all",
    "--quiet",
    "--no-pager",
];
/// The longest entry that is read, in bytes of JSON.
const LONGEST_ENTRY: usize = 512 << 10;
/// How far a filter looks back: entries, bytes of text that is kept, and time.
const MOST_ENTRIES: &str = "--lines=100000";
const MOST_KEPT: usize = 8 << 20;
const LOOK_BACK: Duration = Duration::from_secs(10);
/// A child that ends by itself is started again, a few times in a row.
const STARTS: u32 = 5;
const PROPER_RUN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked of the journal.
pub(super) struct Journal {
    pub places: Places,
    /// `None` is the whole journal.
    pub unit: Option<String>,
    pub filter: Filter,
    pub lines: usize,
    pub follow: bool,
    pub after: Option<String>,
}

/// Where the following child begins.
enum From {
    /// Whatever is written; the journal had nothing of it.
    Beginning,
    Behind(String),
    /// With this entry, or the first one after where it was.
    With(String),
}

impl Journal {
    /// # Errors
    /// When it cannot be read here, or what is asked makes no sense.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        if self.places.find(PROGRAM).is_none() {
            let whole = |why: &str| format!("This device has no systemd journal: {PROGRAM} is {why}.");
            return Err(OpenError::Unavailable(Why::not_installed().within(whole)));
        }
        if let Some(unit) = &self.unit
            && !units::is_name(unit)
        {
            let message = format!("{unit:?} is not the name of a systemd unit.");
            return Err(OpenError::Invalid { field: "source", message });
        }
        if self.after.as_deref().is_some_and(|cursor| own(cursor).is_none()) {
            return Err(OpenError::cursor());
        }
        Ok(())
    }

    pub(super) async fn run(mut self, mut out: Out) -> Option<Item> {
        let from = match self.after.as_deref().and_then(own).map(str::to_owned) {
            Some(cursor) => {
                let Ok(there) = self.first_from(&cursor).await else {
                    return Some(ended(Why::new(LogReason::NoAnswer, "The journal does not answer.")));
                };
                if there.as_ref() == Some(&cursor) {
                    From::Behind(cursor)
                } else {
                    out.send(Item::Gap).await?;
                    From::With(cursor)
                }
            }
            None => {
                let (newest, past) = match self.past().await {
                    Ok(found) => found,
                    Err(why) => return Some(ended(why)),
                };
                for item in past.into_iter().rev() {
                    out.send(item).await?;
                }
                if !self.follow {
                    return Some(Item::End(None));
                }
                newest.map_or(From::Beginning, From::Behind)
            }
        };
        self.go_on(from, &mut out).await
    }

    fn args<'a>(&'a self, more: &[&'a str]) -> Vec<String> {
        let unit = self.unit.as_ref().map(|unit| format!("--unit={unit}"));
        ALWAYS.iter().chain(more).map(|arg| (*arg).to_owned()).chain(unit).collect()
    }

    fn start(&self, more: &[&str]) -> Result<Running, Why> {
        let args = self.args(more);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Running::start(&self.places, PROGRAM, &args, LONGEST_ENTRY)
    }

    /// The cursor of the first entry at or after a place.
    async fn first_from(&self, cursor: &str) -> Result<Option<String>, Why> {
        let from = format!("--cursor={cursor}");
        let args = self.args(&["--lines=1", &from]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let said = ask(&self.places, PROGRAM, &args, LOOK_BACK).await?;
        Ok(Entry::read(said.text.trim().as_bytes()).map(|entry| entry.cursor))
    }

    /// The last wanted entries, the newest first, and the newest of all.
    async fn past(&mut self) -> Result<(Option<String>, VecDeque<Item>), Why> {
        // Nothing of the past is wanted, but where it ends has to be known.
        let exactly = format!("--lines={}", self.lines.max(1));
        let most = if self.filter.is_open() { exactly.as_str() } else { MOST_ENTRIES };
        let mut running = self.start(&["--reverse", most])?;
        let (mut newest, mut past, mut kept) = (None, VecDeque::new(), 0);
        let look = async {
            while past.len() < self.lines.max(1) && kept < MOST_KEPT {
                let line = running.out.line().await.map_err(unread)?;
                let Some(line) = line else { return Ok::<_, Why>(true) };
                let Some(entry) = Entry::read(&line.bytes).filter(|_| !line.cut) else { continue };
                newest.get_or_insert_with(|| entry.cursor.clone());
                if self.lines == 0 {
                    break;
                }
                if let Some(item) = entry.item(&mut self.filter, self.unit.is_none()) {
                    kept += entry_size(&item);
                    past.push_back(item);
                }
            }
            Ok(false)
        };
        // What was found in time is what there is.
        let to_the_end = timeout(LOOK_BACK, look).await.unwrap_or(Ok(false))?;
        if to_the_end && newest.is_none() && !running.ended().await {
            return Err(complaint(&running.complaint().await));
        }
        Ok((newest, past))
    }

    /// Follows, over the end of a child that was not asked to end.
    async fn go_on(mut self, mut from: From, out: &mut Out) -> Option<Item> {
        let mut starts = 0;
        loop {
            let started = Instant::now();
            let begin = match &from {
                From::Beginning => None,
                From::Behind(cursor) => Some(format!("--after-cursor={cursor}")),
                From::With(cursor) => Some(format!("--cursor={cursor}")),
            };
            let mut args = vec!["--lines=all"];
            args.extend(begin.as_deref());
            if self.follow {
                args.push("--follow");
            }
            let mut running = match self.start(&args) {
                Ok(running) => running,
                Err(why) => return Some(ended(why)),
            };
            if let Some(cursor) = self.listen(&mut running, out).await? {
                from = From::Behind(cursor);
            }
            let success = running.ended().await;
            if !self.follow && success {
                return Some(Item::End(None));
            }
            starts = if started.elapsed() > PROPER_RUN { 0 } else { starts + 1 };
            if starts == STARTS || !self.follow {
                return Some(ended(complaint(&running.complaint().await)));
            }
            sleep(PAUSE).await;
        }
    }

    /// Gives what a child says until it ends. Inside is the last cursor, if any; `None` when nobody reads.
    async fn listen(&mut self, running: &mut Running, out: &mut Out) -> Option<Option<String>> {
        let mut last = None;
        while let Ok(Some(line)) = running.out.line().await {
            // Too long to be read: what comes next is not what came after the last.
            let Some(entry) = Entry::read(&line.bytes).filter(|_| !line.cut) else {
                out.send(Item::Gap).await?;
                continue;
            };
            last = Some(entry.cursor.clone());
            match entry.item(&mut self.filter, self.unit.is_none()) {
                Some(item) => out.send(item).await?,
                None => out.reached(entry::cursor(&entry.cursor)).await?,
            }
        }
        Some(last)
    }
}

fn entry_size(item: &Item) -> usize {
    match item {
        Item::Line { line, cursor } => line.text.len() + cursor.len(),
        _ => 0,
    }
}

/// The journal's cursor in ours; `None` when it is none.
fn own(cursor: &str) -> Option<&str> {
    let own = cursor.strip_prefix("j:")?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'=' || b == b';';
    (!own.is_empty() && own.len() < 512 && own.bytes().all(allowed)).then_some(own)
}

fn ended(why: Why) -> Item {
    Item::End(Some(why.within(|why| format!("The journal cannot be read any more: {why}"))))
}

/// In words that say what to do.
fn complaint(said: &str) -> Why {
    if said.contains("insufficient permissions") {
        return Why::no_right(units::GROUP).within(|why| format!("{why}."));
    }
    if said.is_empty() {
        return Why::new(LogReason::NoAnswer, format!("{PROGRAM} ended."));
    }
    Why::said(said).within(|said| format!("{PROGRAM} says: {said}"))
}
