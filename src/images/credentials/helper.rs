//! A credential helper: the program `docker-credential-<name>`, asked for one registry (driver-spec
//! 6.5).

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{Access, access};

use super::environment;
use super::json::{Json, replaced};
use super::process::{self, Ended, How, INPUT_LIMIT, OUTPUT_LIMIT};
use super::{CredentialSources, CredentialsError, HelperFault};
use crate::engine::types::AuthConfig;
use crate::threads::Hangup;
use crate::values::printable;

/// What a helper of Docker's prints when it has nothing for a registry begins so, and it ends with
/// a failure.
const NOT_FOUND: &str = "credentials not found";
/// How many characters of each output are shown: the last ones say what went wrong.
const SHOWN: usize = 1000;

/// Asks a helper for the credentials of a registry. `None`: it has none. Blocks until it has ended.
pub(super) fn ask(
    name: &str,
    registry: &str,
    sources: &CredentialSources,
    hangup: &Hangup,
) -> Result<Option<AuthConfig>, CredentialsError> {
    let program = format!("docker-credential-{name}");
    let answer = run(name, &program, registry, sources, hangup).and_then(|ended| match ended.how {
        How::HungUp => Ok(None),
        How::TooMuch => Err(HelperFault::TooMuch { limit: OUTPUT_LIMIT }),
        How::TimedOut => Err(HelperFault::TimedOut { after: sources.helper_timeout, words: words(&ended) }),
        How::Exited(status) if status.success() => read_answer(&ended.stdout).map(Some),
        How::Exited(_) if is_not_found(&ended) => Ok(Some(AuthConfig::default())),
        How::Exited(status) => Err(HelperFault::Failed { status, words: words(&ended) }),
    });
    match answer {
        Ok(Some(auth)) => Ok(Some(auth).filter(|auth| !auth.is_empty())),
        Ok(None) => Err(CredentialsError::HungUp),
        Err(fault) => Err(CredentialsError::Helper { program, registry: registry.to_owned(), fault }),
    }
}

fn run(
    name: &str,
    program: &str,
    registry: &str,
    sources: &CredentialSources,
    hangup: &Hangup,
) -> Result<Ended, HelperFault> {
    if name.is_empty() || name.contains(|c: char| c == '/' || c.is_control()) {
        return Err(HelperFault::Name);
    }
    if registry.len() > INPUT_LIMIT {
        return Err(HelperFault::Registry);
    }
    let path = sources.helper_path.clone().or_else(|| env::var_os("PATH")).unwrap_or_default();
    let file = find(program, &path).ok_or(HelperFault::NotFound)?;
    let mut command = Command::new(file);
    command.arg("get").env_clear().envs(environment::passed_on()).env("PATH", path);
    process::run(&mut command, registry.as_bytes(), sources.helper_timeout, hangup).map_err(HelperFault::Run)
}

/// A program in one of the absolute folders of a `PATH`: none is to come out of whatever folder we
/// happen to work in.
fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let mut files = env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(program));
    files.find(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok())
}

/// An object of texts with nothing beside it; a null is an empty one. Other keys than the two are
/// not looked at.
fn read_answer(stdout: &[u8]) -> Result<AuthConfig, HelperFault> {
    let mut auth = AuthConfig::default();
    let members = match Json::whole(stdout) {
        Ok(Json::Null) => Vec::new(),
        Ok(Json::Object(members)) => members,
        Ok(other) => return Err(HelperFault::Answer(format!("{} instead of an object", other.kind()))),
        Err(error) => return Err(HelperFault::Answer(format!("what is no JSON: {error}"))),
    };
    for (key, value) in members {
        let text = match value {
            Json::Null => String::new(),
            Json::Text(text) => text,
            other => {
                return Err(HelperFault::Answer(format!("an object in which `{}` is {}", line(&key), other.kind())));
            }
        };
        match key.as_str() {
            "Username" => auth.username = text,
            "Secret" => auth.password = text,
            _ => {}
        }
    }
    Ok(auth)
}

fn is_not_found(ended: &Ended) -> bool {
    let says_so = |output: &[u8]| {
        let mut lines = output.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_start);
        lines.any(|line| {
            line.get(..NOT_FOUND.len()).is_some_and(|start| start.eq_ignore_ascii_case(NOT_FOUND.as_bytes()))
        })
    };
    says_so(&ended.stdout) || says_so(&ended.stderr)
}

/// What a helper printed, as it may stand in a message. The answer of a helper that failed has the
/// secret in it all the same: stdout is shown up to the first brace, stderr up to an object with a
/// `Secret`.
fn words(ended: &Ended) -> String {
    let (stderr, stdout) = (replaced(&ended.stderr), replaced(&ended.stdout));
    let lower = stderr.to_ascii_lowercase();
    let secret = lower.find("\"secret").or_else(|| lower.find("'secret"));
    let stderr = secret.map_or(&*stderr, |key| &stderr[..stderr[..key].find('{').unwrap_or(key)]);
    let stdout = stdout.split('{').next().unwrap_or_default();
    let outputs = [stderr, stdout].map(line);
    outputs.into_iter().filter(|output| !output.is_empty()).collect::<Vec<_>>().join("; ")
}

/// The end of a text in one line, with nothing in it that a terminal would obey.
fn line(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let surplus = joined.chars().count().saturating_sub(SHOWN);
    let shown: String = joined.chars().skip(surplus).collect();
    format!("{}{}", if surplus > 0 { "…" } else { "" }, printable(&shown))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bin;
    use super::*;
    use std::error::Error as _;
    use std::fs;
    use std::thread;
    use std::time::{Duration, Instant};

    /// Asks `docker-credential-h` for `r.example`.
    fn ask_h(sources: &CredentialSources) -> Result<Option<AuthConfig>, CredentialsError> {
        ask("h", "r.example", sources, &Hangup::new())
    }

    fn fault(result: Result<Option<AuthConfig>, CredentialsError>) -> HelperFault {
        match result {
            Err(CredentialsError::Helper { program, registry, fault }) => {
                assert_eq!((program.starts_with("docker-credential-"), registry.as_str()), (true, "r.example"));
                fault
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whether a process is gone, or is about to be.
    fn is_dead(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
    }

    fn dies(pid: &str) -> bool {
        (0..500).any(|_| {
            is_dead(pid) || {
                thread::sleep(Duration::from_millis(10));
                false
            }
        })
    }

    #[test]
    fn a_hung_helper_and_its_group_are_killed_at_the_deadline() {
        let bin = Bin::new();
        bin.helper(
            "h",
            "echo 'waiting for the keyring' >&2\nsleep 1000 &\necho $! > @DIR@/child\necho $$ > @DIR@/self\nwait",
        );
        let begun = Instant::now();
        let sources = CredentialSources { helper_timeout: Duration::from_millis(700), ..bin.sources() };
        let error = fault(ask_h(&sources));
        assert!(begun.elapsed() >= Duration::from_millis(700) && begun.elapsed() < Duration::from_secs(30));
        assert!(matches!(&error, HelperFault::TimedOut { .. }), "{error:?}");
        assert_eq!(error.to_string(), "no answer within 700ms: waiting for the keyring");
        assert!(dies(&bin.read("self")) && dies(&bin.read("child")));
    }

    #[test]
    fn one_that_closes_its_outputs_and_goes_on_has_a_deadline_too() {
        let bin = Bin::new();
        bin.helper("h", "exec >&- 2>&-\nexec sleep 1000");
        let sources = CredentialSources { helper_timeout: Duration::from_millis(300), ..bin.sources() };
        let begun = Instant::now();
        assert!(matches!(fault(ask_h(&sources)), HelperFault::TimedOut { .. }));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_child_that_holds_the_outputs_delays_nothing_and_is_ended() {
        let bin = Bin::new();
        bin.helper("h", "sleep 1000 &\necho $! > @DIR@/child\necho '{\"Username\": \"u\", \"Secret\": \"s\"}'");
        let begun = Instant::now();
        assert_eq!(ask_h(&bin.sources()).unwrap().unwrap().password, "s");
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(dies(&bin.read("child")));
    }

    #[test]
    fn a_hang_up_ends_it_within_a_second() {
        let bin = Bin::new();
        bin.helper("h", "echo $$ > @DIR@/self\nexec sleep 1000");
        let hangup = Hangup::new();
        let asker = thread::spawn({
            let (sources, hangup) = (bin.sources(), hangup.clone());
            move || (ask("h", "r.example", &sources, &hangup), Instant::now())
        });
        while bin.read("self").is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        let begun = Instant::now();
        hangup.hang_up();
        let (result, ended) = asker.join().unwrap();
        assert!(result.unwrap_err().is_hung_up());
        assert!(ended - begun < Duration::from_secs(1), "{:?}", ended - begun);
        assert!(dies(&bin.read("self")));
        bin.helper("h", "touch @DIR@/started");
        assert!(ask("h", "r.example", &bin.sources(), &hangup).unwrap_err().is_hung_up());
        assert!(!bin.path("started").exists(), "nothing is started under a closed latch");
    }

    #[test]
    fn output_is_bounded() {
        let bin = Bin::new();
        for program in ["exec yes", "exec yes >&2"] {
            bin.helper("h", program);
            assert!(matches!(fault(ask_h(&bin.sources())), HelperFault::TooMuch { limit: OUTPUT_LIMIT }));
        }
        bin.helper(
            "h",
            "printf '{\"Username\": \"u\", \"Secret\": \"'\nhead -c 1000000 /dev/zero | tr '\\0' x\necho '\"}'",
        );
        assert_eq!(ask_h(&bin.sources()).unwrap().unwrap().password.len(), 1_000_000);
    }

    #[test]
    fn it_sees_the_registry_and_a_chosen_environment() {
        let bin = Bin::new();
        bin.helper("h", "cat > @DIR@/input\necho \"$*\" > @DIR@/arguments\nenv > @DIR@/env\necho '{}'");
        assert_eq!(ask_h(&bin.sources()).unwrap(), None);
        assert_eq!((bin.read("input").as_str(), bin.read("arguments").as_str()), ("r.example", "get"));
        // Cargo gives a test many variables that no helper needs.
        let environment = bin.read("env");
        let of_the_shell = ["PWD", "OLDPWD", "SHLVL", "_", "PATH"];
        let allowed: Vec<String> = environment::passed_on().filter_map(|(name, _)| name.into_string().ok()).collect();
        for name in environment.lines().filter_map(|line| Some(line.split_once('=')?.0)) {
            assert!(
                of_the_shell.contains(&name) || allowed.iter().any(|allowed| allowed == name),
                "{name} is passed on"
            );
        }
        let path = bin.sources().helper_path.unwrap().into_string().unwrap();
        assert!(environment.lines().any(|line| line == format!("PATH={path}")), "{environment}");
    }

    #[test]
    fn one_that_does_not_read_its_input_may_answer() {
        let bin = Bin::new();
        bin.helper("h", "exec <&-\necho '{\"Username\": \"u\", \"Secret\": \"s\"}'");
        assert!(ask("h", &"r".repeat(INPUT_LIMIT), &bin.sources(), &Hangup::new()).unwrap().is_some());
        let long = ask("h", &"r".repeat(INPUT_LIMIT + 1), &bin.sources(), &Hangup::new());
        assert!(matches!(long, Err(CredentialsError::Helper { fault: HelperFault::Registry, .. })));
    }

    #[test]
    fn only_a_program_of_the_path_is_run() {
        let bin = Bin::new();
        bin.file("docker-credential-plain", "#!/bin/sh\n");
        fs::create_dir(bin.path("docker-credential-folder")).unwrap();
        for (name, named) in
            [("a/b", false), ("../h", false), ("a\0b", false), ("gone", true), ("plain", true), ("folder", true)]
        {
            let error = fault(ask(name, "r.example", &bin.sources(), &Hangup::new()));
            assert!(
                matches!((&error, named), (HelperFault::Name, false) | (HelperFault::NotFound, true)),
                "{name}: {error:?}"
            );
        }
        bin.helper("h", "echo '{}'");
        let folder = env::current_dir().unwrap();
        let up = "../".repeat(folder.components().count());
        let relative = format!("{up}{}", bin.path("").display());
        assert!(PathBuf::from(&relative).join("docker-credential-h").exists());
        let sources = CredentialSources { helper_path: Some(relative.into()), ..bin.sources() };
        assert!(matches!(fault(ask_h(&sources)), HelperFault::NotFound));
        bin.program("docker-credential-h", "#!/no/such/shell\n");
        let error = ask_h(&bin.sources()).unwrap_err();
        assert!(error.source().is_some() && matches!(fault(Err(error)), HelperFault::Run(_)));
    }

    #[test]
    fn not_found_is_said_in_several_ways() {
        let bin = Bin::new();
        let not_found = [
            "echo 'credentials not found in native keychain'; exit 1",
            "echo 'Credentials not found in native keychain' >&2; exit 1",
            "echo 'warning: x' >&2; echo '  credentials not found' >&2; exit 2",
        ];
        for program in not_found {
            bin.helper("h", program);
            assert_eq!(ask_h(&bin.sources()).unwrap(), None, "{program}");
        }
        // A cloud's own credentials are missing: that is no answer for the registry.
        bin.helper("h", "echo 'AWS credentials not found'; exit 1");
        assert!(matches!(fault(ask_h(&bin.sources())), HelperFault::Failed { .. }));
        bin.helper("h", "echo 'credentials not found in native keychain'");
        assert!(matches!(fault(ask_h(&bin.sources())), HelperFault::Answer(_)), "a success is to have an answer");
    }

    #[test]
    fn what_it_prints_is_shown_and_no_secret_with_it() {
        let bin = Bin::new();
        for (program, want) in [
            ("echo out; echo err >&2; exit 3", "it failed (exit status: 3): err; out"),
            ("printf 'a\\n\\033[31mb\\r\\n' >&2; exit 3", "it failed (exit status: 3): a \\u{1b}[31mb"),
            ("echo 'no luck today'; exit 2", "it failed (exit status: 2): no luck today"),
            ("exit 1", "it failed without a word (exit status: 1)"),
            ("kill -9 $$", "it failed without a word (signal: 9 (SIGKILL))"),
            ("printf '\\377' >&2; exit 1", "it failed (exit status: 1): \u{fffd}"),
            ("echo '{\"Secret\": \"hunter2\"}'; exit 1", "it failed without a word (exit status: 1)"),
            ("echo 'w: {\"Token\": \"hunter2\"}'; exit 1", "it failed (exit status: 1): w:"),
            ("echo 'sent {\"x\": {\"secret\": \"hunter2\"' >&2; exit 1", "it failed (exit status: 1): sent"),
            ("echo 'why {\"code\": 5}' >&2; exit 1", "it failed (exit status: 1): why {\"code\": 5}"),
            (
                "echo '{\"Secret\": \"hunter2\"} bye'",
                "it answered with what is no JSON: trailing characters at line 1 column 23",
            ),
            ("printf '{\"hunter2'", "it answered with what is no JSON: EOF while parsing a string at line 1 column 9"),
            ("echo '\"hunter2\"'", "it answered with a text instead of an object"),
            ("echo '{\"Secret\": [\"hunter2\"]}'", "it answered with an object in which `Secret` is a list"),
        ] {
            bin.helper("h", program);
            let error = ask_h(&bin.sources()).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert_eq!(
                error.to_string(),
                format!("no credentials for `r.example` from `docker-credential-h`: {want}"),
                "{program}"
            );
        }
        bin.helper("h", "head -c 100000 /dev/zero | tr '\\0' x >&2\necho ' the end' >&2\nexit 1");
        let error = ask_h(&bin.sources()).unwrap_err().to_string();
        assert!(error.len() < 1200 && error.contains(": …xxx") && error.ends_with("x the end"), "{error}");
    }
}
