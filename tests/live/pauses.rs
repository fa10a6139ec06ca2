//! What the driver's own pauses make too long for a recorded test: they pass as they are on a recording, too.

use longshore::driver::Error;
use serde_json::json;

use crate::cases::bench::Bench;
use crate::cases::failures::fails;
use crate::support::IMAGE;

#[test]
#[ignore = "needs an Engine"]
fn a_start_that_fails_by_a_trouble_of_the_engines_is_tried_again_and_given_up() {
    let bench = Bench::new();
    // Docker finds out at the start that the kernel takes no such name, and calls it a trouble of its own.
    let error = fails(&bench, bench.with(json!({"image": IMAGE, "hostname": "a".repeat(5000)})));
    assert!(matches!(error, Error::Create { .. } | Error::Start { .. }), "{error:?}");
}
