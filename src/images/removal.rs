//! One image's removal from the Engine, never by force: podman's force removes containers that use the image, running ones
//! too, and Docker's takes it from under stopped ones. An image with several names loses them one by one.

use std::collections::BTreeSet;

use super::Reference;
use crate::engine::{self, Engine, ImageRemoveQuery, ListQuery};

/// How a removal ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// The image is gone, or was gone already; or it has names that are not ours, and lost those that are.
    Gone,
    /// A container uses it.
    InUse,
}

/// Removes an image. With `ours` only what these references name, so that a name that somebody else gave it stays.
pub(super) fn remove(engine: &Engine, id: &str, ours: Option<&BTreeSet<String>>) -> Result<Removal, engine::Error> {
    let Some(ours) = ours else {
        let refused = match remove_name(engine, id) {
            Ok(Removal::Gone) => return Ok(Removal::Gone),
            refused => refused,
        };
        // Docker says 409 and podman 500 of an image with several names, and not only then.
        let names = names(engine, id)?;
        return if names.len() > 1 { remove_names(engine, id, &names) } else { refused };
    };
    let names = names(engine, id)?;
    let (mine, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| ours.iter().any(|our| same(our, name)));
    match (mine.len(), others.len()) {
        (0 | 1, 0) => remove_name(engine, id),
        (0, _) => Ok(Removal::Gone),
        _ => remove_names(engine, id, &mine),
    }
}

/// The image's names with tags. An image that is gone has none.
fn names(engine: &Engine, id: &str) -> Result<Vec<String>, engine::Error> {
    match engine.image_inspect(id) {
        Ok(image) => Ok(image.repo_tags),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether two references name the same: Docker writes familiar names, podman whole ones.
fn same(a: &str, b: &str) -> bool {
    let pulls = |text: &str| text.parse::<Reference>().and_then(|reference| reference.pull_name());
    a == b || matches!((pulls(a), pulls(b)), (Ok(a), Ok(b)) if a == b)
}

fn remove_names(engine: &Engine, id: &str, names: &[String]) -> Result<Removal, engine::Error> {
    // The first names would go even where the last one cannot.
    if !engine.container_list(&ListQuery::new().all().filter("ancestor", id))?.is_empty() {
        return Ok(Removal::InUse);
    }
    for name in names {
        if remove_name(engine, name)? == Removal::InUse {
            return Ok(Removal::InUse);
        }
    }
    Ok(Removal::Gone)
}

fn remove_name(engine: &Engine, name: &str) -> Result<Removal, engine::Error> {
    match engine.image_remove(name, &ImageRemoveQuery { no_prune: true, ..ImageRemoveQuery::default() }) {
        Ok(_) => Ok(Removal::Gone),
        Err(error) if error.is_not_found() => Ok(Removal::Gone),
        Err(error) if error.is_conflict() => Ok(Removal::InUse),
        Err(error) => Err(error),
    }
}
