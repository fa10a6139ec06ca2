//! The ledger of images: who uses which, how each came here, and when one that nobody uses is due to be removed
//! (driver-spec 5.3 to 5.5). Pure: no I/O and no clock; `file` keeps one on disk for several processes.

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use file::LedgerFile;

/// How an image came to the Engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was there before a task used it.
    #[default]
    Found,
    /// It was pulled or loaded for a task.
    Brought,
    /// It was pulled because somebody asked for it by name. It has no time to go.
    Requested,
}

/// What is known of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageRecord {
    /// References under which it was used or brought.
    pub names: BTreeSet<String>,
    /// How it came to the Engine.
    pub origin: Origin,
    /// The ids of the tasks that use it, each with the time since when.
    pub owners: BTreeMap<String, SystemTime>,
    /// When it is due to be removed. `None`: somebody uses it, or it stays.
    pub due: Option<SystemTime>,
}

/// Which images go once nobody uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removes {
    /// Every one, as Nomad's driver has it.
    Used,
    /// Those that came here for a task.
    Brought,
}

/// An image is being removed at this moment: whoever wants it looks for it again afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BeingRemoved;

/// All images that are used, were brought, or are due. By id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Ledger {
    images: BTreeMap<String, ImageRecord>,
    /// Those whose removal the Engine is asked for at this moment, by this process.
    #[serde(skip)]
    removing: BTreeSet<String>,
}

impl Ledger {
    /// Adds a user of an image. A removal that is due is cancelled. The same owner counts once.
    pub(crate) fn add(
        &mut self,
        id: &str,
        name: &str,
        owner: &str,
        origin: Origin,
        now: SystemTime,
    ) -> Result<(), BeingRemoved> {
        if self.removing.contains(id) {
            return Err(BeingRemoved);
        }
        let image = self.record(id, name, origin);
        image.due = None;
        image.owners.entry(owner.to_owned()).or_insert(now);
        Ok(())
    }

    /// Notes an image that somebody asked for by name. One that was there before (`Found`) is noted only where it came for a
    /// task: it is not to go with its last task any more.
    pub(crate) fn request(&mut self, id: &str, name: &str, origin: Origin) -> Result<(), BeingRemoved> {
        if self.removing.contains(id) {
            return Err(BeingRemoved);
        }
        if origin != Origin::Found || self.is_ours(id) {
            self.record(id, name, Origin::Requested).due = None;
        }
        Ok(())
    }

    /// Whether the Engine is asked for its removal at this moment.
    pub(crate) fn is_being_removed(&self, id: &str) -> bool {
        self.removing.contains(id)
    }

    /// Whether that is so of any.
    pub(crate) fn is_removing(&self) -> bool {
        !self.removing.is_empty()
    }

    /// Whether an image came to the Engine through longshore.
    pub(crate) fn is_ours(&self, id: &str) -> bool {
        self.images.get(id).is_some_and(|image| image.origin != Origin::Found)
    }

    fn record(&mut self, id: &str, name: &str, origin: Origin) -> &mut ImageRecord {
        let image =
            self.images.entry(id.to_owned()).or_insert_with(|| ImageRecord { origin, ..ImageRecord::default() });
        // One that was brought was not there just before, whatever another task found: it had gone, or has just come. What
        // was asked for by name outlives its tasks.
        image.origin = match (image.origin, origin) {
            (Origin::Requested, _) | (_, Origin::Requested) => Origin::Requested,
            (Origin::Brought, _) | (_, Origin::Brought) => Origin::Brought,
            (Origin::Found, Origin::Found) => Origin::Found,
        };
        if !name.is_empty() {
            image.names.insert(name.to_owned());
        }
        image
    }

    /// Takes a user away from every image. An image that nobody uses any more is due at `due`, or forgotten.
    pub(crate) fn release(&mut self, owner: &str, due: SystemTime, removes: Removes) {
        self.images.retain(|_, image| {
            let used = image.owners.remove(owner).is_some();
            !used || image.settle(due, removes)
        });
    }

    /// Takes the users away that `keep` does not know, as a crash leaves them.
    pub(crate) fn retain_owners(&mut self, keep: impl Fn(&str) -> bool, due: SystemTime, removes: Removes) {
        self.images.retain(|_, image| {
            let before = image.owners.len();
            image.owners.retain(|owner, _| keep(owner));
            image.owners.len() == before || image.settle(due, removes)
        });
    }

    /// When the next image is due, of those whose removal has not begun.
    pub(crate) fn next_due(&self) -> Option<SystemTime> {
        let waiting = self.images.iter().filter(|(id, _)| !self.removing.contains(*id));
        waiting.filter_map(|(_, image)| image.due).min()
    }

    /// The ids of images that are due.
    pub(crate) fn due(&self, now: SystemTime) -> Vec<String> {
        let due = |image: &ImageRecord| image.owners.is_empty() && image.due.is_some_and(|due| due <= now);
        let waiting = self.images.iter().filter(|(id, _)| !self.removing.contains(*id));
        waiting.filter(|(_, image)| due(image)).map(|(id, _)| id.clone()).collect()
    }

    /// Images that nobody uses and that are ours to remove, due or not.
    pub(crate) fn unused(&self) -> Vec<String> {
        let unused = |image: &ImageRecord| image.owners.is_empty() && image.origin != Origin::Found;
        self.images.iter().filter(|(_, image)| unused(image)).map(|(id, _)| id.clone()).collect()
    }

    /// Begins a removal, unless somebody uses the image by now, or another removal of it goes on.
    pub(crate) fn begin_removal(&mut self, id: &str) -> Option<ImageRecord> {
        let image = self.images.get(id).filter(|image| image.owners.is_empty())?.clone();
        self.removing.insert(id.to_owned()).then_some(image)
    }

    /// Ends a removal: the image is gone, or no longer ours. `began` is its record from when the removal began: where
    /// another process has used the image since then, it came back, and its record stays.
    pub(crate) fn removed(&mut self, id: &str, began: &ImageRecord) {
        self.removing.remove(id);
        if self.images.get(id) == Some(began) {
            self.images.remove(id);
        }
    }

    /// Ends a removal without effect, for a container of somebody else uses the image.
    pub(crate) fn in_use(&mut self, id: &str, began: &ImageRecord) {
        self.removing.remove(id);
        match self.images.get_mut(id) {
            Some(image) if image == began && image.origin == Origin::Found => drop(self.images.remove(id)),
            Some(image) if image == began => image.due = None,
            _ => {}
        }
    }

    /// Ends a removal that failed; it is tried again at `due`, unless somebody uses the image by then.
    pub(crate) fn removal_failed(&mut self, id: &str, due: SystemTime) {
        self.removing.remove(id);
        if let Some(image) = self.images.get_mut(id).filter(|image| image.owners.is_empty()) {
            image.due = Some(due);
        }
    }

    /// All images, by id.
    pub(crate) fn images(&self) -> &BTreeMap<String, ImageRecord> {
        &self.images
    }

    /// Brings a due time that a clock set back has put far away to `latest`.
    pub(crate) fn cap_due(&mut self, latest: SystemTime) {
        for due in self.images.values_mut().filter_map(|image| image.due.as_mut()) {
            *due = (*due).min(latest);
        }
    }
}

impl ImageRecord {
    /// What follows when a user has left. False: there is nothing to remember of the image.
    fn settle(&mut self, due: SystemTime, removes: Removes) -> bool {
        if !self.owners.is_empty() {
            return true;
        }
        match (self.origin, removes) {
            (Origin::Requested, Removes::Brought) => {}
            (Origin::Found, Removes::Brought) => return false,
            _ => self.due = Some(due),
        }
        true
    }
}
