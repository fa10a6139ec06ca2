use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use super::*;

const DELAY: Duration = Duration::from_secs(180);

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn used(ledger: &Ledger, id: &str) -> usize {
    ledger.images().get(id).map_or(0, |image| image.owners.len())
}

#[test]
fn the_last_user_makes_an_image_due() {
    // driver-spec 17.3, Pull_Remove.
    let mut ledger = Ledger::default();
    for n in 0..10 {
        ledger.add("i", "web:1", &format!("t{n}"), Origin::Brought, at(n)).unwrap();
        ledger.add("i", "web:1", &format!("t{n}"), Origin::Brought, at(n + 50)).unwrap();
    }
    assert_eq!(used(&ledger, "i"), 10, "the same owner counts once");
    assert_eq!(ledger.images()["i"].owners["t3"], at(3), "since its first use");
    for n in 0..8 {
        ledger.release(&format!("t{n}"), at(100) + DELAY, Removes::Used);
    }
    assert_eq!((used(&ledger, "i"), ledger.next_due()), (2, None));
    for n in 8..10 {
        ledger.release(&format!("t{n}"), at(100) + DELAY, Removes::Used);
    }
    assert_eq!((used(&ledger, "i"), ledger.next_due()), (0, Some(at(280))));
    assert!(ledger.due(at(279)).is_empty());
    assert_eq!(ledger.due(at(280)), ["i"]);
    let began = ledger.begin_removal("i").unwrap();
    assert!(ledger.begin_removal("i").is_none(), "it goes on already");
    assert_eq!((ledger.due(at(999)), ledger.next_due()), (vec![], None));
    assert_eq!(ledger.add("i", "web:1", "late", Origin::Found, at(281)), Err(BeingRemoved));
    ledger.removed("i", &began);
    assert_eq!(ledger, Ledger::default());
}

#[test]
fn a_new_user_cancels_the_removal() {
    // driver-spec 17.3, Remove_Cancel.
    let mut ledger = Ledger::default();
    ledger.add("i", "web:1", "a", Origin::Brought, at(0)).unwrap();
    ledger.release("a", at(10), Removes::Used);
    ledger.release("a", at(99), Removes::Used);
    assert_eq!(ledger.next_due(), Some(at(10)), "who has left cannot leave again");
    ledger.add("i", "web:1", "b", Origin::Found, at(9)).unwrap();
    assert_eq!((ledger.next_due(), ledger.due(at(99)).len()), (None, 0));
    assert!(ledger.begin_removal("i").is_none());
}

#[test]
fn what_goes_by_where_it_came_from() {
    for (origin, removes, due, known, unused) in [
        (Origin::Found, Removes::Used, true, true, false),
        (Origin::Brought, Removes::Used, true, true, true),
        (Origin::Found, Removes::Brought, false, false, false),
        (Origin::Brought, Removes::Brought, true, true, true),
        (Origin::Requested, Removes::Brought, false, true, true),
    ] {
        let row = format!("{origin:?}, {removes:?}");
        let mut ledger = Ledger::default();
        if origin == Origin::Requested {
            ledger.request("i", "web:1", Origin::Brought).unwrap();
        }
        ledger.add("i", "web:1", "a", origin, at(0)).unwrap();
        assert!(ledger.unused().is_empty(), "{row}");
        ledger.release("a", at(5), removes);
        assert_eq!(ledger.next_due().is_some(), due, "{row}");
        assert_eq!(ledger.images().contains_key("i"), known, "{row}");
        assert_eq!(ledger.unused().len(), usize::from(unused), "{row}");
    }
}

#[test]
fn the_ends_of_a_removal() {
    let begun = || {
        let mut ledger = Ledger::default();
        ledger.add("i", "web:1", "a", Origin::Brought, at(0)).unwrap();
        ledger.release("a", at(5), Removes::Used);
        let began = ledger.begin_removal("i").unwrap();
        (ledger, began)
    };
    let (mut ledger, began) = begun();
    ledger.in_use("i", &began);
    assert_eq!((ledger.next_due(), ledger.unused().len()), (None, 1), "a gc finds it later");
    let (mut ledger, _) = begun();
    ledger.removal_failed("i", at(8));
    assert_eq!((ledger.due(at(7)).len(), ledger.due(at(8)).len()), (0, 1));
    ledger.add("i", "web:1", "b", Origin::Found, at(6)).unwrap();
    assert_eq!(ledger.next_due(), None);
    let (mut ledger, _) = begun();
    ledger.removal_failed("i", at(1_000_000));
    ledger.cap_due(at(200));
    assert_eq!(ledger.next_due(), Some(at(200)), "a clock that was set back");
}

#[test]
fn users_that_nobody_knows_leave() {
    let mut ledger = Ledger::default();
    for owner in ["a", "b"] {
        ledger.add("i", "web:1", owner, Origin::Brought, at(0)).unwrap();
        ledger.add(&format!("only {owner}"), "db:1", owner, Origin::Brought, at(0)).unwrap();
    }
    ledger.retain_owners(|owner| owner == "a", at(5), Removes::Brought);
    assert_eq!(used(&ledger, "i"), 1);
    assert_eq!(ledger.due(at(5)), ["only b"]);
}

/// A naive account of the same: who uses what, and what happened last.
#[derive(Default)]
struct Model {
    uses: BTreeSet<(usize, usize)>,
    origin: BTreeMap<usize, Origin>,
    due: BTreeMap<usize, u64>,
    removing: BTreeMap<usize, ImageRecord>,
}

impl Model {
    fn count(&self, image: usize) -> usize {
        self.uses.iter().filter(|(used, _)| *used == image).count()
    }

    fn left(&mut self, image: usize, due: u64, removes: Removes) {
        if self.count(image) > 0 {
            return;
        }
        match (self.origin[&image], removes) {
            (Origin::Found, Removes::Brought) => drop(self.origin.remove(&image)),
            (Origin::Requested, Removes::Brought) => {}
            _ => drop(self.due.insert(image, due)),
        }
    }
}

/// xorshift: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn any_interleaving_leaves_what_a_model_leaves() {
    for seed in 1..=10_000 {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let removes = if seed % 2 == 0 { Removes::Used } else { Removes::Brought };
        let (mut ledger, mut model, mut now) = (Ledger::default(), Model::default(), 0);
        for step in 0..30 {
            let (image, owner) = (numbers.below(4), numbers.below(5));
            let (id, task, due) = (image.to_string(), format!("t{owner}"), now + DELAY.as_secs());
            match numbers.below(9) {
                // A pull, a reference.
                kind @ 0..=2 => {
                    let origin = if kind == 0 { Origin::Brought } else { Origin::Found };
                    let added = ledger.add(&id, "n", &task, origin, at(now)).is_ok();
                    assert_eq!(added, !model.removing.contains_key(&image), "seed {seed}, step {step}");
                    if added {
                        model.uses.insert((image, owner));
                        let known = model.origin.entry(image).or_insert(origin);
                        if (*known, origin) == (Origin::Found, Origin::Brought) {
                            *known = origin;
                        }
                        model.due.remove(&image);
                    }
                }
                3 if removes == Removes::Brought => {
                    let origin = if numbers.below(2) == 0 { Origin::Found } else { Origin::Brought };
                    let noted = ledger.request(&id, "n", origin).is_ok();
                    assert_eq!(noted, !model.removing.contains_key(&image), "seed {seed}, step {step}");
                    let ours = model.origin.get(&image).is_some_and(|origin| *origin != Origin::Found);
                    if noted && (ours || origin == Origin::Brought) {
                        model.origin.insert(image, Origin::Requested);
                        model.due.remove(&image);
                    }
                }
                // A release.
                3..=5 => {
                    ledger.release(&task, at(due), removes);
                    for image in 0..4 {
                        if model.uses.remove(&(image, owner)) {
                            model.left(image, due, removes);
                        }
                    }
                }
                // Time, and what it makes due.
                6 => {
                    now += numbers.below(200) as u64;
                    for id in ledger.due(at(now)) {
                        let began = ledger.begin_removal(&id).unwrap();
                        let image: usize = id.parse().unwrap();
                        assert!(model.due[&image] <= now && model.count(image) == 0, "seed {seed}, step {step}");
                        model.removing.insert(image, began);
                    }
                }
                // The end of a removal.
                7 => {
                    let Some((image, began)) = model.removing.pop_first() else { continue };
                    let id = image.to_string();
                    model.due.remove(&image);
                    match numbers.below(3) {
                        0 => {
                            ledger.removed(&id, &began);
                            model.origin.remove(&image);
                        }
                        1 => {
                            ledger.in_use(&id, &began);
                            if model.origin.get(&image) == Some(&Origin::Found) {
                                model.origin.remove(&image);
                            }
                        }
                        _ => {
                            ledger.removal_failed(&id, at(now + 3));
                            model.due.insert(image, now + 3);
                        }
                    }
                }
                // A shutdown: what is on disk stays, removals that go on are tried again.
                _ => {
                    let text = serde_json::to_string(&ledger).unwrap();
                    ledger = serde_json::from_str(&text).unwrap();
                    model.removing.clear();
                }
            }
            for image in 0..4 {
                let id = image.to_string();
                let place = format!("seed {seed}, step {step}, image {image}");
                assert_eq!(used(&ledger, &id), model.count(image), "{place}");
                let due = ledger.images().get(&id).and_then(|image| image.due);
                assert_eq!(due, model.due.get(&image).map(|due| at(*due)), "{place}");
                assert_eq!(ledger.images().contains_key(&id), model.origin.contains_key(&image), "{place}");
            }
        }
    }
}

/// Several processes on one ledger and one Engine, each step of a task or of a removal by itself: between any two of them
/// every other may happen. What a process does in which order is that of `driver/image.rs` and of the coordinator.
#[derive(Default)]
struct Machine {
    /// The ledger on disk.
    file: Ledger,
    /// Per process: whose removal it has begun.
    removing: [BTreeSet<String>; 2],
    removals: [Option<(String, ImageRecord, bool)>; 2],
    /// What the Engine has, and which containers use it.
    present: BTreeSet<String>,
    containers: BTreeSet<(String, usize)>,
    tasks: Vec<Step>,
    now: u64,
}

/// How far a task is.
#[derive(Clone, Default)]
enum Step {
    #[default]
    Idle,
    /// The image is here, by a look or a pull.
    Here(Origin),
    /// It was being removed: it is looked for again.
    Again(Origin),
    Added,
    Runs,
    Removed,
}

impl Machine {
    fn ledger<R>(&mut self, process: usize, change: impl FnOnce(&mut Ledger) -> R) -> R {
        let removing = self.removing[process].clone();
        let mut ledger = Ledger { images: self.file.images.clone(), removing };
        let result = change(&mut ledger);
        self.removing[process] = std::mem::take(&mut ledger.removing);
        self.file = ledger;
        result
    }

    /// One step of a task; `end` takes it towards its end.
    fn task(&mut self, number: usize, end: bool) {
        let (process, image, owner) = (number % 2, format!("i{}", number % 3), format!("t{number}"));
        let (now, due) = (at(self.now), at(self.now) + DELAY);
        self.tasks[number] = match std::mem::take(&mut self.tasks[number]) {
            Step::Idle if end => Step::Idle,
            // Found by a look, or pulled. Between the list before a pull and its end no other task lives and is forgotten:
            // the delay is longer.
            Step::Again(Origin::Brought) if self.present.contains(&image) => Step::Here(Origin::Brought),
            Step::Again(_) => Step::Idle,
            Step::Idle if self.present.contains(&image) && number < 4 => Step::Here(Origin::Found),
            Step::Idle => self.pulled(image),
            Step::Here(origin) => match self.ledger(process, |ledger| ledger.add(&image, "n", &owner, origin, now)) {
                Ok(()) => Step::Added,
                Err(BeingRemoved) => Step::Again(origin),
            },
            Step::Added if self.present.contains(&image) => {
                self.containers.insert((image, number));
                Step::Runs
            }
            // A create that says 404: it is pulled once more.
            Step::Added => self.pulled(image),
            Step::Runs => {
                assert!(self.present.contains(&image), "an image goes from under a container");
                self.containers.remove(&(image, number));
                Step::Removed
            }
            Step::Removed => {
                self.ledger(process, |ledger| ledger.release(&owner, due, Removes::Brought));
                Step::Idle
            }
        };
    }

    fn pulled(&mut self, image: String) -> Step {
        let is_theirs = self.present.contains(&image) && !self.file.is_ours(&image);
        self.present.insert(image);
        Step::Here(if is_theirs { Origin::Found } else { Origin::Brought })
    }

    /// One step of a process's removals.
    fn removal(&mut self, process: usize) {
        let now = at(self.now);
        match self.removals[process].take() {
            None => {
                let begin = |ledger: &mut Ledger| {
                    let id = ledger.due(now).into_iter().next()?;
                    ledger.begin_removal(&id).map(|began| (id, began))
                };
                let begun = self.ledger(process, begin);
                self.removals[process] = begun.map(|(id, began)| (id, began, false));
            }
            Some((id, began, false)) => {
                if self.containers.iter().any(|(used, _)| *used == id) {
                    self.ledger(process, |ledger| ledger.in_use(&id, &began));
                } else {
                    self.present.remove(&id);
                    self.removals[process] = Some((id, began, true));
                }
            }
            Some((id, began, true)) => self.ledger(process, |ledger| ledger.removed(&id, &began)),
        }
    }
}

#[test]
fn any_interleaving_of_two_processes_keeps_what_is_used_or_theirs_and_no_more() {
    for seed in 1..=3_000 {
        let mut numbers = Numbers(0x2545_f491_4f6c_dd1d_u64.wrapping_mul(seed));
        let mut machine = Machine { tasks: vec![Step::Idle; 6], ..Machine::default() };
        let theirs: BTreeSet<String> = (0..3).filter(|_| numbers.below(3) == 0).map(|n| format!("i{n}")).collect();
        machine.present.clone_from(&theirs);
        for _ in 0..120 {
            match numbers.below(8) {
                0..=4 => machine.task(numbers.below(6), false),
                5..=6 => machine.removal(numbers.below(2)),
                _ => machine.now += numbers.below(200) as u64,
            }
            assert!(machine.present.is_superset(&theirs), "seed {seed}: an image that was there is gone");
        }
        // Everybody comes to an end, and time passes.
        for _ in 0..20 {
            (0..6).for_each(|number| machine.task(number, true));
            (0..2).for_each(|process| machine.removal(process));
        }
        for _ in 0..20 {
            machine.now += 1000;
            (0..2).for_each(|process| machine.removal(process));
        }
        let kept = machine.file.unused();
        let left: Vec<_> = machine.present.difference(&theirs).filter(|id| !kept.contains(id)).collect();
        assert!(left.is_empty(), "seed {seed}: {left:?} is left, and nobody knows of it");
        assert!(machine.file.images().values().all(|image| image.owners.is_empty()), "seed {seed}");
    }
}

#[test]
fn a_ledger_and_its_lock_are_regular_files() {
    let dir = std::env::temp_dir().join(format!("longshore-ledger-odd-{}", std::process::id()));
    for odd in ["images.json", "images.json.lock"] {
        std::fs::create_dir(&dir).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.join(odd), rustix::fs::Mode::RWXU).unwrap();
        let file = LedgerFile { path: dir.join("images.json"), engine: "e".into() };
        let change = |ledger: &mut Ledger| ledger.add("i", "n", "t", Origin::Found, at(0));
        let error = file.update(&mut Ledger::default(), change).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{odd}: {error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
