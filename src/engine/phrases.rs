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

#[cfg(test)]
mod tests {
    use super::super::Call;
    use super::*;

    fn status(status: u16, message: &str) -> Error {
        let call = Box::new(Call::for_test("container_logs"));
        Error::Status { call, status, message: message.into() }
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
}
