//! Private keys in PEM: where one begins, and its body up to the end line.

use memchr::memrchr;

use super::{Scan, State, Wait};

/// The longest private key: a PEM block without an end masks so much and no more.
pub(super) const PEM: usize = 64 * 1024;
/// What stands at the end of a key's first line, and of its last one.
pub(super) const PEM_MARK: &[u8] = b"PRIVATE KEY-----";

impl Scan {
    /// Looks for the next private key, unless one is known.
    pub(super) fn find_pem(&mut self) {
        if self.pem.is_some_and(|body| body >= self.at) {
            return;
        }
        self.pem = None;
        let from = self.pem_searched.max(self.at.saturating_sub(PEM_MARK.len()));
        if from + PEM_MARK.len() <= self.text.len() {
            self.pem = self.pem_finder.find(&self.text[from..]).map(|at| from + at + PEM_MARK.len());
            self.pem_searched = self.pem.unwrap_or(self.text.len() - (PEM_MARK.len() - 1));
        }
    }

    /// Masks a private key's body up to its end line; its line breaks stay.
    pub(super) fn pem(&mut self, left: usize, end: bool) -> Result<(), Wait> {
        let start = self.at;
        let stop = self.text.len().min(start + left);
        let dash = self.text[start..stop].iter().position(|&b| b == b'-').map_or(stop, |at| start + at);
        for i in start..dash {
            if !self.text[i].is_ascii_whitespace() {
                self.mark(i..i + 1);
            }
        }
        self.at = dash;
        self.state = State::Pem { left: left - (dash - start) };
        let dashes = self.text[dash..].iter().take(5).take_while(|&&b| b == b'-').count();
        if dash == stop {
            if left == dash - start {
                self.state = State::Plain;
            }
        } else if dashes == 5 {
            self.state = State::Plain;
        } else if dash + dashes == self.text.len() && !end {
            return Err(Wait);
        } else {
            // `Proc-Type`, `AES-128-CBC`: the lines before an encrypted key.
            self.mark(dash..dash + 1);
            self.at = dash + 1;
            let left = left - (dash - start) - 1;
            self.state = if left == 0 { State::Plain } else { State::Pem { left } };
        }
        Ok(())
    }

    pub(super) fn begins_pem(&self, body: usize) -> bool {
        let line = &self.text[body.saturating_sub(96)..body - PEM_MARK.len()];
        let line = memrchr(b'\n', line).map_or(line, |at| &line[at + 1..]);
        let begin = memchr::memmem::rfind(line, b"-----BEGIN ");
        begin.is_some_and(|at| memchr::memmem::find(&line[at..], b"-----END ").is_none())
    }
}
