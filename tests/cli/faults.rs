//! The Engine dies under a run and comes back.

use std::time::Duration;

use crate::place::{Place, Running};
use crate::support::dockerd::Dockerd;

#[test]
#[ignore = "needs root and dockerd"]
fn a_run_follows_its_task_over_the_engines_restart() {
    let mut dockerd = Dockerd::start(&["--live-restore"]);
    dockerd.import_image();
    let place = Place::on(dockerd.host());
    let script = "i=1; while [ $i -le 1200 ]; do echo out $i; echo err $i >&2; [ $i = 100 ] && sleep 2; i=$((i+1)); usleep 5000; done; exit 9";
    let file = place.job(&[("t", script)], "", "");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("out 100");
    // It is silent for a while now, so that the Engine dies with no line in its hands: that one would be lost to everybody.
    std::thread::sleep(Duration::from_millis(500));
    dockerd.kill();
    dockerd.start_again();
    let ran = running.end();
    assert_eq!(ran.code, 9, "{}", ran.err);
    let want = |what: &str| (1..=1200).map(|i| format!("{what} {i}")).collect::<Vec<_>>();
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), want("out"));
    let err: Vec<&str> = ran.err.lines().filter(|line| !line.starts_with("longshore: ")).collect();
    assert_eq!(err, want("err"));
    assert!(
        ran.err.contains("The Engine does not answer") && ran.err.contains("The Engine answers again"),
        "{}",
        ran.err
    );
}
