//! `longshore images`: which images the tasks of this data directory use, and when those that nobody uses go.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::driver::{ImageRecord, Origin};
use crate::engine::Engine;
use crate::runner::{rfc3339, short};
use crate::values::{printable, size};

use crate::cli::args::{Args, Images};
use crate::cli::failure::Failure;
use crate::cli::output::table::{age, or_dash, table};
use crate::cli::session::Known;
use crate::cli::{print, print_json};

const HEADINGS: [&str; 6] = ["IMAGE ID", "TAGS", "USED BY", "SINCE", "SIZE", "GOES"];
/// So much of an id is shown, after `sha256:`.
const SHORT_ID: usize = 12;

/// An image, with what the Engine says of it.
pub(in crate::cli) struct Image {
    pub(in crate::cli) id: String,
    pub(in crate::cli) record: ImageRecord,
    /// Names with tags. The Engine's, or where it does not have the image those that it was used by.
    pub(in crate::cli) tags: Vec<String>,
    /// Bytes; `None`: the Engine does not have it.
    pub(in crate::cli) size: Option<i64>,
}

pub(in crate::cli) fn images(global: &Args, args: &Images) -> Result<u8, Failure> {
    let known = Known::read(global)?;
    let reached = known.reach(global)?;
    reached.check_ledger(&known)?;
    let images = look(&reached.engine, reached.driver.images())?;
    let now = SystemTime::now();
    match args.json {
        true => {
            let values: Vec<_> = images.iter().map(Image::to_json).collect();
            print_json(&format!("{:#}\n", Value::from(values)))?;
        }
        false => print(&table(&HEADINGS, &images.iter().map(|image| row(image, now)).collect::<Vec<_>>()))?,
    }
    Ok(0)
}

/// What the Engine says of images.
pub(in crate::cli) fn look(
    engine: &Engine,
    records: impl IntoIterator<Item = (String, ImageRecord)>,
) -> Result<Vec<Image>, Failure> {
    let look = |(id, record): (String, ImageRecord)| match engine.image_inspect(&id) {
        Ok(image) => Ok(Image { tags: named(image.repo_tags, &record), size: Some(image.size), id, record }),
        Err(error) if error.is_not_found() => Ok(Image { tags: named(Vec::new(), &record), size: None, id, record }),
        Err(error) => Err(Failure::engine(engine.endpoint(), &error)),
    };
    records.into_iter().map(look).collect()
}

fn named(tags: Vec<String>, record: &ImageRecord) -> Vec<String> {
    if tags.is_empty() { record.names.iter().cloned().collect() } else { tags }
}

impl Image {
    pub(in crate::cli) fn to_json(&self) -> Value {
        let users = self.record.owners.iter().map(|(task, since)| json!({"task_id": task, "since": rfc3339(*since)}));
        json!({
            "id": self.id,
            "tags": self.tags,
            "origin": self.record.origin,
            "users": users.collect::<Vec<_>>(),
            "size": self.size,
            "due": self.record.due.map(rfc3339),
        })
    }

    /// Its tags and its id, for one line.
    pub(in crate::cli) fn name(&self) -> String {
        printable(&format!("{} ({})", self.tags.join(", "), short_id(&self.id))).into_owned()
    }

    /// When it goes, for people.
    pub(in crate::cli) fn goes(&self, now: SystemTime) -> String {
        match (self.size, self.record.due, self.record.origin) {
            (None, ..) => "gone".into(),
            (_, Some(due), _) => due.duration_since(now).map_or("now".into(), |left| format!("in {}", age(left))),
            (_, None, Origin::Brought) if self.record.owners.is_empty() => "with `gc`".into(),
            (_, None, Origin::Brought) => "after its last task".into(),
            (_, None, Origin::Requested) => "with `gc`".into(),
            (_, None, Origin::Found) => "never".into(),
        }
    }
}

fn short_id(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..SHORT_ID).unwrap_or(digits)
}

fn row(image: &Image, now: SystemTime) -> Vec<String> {
    let users = image.record.owners.keys().map(|id| task_name(id)).collect::<Vec<_>>().join(", ");
    let since = image.record.owners.values().min();
    vec![
        short_id(&image.id).to_owned(),
        or_dash(Some(image.tags.join(", "))),
        or_dash(Some(users)),
        or_dash(since.map(|since| age(now.duration_since(*since).unwrap_or_default()))),
        or_dash(image.size.and_then(|size| u64::try_from(size).ok()).map(size::binary)),
        image.goes(now),
    ]
}

/// `ALLOC/TASK` of a task's id, the allocation in short.
fn task_name(id: &str) -> String {
    let mut parts = id.split('/');
    match (parts.next(), parts.next()) {
        (Some(alloc), Some(task)) => format!("{}/{task}", short(alloc)),
        _ => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    #[test]
    fn rows() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let owner = || {
            BTreeMap::from([(
                "8f9a1f5e-0000-4000-8000-000000000001/web/12ab34cd".to_owned(),
                now - Duration::from_secs(60),
            )])
        };
        let due = |seconds: u64| Some(now + Duration::from_secs(seconds));
        for (owners, origin, due, size, want) in [
            (owner(), Origin::Brought, None, Some(5 << 20), ["8f9a1f5e/web", "1m", "after its last task"]),
            (owner(), Origin::Found, None, Some(1), ["8f9a1f5e/web", "1m", "never"]),
            (BTreeMap::new(), Origin::Brought, due(90), Some(1), ["-", "-", "in 1m"]),
            (BTreeMap::new(), Origin::Brought, Some(SystemTime::UNIX_EPOCH), Some(1), ["-", "-", "now"]),
            (BTreeMap::new(), Origin::Brought, None, Some(1), ["-", "-", "with `gc`"]),
            (BTreeMap::new(), Origin::Requested, None, Some(1), ["-", "-", "with `gc`"]),
            (BTreeMap::new(), Origin::Brought, due(90), None, ["-", "-", "gone"]),
        ] {
            let record = ImageRecord { names: ["web:1".to_owned()].into(), origin, owners, due };
            let place = format!("{record:?}");
            let id = format!("sha256:{}", "ab".repeat(32));
            let row = row(&Image { id, record, tags: vec!["web:1".into()], size }, now);
            assert_eq!([&row[2], &row[3], &row[5]], want, "{place}");
            assert_eq!((row[0].as_str(), row[1].as_str()), ("abababababab", "web:1"));
        }
    }
}
