//! Broken inputs from good ones. Deterministic: a seed gives the same inputs in the same order.

/// No input is larger, in bytes: what breaks readers is their form, and a size has tests of its own.
const LARGEST: usize = 64 * 1024;

/// What readers trip over, put in the middle of something.
const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b":",
    b",",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b"-1",
    b"0",
    b"1e999",
    b"-0.0",
    b"0x10",
    b"65536",
    b"2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"99999999999999999999999999",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u{9b}2J".as_bytes(),
    "\u{202e}".as_bytes(),
    b"\x1b[31m",
    b"${",
    b"$${",
    b"%{ if x }",
    b"<<EOF\n",
    b"<<-E",
    b"/*",
    b"//",
    b"#",
    b"../",
    b"/",
    b"::",
    b"@sha256:",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 101 X\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"ffffffffffffffff\r\n",
    b"0\r\n\r\n",
    b"\x01\0\0\0\xff\xff\xff\xff",
    b"9999-12-31T23:59:59.999999999Z ",
    b"0000-00-00T00:00:00Z ",
];

/// A small generator of numbers (SplitMix64).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { usize::try_from(self.next() % end as u64).unwrap_or(0) }
    }
}

/// One of the corpus, changed in one to eight places.
pub(crate) fn mutate(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[rng.below(corpus.len())].clone();
    for _ in 0..=rng.below(8) {
        change(rng, corpus, &mut bytes);
        bytes.truncate(LARGEST);
    }
    bytes
}

fn change(rng: &mut Rng, corpus: &[Vec<u8>], bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len() + 1);
    let end = (at + 1 + rng.below(16)).min(bytes.len());
    match rng.below(10) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        1 if at < bytes.len() => bytes[at] = [0, 0xff, 0x7f, 0x80, b'"', b'\n', b'0', b'9', b'{', b' '][rng.below(10)],
        2 => drop(bytes.splice(at..at, WORDS[rng.below(WORDS.len())].iter().copied())),
        3 => drop(bytes.splice(at..end, WORDS[rng.below(WORDS.len())].iter().copied())),
        4 => drop(bytes.drain(at..end)),
        5 => bytes.truncate(at),
        // A part of another one.
        6 => {
            let other = &corpus[rng.below(corpus.len())];
            let from = rng.below(other.len() + 1);
            let length = rng.below(other.len() - from + 1);
            drop(bytes.splice(at..at, other[from..from + length].iter().copied()));
        }
        // A part again and again: deep, or long.
        7 => {
            let part = bytes[at..end].repeat(1 << rng.below(12));
            drop(bytes.splice(at..at, part));
        }
        // Another number in place of one.
        8 => {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let Some(start) = bytes[at..].iter().position(is_digit).map(|found| at + found) else { return };
            let length = bytes[start..].iter().take_while(|byte| is_digit(byte)).count();
            let number = match rng.below(3) {
                0 => rng.next().to_string(),
                1 => (1u64 << rng.below(64)).to_string(),
                _ => "-1".into(),
            };
            drop(bytes.splice(start..start + length, number.into_bytes()));
        }
        // Two parts change places.
        _ => {
            let other = rng.below(bytes.len() + 1);
            let [low, high] = if at < other { [at, other] } else { [other, at] };
            let length = (high - low).min(bytes.len() - high).min(16);
            for step in 0..length {
                bytes.swap(low + step, high + step);
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let corpus = vec![b"{\"a\": [1, 2]}".to_vec(), b"xyz".to_vec(), Vec::new()];
    let inputs = |seed| {
        let mut rng = Rng::new(seed);
        (0..2000).map(|_| mutate(&mut rng, &corpus)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(7), inputs(7));
    assert_ne!(inputs(7), inputs(8));
    assert!(inputs(7).iter().all(|input| input.len() <= LARGEST));
}
