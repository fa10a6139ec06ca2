//! The messages of a pull, a push, a load or an import, read one by one. An Engine that has answered 200 tells a failure
//! as one of them: here it is an error, and so is a stream that breaks off.

use std::fmt;

use super::call::Streamed;
use super::types::Progress;
use super::{Call, Error, JsonLines};

/// What an Engine says while it pulls, pushes, loads or imports. Reading to the end (`None`) is how to know that the work
/// is done; dropping it before closes the connection, at which Engines give a pull or a push up.
///
/// ```no_run
/// # use longshore::{Hangup, engine::{Engine, PullQuery}};
/// # let engine = Engine::from_env()?;
/// let mut messages = engine.image_create(&PullQuery::new("busybox", "1.36"), None, &Hangup::new())?;
/// while let Some(message) = messages.next_message()? {
///     println!("{} {} {}", message.id, message.status, message.progress_detail.current);
/// }
/// # Ok::<(), longshore::engine::Error>(())
/// ```
pub struct ProgressStream {
    lines: JsonLines<Progress>,
    ended: bool,
    /// Whether messages have come, and whether one of them said anything that we know.
    came: bool,
    said: bool,
}

impl ProgressStream {
    pub(super) fn new(answer: Streamed) -> Self {
        Self { lines: JsonLines::new(answer), ended: false, came: false, said: false }
    }

    /// Waits for the next message. `None`: the Engine has done all of it.
    ///
    /// # Errors
    /// [`Error::Stream`] where the message says that it failed; [`Error::Disconnected`] or [`Error::Protocol`] where the
    /// answer breaks off; [`Error::HungUp`]; [`Error::Decode`] for what is no message, and at the end of messages of which none
    /// said anything. After an error nothing more comes.
    pub fn next_message(&mut self) -> Result<Option<Progress>, Error> {
        if self.ended {
            return Ok(None);
        }
        let message = self.lines.next_line().and_then(|message| self.checked(message));
        self.ended = !matches!(message, Ok(Some(_)));
        message
    }

    /// The error of messages of which none had a field without which they say nothing.
    pub(super) fn without(&self, field: &'static str) -> Error {
        Error::decode(self.call(), serde::de::Error::missing_field(field))
    }

    fn call(&self) -> &Call {
        self.lines.call()
    }

    fn checked(&mut self, message: Option<Progress>) -> Result<Option<Progress>, Error> {
        match &message {
            Some(message) => {
                self.came = true;
                self.said |= *message != Progress::default();
            }
            // An answer of another kind than this call's: nobody knows what was done.
            None if self.came && !self.said => return Err(self.without("status")),
            None => {}
        }
        match message.as_ref().and_then(Progress::failure) {
            None => Ok(message),
            Some(failure) => Err(Error::Stream { call: Box::new(self.call().clone()), message: failure.into_owned() }),
        }
    }
}

impl Iterator for ProgressStream {
    type Item = Result<Progress, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_message().transpose()
    }
}

impl fmt::Debug for ProgressStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressStream").field("call", self.call()).finish_non_exhaustive()
    }
}
