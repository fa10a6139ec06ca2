//! Orders that an Engine cannot be given at once, starts that hang, and what failed starts leave: behind a proxy that goes
//! away and comes back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use longshore::Endpoint;
use serde_json::Value;

use crate::looks::{json, ran};
use crate::place::{PATIENCE, Place, Running};
use crate::support::gate::{Fault, Gate};
use crate::support::{eventually, rounds, unique};

const POLITE: &str = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done";
/// A person's pause between two strokes.
const STROKE: Duration = Duration::from_millis(300);

/// A place whose Engine is the one of this machine, behind a gate.
fn gated() -> (Place, Gate) {
    let Endpoint::Unix(upstream) = longshore::engine::endpoint_from_env().unwrap() else {
        panic!("the Engine is not on a Unix socket")
    };
    let gate = Gate::start(&std::env::temp_dir().join(unique("gate")), &upstream);
    (Place::behind(gate.host()), gate)
}

fn known(place: &Place) -> Vec<Value> {
    json(place, &["ps", "--json"]).as_array().unwrap().clone()
}

/// Every container that there is, `ps` knows.
#[track_caller]
fn assert_known(place: &Place, row: &str) {
    let known: Vec<String> = known(place).iter().map(|task| task["container_name"].as_str().unwrap().into()).collect();
    for name in place.containers() {
        assert!(known.contains(&name), "{row}: `ps` does not know {name}, but {known:?}");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_failed_start_is_cleared_away_once_the_engine_is_back() {
    for (row, method, end, fault) in [
        ("away with the answer to a create", "POST", "/create", Fault::After),
        ("away before a start", "POST", "/start", Fault::Before),
        ("away with the answer to a start", "POST", "/start", Fault::After),
        ("away with the first look", "GET", "/json", Fault::Before),
    ] {
        let (place, gate) = gated();
        let file = place.job(&[("t", POLITE)], "", "");
        gate.fault(method, end, fault);
        let mut running = Running::start(place.longshore(&["run", "--json", &file]));
        running.wait_for("start_failed");
        assert_eq!(gate.met(), 1, "{row}");
        // It goes on asking.
        thread::sleep(Duration::from_secs(2));
        gate.come_back();
        let ran = running.end();
        assert_eq!(ran.code, 125, "{row}: {} {}", ran.out, ran.err);
        assert_eq!(place.containers(), Vec::<String>::new(), "{row}");
        assert!(known(&place).is_empty(), "{row}: it has ended");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_container_of_a_failed_start_is_never_forgotten() {
    for (row, end, fault, by) in [
        ("a create, recover", "/create", Fault::After, "recover"),
        ("a start, recover", "/start", Fault::After, "recover"),
        ("a start, destroy", "/start", Fault::After, "destroy"),
        ("a start that was not passed on, destroy", "/start", Fault::Before, "destroy"),
        ("a start, the next run", "/start", Fault::After, "run"),
        ("a create, the next run", "/create", Fault::After, "run --recover"),
    ] {
        let (place, gate) = gated();
        let file = place.job(&[("t", POLITE)], "", "");
        gate.fault("POST", end, fault);
        let mut running = Running::start(place.longshore(&["run", "--json", &file]));
        running.wait_for("start_failed");
        running.signal("INT");
        thread::sleep(STROKE);
        let begun = Instant::now();
        running.signal("INT");
        let ended = running.end();
        assert!(begun.elapsed() < Duration::from_secs(6), "{row}: {:?}", begun.elapsed());
        let name = known_name(&place);
        assert!(ended.code == 130 && ended.out.contains(&name), "{row}: {} {} {}", ended.code, ended.out, ended.err);
        assert!(ended.err.matches(&name).count() <= 1, "{row}: it is told once: {}", ended.err);

        gate.come_back();
        assert_eq!(place.containers(), [name.as_str()], "{row}: the Engine has it");
        let task = &known(&place)[0];
        assert_eq!(task["container_name"], name.as_str(), "{row}");
        let want = if end == "/start" && fault == Fault::After { "running" } else { "left" };
        assert_eq!(task["state"], want, "{row}");
        assert_eq!(ran(&place, &["status", "t"]).code, 0, "{row}");
        match by {
            "recover" => drop(ran(&place, &["recover", "--all"])),
            "destroy" => {
                let destroyed = ran(&place, &["destroy", "t"]);
                assert_eq!(destroyed.code, 0, "{row}: {}", destroyed.err);
            }
            _ => {
                let more = if by == "run" { &[][..] } else { &["--recover"] };
                let args: Vec<&str> = ["run", &file].into_iter().chain(more.iter().copied()).collect();
                let mut next = Running::start(place.longshore(&args));
                next.wait_for("up");
                assert_eq!(place.containers().len(), 1, "{row}: there is no second one beside it");
                next.signal("TERM");
                assert_eq!(next.end().code, 5, "{row}");
            }
        }
        assert_eq!(place.containers(), Vec::<String>::new(), "{row}");
        assert!(known(&place).is_empty(), "{row}");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_container_that_is_made_late_is_never_forgotten() {
    for by in ["recover", "destroy", "run", "run --recover"] {
        let (place, gate) = gated();
        let file = place.job(&[("t", POLITE)], "", "");
        gate.fault("POST", "/create", Fault::Late(Duration::from_secs(5)));
        let running = Running::start(place.longshore(&["run", &file]));
        eventually(PATIENCE, "it hangs", || gate.met() > 0);
        thread::sleep(STROKE);
        let begun = Instant::now();
        running.signal("INT");
        let ended = running.end();
        assert!(begun.elapsed() < Duration::from_secs(2), "{by}: {:?}", begun.elapsed());
        let name = known_name(&place);
        let words = format!("its container {name} may still be made");
        assert!(ended.code == 130 && ended.err.matches(&name).count() == 1, "{by}: {} {}", ended.code, ended.err);
        assert!(ended.err.contains(&words), "{by}: {}", ended.err);
        assert_eq!(place.containers(), Vec::<String>::new(), "{by}: it is not there yet");
        assert_eq!(known(&place)[0]["state"], "may_come", "{by}");
        let status = ran(&place, &["status", "t"]);
        assert!(status.code == 0 && status.out.contains("may come"), "{by}: {} {}", status.out, status.err);
        if by == "destroy" {
            let early = ran(&place, &["destroy", "t"]);
            assert!(early.code == 125 && early.err.contains("may still be made"), "{by}: {} {}", early.code, early.err);
            assert_eq!(known(&place)[0]["state"], "may_come", "{by}: it stays on the books");
        }

        eventually(PATIENCE, "it is made", || !place.containers().is_empty());
        assert_eq!(known(&place)[0]["state"], "left", "{by}");
        match by {
            "recover" => drop(ran(&place, &["recover", "--all"])),
            "destroy" => assert_eq!(ran(&place, &["destroy", "t"]).code, 0, "{by}"),
            _ => {
                let more = if by == "run" { &[][..] } else { &["--recover"] };
                let args: Vec<&str> = ["run", &file].into_iter().chain(more.iter().copied()).collect();
                let mut next = Running::start(place.longshore(&args));
                next.wait_for("up");
                assert_eq!(place.containers().len(), 1, "{by}: there is no second one beside it");
                next.signal("TERM");
                assert_eq!(next.end().code, 5, "{by}");
            }
        }
        assert_eq!(place.containers(), Vec::<String>::new(), "{by}");
        assert!(known(&place).is_empty(), "{by}");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_create_that_was_tried_again_is_no_failure_and_not_forgotten() {
    let (place, gate) = gated();
    let file = place.job(&[("t", "echo up; exit 0")], "", "");
    gate.fault("POST", "/create", Fault::Before);
    let running = Running::start(place.longshore(&["run", &file]));
    eventually(PATIENCE, "it is lost", || gate.met() > 0);
    gate.come_back();
    let ended = running.end();
    assert_eq!((ended.code, ended.out.as_str()), (0, "up\n"), "{}", ended.err);
    assert!(ended.err.contains("may still be made"), "{}", ended.err);
    assert_eq!(known(&place)[0]["state"], "may_come");
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn a_run_does_not_wait_for_a_container_that_does_not_come() {
    let (place, gate) = gated();
    let file = place.job(&[("t", POLITE)], "restart {\n attempts = 0\n mode = \"fail\"\n }", "");
    gate.fault("POST", "/create", Fault::Before);
    let running = Running::start(place.longshore(&["run", &file]));
    eventually(PATIENCE, "it is lost", || gate.met() > 0);
    thread::sleep(Duration::from_secs(4));
    let begun = Instant::now();
    gate.come_back();
    let ended = running.end();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(ended.code == 125 && ended.err.contains("may still be made"), "{} {}", ended.code, ended.err);
    // As if its time were over.
    let path = std::fs::read_dir(place.dir.join("data/state")).unwrap().flatten().map(|entry| entry.path());
    let path = path.into_iter().find(|path| path.extension().is_some_and(|end| end == "json")).unwrap();
    let mut state = place.state();
    state["tasks"][0]["container_may_come_until"]["secs_since_epoch"] = 1.into();
    std::fs::write(&path, state.to_string()).unwrap();
    assert!(known(&place).is_empty(), "it does not come any more");
    ran(&place, &["recover", "--all"]);
    assert_eq!(place.state()["ended"], true, "it is dropped");
}

/// The name of the one container that a state knows of.
fn known_name(place: &Place) -> String {
    place.state()["tasks"][0]["container_name"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs an Engine"]
fn a_stop_is_repeated_until_the_engine_hears_it() {
    for (row, away) in [("away for a moment", 300), ("away for a while", 4000)] {
        let (place, gate) = gated();
        let file = place.job(&[("a", POLITE), ("b", POLITE)], "", "");
        let mut running = Running::start(place.longshore(&["run", &file]));
        running.wait_for("up");
        running.wait_for("up");
        gate.go_away();
        running.signal("INT");
        thread::sleep(Duration::from_millis(away));
        gate.come_back();
        let begun = Instant::now();
        let ran = running.end();
        assert_eq!(ran.code, 5, "{row}: {}", ran.err);
        assert!(begun.elapsed() < Duration::from_secs(20), "{row}: {:?}", begun.elapsed());
        assert_eq!(place.containers(), Vec::<String>::new(), "{row}");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_removal_is_repeated_until_the_engine_hears_it() {
    for fault in [Fault::Before, Fault::After] {
        let (place, gate) = gated();
        let file = place.job(&[("t", "echo up; exit 4")], "", "");
        let name = format!("t-{}", place.name);
        gate.fault("DELETE", "", fault);
        let mut running = Running::start(place.longshore(&["run", "--alloc-id", &place.name, &file]));
        running.wait_for("up");
        eventually(PATIENCE, "it removes", || gate.met() == 1);
        thread::sleep(Duration::from_secs(1));
        assert!(running.child.try_wait().unwrap().is_none(), "{fault:?}: it goes on asking for {name}");
        gate.come_back();
        let ran = running.end();
        assert_eq!(ran.code, 4, "{fault:?}: {}", ran.err);
        assert_eq!(place.containers(), Vec::<String>::new(), "{fault:?}");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn the_second_ends_at_once_and_names_what_it_leaves() {
    let (place, gate) = gated();
    let file = place.job(&[("t", POLITE)], "", "");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("up");
    gate.go_away();
    running.signal("INT");
    thread::sleep(STROKE);
    let begun = Instant::now();
    running.signal("INT");
    let ended = running.end();
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let name = known_name(&place);
    assert!(ended.code == 130 && ended.err.contains(&name), "{} {}", ended.code, ended.err);
    assert_eq!(ended.err.matches(&name).count(), 1, "once: {}", ended.err);
    gate.come_back();
    assert_eq!(place.containers(), [name.as_str()]);
    let task = &known(&place)[0];
    assert_eq!((&task["state"], &task["owned"]), (&"running".into(), &false.into()), "it runs, and nobody owns it");
    let destroyed = ran(&place, &["destroy", "--force", "t"]);
    assert_eq!(destroyed.code, 0, "{}", destroyed.err);
}

#[test]
#[ignore = "needs an Engine"]
fn the_first_ends_a_start_that_hangs() {
    for (row, method, end) in [
        ("a look for the image", "GET", "test/json"),
        ("a create", "POST", "/create"),
        ("a start", "POST", "/start"),
        ("an inspect", "GET", ""),
    ] {
        let (place, gate) = gated();
        let file = place.job(&[("t", POLITE)], "", "kill_timeout = \"2s\"");
        let running = Running::start(place.longshore(&["run", &file]));
        if row == "an inspect" {
            // The first after the start: until then all is well.
            eventually(PATIENCE, "it is created", || !place.containers().is_empty());
        }
        gate.fault(method, end, Fault::Hold);
        if row != "an inspect" {
            eventually(PATIENCE, "it hangs", || gate.met() > 0);
        }
        thread::sleep(STROKE);
        let begun = Instant::now();
        running.signal("INT");
        if row == "an inspect" {
            // All that reads hangs: the removal alone goes through, and the end of the start is what counts.
            thread::sleep(Duration::from_secs(1));
            gate.come_back();
        }
        let ran = running.end();
        assert!(begun.elapsed() < Duration::from_secs(6), "{row}: {:?} {}", begun.elapsed(), ran.err);
        gate.come_back();
        assert_eq!(place.containers(), Vec::<String>::new(), "{row}: {}", ran.err);
        match row {
            // Nobody knows that the Engine never gets it.
            "a create" => assert_eq!(known(&place)[0]["state"], "may_come", "{row}"),
            _ => assert!(known(&place).is_empty(), "{row}"),
        }
        if row != "an inspect" {
            assert_eq!(ran.code, 130, "{row}: {}", ran.err);
        }
    }
}

#[test]
#[ignore = "needs an Engine"]
fn starts_through_a_proxy_that_goes_away_leave_nothing_unknown() {
    // Nothing of the outcome depends on the numbers: they say when it goes, and for how long.
    static SEED: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
    let random = |below: u64| {
        let mut x = SEED.load(Ordering::Relaxed);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        SEED.store(x, Ordering::Relaxed);
        Duration::from_millis(x % below)
    };
    let (place, gate) = gated();
    for round in 0..rounds(20, 200) {
        let alloc = format!("{}-{round}", place.name);
        let file = place.job(&[("t", "sleep 0.2; exit 3")], "", "");
        let running = Running::start(place.longshore(&["run", "--alloc-id", &alloc, &file]));
        let (when, how_long) = (random(700), random(if round % 4 == 0 { 5000 } else { 800 }));
        thread::sleep(when);
        gate.go_away();
        thread::sleep(how_long);
        gate.come_back();
        let row = format!("round {round}, away after {when:?} for {how_long:?}");
        if round % 3 == 0 {
            running.signal("INT");
        }
        let ran = running.end();
        assert!([3, 125, 130, 137, 143].contains(&ran.code), "{row}: {} {}", ran.code, ran.err);
        assert_known(&place, &row);
        assert_eq!(place.containers(), Vec::<String>::new(), "{row}: nothing need be left: {}", ran.err);
    }
}
