//! What Nomad's driver and Docker's client library make of an image reference.

use std::collections::BTreeMap;
use std::path::Path;

use longshore::images::Reference;
use serde::Deserialize;

/// Rows that differ on purpose, each with its reason.
const DIFFERENT: &[(&str, &str)] = &[];

/// One reference. A field that is not known here fails the test, so that nothing is passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    text: String,
    driver: Driver,
    named: Option<Named>,
    /// Why there is no `named`.
    error: Option<String>,
    /// What reads references or ids; the driver does not.
    #[serde(rename = "any")]
    _any: Option<serde_json::Value>,
}

/// What the driver does with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Driver {
    /// The image without its `https://`, where it had one.
    image: Option<String>,
    error: Option<String>,
    repo: Option<String>,
    tag: Option<String>,
    #[serde(rename = "ref")]
    image_ref: Option<String>,
    /// The query of the pull, or `error: …`.
    pull: Option<String>,
    /// The path of the look for a local image, where there is one.
    inspect: Option<String>,
    index: Option<String>,
    /// The key in a file of credentials, where it is not the index's name.
    config_key: Option<String>,
    /// Why there is no `index`.
    auth_error: Option<String>,
}

/// The reference completed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
    familiar_name: String,
    familiar_string: String,
    string: String,
    /// With `:latest`, where neither tag nor digest is written.
    tag_name_only: Option<String>,
}

#[test]
fn every_reference() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden/references.json");
    let rows: BTreeMap<String, Row> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(rows.len() >= 332, "{} rows", rows.len());
    let mut problems = Vec::new();
    for (name, row) in &rows {
        let found = differences(row);
        let on_purpose = DIFFERENT.iter().any(|(row, _)| row == name);
        if found.is_empty() == on_purpose {
            problems.push(format!("{name}, {:?}: {}", row.text, if on_purpose { "no difference" } else { &found }));
        }
    }
    assert!(problems.is_empty(), "{} of {} rows:\n{}", problems.len(), rows.len(), problems.join("\n"));
}

/// What a row says and the library does not, in words; empty if they agree.
fn differences(row: &Row) -> String {
    let mut found = Vec::new();
    let mut compare = |what: &str, got: Option<String>, want: Option<&str>| {
        if got.as_deref() != want {
            found.push(format!("{what} is {got:?}, not {want:?}"));
        }
    };
    // Of an error counts that there is one.
    const ERROR: &str = "an error";
    let error = |there_is: bool| there_is.then(|| ERROR.to_owned());

    let want = &row.driver;
    let stripped = row.text.strip_prefix("https://");
    compare("image", stripped.map(Into::into), want.image.as_deref());
    let image = stripped.unwrap_or(&row.text);
    let got = image.parse::<Reference>().ok();
    let got = got.as_ref();
    compare("driver's error", error(got.is_none()), want.error.as_ref().map(|_| ERROR));
    compare("repo", got.map(Reference::repo), want.repo.as_deref());
    compare("tag", got.map(|it| it.tag().into()), want.tag.as_deref());
    compare("ref", got.map(Reference::image_ref), want.image_ref.as_deref());
    let local = got.filter(|it| it.is_checked_locally()).map(|_| format!("/images/{image}/json"));
    compare("inspect", local, want.inspect.as_deref().map(decoded).as_deref());
    let query = |(name, tag): (String, String)| format!("fromImage={name}&tag={tag}");
    let pull = got.map(|it| it.pull_name().map_or(ERROR.into(), query));
    let want_pull =
        want.pull.as_deref().map(|pull| if pull.starts_with("error: ") { ERROR.into() } else { decoded(pull) });
    compare("pull", pull, want_pull.as_deref());
    let index = got.and_then(|it| it.index().ok());
    compare("index's error", error(got.is_some() && index.is_none()), want.auth_error.as_ref().map(|_| ERROR));
    compare("index", index.as_ref().map(|it| it.name.clone()), want.index.as_deref());
    let want_key = want.config_key.as_ref().or(want.index.as_ref());
    compare("key", index.as_ref().map(|it| it.key().into()), want_key.map(String::as_str));

    let want = row.named.as_ref();
    let got = row.text.parse::<Reference>().and_then(|it| it.named()).ok();
    let got = got.as_ref();
    compare("error", error(got.is_none()), row.error.as_ref().map(|_| ERROR));
    compare("domain", got.map(|it| it.domain().into()), want.map(|it| &*it.domain));
    compare("path", got.map(|it| it.path().into()), want.map(|it| &*it.path));
    compare("written tag", got.and_then(|it| it.tag().map(Into::into)), want.and_then(|it| it.tag.as_deref()));
    compare("digest", got.and_then(|it| it.digest().map(Into::into)), want.and_then(|it| it.digest.as_deref()));
    compare("familiar name", got.map(|it| it.familiar_name()), want.map(|it| &*it.familiar_name));
    compare("familiar text", got.map(|it| it.familiar()), want.map(|it| &*it.familiar_string));
    compare("canonical text", got.map(|it| it.to_string()), want.map(|it| &*it.string));
    let bare = got.filter(|it| it.tag().is_none() && it.digest().is_none());
    let tagged = bare.map(|it| format!("{}:latest", it.canonical_name()));
    compare("tagged text", tagged, want.and_then(|it| it.tag_name_only.as_deref()));
    found.join("; ")
}

/// Undoes percent encoding. No row has a `+` that means a blank.
fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}
