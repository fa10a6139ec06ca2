//! `longshore pull`: images that jobs will need, pulled before, with the credentials that a run would use.

use std::thread;

use serde_json::{Value, json};

use crate::driver::{self, PulledImage};
use crate::runner::FAILED;
use crate::values::printable;

use crate::cli::args::{Args, Pull};
use crate::cli::failure::Failure;
use crate::cli::output::pulls::{Mode, Pulls};
use crate::cli::session::Known;
use crate::cli::{context, print, print_json, report};

pub(in crate::cli) fn pull(global: &Args, args: &Pull) -> Result<u8, Failure> {
    context::check_content_trust()?;
    let known = Known::read(global)?;
    // What is pulled is noted there.
    known.data.make_state()?;
    let reached = known.reach(global)?;
    let driver = &reached.driver;
    // With --json the answer alone is told.
    let pulls = (!args.json).then(|| Pulls::start(driver.pull_progress(), Mode::of_standard_error()));
    let pull = |image: &String| driver.pull_image(image);
    let pulled: Vec<Result<PulledImage, driver::Error>> = thread::scope(|scope| {
        let spawn =
            |image| thread::Builder::new().name(format!("pull {image}")).spawn_scoped(scope, move || pull(image));
        let threads: Vec<_> = args.images.iter().map(spawn).collect();
        let join = |thread: std::io::Result<thread::ScopedJoinHandle<'_, _>>| match thread.map(|thread| thread.join()) {
            Ok(Ok(pulled)) => pulled,
            Ok(Err(_)) => Err(driver::Error::ShutDown),
            Err(error) => Err(driver::Error::Thread(error)),
        };
        threads.into_iter().map(join).collect()
    });
    driver.shutdown();
    drop(pulls);
    let (mut code, mut told) = (0, Vec::new());
    for (image, pulled) in args.images.iter().zip(pulled) {
        match pulled {
            Ok(pulled) if args.json => told.push(json!({"image": image, "id": pulled.id})),
            Ok(pulled) => print(&format!("{}\n", printable(&format!("{image} {}", pulled.id))))?,
            Err(error) => {
                code = FAILED;
                report(&Failure::driver(&error), args.json);
            }
        }
    }
    if args.json {
        print_json(&format!("{}\n", Value::from(told)))?;
    }
    Ok(code)
}
