//! `longshore logs`: what is collected of a task's output, then what the Engine holds beyond that, then, with -f, what comes.
//!
//! Where somebody collects, the files are followed; where nobody does, the Engine is. Who that is may change meanwhile: the
//! count of bytes that were shown beyond the collected ones tells where to go on.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::driver::LogTarget;
use crate::engine::Engine;
use crate::files::Entry;
use crate::logs::stored::{self, Kept, Lines, Merged, Piece, Spot, Watch, last_lines};
use crate::logs::{Held, HeldError, KnownStream, Reached, Sink, Source, Stream};
use crate::runner::{AllocState, Error, Found, Ownership, Seen, look_at};
use crate::threads::Hangup;

use crate::cli::args::{Args, Logs};
use crate::cli::failure::Failure;
use crate::cli::output::printer::{Counter, Filter, Printer};
use crate::cli::output::reader::Reader;
use crate::cli::session::Known;
use crate::cli::signals::FORCED;

/// How often it is asked whether a task has ended, or lost its collector, while its files are followed.
const LOOK: Duration = Duration::from_millis(500);
/// How soon files are looked at again that had nothing new.
const BREATH: Duration = Duration::from_millis(50);

pub(in crate::cli) fn logs(global: &Args, args: &Logs) -> Result<u8, Failure> {
    let known = Known::read(global)?;
    let found = known.find_ended_too(&args.task)?;
    end_at_ctrl_c().map_err(|error| Failure::new("signals", format!("cannot listen for signals: {error}")))?;
    let mut shower = Shower::new(global, args, &known, &found);
    // Who asked for nothing but standard error has its reader only there.
    let _reader = match args.stderr && !args.stdout {
        _ if !args.follow => None,
        true => Reader::of_standard_error(&shower.left),
        false => Reader::of_standard_output(&shower.left),
    };
    match shower.show() {
        Ok(code) => Ok(code),
        Err(Stop::Left) => Ok(0),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Io(error)) => match shower.printer.failed() {
            // A reader that has left has read enough.
            Some(_) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            Some(stream) => Err(Failure::new("io", format!("cannot write to {stream}: {error}"))),
            None => {
                let name = found.name();
                Err(Failure::new("io", format!("cannot read the collected output of task `{name}`: {error}")))
            }
        },
    }
}

/// Why it cannot go on.
enum Stop {
    Failed(Failure),
    /// Files cannot be read, or our own streams not be written.
    Io(io::Error),
    /// Nobody reads any more.
    Left,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// One stream that is wanted.
struct Place {
    stream: Stream,
    at: Entry,
}

/// A container whose output the Engine may hold.
struct Container {
    engine: Engine,
    id: String,
    source: Source,
    /// Per place how far it is collected.
    kept: Vec<Option<Kept>>,
}

struct Shower<'a> {
    global: &'a Args,
    args: &'a Logs,
    known: &'a Known,
    alloc_id: &'a str,
    task: &'a str,
    filter: Filter,
    places: Vec<Place>,
    merged: Merged,
    printer: Printer,
    /// Whether it was told that the container is gone.
    is_gone_told: bool,
    /// Closed when nobody reads any more.
    left: Hangup,
}

impl<'a> Shower<'a> {
    fn new(global: &'a Args, args: &'a Logs, known: &'a Known, found: &Found<'a>) -> Self {
        let (alloc_id, task) = (found.alloc.alloc_id.as_str(), found.task.config.name.as_str());
        let both = args.stdout == args.stderr;
        let wanted = [(Stream::Stdout, both || args.stdout), (Stream::Stderr, both || args.stderr)];
        let dir = known.data.alloc(alloc_id);
        let places: Vec<Place> = wanted
            .into_iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(stream, _)| Place { stream, at: stored::place(&dir, task, stream) })
            .collect();
        let lines = places.iter().map(|place| Lines::new(&place.at, place.stream, Spot::default()));
        let merged = Merged::new(lines.collect());
        let filter = Filter { since: args.since, until: args.until };
        let printer = Printer::new(filter, args.timestamps);
        Self {
            global,
            args,
            known,
            alloc_id,
            task,
            filter,
            places,
            merged,
            printer,
            is_gone_told: false,
            left: Hangup::new(),
        }
    }

    fn show(&mut self) -> Result<u8, Stop> {
        let mut tail = self.args.tail;
        // The container whose output was followed to its end.
        let mut done = None;
        loop {
            let Some(alloc) = self.alloc()? else { return Ok(0) };
            let Some(found) = found_in(&alloc, self.task) else { return Ok(0) };
            let is_owned = self.is_owned(&found);
            let has_ended = found.task.ended || alloc.ended;
            if is_owned && is_collected(&found) {
                // What is written meanwhile would never come to an end.
                let ends = if self.args.follow { Vec::new() } else { self.end_here()? };
                self.begin_at_last_lines(tail.take(), &ends, 0)?;
                self.print()?;
                if !self.args.follow || has_ended || self.follow_files()? {
                    return Ok(0);
                }
                continue;
            }
            let container = match self.container(&found) {
                Ok(container) => container,
                // What is collected is shown all the same.
                Err(failure) => {
                    self.begin_at_last_lines(tail.take(), &[], 0)?;
                    self.print()?;
                    return Err(failure.into());
                }
            };
            if let Some(container) = container.filter(|container| done.as_ref() != Some(&container.id)) {
                self.show_held(&container, tail.take())?;
                done = Some(container.id);
            } else {
                self.begin_at_last_lines(tail.take(), &[], 0)?;
                self.print()?;
            }
            if !self.args.follow || has_ended || !is_owned && !self.is_owned(&found) {
                return Ok(0);
            }
            // Its owner may start it again.
            self.pause(LOOK)?;
        }
    }

    /// The allocation as it is now.
    fn alloc(&self) -> Result<Option<AllocState>, Failure> {
        Ok(self.known.store.load(self.alloc_id)?)
    }

    fn is_owned(&self, found: &Found<'_>) -> bool {
        matches!(self.known.owner(found), Ownership::Process { .. })
    }

    /// The container that the Engine may hold more of. `None`: there is none.
    fn container(&mut self, found: &Found<'_>) -> Result<Option<Container>, Failure> {
        // Its owner has removed it, after it had collected its output.
        if found.task.ended && found.task.handle.is_none() {
            return Ok(None);
        }
        let reached = self.known.reach(self.global).map_err(|failure| self.without_the_rest(failure))?;
        let seen = look_at(&reached.site(self.known), found).map_err(|error| self.without_the_rest(error.into()))?;
        let container = match seen {
            Seen::Container(container) => container,
            Seen::Elsewhere => {
                let alloc = found.alloc;
                let error = Error::Elsewhere { alloc_id: alloc.alloc_id.clone(), endpoint: alloc.endpoint.clone() };
                return Err(self.without_the_rest(error.into()));
            }
            Seen::Nothing => {
                // One that ended under its owner's eyes is collected.
                let is_lost = found.task.handle.is_some() && !found.task.ended;
                if is_lost && !self.is_gone_told {
                    log::warn!(
                        "the container of task `{}` is gone, and what was not collected of its output",
                        self.task
                    );
                    self.is_gone_told = true;
                }
                return Ok(None);
            }
            Seen::Unknown => return Ok(None),
        };
        let mut kept = Vec::new();
        for place in &self.places {
            let of_place = stored::kept(&place.at, place.stream).unwrap_or_else(|error| {
                log::warn!("how far {} is collected cannot be read: {error}", place.at.path().display());
                None
            });
            kept.push(of_place.filter(|kept| kept.container == container.id));
        }
        let source = reached.driver.source_of(&container, &found.task.config);
        Ok(Some(Container { engine: reached.engine.clone(), id: container.id, source, kept }))
    }

    fn without_the_rest(&self, mut failure: Failure) -> Failure {
        let words = format!("what is not collected of task `{}` cannot be had", self.task);
        for line in &mut failure.lines {
            *line = format!("{words}: {line}");
        }
        failure
    }

    /// Goes to where the last lines begin, of which `later` come from elsewhere. `ends`: up to where files count.
    fn begin_at_last_lines(&mut self, tail: Option<u64>, ends: &[Option<Spot>], later: u64) -> Result<(), Stop> {
        let Some(tail) = tail else { return Ok(()) };
        let end = |number: usize| ends.get(number).copied().flatten();
        let streams: Vec<_> = self.places.iter().enumerate().map(|(n, place)| (&place.at, end(n))).collect();
        let begins = last_lines(&streams, tail.saturating_sub(later), |stamp| self.filter.passes(stamp))?;
        for (lines, begin) in self.merged.streams.iter_mut().zip(begins) {
            lines.go_to(begin, 0);
        }
        Ok(())
    }

    /// What comes to the files from now on does not count. Gives where they end.
    fn end_here(&mut self) -> Result<Vec<Option<Spot>>, Stop> {
        let mut ends = Vec::new();
        for (lines, place) in self.merged.streams.iter_mut().zip(&self.places) {
            let end = Some(stored::end(&place.at)?);
            lines.until(end);
            ends.push(end);
        }
        Ok(ends)
    }

    /// The streams whose last file is shorter than what was collected, or gone.
    fn shortened(&self, container: &Container) -> io::Result<Vec<&Place>> {
        let mut shortened = Vec::new();
        for (place, kept) in self.places.iter().zip(&container.kept) {
            if let Some(kept) = kept
                && stored::end(&place.at)? < kept.end
            {
                shortened.push(place);
            }
        }
        Ok(shortened)
    }

    /// Prints what is in the files and was not printed yet. Says whether there was anything.
    fn print(&mut self) -> Result<bool, Stop> {
        let (printer, mut any) = (&mut self.printer, false);
        self.merged.drain(|piece: &Piece<'_>| {
            any = true;
            printer.piece(piece)
        })?;
        self.printer.flush()?;
        for (lines, place) in self.merged.streams.iter_mut().zip(&self.places) {
            if lines.has_missed() {
                let path = place.at.path().display();
                log::warn!("files {path}.N were removed before they were read; lines are missing");
            }
        }
        Ok(any)
    }

    /// Follows the files for as long as somebody collects. True: the task has ended for good, and all is printed.
    fn follow_files(&mut self) -> Result<bool, Stop> {
        let dir = self.known.data.alloc(self.alloc_id).join("alloc/logs");
        let mut watch = Watch::new(&dir);
        let mut looked = Instant::now();
        loop {
            if !self.print()? {
                // Another task's output must not keep us busy; what grows meanwhile ends the wait at once.
                self.pause(BREATH)?;
                watch.wait(LOOK);
            }
            self.pause(Duration::ZERO)?;
            if looked.elapsed() < LOOK {
                continue;
            }
            looked = Instant::now();
            if !watch.is_on() {
                watch = Watch::new(&dir);
            }
            let alloc = self.alloc()?;
            let found = alloc.as_ref().and_then(|alloc| found_in(alloc, self.task));
            let has_ended = found.is_none_or(|found| found.task.ended || found.alloc.ended);
            if has_ended || !found.is_some_and(|found| self.is_owned(&found)) {
                // What was written before that.
                self.print()?;
                return Ok(has_ended);
            }
        }
    }

    /// Waits, unless nobody reads any more.
    fn pause(&self, time: Duration) -> Result<(), Stop> {
        if self.left.sleep(time) { Ok(()) } else { Err(Stop::Left) }
    }

    /// Prints what is collected and was not printed yet, then what the Engine holds beyond that; with -f until the
    /// container has ended.
    fn show_held(&mut self, container: &Container, tail: Option<u64>) -> Result<(), Stop> {
        for place in self.shortened(container)? {
            log::warn!("some of what was collected in {}.N is gone; lines are missing", place.at.path().display());
        }
        let ends: Vec<Option<Spot>> = container.kept.iter().map(|kept| kept.as_ref().map(|kept| kept.end)).collect();
        // Of what the Engine holds; what is written meanwhile is none of the last lines.
        let (mut left_away, mut at_most) = (0, None);
        if let Some(tail) = tail {
            let mut counter = Counter { filter: self.filter, lines: 0 };
            // All of them are beyond what is collected: nothing was printed yet.
            let held = self.held(container, &vec![0; self.places.len()])?;
            if let Err(error) = held.read(&self.left, &mut counter) {
                self.pause(Duration::ZERO)?;
                self.begin_at_last_lines(Some(tail), &[], 0)?;
                self.print()?;
                return Err(self.told(container, error));
            }
            self.begin_at_last_lines(Some(tail), &ends, counter.lines)?;
            left_away = counter.lines.saturating_sub(tail);
            at_most = (!self.args.follow).then_some(counter.lines.min(tail));
        }
        // Where what the Engine holds beyond it begins.
        let mut bases = Vec::new();
        for ((lines, place), end) in self.merged.streams.iter_mut().zip(&self.places).zip(&ends) {
            bases.push(match end {
                Some(end) => *end,
                None => stored::end(&place.at)?,
            });
            lines.until(*end);
        }
        self.print()?;
        let mut known = Vec::new();
        for (lines, base) in self.merged.streams.iter().zip(&bases) {
            known.push(lines.beyond(*base)?);
        }
        self.printer.leave_away(left_away);
        if let Some(lines) = at_most {
            self.printer.show_at_most(lines);
        }
        let held = self.held(container, &known)?;
        let done = match self.args.follow {
            true => held.follow(&self.left, &mut self.printer),
            false => held.read(&self.left, &mut self.printer),
        };
        self.pause(Duration::ZERO)?;
        self.printer.flush()?;
        let new = done.map_err(|error| self.told(container, error))?;
        // Somebody may collect it from now on.
        for ((lines, place), base) in self.merged.streams.iter_mut().zip(&self.places).zip(bases) {
            lines.until(None);
            lines.go_to(base, new[place.stream as usize]);
        }
        Ok(())
    }

    /// What the Engine holds beyond what is collected and the `known` bytes of each stream that follow it.
    fn held(&self, container: &Container, known: &[u64]) -> io::Result<Held> {
        let mut streams = Vec::new();
        for ((place, kept), beyond) in self.places.iter().zip(&container.kept).zip(known) {
            let (reached, within_line) = match kept {
                Some(kept) => (kept.reached, stored::is_within_line(&place.at, kept.end)?),
                None => (Reached::default(), false),
            };
            streams.push(KnownStream { stream: place.stream, reached, beyond: *beyond, within_line });
        }
        Ok(Held::new(&container.engine, &container.id, &container.source, streams))
    }

    fn told(&self, container: &Container, error: HeldError) -> Stop {
        let words = match error {
            HeldError::Sink(error) => return Stop::Io(error),
            HeldError::Engine(error) => {
                return self.without_the_rest(Failure::engine(container.engine.endpoint(), &error)).into();
            }
            HeldError::Unreadable => "the container's log driver keeps none that can be read".to_owned(),
            HeldError::Words(words) => format!("the Engine says in the midst of it: {words}"),
        };
        self.without_the_rest(Failure::new("logs", words)).into()
    }
}

/// The task in a newer state of its allocation.
fn found_in<'a>(alloc: &'a AllocState, task: &str) -> Option<Found<'a>> {
    alloc.task(task).map(|task| Found { alloc, task })
}

/// Whether who owns the task collects its output into files.
fn is_collected(found: &Found<'_>) -> bool {
    let logs = &found.task.config.logs;
    [&logs.stdout, &logs.stderr].into_iter().any(|target| matches!(target, LogTarget::Rotating { .. }))
}

/// Ends the program at Ctrl-C: there is nothing to be cleared away.
fn end_at_ctrl_c() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.forever().next().is_some() {
            std::process::exit(FORCED.into());
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
