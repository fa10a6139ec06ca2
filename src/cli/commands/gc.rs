//! `longshore gc`: removes images that longshore brought to the Engine and that no task uses.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::driver::{ImageRecord, ImageRemoval, Origin};
use crate::runner::{FAILED, chain};
use crate::values::printable;

use crate::cli::args::{Args, Gc};
use crate::cli::commands::images::{self, Image};
use crate::cli::failure::Failure;
use crate::cli::session::{Known, Reached};
use crate::cli::{eprint, print, print_json};

pub(in crate::cli) fn gc(global: &Args, args: &Gc) -> Result<u8, Failure> {
    let known = Known::read(global)?;
    let reached = known.reach(global)?;
    reached.check_ledger(&known)?;
    match args.dry_run {
        true => list(&reached, args.json),
        false => remove(&reached, args.json),
    }
}

/// Says what a removal would remove.
fn list(reached: &Reached, json: bool) -> Result<u8, Failure> {
    let unused = |record: &ImageRecord| record.owners.is_empty() && record.origin != Origin::Found;
    let records = reached.driver.images().into_iter().filter(|(_, record)| unused(record));
    let images = images::look(&reached.engine, records)?;
    let now = SystemTime::now();
    match json {
        true => print_json(&format!("{:#}\n", Value::from(images.iter().map(Image::to_json).collect::<Vec<_>>())))?,
        false => {
            let line = |image: &Image| format!("unused: {}, goes {}\n", image.name(), image.goes(now));
            print(&images.iter().map(line).collect::<String>())?;
        }
    }
    Ok(0)
}

fn remove(reached: &Reached, json: bool) -> Result<u8, Failure> {
    let (mut code, mut told) = (0, Vec::new());
    for (id, record, removal) in reached.driver.remove_images(false) {
        let name = record.names.iter().cloned().collect::<Vec<_>>().join(", ");
        let (word, error) = match &removal {
            ImageRemoval::Removed => ("removed", None),
            ImageRemoval::InUse => ("in_use", None),
            ImageRemoval::Failed(error) => ("failed", Some(chain(error))),
        };
        if let Some(error) = &error {
            eprint(&format!("longshore: cannot remove the image {name}: {error}"));
            code = FAILED;
        }
        match (json, &removal) {
            (true, _) => told.push(json!({"id": id, "names": record.names, "result": word, "error": error})),
            (false, ImageRemoval::Removed) => print(&format!("removed: {}\n", printable(&format!("{name} ({id})"))))?,
            (false, ImageRemoval::InUse) => {
                print(&format!("stays, it is in use: {}\n", printable(&format!("{name} ({id})"))))?;
            }
            (false, ImageRemoval::Failed(_)) => {}
        }
    }
    if json {
        print_json(&format!("{:#}\n", Value::from(told)))?;
    }
    Ok(code)
}
