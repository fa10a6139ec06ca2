//! What an Engine says of images: list, inspect, history, search and removal answers, and the messages of a pull, a push,
//! an import or a load.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::wire::wire;
use super::{ContainerConfig, GraphDriver, cut};

wire! {
    /// An image in the answer of `GET /images/json`.
    pub struct ImageSummary {
        /// The image's id: `sha256:…`.
        id: String,
        /// The id of the image that it was built on, by the old builder.
        parent_id: String,
        /// Its names with tags; podman writes whole names.
        repo_tags: Vec<String>,
        /// Its names with digests.
        repo_digests: Vec<String>,
        /// When it was made, in seconds since 1970.
        created: i64,
        /// Bytes of its layers.
        size: i64,
        /// Bytes of the layers that it shares with others; -1: not asked for.
        shared_size: i64,
        /// The same as `size`; gone from API 1.44 on.
        virtual_size: i64,
        /// Its labels.
        labels: BTreeMap<String, String>,
        /// How many containers use it; -1: not asked for.
        containers: i64,
    }

    /// The answer of `GET /images/{name}/json`.
    pub struct ImageInspect {
        /// The image's id: `sha256:…`.
        id: String,
        /// Its names with tags; podman writes whole names.
        repo_tags: Vec<String>,
        /// Its names with digests.
        repo_digests: Vec<String>,
        /// The id of the image that it was built on, by the old builder.
        parent: String,
        /// What its maker said.
        comment: String,
        /// When it was made, RFC 3339; empty where nobody said.
        created: String,
        /// The Docker that made it.
        docker_version: String,
        /// Who made it.
        author: String,
        /// What a container of it runs.
        config: ContainerConfig,
        /// The architecture, in Go's word: `amd64`.
        architecture: String,
        /// The architecture's variant: `v7`.
        variant: String,
        /// The operating system.
        os: String,
        /// The operating system's version (Windows).
        os_version: String,
        /// Bytes of its layers.
        size: i64,
        /// The same as `size`; gone from API 1.44 on.
        virtual_size: i64,
        /// Where its files are.
        graph_driver: GraphDriver,
        /// Its layers.
        #[serde(rename = "RootFS")]
        root_fs: RootFs,
        /// What this Engine alone knows of it.
        metadata: ImageMetadata,
    }

    /// An image's layers.
    pub struct RootFs {
        /// `layers`.
        #[serde(rename = "Type")]
        kind: String,
        /// The layers' digests, the lowest first.
        layers: Vec<String>,
    }

    /// What one Engine alone knows of an image.
    pub struct ImageMetadata {
        /// When it was last tagged here, RFC 3339.
        last_tag_time: String,
    }

    /// A step of `DELETE /images/{name}`: one of the two.
    pub struct ImageRemoved {
        /// The name that was taken away.
        untagged: String,
        /// The id of the image or layer that was deleted.
        deleted: String,
    }

    /// The answer of `POST /images/prune`.
    pub struct ImagesPruned {
        /// What was untagged and deleted.
        images_deleted: Vec<ImageRemoved>,
        /// Bytes that were freed.
        space_reclaimed: i64,
    }

    /// A step of an image's history, in the answer of `GET /images/{name}/history`.
    pub struct ImageHistoryItem {
        /// The id of the image that the step made; `<missing>` where it is not here.
        id: String,
        /// When, in seconds since 1970.
        created: i64,
        /// The instruction.
        created_by: String,
        /// The names of the image that it made; podman writes whole names.
        tags: Vec<String>,
        /// Bytes that it added.
        size: i64,
        /// What its maker said.
        comment: String,
    }
}

wire! {
    case "snake_case";

    /// An image in the answer of `GET /images/search`.
    pub struct ImageSearchResult {
        /// Its name, without a tag.
        name: String,
        /// What its owner says of it.
        description: String,
        /// How many people like it.
        star_count: i64,
        /// Whether it is one of Docker's official images.
        is_official: bool,
        /// Whether the registry built it; gone from newer registries.
        is_automated: bool,
    }
}

wire! {
    case "camelCase";

    /// A message of `POST /images/create` (pull and import), `/images/{name}/push` or `/images/load`: a line of JSON each. An error comes
    /// as a message too, after the answer's 200.
    pub struct Progress {
        /// Text of a load or a build, with its newlines.
        stream: String,
        /// What happens: `Downloading`; at an import the image's id.
        status: String,
        /// To what: a layer's short id, a tag; podman also an image's id.
        id: String,
        /// How far, drawn for people.
        progress: String,
        /// How far, in figures.
        progress_detail: ProgressDetail,
        /// What went wrong. The same as in `error_detail`, which has more.
        error: String,
        /// What went wrong.
        error_detail: Option<ErrorDetail>,
        /// What went wrong, where an Engine or a proxy tells it in the form of a refusal's body.
        message: String,
        /// What only programs need: digests, sizes, an id.
        aux: Option<serde_json::Value>,
    }

    /// How far something is.
    pub struct ProgressDetail {
        /// Bytes so far.
        current: i64,
        /// Bytes in all; 0 or less: unknown.
        total: i64,
    }

    /// What went wrong in the middle of an answer.
    pub struct ErrorDetail {
        /// A status or an exit code; 0: none.
        code: i64,
        /// The Engine's text.
        message: String,
    }
}

impl Progress {
    /// What went wrong, if this message says that something did: a text for people, never empty. An `errorDetail` is a
    /// failure whatever it holds.
    pub fn failure(&self) -> Option<Cow<'_, str>> {
        let detail = self.error_detail.as_ref();
        let texts = [detail.map_or("", |detail| &detail.message), &self.error, &self.message];
        match (texts.into_iter().map(str::trim).find(|text| !text.is_empty()), detail) {
            (Some(text), _) => Some(cut(text)),
            (None, Some(ErrorDetail { code: 0, .. })) => Some("no reason given".into()),
            (None, Some(detail)) => Some(format!("no reason given (code {})", detail.code).into()),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_says_went_wrong() {
        for (line, want) in [
            (
                r#"{"status":"Downloading","progressDetail":{"current":1,"total":-1},"progress":"[>  ]","id":"a1"}"#,
                None,
            ),
            (r#"{"error":"old","errorDetail":{"code":1,"message":"new"}}"#, Some("new")),
            (r#"{"error":"only","errorDetail":{}}"#, Some("only")),
            (r#"{"error":"","errorDetail":{"message":"m"},"progressDetail":null}"#, Some("m")),
            (r#"{"error":" only\n","errorDetail":null}"#, Some("only")),
            (r#"{"errorDetail":{"code":1}}"#, Some("no reason given (code 1)")),
            (r#"{"errorDetail":{"code":401,"message":""},"error":""}"#, Some("no reason given (code 401)")),
            (r#"{"errorDetail":{}}"#, Some("no reason given")),
            (r#"{"errorDetail":{"message":null},"error":null}"#, Some("no reason given")),
            (r#"{"error":"","errorDetail":null,"status":"Pulling"}"#, None),
            (r#"{"aux":{"ID":"sha256:1"}}"#, None),
            (r#"{"message":"no"}"#, Some("no")),
            (r#"{"cause":"c","message":"podman's","response":500}"#, Some("podman's")),
            (r#"{"status":"Pulling","message":" "}"#, None),
        ] {
            assert_eq!(serde_json::from_str::<Progress>(line).unwrap().failure().as_deref(), want, "{line}");
        }
    }
}
