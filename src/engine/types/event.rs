//! What happens in an Engine: a line of JSON each of `GET /events`.

use std::collections::BTreeMap;

use super::wire::wire;

wire! {
    case "camelCase";

    /// Something that happened.
    pub struct Event {
        /// To what kind of object: `container`, `image`, `network`, `volume`, `daemon`, …
        #[serde(rename = "Type")]
        kind: String,
        /// What: `start`, `die`, `oom`, `exec_die`, `health_status: healthy`, …; podman says `remove` for Docker's `destroy`.
        #[serde(rename = "Action")]
        action: String,
        /// To which object.
        #[serde(rename = "Actor")]
        actor: EventActor,
        /// Where: `local` or `swarm`.
        scope: String,
        /// When, in seconds since 1970.
        time: i64,
        /// When, in nanoseconds since 1970.
        time_nano: i64,
    }
}

wire! {
    /// The object that something happened to.
    pub struct EventActor {
        /// Its id; a volume's and an image's may be a name.
        #[serde(rename = "ID")]
        id: String,
        /// More of it: its labels, and `name`, `image`, `exitCode`, `signal`, …
        attributes: BTreeMap<String, String>,
    }
}
