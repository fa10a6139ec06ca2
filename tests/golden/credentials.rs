//! Which credentials Nomad's driver finds for an image, and which helpers it asks on the way.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use longshore::Hangup;
use longshore::engine::types::AuthConfig;
use longshore::images::{CredentialSources, CredentialsError, Reference, resolve_credentials};
use serde::Deserialize;

/// Rows that differ on purpose: the row, the image, the user that is found here, the helpers that
/// are asked here.
#[rustfmt::skip]
const DIFFERENT: &[(&str, &str, Option<&str>, &[&str])] = &[
    // An entry without a secret is as if it were not there: there, it gives empty credentials, and
    // no helper is asked.
    ("entry/empty", "registry.example/web", None, &[]),
    ("entry/empty-auth", "registry.example/web", None, &[]),
    ("entry/null", "registry.example/web", None, &[]),
    ("helpers/under-empty-entry", "registry.example/web", Some("hana"), &["h"]),
    ("store/with-empty-entry", "registry.example/web", Some("hana"), &["h"]),
    ("store/with-empty-entry", "web", Some("hana"), &["h"]),
    ("store/with-email-entry", "registry.example/web", Some("hana"), &["h"]),
    ("store/with-old-form-entry", "registry.example/web", Some("hana"), &["h"]),
    ("driver-helper/after-empty-entry", "registry.example/web", Some("hana"), &["h"]),
    // A helper's `credentials not found` means that there are none: there, it is an error.
    ("answer/not-found", "registry.example/web", None, &["h"]),
    ("driver-helper/after-failing-store", "registry.example/web", Some("hana"), &["s", "h"]),
    ("driver-helper/after-failing-store", "web", Some("hana"), &["s", "h"]),
];

/// The one row that this process is to try.
const ONE_ROW: &str = "LONGSHORE_GOLDEN_ROW";

/// One setting. A field that is not known here fails the test, so that nothing is passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    given: Given,
    images: BTreeMap<String, Answer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    /// The text of the config file.
    config: Option<String>,
    /// Where the config file is said to be, if it is not written for the row.
    path: Option<String>,
    helper: Option<String>,
    #[serde(default)]
    programs: BTreeMap<String, String>,
    /// Modes of programs that are not 0755.
    #[serde(default)]
    mode: BTreeMap<String, u32>,
    auth: Option<TaskAuth>,
    /// The process's environment. `FILE:config.json` is a file in `$HOME/.docker`.
    #[serde(default)]
    env: BTreeMap<String, String>,
}

/// The task's `auth` block.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct TaskAuth {
    username: String,
    password: String,
    server_address: String,
}

/// What comes of one image.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    repo: String,
    credentials: Option<Credentials>,
    /// What is sent of them; the engine's business.
    #[serde(rename = "header")]
    _header: Option<String>,
    error: Option<String>,
    #[serde(default)]
    calls: Vec<String>,
    /// Nomad's answer is not the same each time.
    #[serde(default)]
    varies: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Credentials {
    username: String,
    password: String,
    serveraddress: String,
    identitytoken: String,
    registrytoken: String,
    /// User and password once more.
    #[serde(rename = "auth")]
    _auth: String,
}

#[test]
fn every_row() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden/credentials.json");
    let rows: BTreeMap<String, Row> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert!(rows.len() >= 175, "{} rows", rows.len());
    for (row, image, ..) in DIFFERENT {
        assert!(rows.get(*row).is_some_and(|row| row.images.contains_key(*image)), "{row}, {image}: no such row");
    }
    let one = env::var(ONE_ROW).ok();
    let mut problems = Vec::new();
    for (name, row) in rows.iter().filter(|(name, _)| one.as_ref().is_none_or(|one| one == *name)) {
        let folder = Folder::new(&row.given);
        if one.is_none() && !row.given.env.is_empty() {
            problems.extend(in_a_process_of_its_own(name, row, &folder));
            continue;
        }
        for (image, answer) in &row.images {
            if let Err(problem) = check(name, &row.given, image, answer, &folder) {
                problems.push(format!("{name}, {image}: {problem}"));
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// A row that is about the environment, which this process cannot change for itself.
fn in_a_process_of_its_own(name: &str, row: &Row, folder: &Folder) -> Option<String> {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "credentials::every_row"]).env(ONE_ROW, name).env("HOME", folder.0.join("home"));
    for (name, value) in row.given.env.iter().filter(|(name, _)| !name.starts_with("FILE:")) {
        command.env(name, folder.filled(value));
    }
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && stdout.contains("1 passed");
    (!passed).then(|| format!("{name}, in a process of its own: {stdout}"))
}

fn check(name: &str, given: &Given, image: &str, answer: &Answer, folder: &Folder) -> Result<(), String> {
    let reference: Reference =
        image.strip_prefix("https://").unwrap_or(image).parse().map_err(|error| format!("no reference: {error}"))?;
    if reference.repo() != answer.repo {
        return Err(format!("the repository is {}", reference.repo()));
    }
    let task = given.auth.as_ref().map(|auth| AuthConfig {
        username: auth.username.clone(),
        password: auth.password.clone(),
        server_address: auth.server_address.clone(),
        ..AuthConfig::default()
    });
    let index = reference.index();
    let found = resolve_credentials(task.as_ref(), &folder.sources(given), index.clone(), &Hangup::new());
    let asked = folder.calls();
    let plainly = plain(&found, index.as_ref().map_or("", |index| index.key()), answer);
    match DIFFERENT.iter().find(|(row, on, ..)| (*row, *on) == (name, image)) {
        None => {
            plainly?;
            if asked != answer.calls { Err(format!("asked {asked:?}, not {:?}", answer.calls)) } else { Ok(()) }
        }
        Some(_) if plainly.is_ok() && asked == answer.calls => Err("no difference".into()),
        Some((.., user, helpers)) => {
            let host = index.map(|index| index.name).unwrap_or_default();
            let calls: Vec<String> =
                helpers.iter().map(|helper| format!("docker-credential-{helper} get <{host}>")).collect();
            match found {
                Ok(found) if found.as_ref().map(|auth| auth.username.as_str()) != *user => {
                    Err(format!("found {found:?}, not {user:?}"))
                }
                Ok(_) if asked != calls => Err(format!("asked {asked:?}, not {calls:?}")),
                Ok(_) => Ok(()),
                Err(error) => Err(format!("failed: {error}")),
            }
        }
    }
}

/// Compares with Nomad's answer. An address that Nomad does not know, since it does not send one,
/// is the registry's.
fn plain(found: &Result<Option<AuthConfig>, CredentialsError>, key: &str, answer: &Answer) -> Result<(), String> {
    match (found, &answer.error, &answer.credentials) {
        (Ok(Some(_)), None, None) if answer.varies => Ok(()),
        (Err(_), Some(_), _) | (Ok(None), None, None) => Ok(()),
        (Ok(Some(found)), None, Some(wanted)) => {
            let address = if wanted.serveraddress.is_empty() { key } else { &wanted.serveraddress };
            let wanted = AuthConfig {
                username: wanted.username.clone(),
                password: wanted.password.clone(),
                server_address: address.to_owned(),
                identity_token: wanted.identitytoken.clone(),
                registry_token: wanted.registrytoken.clone(),
            };
            // As JSON, for `Debug` shows no secret.
            let [is, should] = [found, &wanted].map(|auth| serde_json::to_value(auth).unwrap());
            if is == should { Ok(()) } else { Err(format!("found {is}, not {should}")) }
        }
        (Err(error), ..) => Err(format!("failed: {error}")),
        (Ok(found), Some(error), _) => Err(format!("found {found:?}, and should fail: {error}")),
        (Ok(found), ..) => Err(format!("found {found:?}")),
    }
}

/// A row's files: `bin` has its programs, `home` its user's settings.
struct Folder(PathBuf);

impl Folder {
    fn new(given: &Given) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = Self(env::temp_dir().join(format!("longshore-golden-{}-{number}", process::id())));
        fs::create_dir_all(folder.0.join("bin")).unwrap();
        fs::create_dir_all(folder.0.join("home/.docker")).unwrap();
        if let Some(text) = &given.config {
            fs::write(folder.0.join("config"), folder.filled(text)).unwrap();
        }
        for (name, text) in &given.env {
            if let Some(file) = name.strip_prefix("FILE:") {
                fs::write(folder.0.join("home/.docker").join(file), text).unwrap();
            }
        }
        for (name, text) in &given.programs {
            folder.write_program(name, text, given.mode.get(name).copied().unwrap_or(0o755));
        }
        folder
    }

    /// A shell does it: a file that some process has open for writing cannot be run, and were it
    /// this one, a process that a test beside this one just starts could have it too.
    fn write_program(&self, name: &str, text: &str, mode: u32) {
        let mut shell = Command::new("sh");
        shell.args(["-c", "cat > \"$0\" && chmod \"$1\" \"$0\""]).arg(self.0.join("bin").join(name));
        let mut shell = shell.arg(format!("{mode:o}")).stdin(Stdio::piped()).spawn().unwrap();
        shell.stdin.take().unwrap().write_all(self.filled(text).as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success());
    }

    fn sources(&self, given: &Given) -> CredentialSources {
        let mut path = vec![self.0.join("bin")];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap()));
        let written = given.config.is_some().then(|| self.0.join("config"));
        CredentialSources {
            config: given.path.as_ref().map(|path| self.filled(path).into()).or(written),
            helper: given.helper.clone().unwrap_or_default(),
            helper_path: Some(env::join_paths(path).unwrap()),
            ..CredentialSources::default()
        }
    }

    /// Which helpers were asked since the last time, and what.
    fn calls(&self) -> Vec<String> {
        let file = self.0.join("calls");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        text.lines().map(str::to_owned).collect()
    }

    fn filled(&self, text: &str) -> String {
        text.replace("@DIR@", self.0.to_str().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
