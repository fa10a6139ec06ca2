//! What the container runs (driver-spec 4.15 and 15.6).

use super::CreateError;
use crate::driver::TaskOptions;

/// `command` and `args`; empty: the image's.
pub(super) fn cmd(options: &TaskOptions) -> Result<Vec<String>, CreateError> {
    let command = options.command.as_str();
    if command.is_empty() {
        return Ok(options.args.clone());
    }
    match command.trim() {
        "" => Err(CreateError::CommandBlank),
        trimmed if trimmed != command => Err(CreateError::CommandSpace { command: command.into() }),
        _ => Ok(std::iter::once(&options.command).chain(&options.args).cloned().collect()),
    }
}

/// What runs before it; `None`: the image's.
pub(super) fn entrypoint(options: &TaskOptions) -> Option<Vec<String>> {
    (!options.entrypoint.is_empty()).then(|| options.entrypoint.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let space = |command: &str| Err(CreateError::CommandSpace { command: command.into() });
        for (command, args, want) in [
            ("", &[][..], Ok(vec![])),
            ("", &["a", " "], Ok(vec!["a", " "])),
            ("sh", &[], Ok(vec!["sh"])),
            ("sh", &["-c", "x y"], Ok(vec!["sh", "-c", "x y"])),
            ("/my program", &[], Ok(vec!["/my program"])),
            (" ", &[], Err(CreateError::CommandBlank)),
            ("\t\n", &["a"], Err(CreateError::CommandBlank)),
            (" sh", &[], space(" sh")),
            ("sh\n", &[], space("sh\n")),
        ] {
            let strings = |list: &[&str]| list.iter().map(|item| item.to_string()).collect::<Vec<_>>();
            let options = TaskOptions { command: command.into(), args: strings(args), ..TaskOptions::default() };
            assert_eq!(cmd(&options), want.map(|want| strings(&want)), "{command:?} {args:?}");
        }
    }

    #[test]
    fn entry_points() {
        for (given, want) in [(vec![], None), (vec![String::new()], Some(vec![String::new()]))] {
            let options = TaskOptions { entrypoint: given, ..TaskOptions::default() };
            assert_eq!(entrypoint(&options), want);
        }
    }
}
