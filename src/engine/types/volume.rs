//! Bodies and answers of volumes.

use std::collections::BTreeMap;

use super::SecretMap;
use super::wire::wire;

wire! {
    /// A volume: the answer of `GET /volumes/{name}` and of `POST /volumes/create`, an element of [`VolumeList`].
    pub struct Volume {
        /// Its name.
        name: String,
        /// Its driver.
        driver: String,
        /// Its path on the host.
        mountpoint: String,
        /// When it was created, RFC 3339.
        created_at: String,
        /// What its driver says of it.
        status: BTreeMap<String, serde_json::Value>,
        /// Its labels.
        labels: BTreeMap<String, String>,
        /// How far it reaches: `local` or `global`.
        scope: String,
        /// Options of its driver.
        options: SecretMap,
        /// How much is used; only in the answer of `GET /system/df`.
        usage_data: Option<VolumeUsage>,
    }

    /// How much of a volume is used.
    pub struct VolumeUsage {
        /// Bytes; -1: unknown.
        size: i64,
        /// How many containers use it; -1: unknown.
        ref_count: i64,
    }

    /// The answer of `GET /volumes`.
    pub struct VolumeList {
        /// The volumes.
        volumes: Vec<Volume>,
        /// Drivers that did not answer.
        warnings: Vec<String>,
    }

    /// The body of `POST /volumes/create`.
    pub struct VolumeCreate {
        /// Its name. Empty: the Engine makes one.
        name: String,
        /// Its driver. Empty: `local`.
        driver: String,
        /// Options of its driver.
        driver_opts: SecretMap,
        /// Its labels.
        labels: BTreeMap<String, String>,
    }
}
