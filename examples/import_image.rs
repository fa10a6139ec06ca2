//! Makes an image of a root file system's archive on standard input: `import_image NAME:TAG [--change INSTRUCTION]…`.
//! `make image` makes the test image with it, so that no `docker` program is needed.

use std::error::Error;
use std::io;

use longshore::Hangup;
use longshore::engine::{Engine, ImportQuery};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments
        .next()
        .ok_or("usage: import_image NAME:TAG [--change INSTRUCTION]…, the archive on standard input")?;
    // Name and tag in one: podman does not look at a tag of its own.
    let mut query = ImportQuery::new().repo(name);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--change", Some(instruction)) => query = query.change(instruction),
            _ => return Err(format!("what is {argument}?").into()),
        }
    }
    let engine = Engine::from_env()?;
    println!("{}", engine.image_import(io::stdin().lock(), &query, &Hangup::new())?);
    Ok(())
}
