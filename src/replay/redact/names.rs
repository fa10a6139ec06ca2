//! Which names' values are secret: of environment variables, JSON keys, headers, query parameters and `NAME=value` texts.
//! Text in, yes or no out. Asked for every `=` of a log, so nearly every name is refused by a look at its letters in threes.

use crate::values::glob;

/// The names whose values are secret: globs, matched in any case.
pub const SECRET_NAMES: &[&str] = &[
    "*password*",
    "*passwd*",
    "*passphrase*",
    "*passcode*",
    "pass",
    "*_pass",
    "*-pass",
    "*.pass",
    "pwd",
    "*_pwd",
    "*-pwd",
    "*_pw",
    "*secret*",
    "*token*",
    "*credential*",
    "*private*key*",
    "*privkey*",
    "*api*key*",
    "*access*key*",
    "*account*key*",
    "*master*key*",
    "*encryption*key*",
    "*signing*key*",
    "*signingcakey*",
    "*unlock*key*",
    "*auth*key*",
    "app_key",
    "key",
    "*ssh*key*",
    "*deploy*key*",
    "*host*key",
    "*tls*key*",
    "*license*key*",
    "auth",
    "*_auth",
    "*-auth",
    "*.auth",
    "registryauth",
    "*authorization",
    "*bearer*",
    "*jwt*",
    "*cookie",
    "*_dsn",
    "*connection*string*",
    "*webhook*",
    "*-signature",
    "sig",
    "*_pat",
    "*-pat",
    "*pgpass",
    "session",
    "*session_id",
    "*sessid",
    "sessionid",
    "pin",
    "*_pin",
    "*-pin",
    "salt",
    "*_salt",
    "*-salt",
];

/// Names that a pattern above matches and whose values are none: swarm's identifiers, paths of files. Their case counts: an
/// environment's `VAULT_SECRET_ID` is a secret, swarm's `SecretID` is not.
pub(crate) const NOT_SECRET: &[&str] = &[
    "SecretID",
    "SecretName",
    "Secrets",
    "CredentialSpec",
    "credentialspec",
    // A shell's working directory stands in many an environment; `MYSQL_PWD` is another matter.
    "PWD",
    "*_FILE",
    "*_file",
    "*_PATH",
    "*_path",
    // Half of a pair that anybody may see.
    "*PUBLIC*",
    "*public*",
    "*Public*",
    // A desktop's session is a number of a few digits.
    "XDG_SESSION_ID",
];

/// Ends of names whose values are where something is and not what it is.
const PLACES: &[&str] = &["dir", "path", "file"];

/// Headers whose values are secret, in any case; those that [`SECRET_NAMES`] match are secret too.
pub const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "x-registry-auth",
    "x-registry-config",
    "cookie",
    "set-cookie",
    "x-meta-authorization",
    "authentication-info",
    "proxy-authentication-info",
];

/// The longest name that is looked at, in bytes.
pub(super) const LONGEST_NAME: usize = 128;

/// The patterns in force.
pub(super) struct Names {
    built_in: Patterns,
    more: Patterns,
}

impl Names {
    /// The built-in patterns and some more. What `more` matches is secret whatever the exceptions say.
    pub(super) fn new(more: &[String]) -> Self {
        let built_in = SECRET_NAMES.iter().chain(SECRET_HEADERS).copied();
        Self { built_in: Patterns::of(built_in), more: Patterns::of(more.iter().map(String::as_str)) }
    }

    /// Whether the value of that name is secret.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.more.match_any(name) || (self.built_in.match_any(name) && !glob::matches_any(NOT_SECRET, name))
    }
}

/// Whether the value of a secret name is worth to be looked for elsewhere. Where a secret is kept is no secret, nor is
/// a URL without a user: masked everywhere, they would make a recording unreadable.
pub(super) fn teaches(name: &str, value: &[u8]) -> bool {
    let is_last = |word: &str| {
        let from = name.len().checked_sub(word.len());
        let at = from.filter(|&from| name.get(from..).is_some_and(|end| end.eq_ignore_ascii_case(word)));
        // `SECRETS_DIR`, `secrets-dir`, `secretsDir`; but `profile` is a word of its own.
        at.is_some_and(|at| {
            let before = name[..at].chars().next_back();
            before.is_none_or(|c| !c.is_ascii_alphanumeric())
                || name[at..].starts_with(|c: char| c.is_ascii_uppercase())
                    && before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        })
    };
    if PLACES.iter().any(|place| is_last(place)) {
        return false;
    }
    !["url", "uri"].iter().any(|url| is_last(url)) || has_user(value)
}

/// Whether a URL has a user, or a user and a password.
fn has_user(url: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(url, b"://") else { return false };
    let host = url[at + 3..].split(|b| matches!(b, b'/' | b'?' | b'#')).next().unwrap_or_default();
    host.contains(&b'@')
}

/// The name of an argument whose value is the next one: `--token`, `--db-password`. None: it is no such, or says that
/// the value comes in another way, as `--password-stdin` does.
pub(super) fn argument(argument: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(argument.strip_prefix(b"--")?).ok()?;
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let elsewhere = ["stdin", "file", "path", "dir", "env", "fd", "cmd", "command", "helper"];
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or_default();
    (!name.is_empty() && name.len() <= LONGEST_NAME && is_word && !elsewhere.contains(&last)).then_some(name)
}

/// Whether a header is one of those that carry credentials, by its name alone.
pub(super) fn is_credential_header(name: &str) -> bool {
    SECRET_HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name))
}

/// Globs, each found by three of its letters: a name without them does not match it. Five bits a letter, which takes upper and
/// lower case as one.
struct Patterns {
    bits: Box<[u64; 512]>,
    by_letters: Vec<(usize, String)>,
    /// Those without three letters in a row.
    short: Vec<String>,
}

impl Patterns {
    fn of<'a>(patterns: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self { bits: Box::new([0; 512]), by_letters: Vec::new(), short: Vec::new() };
        for pattern in patterns {
            let pattern = pattern.to_ascii_lowercase();
            let piece = pattern.split('*').max_by_key(|piece| piece.len()).unwrap_or("");
            if let [a, b, c, ..] = *piece.as_bytes() {
                let letters = index(a, b, c);
                all.bits[letters / 64] |= 1 << (letters % 64);
                all.by_letters.push((letters, pattern));
            } else {
                all.short.push(pattern);
            }
        }
        all
    }

    fn match_any(&self, name: &str) -> bool {
        let mut lower = None;
        let mut matches =
            |pattern: &str| glob::matches(pattern, lower.get_or_insert_with(|| name.to_ascii_lowercase()));
        self.short.iter().any(|pattern| matches(pattern))
            || name.as_bytes().windows(3).any(|w| {
                let letters = index(w[0], w[1], w[2]);
                self.bits[letters / 64] & (1 << (letters % 64)) != 0
                    && self.by_letters.iter().any(|(of, pattern)| *of == letters && matches(pattern))
            })
    }
}

fn index(a: u8, b: u8, c: u8) -> usize {
    usize::from(a & 31) << 10 | usize::from(b & 31) << 5 | usize::from(c & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_or_not() {
        let names = Names::new(&["MY_*_THING".into(), "q".into(), "special_file".into()]);
        let plain = Names::new(&[]);
        for (name, want) in [
            ("DB_PASSWORD", true),
            ("password", true),
            ("Password", true),
            ("MYSQL_ROOT_PASSWD", true),
            ("SSH_PASSPHRASE", true),
            ("DB_PASS", true),
            ("MYSQL_PWD", true),
            ("PWD", false),
            ("OLDPWD", false),
            ("COMPASS", false),
            ("CLIENT_SECRET", true),
            ("VAULT_SECRET_ID", true),
            ("SecretID", false),
            ("SecretName", false),
            ("Secrets", false),
            ("GITHUB_TOKEN", true),
            ("splunk-token", true),
            ("logentries-token", true),
            ("identitytoken", true),
            ("IdentityToken", true),
            ("registrytoken", true),
            ("JoinTokens", true),
            ("UnlockKey", true),
            ("SigningCAKey", true),
            ("GOOGLE_APPLICATION_CREDENTIALS", true),
            ("CredentialSpec", false),
            ("SSH_PRIVATE_KEY", true),
            ("privateKey", true),
            ("API_KEY", true),
            ("apikey", true),
            ("AWS_ACCESS_KEY_ID", true),
            ("AWS_SECRET_ACCESS_KEY", true),
            ("auth", true),
            ("NPM_AUTH", true),
            ("Author", false),
            ("AUTHORITY", false),
            ("SSH_AUTH_SOCK", false),
            ("http_authorization", true),
            ("X-Registry-Auth", true),
            ("Cookie", true),
            ("SENTRY_DSN", true),
            ("POSTGRES_PASSWORD_FILE", false),
            ("POSTGRES_USER", false),
            ("Image", false),
            ("KeyManager", false),
            ("SSH_KEY", true),
            ("KEY", true),
            ("DEPLOY_KEY", true),
            ("SSH_PUBLIC_KEY", false),
            ("KEYBOARD", false),
            ("MONKEY", false),
            ("GITHUB_PAT", true),
            ("SPAT", false),
            ("PATH", false),
            ("PGPASS", true),
            ("PGPASSFILE", false),
            ("SESSION", true),
            ("SESSION_ID", true),
            ("XDG_SESSION_ID", false),
            ("DESKTOP_SESSION", false),
            ("PIN", true),
            ("DOOR_PIN", true),
            ("PINK", false),
            ("OPINION", false),
            ("SALT", true),
            ("PASSWORD_SALT", true),
            ("SALTED", false),
            ("WEBHOOK", true),
            ("SLACK_WEBHOOK_URL", true),
            ("", false),
            ("p", false),
        ] {
            assert_eq!(plain.is_secret(name), want, "{name}");
        }
        for (name, want) in [("my_own_thing", true), ("Q", true), ("SPECIAL_FILE", true), ("other", false)] {
            assert_eq!(names.is_secret(name), want, "{name} with more patterns");
        }
        for pattern in SECRET_NAMES {
            assert!(plain.is_secret(&pattern.replace('*', "")), "{pattern} matches its own letters");
        }
    }

    #[test]
    fn what_teaches() {
        for (name, value, want) in [
            ("NOMAD_SECRETS_DIR", "/secrets", false),
            ("secretsDir", "anything", false),
            ("TOKEN_PATH", "anything", false),
            ("token-file", "anything", false),
            ("TOKEN_PROFILE", "anything", true),
            ("WEBHOOK_URL", "https://hooks.example/T0/B0", false),
            ("WEBHOOK_URL", "https://hooks.example/?to=me@host", false),
            ("WEBHOOK_URL", "https://me:pw@hooks.example/", true),
            ("SECRET_URI", "no URL", false),
            ("CURL", "anything", true),
            ("DB_PASSWORD", "anything", true),
            ("dir", "anything", false),
        ] {
            assert_eq!(teaches(name, value.as_bytes()), want, "{name}={value}");
        }
    }

    #[test]
    fn arguments() {
        for (text, want) in [
            ("--token", Some("token")),
            ("--db-password", Some("db-password")),
            ("--password-stdin", None),
            ("--token-file", None),
            ("--token=x", None),
            ("--token x", None),
            ("-p", None),
            ("--", None),
            ("token", None),
        ] {
            assert_eq!(argument(text.as_bytes()), want, "{text}");
        }
    }
}
