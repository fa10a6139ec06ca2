//! A digest of bytes that come in pieces, by which records of one stamp are told apart. Quick, and the same however the bytes are
//! cut; no help against somebody who wants two records to look alike.

/// Odd, and with its bits spread evenly.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A digest in the making.
#[derive(Debug, Default)]
pub(super) struct Digest {
    state: u64,
    length: u64,
    /// Bytes that do not fill a word yet: as many as `length` has beyond a multiple of eight.
    rest: u64,
}

impl Digest {
    /// The digest of bytes that are here whole.
    pub(super) fn of(bytes: &[u8]) -> u64 {
        let mut digest = Self::default();
        digest.add(bytes);
        digest.value()
    }

    /// More bytes.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        let held = (self.length % 8) as usize;
        self.length += bytes.len() as u64;
        if held > 0 {
            let more = bytes.len().min(8 - held);
            for (at, byte) in bytes[..more].iter().enumerate() {
                self.rest |= u64::from(*byte) << (8 * (held + at));
            }
            bytes = &bytes[more..];
            if held + more < 8 {
                return;
            }
            self.word(self.rest);
            self.rest = 0;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        for (at, byte) in rest.iter().enumerate() {
            self.rest |= u64::from(*byte) << (8 * at);
        }
    }

    /// What has come to.
    pub(super) fn value(&self) -> u64 {
        let mut last = Self { state: self.state, length: 0, rest: 0 };
        last.word(self.rest);
        last.word(self.length);
        last.state ^ last.state >> 29
    }

    fn word(&mut self, word: u64) {
        self.state = (self.state.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_do_not_matter_and_bytes_do() {
        let bytes: Vec<u8> = (0..=60).collect();
        let whole = Digest::of(&bytes);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let mut digest = Digest::default();
                for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    digest.add(piece);
                }
                assert_eq!(digest.value(), whole, "cut at {first} and {second}");
            }
        }
        let mut seen = std::collections::BTreeSet::from([whole]);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(seen.insert(Digest::of(&other)), "byte {at}");
            assert!(seen.insert(Digest::of(&bytes[..at])), "length {at}");
        }
        assert!(seen.insert(Digest::of(&[0; 5])) && seen.insert(Digest::of(&[0; 6])));
    }
}
