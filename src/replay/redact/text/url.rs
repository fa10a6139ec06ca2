//! Passwords and tokens in URLs.

use super::{Closer, Place, Scan, Wait};

/// How far the `@` of a URL is looked for.
pub(super) const AUTHORITY: usize = 2 * 1024;
/// How many values one text gives to learn.
const FOUND: usize = 64;

impl Scan {
    /// The part of a URL from `://` to its host. A user alone is a token, but for schemes whose users are none.
    pub(super) fn authority(&mut self, colon: usize, end: bool) -> Result<(), Wait> {
        let start = colon + 3;
        let mut password = None;
        let mut last_at = None;
        let mut i = start;
        loop {
            if i == start + AUTHORITY {
                // Nobody's host is that long: what can be a secret is masked, until it ends.
                self.mask_from(password.unwrap_or(start), Closer::Authority);
                return Ok(());
            }
            match self.text.get(i) {
                None if !end => {
                    self.at = colon;
                    return Err(Wait);
                }
                None => break,
                Some(&b) if ends_authority(b, password.is_some()) => break,
                Some(b':') if password.is_none() && last_at.is_none() => password = Some(i + 1),
                Some(b'@') => last_at = Some(i),
                Some(_) => {}
            }
            i += 1;
        }
        self.at = start;
        let Some(host) = last_at else { return Ok(()) };
        let secret = match password {
            // GitHub's tokens are users, with a password that says so or none.
            Some(password) if matches!(&self.text[password..host], b"" | b"x-oauth-basic") => start..password - 1,
            Some(password) => password..host,
            None if self.has_plain_users(colon) => start..start,
            None => start..host,
        };
        if self.place != Place::Output && self.found.len() < FOUND {
            self.found.push(self.text[secret.clone()].to_vec());
        }
        self.mark(secret);
        self.at = host;
        Ok(())
    }

    /// Whether a scheme's user is a name and no token, as in `ssh://git@host`.
    fn has_plain_users(&self, colon: usize) -> bool {
        let from =
            (0..colon).rev().take(16).take_while(|&i| self.text[i].is_ascii_alphabetic()).last().unwrap_or(colon);
        [&b"ssh"[..], b"git", b"sftp"].iter().any(|scheme| scheme.eq_ignore_ascii_case(&self.text[from..colon]))
    }
}

/// In a password people write `?` and `#` as they are; before one they end the host.
pub(super) fn ends_authority(b: u8, in_password: bool) -> bool {
    b <= b' '
        || matches!(b, 0x7F | b'/' | b'"' | b'<' | b'>' | b'`' | b'\\')
        || (!in_password && matches!(b, b'?' | b'#'))
}
