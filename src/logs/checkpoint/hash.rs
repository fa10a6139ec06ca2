//! A digest of bytes that come in pieces, by which records of one stamp are told apart. Quick, and the same however the bytes are
//! cut; no help against somebody who wants two records to look alike. Kept cursors bear it: another way to compute it is another
//! version of theirs.

/// Odd, and with its bits spread evenly.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Of longer records so much is looked at, in bytes, and their length: two of one stamp that are alike in that pass for the same.
pub(in crate::logs) const LOOKED_AT: usize = 1024;

/// How many words are digested side by side: one after the other each would wait for the one before.
const LANES: usize = 4;

/// A digest in the making.
#[derive(Debug, Default)]
pub(in crate::logs) struct Digest {
    subscriptions: [u64; LANES],
    length: u64,
    /// Bytes that do not fill a word yet: as many as what was looked at has beyond a multiple of eight.
    rest: u64,
}

impl Digest {
    /// The digest of bytes that are here whole.
    pub(in crate::logs) fn of(bytes: &[u8]) -> u64 {
        let mut digest = Self::default();
        digest.add(bytes);
        digest.value()
    }

    /// More bytes.
    pub(in crate::logs) fn add(&mut self, bytes: &[u8]) {
        let seen = usize::try_from(self.length).unwrap_or(LOOKED_AT).min(LOOKED_AT);
        self.length += bytes.len() as u64;
        let mut bytes = &bytes[..bytes.len().min(LOOKED_AT - seen)];
        let (held, mut subscription) = (seen % 8, seen / 8 % LANES);
        if held > 0 {
            let more = bytes.len().min(8 - held);
            for (at, byte) in bytes[..more].iter().enumerate() {
                self.rest |= u64::from(*byte) << (8 * (held + at));
            }
            bytes = &bytes[more..];
            if held + more < 8 {
                return;
            }
            mix(&mut self.subscriptions[subscription], self.rest);
            subscription = (subscription + 1) % LANES;
            self.rest = 0;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        // Up to the first subscription, then all of them at once, then what is left.
        let (before, words) = words.split_at(words.len().min((LANES - subscription) % LANES));
        let (rows, after) = words.as_chunks::<LANES>();
        for word in before {
            mix(&mut self.subscriptions[subscription], u64::from_le_bytes(*word));
            subscription = (subscription + 1) % LANES;
        }
        let mut subscriptions = self.subscriptions;
        for row in rows {
            for (subscription, word) in subscriptions.iter_mut().zip(row) {
                mix(subscription, u64::from_le_bytes(*word));
            }
        }
        self.subscriptions = subscriptions;
        for (at, word) in after.iter().enumerate() {
            mix(&mut self.subscriptions[(subscription + at) % LANES], u64::from_le_bytes(*word));
        }
        for (at, byte) in rest.iter().enumerate() {
            self.rest |= u64::from(*byte) << (8 * at);
        }
    }

    /// What has come to.
    pub(in crate::logs) fn value(&self) -> u64 {
        let [a, b, c, d] = self.subscriptions;
        // Side by side, too.
        let (mut first, mut second, mut third) = (a, c, self.rest);
        mix(&mut first, b);
        mix(&mut second, d);
        mix(&mut third, self.length);
        mix(&mut first, second);
        mix(&mut first, third);
        first ^ first >> 29
    }
}

fn mix(subscription: &mut u64, word: u64) {
    *subscription = (subscription.rotate_left(23) ^ word).wrapping_mul(SPREAD);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_do_not_matter_and_bytes_do() {
        let bytes: Vec<u8> = (0..=90).collect();
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
        assert_eq!(whole, 15_462_334_114_761_028_525, "what is kept bears it");
        let mut seen = std::collections::BTreeSet::from([whole]);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(seen.insert(Digest::of(&other)), "byte {at}");
            assert!(seen.insert(Digest::of(&bytes[..at])), "length {at}");
        }
        let long = |length: usize, at: usize| {
            let mut bytes = vec![0; length];
            bytes[at] = 1;
            Digest::of(&bytes)
        };
        assert!(seen.insert(long(5000, 0)) && seen.insert(long(5001, 0)) && seen.insert(long(5000, LOOKED_AT - 1)));
        let long = vec![7; 2000];
        let whole = Digest::of(&long);
        for cuts in [[1000, 1024], [1023, 1025], [1024, 1500], [1025, 1999]] {
            let mut digest = Digest::default();
            for piece in [&long[..cuts[0]], &long[cuts[0]..cuts[1]], &long[cuts[1]..]] {
                digest.add(piece);
            }
            assert_eq!(digest.value(), whole, "cut at {cuts:?}");
        }
        assert!(seen.insert(Digest::of(&[0; 5])) && seen.insert(Digest::of(&[0; 6])));
    }
}
