//! An Engine that dies and comes back, on a dockerd of the test's own.

use std::time::{Duration, Instant};

use longshore::driver::{Driver, DriverConfig, ExecOptions, TaskState};
use longshore::engine::Engine;

use crate::cases::bench::{Bench, PATIENCE, assert_same};
use crate::support::dockerd::Dockerd;
use crate::support::{eventually, rounds};

/// Counts to a number, a line each few milliseconds on both streams. After the hundredth it is silent for a while, for
/// the Engine to be killed in: one that dies with a line in its hands, taken from the task and not yet in its file, has
/// lost it for everybody.
fn counting(lines: u32) -> (String, String, String) {
    let script = format!(
        "i=1; while [ $i -le {lines} ]; do echo out $i; echo err $i >&2; [ $i = 100 ] && sleep 2; i=$((i+1)); usleep 5000; done; exit 9"
    );
    let text = |what: &str| (1..=lines).map(|i| format!("{what} {i}\n")).collect();
    (script, text("out"), text("err"))
}

#[test]
#[ignore = "needs root and dockerd"]
fn the_engine_dies_and_comes_back_under_a_running_task() {
    for round in 0..rounds(1, 10) {
        let mut dockerd = Dockerd::start(&["--live-restore"]);
        dockerd.import_image();
        let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
        let events = bench.driver.task_events();
        let (script, out, err) = counting(1200);
        let (id, output) = bench.start(bench.task(&script));
        let waiter = bench.driver.wait_task(&id).unwrap();
        eventually(PATIENCE, "it writes", || output.out().contains("out 100\n") && output.err().contains("err 100\n"));

        dockerd.kill();
        assert!(waiter.recv_timeout(Duration::from_millis(500)).is_err(), "round {round}: a dead Engine is no exit");
        dockerd.start_again();
        let state = bench.driver.inspect_task(&id).unwrap().state;
        assert_eq!(state, TaskState::Running, "round {round}");

        let exit = waiter.recv_timeout(PATIENCE).expect("it ends");
        assert_eq!((exit.exit_code, exit.err), (9, None), "round {round}");
        bench.driver.destroy_task(&id, false).unwrap();
        assert_same(&output.out(), &out);
        assert_same(&output.err(), &err);
        let kinds: Vec<_> = events.try_iter().filter_map(|e| e.annotations.get("kind").cloned()).collect();
        assert!(kinds.contains(&"engine_lost".into()) && kinds.contains(&"engine_back".into()), "{kinds:?}");
    }
}

#[test]
#[ignore = "needs root and dockerd"]
fn a_task_that_ends_while_the_engine_is_away() {
    let mut dockerd = Dockerd::start(&["--live-restore"]);
    dockerd.import_image();
    let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
    let (id, output) = bench.start(bench.task("echo begun; sleep 1; exit 6"));
    eventually(PATIENCE, "it writes", || output.out().contains("begun"));
    dockerd.kill();
    let waiter = bench.driver.wait_task(&id).unwrap();
    assert!(waiter.recv_timeout(Duration::from_millis(2500)).is_err(), "nobody can know yet");
    dockerd.start_again();
    let exit = waiter.recv_timeout(PATIENCE).expect("it has ended");
    assert_eq!(exit.exit_code, 6, "{exit:?}");
    bench.driver.destroy_task(&id, false).unwrap();
    assert_same(&output.out(), "begun\n");
}

#[test]
#[ignore = "needs root and dockerd"]
fn without_live_restore_the_engine_takes_its_tasks_along() {
    let mut dockerd = Dockerd::start(&[]);
    dockerd.import_image();
    let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
    let (id, _) = bench.start(bench.task("sleep 1000"));
    let waiter = bench.driver.wait_task(&id).unwrap();
    dockerd.kill();
    dockerd.start_again();
    let exit = waiter.recv_timeout(PATIENCE).expect("it has ended");
    assert_eq!((exit.exit_code, exit.oom_killed), (137, false), "{exit:?}");
    bench.driver.destroy_task(&id, false).unwrap();
}

#[test]
#[ignore = "needs root and dockerd"]
fn twenty_tasks_outlive_an_engine_that_is_away() {
    let outages = match rounds(1, 2) {
        1 => &[500, 5_000][..],
        _ => &[500, 5_000, 60_000],
    };
    let mut dockerd = Dockerd::start(&["--live-restore"]);
    dockerd.import_image();
    for gently in [false, true] {
        for &outage in outages {
            let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
            let events = bench.driver.task_events();
            let tasks: Vec<_> = (0..20)
                .map(|n| {
                    let (id, output) =
                        bench
                            .start(bench.task(&format!(
                                "echo begun {n}; while [ ! -e /end ]; do usleep 50000; done; exit {n}"
                            )));
                    eventually(PATIENCE, "it writes", || output.out() == format!("begun {n}\n"));
                    (id, output)
                })
                .collect();
            match gently {
                true => dockerd.stop(),
                false => dockerd.kill(),
            }
            std::thread::sleep(Duration::from_millis(outage));
            for (id, _) in &tasks {
                assert!(
                    bench.driver.wait_task(id).unwrap().try_recv().is_err(),
                    "gently {gently}, {outage} ms: no exit"
                );
            }
            dockerd.start_again();
            let back = Instant::now();
            for (n, (id, _)) in tasks.iter().enumerate() {
                assert_eq!(bench.driver.inspect_task(id).unwrap().state, TaskState::Running, "{n}");
                let options = ExecOptions { command: vec!["touch".into(), "/end".into()], ..ExecOptions::default() };
                bench.driver.exec_task(id, &options).unwrap();
            }
            for (n, (id, output)) in tasks.iter().enumerate() {
                assert_eq!(bench.wait(id).exit_code, n as i64, "gently {gently}, {outage} ms");
                bench.driver.destroy_task(id, false).unwrap();
                assert_eq!(output.out(), format!("begun {n}\n"));
            }
            assert!(back.elapsed() < Duration::from_secs(60), "{:?}", back.elapsed());
            let lost =
                events.try_iter().filter(|e| e.annotations.get("kind").is_some_and(|kind| kind == "engine_lost"));
            assert_eq!(lost.count(), 20, "each is told of once");
        }
    }
}

#[test]
#[ignore = "needs root and dockerd"]
fn containerd_dies() {
    let mut dockerd = Dockerd::start(&["--live-restore"]);
    dockerd.import_image();
    let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
    let (id, output) = bench.start(bench.task("echo begun; sleep 1; echo after; sleep 1000"));
    eventually(PATIENCE, "it writes", || output.out() == "begun\n");
    dockerd.kill_containerd();
    eventually(PATIENCE, "it writes on", || output.out() == "begun\nafter\n");
    let waiter = bench.driver.wait_task(&id).unwrap();
    assert!(waiter.recv_timeout(Duration::from_secs(3)).is_err(), "it runs");
    assert_eq!(bench.driver.inspect_task(&id).unwrap().state, TaskState::Running);
    // dockerd 20.10 may have lost touch with it. A stop finds the way, if by a detour of ten seconds.
    bench.driver.stop_task(&id, Duration::from_secs(1), None).unwrap();
    let exit = waiter.recv_timeout(PATIENCE).expect("it has ended");
    assert!(!exit.is_successful(), "{exit:?}");
    bench.driver.destroy_task(&id, false).unwrap();
    assert_eq!(output.out(), "begun\nafter\n");
}

#[test]
#[ignore = "needs root and dockerd"]
fn an_engine_that_is_away_while_a_task_is_taken_up() {
    let mut dockerd = Dockerd::start(&["--live-restore"]);
    dockerd.import_image();
    let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
    let (handle, _) = bench.driver.start_task(bench.task("sleep 4; exit 8")).unwrap();
    bench.driver.shutdown();
    dockerd.kill();

    let config = DriverConfig { instance: bench.instance.clone(), ..DriverConfig::default() };
    let driver = Driver::new(bench.engine.clone(), config);
    let events = driver.task_events();
    driver.recover_task(&handle).unwrap();
    let waiter = driver.wait_task(&handle.config.id).unwrap();
    assert!(waiter.recv_timeout(Duration::from_millis(500)).is_err(), "nobody can know yet");
    dockerd.start_again();
    assert_eq!(waiter.recv_timeout(PATIENCE).unwrap().exit_code, 8);
    driver.destroy_task(&handle.config.id, false).unwrap();
    let kinds: Vec<_> = events.try_iter().filter_map(|e| e.annotations.get("kind").cloned()).collect();
    assert!(kinds.contains(&"recovered_unseen".into()), "{kinds:?}");
    driver.shutdown();
}

#[test]
#[ignore = "needs root and dockerd"]
fn many_starts_while_the_engine_restarts() {
    let mut dockerd = Dockerd::start(&["--live-restore"]);
    dockerd.import_image();
    let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
    let tasks: Vec<_> = (0..rounds(30, 100)).map(|n| bench.task(&format!("exit {}", n % 100))).collect();
    let started: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> =
            tasks.into_iter().map(|task| scope.spawn(|| (task.id.clone(), bench.driver.start_task(task)))).collect();
        std::thread::sleep(Duration::from_millis(300));
        dockerd.kill();
        dockerd.start_again();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let mut failed = 0;
    for (n, (id, start)) in started.iter().enumerate() {
        match start {
            Ok(_) => {
                let exit = bench.wait(id);
                // One that the Engine was starting when it died has no code of its own.
                assert!(
                    exit.exit_code == n as i64 % 100 || exit.err.is_some() || exit.exit_code >= 126,
                    "{n}: {exit:?}"
                );
                bench.driver.destroy_task(id, false).unwrap();
            }
            Err(error) => {
                assert!(error.is_recoverable(), "{n}: {error}");
                failed += 1;
            }
        }
    }
    assert!(failed < started.len(), "some start all the same");
    // What a failed start created is gone, or goes: the Engine was away when it was to be removed.
    eventually(PATIENCE, "nothing is left", || bench.containers().is_empty());
}
