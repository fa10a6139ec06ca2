//! The container's name and environment (driver-spec 4.2).

use super::CreateError;
use crate::driver::TaskConfig;
use crate::engine::types::Env;

/// `<task name>-<allocation>`, with `_` for `/`: no two tasks of an Engine share it, and it is known before the create. A task
/// without an allocation is named by its id.
///
/// # Errors
/// [`CreateError::Name`]: that is no name to Docker.
pub fn container_name(task: &TaskConfig) -> Result<String, CreateError> {
    let name = match task.alloc_id.as_str() {
        "" => task.id.as_str().to_string(),
        alloc_id => format!("{}-{alloc_id}", task.name),
    };
    let name = name.replace('/', "_");
    let wrong = name.char_indices().find(|(index, character)| !match character {
        '_' | '.' | '-' => *index > 0,
        other => other.is_ascii_alphanumeric(),
    });
    match wrong {
        Some((_, character)) => Err(CreateError::Name { name, character: Some(character) }),
        None if name.len() < 2 => Err(CreateError::Name { name, character: None }),
        None => Ok(name),
    }
}

/// The task's environment, sorted. The Engine would cut a name with `=` at the wrong place, and the kernel a value at a NUL.
pub(super) fn env(task: &TaskConfig) -> Result<Env, CreateError> {
    for (name, value) in &task.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(CreateError::EnvName { name: name.clone() });
        }
        if value.contains('\0') {
            return Err(CreateError::EnvValue { name: name.clone() });
        }
    }
    Ok(task.env_list().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let wrong = |character| Err(Some(character));
        for (task, alloc_id, want) in [
            ("web", "3f1c-9a", Ok("web-3f1c-9a")),
            ("a/b/c", "1", Ok("a_b_c-1")),
            ("Web_1.x", "1", Ok("Web_1.x-1")),
            ("web", "", Ok("id_web")),
            ("my task", "1", wrong(' ')),
            ("_x", "1", wrong('_')),
            ("/x", "1", wrong('_')),
            ("", "1", wrong('-')),
            ("..", "1", wrong('.')),
            ("é", "1", wrong('é')),
            ("a:b", "1", wrong(':')),
            ("a", "1\n", wrong('\n')),
        ] {
            let config = TaskConfig {
                id: "id/web".into(),
                name: task.into(),
                alloc_id: alloc_id.into(),
                ..TaskConfig::default()
            };
            let got = container_name(&config).map_err(|error| match error {
                CreateError::Name { character, .. } => character,
                other => panic!("{task}: {other}"),
            });
            assert_eq!(got.as_deref().map_err(|character| *character), want, "{task:?}, {alloc_id:?}");
        }
    }

    #[test]
    fn environments() {
        for (name, value, want) in [
            ("A", "1=2", Ok(vec!["A=1=2".to_string()])),
            ("a.b-c", "", Ok(vec!["a.b-c=".to_string()])),
            ("", "x", Err(CreateError::EnvName { name: "".into() })),
            ("A=B", "x", Err(CreateError::EnvName { name: "A=B".into() })),
            ("A\0", "x", Err(CreateError::EnvName { name: "A\0".into() })),
            ("A", "hunter\0two", Err(CreateError::EnvValue { name: "A".into() })),
        ] {
            let task = TaskConfig { env: [(name.to_string(), value.to_string())].into(), ..TaskConfig::default() };
            let got = env(&task).map(|env| env.0);
            if let Err(error) = &got {
                assert!(!format!("{error} {error:?}").contains("hunter"), "the error of {name:?} tells a value");
            }
            assert_eq!(got, want, "{name:?}");
        }
    }
}
