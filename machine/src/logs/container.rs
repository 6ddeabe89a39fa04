//! A container's log, by Docker's or Podman's own program.
//!
//! Both streams of a container come by their own pipe, each in order, so a place in the log is one place in each of
//! them. Places are times, as the engine wrote them down, and how many lines of that very time were read.

mod engine;
mod place;

use std::{collections::VecDeque, time::Duration};

use foreman_protocol::{LogLevel, LogLine, LogReason};
use tokio::time::{Instant, sleep, timeout};

use super::{
    OpenError, Why,
    filter::Filter,
    lines::LONGEST,
    program::{Cut, Running},
    stream::{Item, Out},
};
use crate::probe::Places;
use engine::Engine;
pub(super) use engine::list;
use place::{Moment, Place, Stamped, Which};

/// A line with the engine's time before it.
const LONGEST_LINE: usize = LONGEST + 64;
/// More lines than wanted are asked for, because the first may be one of several of the same time.
const MARGIN: usize = 20;
/// How far a filter looks back: lines, bytes of text that is kept, and time.
const MOST_LINES: usize = 50_000;
const MOST_KEPT: usize = 8 << 20;
const LOOK_BACK: Duration = Duration::from_secs(10);
/// A child that ends by itself while the container runs is started again, a few times in a row.
const STARTS: u32 = 5;
const PROPER_RUN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked of a container.
pub(super) struct Wanted {
    pub places: Places,
    pub name: String,
    pub filter: Filter,
    pub lines: usize,
    pub follow: bool,
    pub after: Option<String>,
}

/// A container that was found, and how far it was read.
pub(super) struct Container {
    wanted: Wanted,
    engine: Engine,
    place: Place,
}

impl Container {
    /// # Errors
    /// When there is no such container, or no engine that can be asked.
    pub(super) async fn find(wanted: Wanted) -> Result<Self, OpenError> {
        if !engine::is_name(&wanted.name) {
            let message = format!("{:?} is not the name of a container.", wanted.name);
            return Err(OpenError::Invalid { field: "source", message });
        }
        let place = match &wanted.after {
            Some(cursor) => cursor.parse().map_err(|()| OpenError::cursor())?,
            None => Place::default(),
        };
        let engine = Engine::of(&wanted.places, &wanted.name).await?;
        Ok(Self { wanted, engine, place })
    }

    pub(super) async fn run(mut self, mut out: Out) -> Option<Item> {
        if self.wanted.after.is_none() {
            let past = match self.past().await {
                Ok(past) => past,
                Err(why) => return Some(Item::End(Some(why))),
            };
            for (which, line, level) in past {
                *self.place.of(which) = line.moment;
                out.send(self.item(which, line.text, level)).await?;
            }
            if !self.wanted.follow {
                return Some(Item::End(None));
            }
        }
        self.go_on(&mut out).await
    }

    fn start(&self, more: &[&str]) -> Result<Streams, Why> {
        let args: Vec<&str> = ["logs", "--timestamps"]
            .into_iter()
            .chain(more.iter().copied())
            .chain([self.wanted.name.as_str()])
            .collect();
        let running = Running::start(&self.wanted.places, self.engine.program(), &args, LONGEST_LINE)
            .map_err(|why| why.within(|why| format!("{} {why}.", self.engine.program())))?;
        Ok(Streams { running, ended: [false; 2], last: Place::default(), complaint: String::new() })
    }

    /// The last wanted lines of both streams in the order of their times; the place is then before the first of them.
    async fn past(&mut self) -> Result<Vec<(Which, Stamped, Option<LogLevel>)>, Why> {
        let wanted = self.wanted.lines;
        let most = if self.wanted.filter.is_open() { wanted + MARGIN } else { MOST_LINES };
        let mut streams = self.start(&["--tail", &most.to_string()])?;
        let mut found = [VecDeque::new(), VecDeque::new()];
        let mut filters = [self.wanted.filter.clone(), self.wanted.filter.clone()];
        let mut kept = 0;
        let look = async {
            while let Some((which, line)) = streams.next().await {
                let (matches, level) = filters[which as usize].judge(&line.text, None);
                if matches {
                    kept += line.text.len();
                    found[which as usize].push_back((which, line, level));
                }
                while kept > MOST_KEPT || found[which as usize].len() > wanted {
                    let longer = if found[0].len() > found[1].len() { 0 } else { 1 };
                    kept -= found[longer].pop_front().map_or(0, |(_, line, _)| line.text.len());
                }
            }
        };
        // What was found in time is what there is.
        let in_time = timeout(LOOK_BACK, look).await.is_ok();
        if in_time && !streams.running.ended().await {
            return Err(self.complaint(streams.complaint));
        }
        let mut all: Vec<_> = found.into_iter().flatten().collect();
        all.sort_by_key(|(_, line, _)| line.moment.at);
        all.drain(..all.len().saturating_sub(wanted));
        self.place = match all.first() {
            Some((_, first, _)) => {
                let before = Moment { at: first.moment.at, nth: 0 };
                Place { out: before, err: before }
            }
            None => streams.last.at_least(streams.last.out.at.max(streams.last.err.at)),
        };
        Ok(all)
    }

    /// Follows, over the end of a child that was not asked to end.
    async fn go_on(mut self, out: &mut Out) -> Option<Item> {
        let mut starts = 0;
        loop {
            let started = Instant::now();
            let since = self.place.since();
            let mut args = Vec::new();
            if let Some(since) = &since {
                args.extend(["--since", since]);
            }
            if self.wanted.follow {
                args.push("--follow");
            }
            let mut streams = match self.start(&args) {
                Ok(streams) => streams,
                Err(why) => return Some(Item::End(Some(why))),
            };
            self.listen(&mut streams, out).await?;
            let success = streams.running.ended().await;
            if !self.wanted.follow && success {
                return Some(Item::End(None));
            }
            if success && !self.engine.runs(&self.wanted.places, &self.wanted.name).await {
                let why = Why::new(LogReason::ContainerStopped, "The container does not run any more.");
                return Some(Item::End(Some(why)));
            }
            starts = if started.elapsed() > PROPER_RUN { 0 } else { starts + 1 };
            if !success || starts == STARTS {
                return Some(Item::End(Some(self.complaint(streams.complaint))));
            }
            sleep(PAUSE).await;
        }
    }

    /// Gives what was not given before, until the child ends; `None` when nobody reads.
    async fn listen(&mut self, streams: &mut Streams, out: &mut Out) -> Option<()> {
        let before = self.place;
        let mut met = [before.out.nth == 0, before.err.nth == 0];
        while let Some((which, line)) = streams.next().await {
            let reached = *self.place.of(which);
            met[which as usize] |= line.moment.at == before.moment(which).at;
            if line.moment <= reached {
                continue;
            }
            // The line that was given last is not there any more: others may be gone with it.
            if !std::mem::replace(&mut met[which as usize], true) {
                out.send(Item::Gap).await?;
            }
            *self.place.of(which) = line.moment;
            let (wanted, level) = self.wanted.filter.judge(&line.text, None);
            if wanted {
                out.send(self.item(which, line.text, level)).await?;
            } else {
                out.reached(self.place.to_string()).await?;
            }
        }
        Some(())
    }

    fn item(&self, which: Which, text: String, level: Option<LogLevel>) -> Item {
        let at = self.place.moment(which).at;
        let line = LogLine {
            at: i64::try_from(at / 1_000_000).ok(),
            level,
            from: Some(which.name().to_owned()),
            text,
        };
        Item::Line { line, cursor: self.place.to_string() }
    }

    fn complaint(&self, said: String) -> Why {
        let program = self.engine.program();
        if said.is_empty() {
            return Why::new(LogReason::NoAnswer, format!("{program} ended."));
        }
        Why::said(said).within(|said| format!("{program} says: {said}"))
    }
}

/// Both streams of a child that prints a container's log.
struct Streams {
    running: Running,
    ended: [bool; 2],
    /// The last line of each.
    last: Place,
    /// The engine's own words, which have no time before them.
    complaint: String,
}

impl Streams {
    /// The next line of either; `None` when both have ended. Loses nothing when it is not waited for.
    async fn next(&mut self) -> Option<(Which, Stamped)> {
        loop {
            let (which, line): (_, Option<Cut>) = tokio::select! {
                line = self.running.out.line(), if !self.ended[0] => (Which::Out, line.ok().flatten()),
                line = self.running.err.line(), if !self.ended[1] => (Which::Err, line.ok().flatten()),
                else => return None,
            };
            let Some(line) = line else {
                self.ended[which as usize] = true;
                continue;
            };
            match Stamped::read(line, self.last.of(which)) {
                Ok(line) => return Some((which, line)),
                Err(words) => self.complaint = words,
            }
        }
    }
}
