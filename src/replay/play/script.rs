//! What a player has in hand: the recorded exchanges, which of them have happened in this run, and what words stand for.
//!
//! Requests are answered in recorded order among those that are the same. For one about a container that order is not
//! enough: a client may ask how it is more often, or less, than it did in the recording. So a read gets the answer of
//! the time in which the run is: after what has been done with the container so far, and before what has not.
//!
//! An answer waits for what may have caused a part of it. What merely ran beside it, about another container, may come
//! before or after it, or not at all.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use serde_json::Value;

use crate::replay::har::cassette::Cassette;
use crate::replay::har::exchange::{End, Exchange};
use crate::replay::http::target;
use crate::replay::play::matching::{Form, NAMED, differences, distance, short};
use crate::replay::record::vars::Bindings;
use crate::replay::redact::Redactor;

/// How many differences to an entry are told.
const MOST_DIFFERENCES: usize = 8;

/// The exchanges, and how far the run has come.
pub(in crate::replay) struct Script {
    pub(in crate::replay) items: Vec<Item>,
    bindings: Bindings,
    /// The same before any word stands for something.
    unbound: Bindings,
    /// Whether answers wait for their time, too.
    timed: bool,
    /// Ids and names of containers and execs, and the container that each is about.
    objects: HashMap<String, String>,
    /// Where to look for what fits: by method and text, and by method and text without moments.
    by_text: HashMap<String, Vec<usize>>,
    by_loose: HashMap<String, Vec<usize>>,
    /// Those in which words stand for something: they have to be compared one by one.
    worded: Vec<usize>,
    /// What is about each container.
    of: HashMap<String, Vec<usize>>,
    /// All before this one were made, or passed over.
    settled: usize,
    /// Whether what was done as often as it was recorded may be done again.
    repeats: bool,
}

/// A recorded exchange.
pub(in crate::replay) struct Item {
    pub(in crate::replay) exchange: Arc<Exchange>,
    form: Form,
    /// Whether words stand for something in its request.
    words: bool,
    pub(in crate::replay) line: u64,
    /// Which container it is about, or makes.
    object: Option<String>,
    /// Before which request, in the order of the recording, its answer ended.
    end: u64,
    /// Whether its request was made in this run, or passed over.
    made: Made,
    /// Whether its answer was given whole.
    given: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Not,
    /// The run is further than that: it will not be asked any more.
    Passed,
    Asked,
}

/// A part of a recording, by requests in their order.
struct Window {
    from: u64,
    to: u64,
    /// The first thing that is still to be done.
    undone: u64,
}

impl Item {
    /// Whether nobody has to wait for its request any more. A session is of use once its client listens.
    fn is_settled(&self) -> bool {
        self.made != Made::Not && (!self.form.is_session() || self.given)
    }
}

/// What fits a request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::replay) enum Found {
    /// This exchange. `again`: as it was for another request before.
    Item { n: usize, again: bool },
    /// None: what is to be said.
    Miss(String),
}

impl Script {
    pub(in crate::replay) fn new(cassette: &Cassette, redactor: &Arc<Redactor>, timed: bool) -> io::Result<Self> {
        let mut items = Vec::with_capacity(cassette.contents.exchanges.len());
        let mut objects = HashMap::new();
        let bindings = Bindings::of(&cassette.contents.preface.vars);
        for (n, (exchange, line)) in cassette.contents.exchanges.iter().zip(&cassette.contents.lines).enumerate() {
            let form = Form::of(redactor, exchange)?;
            let made = learn_object(&form, exchange, &mut objects)?;
            let marks = exchange
                .answer
                .as_ref()
                .map(|answer| answer.body.last_mark().map_or(0, |last| last.requests).max(answer.head.requests));
            items.push(Item {
                exchange: Arc::new(exchange.clone()),
                words: bindings.occur_in(&form.text),
                // A name may be that of one container after the other.
                object: made.or_else(|| known(&objects, form.object()?)),
                form,
                line: *line,
                end: marks.unwrap_or(0).max(n as u64 + 1),
                made: Made::Not,
                given: false,
            });
        }
        for item in items.iter_mut().filter(|item: &&mut Item| item.object.is_none()) {
            item.object = item.form.object().map(|object| canonical(&objects, object));
        }
        let mut script = Self {
            items,
            unbound: bindings.clone(),
            bindings,
            timed,
            objects,
            by_text: HashMap::new(),
            by_loose: HashMap::new(),
            worded: Vec::new(),
            of: HashMap::new(),
            settled: 0,
            repeats: false,
        };
        script.index();
        Ok(script)
    }

    fn index(&mut self) {
        for (n, item) in self.items.iter().enumerate() {
            if item.words {
                self.worded.push(n);
            } else {
                self.by_text.entry(key(&item.form.method, &item.form.text)).or_default().push(n);
                if let Some(loose) = &item.form.loose {
                    self.by_loose.entry(key(&item.form.method, loose)).or_default().push(n);
                }
            }
            if let Some(object) = &item.object {
                self.of.entry(object.clone()).or_default().push(n);
            }
        }
    }

    pub(in crate::replay) fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// Lets what was done as often as it was recorded be done again, as if the run began anew.
    pub(in crate::replay) fn repeat(&mut self) {
        self.repeats = true;
    }

    /// Finds the exchange that answers a request, and counts it as made.
    pub(in crate::replay) fn find(&mut self, asked: &Form) -> Found {
        let found = self.pick(asked, false).or_else(|| self.pick(asked, true)).or_else(|| self.again(asked));
        match found {
            Some((n, counts)) => {
                let again = std::mem::replace(&mut self.items[counts].made, Made::Asked) == Made::Asked;
                self.pass(counts);
                Found::Item { n, again }
            }
            None => Found::Miss(self.nearest(asked)),
        }
    }

    /// The exchange whose answer is given, and the one that counts as made.
    fn pick(&mut self, asked: &Form, loose: bool) -> Option<(usize, usize)> {
        let same = self.same(asked, loose);
        if !asked.is_read() {
            return same.first().map(|&n| (n, n));
        }
        let window = self.window(self.items[*same.first()?].object.as_deref());
        let next = same.iter().copied().find(|&n| self.items[n].made == Made::Not && (n as u64) >= window.from);
        let made = || same.iter().copied().filter(|&n| self.items[n].made == Made::Asked);
        let last = made().rfind(|&n| self.items[n].end <= window.undone).or(made().next_back());
        let chosen = match (next, last) {
            (Some(next), Some(last)) if next as u64 >= window.to => last,
            // One that was answered after something that is still to be done: whoever asked it then may be somebody
            // else now, and is not to wait.
            (Some(next), Some(last)) if self.items[next].end > window.undone => return Some((last, next)),
            (Some(next), _) => next,
            // All were recorded before what has been done by now: the latest of them, or one whose client did not leave.
            (None, last) => {
                let latest = same.iter().copied().rfind(|&n| (n as u64) < window.to).max(last);
                let latest = latest.or(same.last().copied())?;
                let whole = |&n: &usize| self.items[n].exchange.end == End::Whole;
                if whole(&latest) { latest } else { same.iter().copied().rfind(whole).unwrap_or(latest) }
            }
        };
        for n in same.into_iter().take_while(|&n| n < chosen) {
            if self.items[n].made == Made::Not {
                self.items[n].made = Made::Passed;
            }
        }
        Some((chosen, chosen))
    }

    /// What was answered before. What followed it for its container begins anew; and all of it where words stand for
    /// something else by now.
    fn again(&mut self, asked: &Form) -> Option<(usize, usize)> {
        if !self.repeats {
            return None;
        }
        let begun = |item: &mut Item| (item.made, item.given) = (Made::Not, false);
        let fits = |item: &Item| item.form.is_same(asked);
        if let Some(n) = self.items.iter().position(|item| !item.words && fits(item)) {
            let (object, builds) = (self.items[n].object.clone(), asked.is_build());
            let follows = |item: &Item| object.is_some() && item.object == object || builds && item.form.is_session();
            begun(&mut self.items[n]);
            self.items[n..].iter_mut().filter(|item| follows(item)).for_each(begun);
            self.settled = self.settled.min(n);
            return Some((n, n));
        }
        let bound = std::mem::replace(&mut self.bindings, self.unbound.clone());
        let Self { items, bindings, worded, .. } = self;
        let found = worded
            .iter()
            .copied()
            .find(|&n| items[n].form.method == asked.method && bindings.agree(&items[n].form.text, &asked.text));
        match found {
            Some(_) => {
                self.items.iter_mut().for_each(begun);
                self.settled = 0;
            }
            None => self.bindings = bound,
        }
        found.map(|n| (n, n))
    }

    /// Those that fit, in order; of what does something only the first that was not made yet.
    fn same(&mut self, asked: &Form, loose: bool) -> Vec<usize> {
        let text = |form: &Form| if loose { form.loose.clone() } else { Some(form.text.clone()) };
        let Some(asked_text) = text(asked) else { return Vec::new() };
        let by = if loose { &self.by_loose } else { &self.by_text };
        let mut same = by.get(&key(&asked.method, &asked_text)).cloned().unwrap_or_default();
        if !asked.is_read() {
            same.retain(|&n| self.items[n].made == Made::Not);
            same.truncate(1);
        }
        // Words are bound by the first that fits, the others have to agree with it.
        let Self { items, bindings, worded, .. } = self;
        for &n in worded.iter() {
            let item = &items[n];
            let open = asked.is_read() || item.made == Made::Not && same.first().is_none_or(|first| n < *first);
            let fits = |bindings: &mut Bindings| match loose {
                true => item.form.loose.as_ref().is_some_and(|recorded| bindings.agree(recorded, &asked_text)),
                false => bindings.agree(&item.form.text, &asked_text),
            };
            if open && item.form.method == asked.method && fits(bindings) {
                if loose && let (Some(recorded), Some(asked)) = (item.form.json(), asked.json()) {
                    bindings.agree_in_parts(&recorded, &asked);
                }
                same.push(n);
                if !asked.is_read() {
                    return vec![n];
                }
            }
        }
        same.sort_unstable();
        same
    }

    /// In which part of the recording the run is, for a container: after what has happened to it, before what has not.
    fn window(&self, object: Option<&str>) -> Window {
        let Some(object) = object else { return Window { from: 0, to: u64::MAX, undone: u64::MAX } };
        // What is done when its request has come, and what is told when its answer has been given: of this container.
        let all = self.of.get(object).map_or(&[][..], Vec::as_slice);
        let its = || all.iter().map(|&n| (n as u64, &self.items[n]));
        let done = || its().filter(|(_, item)| item.form.is_change());
        // An answer that outlasted other requests told of something that happened meanwhile.
        let told = || its().filter(|(n, item)| item.end > n + 1 && !item.form.is_brief() && item.made == Made::Asked);
        let has_been = done().filter(|(_, item)| item.made == Made::Asked).map(|(n, _)| n);
        let has_told = |(n, item): &(u64, &Item)| item.given || self.is_due(*n);
        let from = has_been.chain(told().filter(has_told).map(|(_, item)| item.end)).max().unwrap_or(0);
        // Where the run is further than that, it does not come any more, and tells of nothing to come.
        let undone = done().filter(|(n, item)| item.made != Made::Asked && *n > from).map(|(n, _)| n);
        let undone = undone.min().unwrap_or(u64::MAX);
        let to = told().filter(|told| !has_told(told) && told.1.end > from).map(|(_, item)| item.end);
        Window { from, to: to.min().unwrap_or(u64::MAX).min(undone), undone }
    }

    /// The rest of this exchange's answer is on its way: whatever it told of has happened.
    pub(in crate::replay) fn given(&mut self, n: usize) {
        self.items[n].given = true;
        self.pass(n);
    }

    /// Whether nothing holds an answer: whoever gives it has only not come to it yet.
    fn is_due(&self, n: u64) -> bool {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let item = &self.items[n];
        !self.timed && item.exchange.sent.is_none() && !self.awaits(n, item.end, false)
    }

    /// What was asked of this one's container before what has been done by now will not be asked any more.
    fn pass(&mut self, n: usize) {
        if let Some(object) = self.items[n].object.clone() {
            let from = self.window(Some(&object)).from;
            for &n in self.of.get(&object).into_iter().flatten().take_while(|&&n| (n as u64) < from) {
                let item = &mut self.items[n];
                if item.made == Made::Not && item.form.is_read() {
                    item.made = Made::Passed;
                }
            }
        }
        while self.items.get(self.settled).is_some_and(Item::is_settled) {
            self.settled += 1;
        }
    }

    /// Whether an answer has to wait: for requests that came before this part of it in the recording, and have not come
    /// in this run. `sure`: only for those that it waits for however long they take: what was done with the same container
    /// while it was being answered. A brief read waits for none of them so long: of two that asked the same at once, each
    /// may have the other's answer.
    pub(in crate::replay) fn awaits(&self, n: usize, requests: u64, sure: bool) -> bool {
        self.awaited(n, requests, sure).is_some()
    }

    /// The first that an answer waits for however long it takes, and the answer, as a message names them.
    pub(in crate::replay) fn first_awaited(&self, n: usize, requests: u64) -> Option<(String, String)> {
        let named = |item: &Item| format!("line {}: {}", item.line, shown(&item.exchange));
        Some((named(&self.items[self.awaited(n, requests, true)?]), named(&self.items[n])))
    }

    fn awaited(&self, n: usize, requests: u64, sure: bool) -> Option<usize> {
        let brief = self.items[n].form.is_brief();
        let until = usize::try_from(requests).unwrap_or(usize::MAX).min(self.items.len());
        let open = |other: usize| !self.items[other].is_settled();
        let its = self.items[n].object.as_ref().and_then(|object| self.of.get(object));
        let mut changes = its.into_iter().flatten().copied().take_while(|&other| other < until);
        let is_change = |&other: &usize| open(other) && self.items[other].form.is_change();
        if sure {
            let form = |n: usize| &self.items[n].form;
            // What several clients do within a container goes on side by side.
            let beside = |other: usize| form(other).is_attach() || form(n).is_exec() && form(other).is_exec();
            return changes.find(|other| *other > n && !brief && is_change(other) && !beside(*other));
        }
        let mut later = (n + 1).max(self.settled)..until;
        changes.find(is_change).or_else(|| later.find(|&other| open(other) && !brief && !self.is_beside(n, other)))
    }

    /// Whether nothing that an answer says can have come of another request.
    fn is_beside(&self, n: usize, other: usize) -> bool {
        let (answer, item) = (&self.items[n], &self.items[other]);
        match (&answer.object, &item.object) {
            // Whether a client asks how things are, or how large its window is, is chance.
            _ if item.form.is_brief() || item.form.is_resize() => true,
            // One that was never answered: nothing came of it.
            _ if item.form.is_read() && item.exchange.answer.is_none() => true,
            (Some(a), Some(b)) => a != b,
            (Some(_), None) => item.form.makes_anew(),
            // It tells of all that there is, or of what it did itself; a build asks its client.
            (None, _) => !answer.form.is_read() && !item.form.is_session(),
        }
    }

    /// The exchanges that no request of this run was for.
    pub(in crate::replay) fn unused(&self) -> Vec<String> {
        let unused = self.items.iter().filter(|item| item.made != Made::Asked);
        unused.map(|item| format!("line {}: {}", item.line, shown(&item.exchange))).collect()
    }

    /// What is said to a request that nothing fits.
    fn nearest(&self, asked: &Form) -> String {
        let mut asked = asked.clone();
        // What words stand for is bound: the messages speak of the recording's own texts.
        if let Some(object) = asked.object().map(str::to_owned)
            && let Some(known) = self.objects.get(&object).filter(|known| **known != object)
        {
            asked.target.path = asked.target.path.replacen(&object, known, 1);
        }
        let mut near: Vec<_> = self
            .items
            .iter()
            .filter_map(|item| distance(&item.form, &asked).map(|distance| (distance, item)))
            .collect();
        near.sort_by_key(|(distance, item)| (*distance, item.made != Made::Not, item.line));
        let mut message = String::new();
        for (n, (_, item)) in near.iter().take(3).enumerate() {
            let mut differ = differences(&item.form, &asked);
            let more = differ.len().saturating_sub(MOST_DIFFERENCES);
            if more > 0 {
                differ.truncate(MOST_DIFFERENCES);
                differ.push(format!("and {more} more differences"));
            }
            let differ = match differ.is_empty() {
                true if item.form.is_read() => "it is the same".into(),
                true => "it is the same, and was answered before".into(),
                false => differ.join("\n    "),
            };
            let which = if n == 0 { "nearest" } else { "then" };
            message.push_str(&format!("\n  {which}: line {}: {}\n    {differ}", item.line, readable(&item.exchange)));
        }
        message
    }
}

fn key(method: &str, text: &str) -> String {
    format!("{method} {text}")
}

/// A recorded request as a message about the nearest ones shows it: without escapes, and no longer than two lines.
fn readable(exchange: &Exchange) -> String {
    short(&target::decode(&shown(exchange)), NAMED)
}

fn shown(exchange: &Exchange) -> String {
    format!("{} {}", exchange.request.method, exchange.request.target)
}

/// Learns from an answer which id a container, or an exec of it, has. Gives that of a container that was made.
fn learn_object(form: &Form, exchange: &Exchange, objects: &mut HashMap<String, String>) -> io::Result<Option<String>> {
    let Some(answer) = exchange.answer.as_ref().filter(|answer| answer.status == 201) else { return Ok(None) };
    let creates = form.target.path == "/containers/create";
    let execs = form.target.path.ends_with("/exec");
    if !creates && !execs {
        return Ok(None);
    }
    let body = answer.body.bytes.whole(1024 * 1024)?.unwrap_or_default();
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return Ok(None) };
    let Some(id) = body["Id"].as_str() else { return Ok(None) };
    if execs {
        let container = form.object().map(|object| canonical(objects, object)).unwrap_or_default();
        objects.insert(id.into(), container);
        return Ok(None);
    }
    objects.insert(id.into(), id.into());
    if let Some((_, name)) = form.target.query.iter().find(|(key, _)| key == "name") {
        objects.insert(name.clone(), id.into());
    }
    Ok(Some(id.into()))
}

/// The id of what is meant by an id, the beginning of one, or a name; what it is called where that is not known.
fn canonical(objects: &HashMap<String, String>, object: &str) -> String {
    known(objects, object).unwrap_or_else(|| object.into())
}

fn known(objects: &HashMap<String, String>, object: &str) -> Option<String> {
    if let Some(known) = objects.get(object) {
        return Some(known.clone());
    }
    let mut beginning = objects.iter().filter(|(id, _)| object.len() >= 4 && id.starts_with(object));
    match (beginning.next(), beginning.next()) {
        (Some((_, known)), None) => Some(known.clone()),
        _ => None,
    }
}
