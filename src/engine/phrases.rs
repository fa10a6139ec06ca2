//! The few facts that Engines give as text only. The one place where the text of a message is looked at: each predicate
//! names the Engines that were seen to say it (`fixtures/answers`).

use super::Error;

/// Whether a container's logs cannot be read back, for its log driver keeps none.
/// Docker 20.10 to 28.5, status 500 or in the stream: "configured logging driver does not support reading".
/// podman 4.3 to 5.8, status 500: "this container is using the 'none' log driver, cannot read logs: …".
/// Where the status itself says that it is not implemented, it needs no text.
pub(crate) fn logs_cannot_be_read(error: &Error) -> bool {
    let says_so = |message: &str| {
        message.contains("configured logging driver does not support reading")
            || message.contains("log driver, cannot read logs")
    };
    error.status() == Some(501) || error.message().is_some_and(says_so)
}

/// Whether the Engine takes another API version than the one in the path.
/// Docker 20.10 to 28.5, status 400: "client version 1.52 is too new. …", "client version 1.12 is too old. …".
pub(super) fn is_other_version(error: &Error) -> bool {
    error.status() == Some(400)
        && error.message().is_some_and(|m| {
            m.starts_with("client version ") && (m.contains(" is too new") || m.contains(" is too old"))
        })
}

/// Whether a pull failed for good, for its image does not exist (driver-spec 5.7). Docker before 1.12 and its Hub, in the
/// stream: "Error: image library/x not found". Newer Engines say it in ways that do not tell it from a missing password.
pub(crate) fn image_does_not_exist(error: &Error) -> bool {
    error.message().is_some_and(|message| {
        let after = message.split_once("Error: image ").map(|(_, after)| after);
        after.is_some_and(|after| after.find(" not found").is_some_and(|at| at > 0))
    })
}

/// The names and ids of images that a load's messages tell.
/// Docker 20.10 to 28.5: "Loaded image: busybox:1", and for one without a name "Loaded image ID: sha256:…".
/// podman 4.3 to 5.8: "Loaded image: docker.io/library/busybox:1,docker.io/library/web:1".
pub(crate) fn loaded_images(messages: &[String]) -> Vec<String> {
    let named = |line: &str| {
        let names = ["Loaded image: ", "Loaded image ID: "].iter().find_map(|phrase| line.strip_prefix(phrase))?;
        Some(names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
    };
    messages.iter().flat_map(|message| message.lines()).filter_map(named).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::Call;
    use super::*;

    fn status(status: u16, message: &str) -> Error {
        let call = Box::new(Call::for_test("container_logs"));
        Error::Status { call, status, message: message.into(), own: true }
    }

    #[test]
    fn phrases() {
        for (error, logs, version) in [
            (status(500, "configured logging driver does not support reading"), true, false),
            (status(500, "this container is using the 'none' log driver, cannot read logs: x"), true, false),
            (status(501, "no"), true, false),
            (status(400, "client version 1.52 is too new. Maximum supported API version is 1.51"), false, true),
            (status(400, "client version 1.18 is too old. Minimum supported API version is 1.24, please"), false, true),
            (status(500, "client version 1.18 is too old"), false, false),
            (status(404, "No such container: client version 1 is too new"), false, false),
        ] {
            assert_eq!(logs_cannot_be_read(&error), logs, "{error}");
            assert_eq!(is_other_version(&error), version, "{error}");
        }
    }

    #[test]
    fn images_of_a_load() {
        let said =
            ["Loaded image: a:1", "Loaded image ID: sha256:12", "Loaded image: docker.io/b:1,c:2", "Loading layer"];
        let said: Vec<String> = said.map(str::to_owned).into();
        assert_eq!(loaded_images(&said), ["a:1", "sha256:12", "docker.io/b:1", "c:2"]);
    }

    #[test]
    fn images_that_do_not_exist() {
        for (message, want) in [
            ("Error: image library/none:1 not found", true),
            ("Error: image  not found", false),
            ("manifest for none:1 not found: manifest unknown", false),
            ("pull access denied for none, repository does not exist or may require 'docker login'", false),
        ] {
            let error = Error::Stream { call: Box::new(Call::for_test("image_create")), message: message.into() };
            assert_eq!(image_does_not_exist(&error), want, "{message}");
        }
    }
}
