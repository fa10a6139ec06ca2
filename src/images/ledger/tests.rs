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
    assert!(ledger.begin_removal("i").is_some());
    assert!(ledger.begin_removal("i").is_none(), "it goes on already");
    assert_eq!((ledger.due(at(999)), ledger.next_due()), (vec![], None));
    assert_eq!(ledger.add("i", "web:1", "late", Origin::Found, at(281)), Err(BeingRemoved));
    ledger.removed("i");
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
            ledger.request("i", "web:1");
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
        ledger.begin_removal("i").unwrap();
        ledger
    };
    let mut ledger = begun();
    ledger.in_use("i");
    assert_eq!((ledger.next_due(), ledger.unused().len()), (None, 1), "a gc finds it later");
    let mut ledger = begun();
    ledger.removal_failed("i", at(8));
    assert_eq!((ledger.due(at(7)).len(), ledger.due(at(8)).len()), (0, 1));
    ledger.add("i", "web:1", "b", Origin::Found, at(6)).unwrap();
    assert_eq!(ledger.next_due(), None);
    let mut ledger = begun();
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
    removing: BTreeSet<usize>,
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
        for step in 0..60 {
            let (image, owner) = (numbers.below(4), numbers.below(5));
            let (id, task, due) = (image.to_string(), format!("t{owner}"), now + DELAY.as_secs());
            match numbers.below(9) {
                // A pull, a reference.
                kind @ 0..=2 => {
                    let origin = if kind == 0 { Origin::Brought } else { Origin::Found };
                    let added = ledger.add(&id, "n", &task, origin, at(now)).is_ok();
                    assert_eq!(added, !model.removing.contains(&image), "seed {seed}, step {step}");
                    if added {
                        model.uses.insert((image, owner));
                        model.origin.entry(image).or_insert(origin);
                        model.due.remove(&image);
                    }
                }
                3 if removes == Removes::Brought && !model.removing.contains(&image) => {
                    ledger.request(&id, "n");
                    let origin = model.origin.entry(image).or_insert(Origin::Requested);
                    if *origin == Origin::Brought {
                        *origin = Origin::Requested;
                    }
                    model.due.remove(&image);
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
                        assert!(ledger.begin_removal(&id).is_some(), "seed {seed}, step {step}");
                        let image: usize = id.parse().unwrap();
                        assert!(model.due[&image] <= now && model.count(image) == 0, "seed {seed}, step {step}");
                        model.removing.insert(image);
                    }
                }
                // The end of a removal.
                7 => {
                    let Some(&image) = model.removing.iter().next() else { continue };
                    let id = image.to_string();
                    model.removing.remove(&image);
                    model.due.remove(&image);
                    match numbers.below(3) {
                        0 => {
                            ledger.removed(&id);
                            model.origin.remove(&image);
                        }
                        1 => {
                            ledger.in_use(&id);
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

#[test]
fn a_ledger_and_its_lock_are_regular_files() {
    let dir = std::env::temp_dir().join(format!("longshore-ledger-odd-{}", std::process::id()));
    for odd in ["images.json", "images.json.lock"] {
        std::fs::create_dir(&dir).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.join(odd), rustix::fs::Mode::RWXU).unwrap();
        let file = LedgerFile { path: dir.join("images.json"), engine: "e".into() };
        let error = file.update(&mut Ledger::default(), |_| ()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{odd}: {error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
