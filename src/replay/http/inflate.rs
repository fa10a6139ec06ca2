//! Deflate (RFC 1951) in its wrappings, gzip (RFC 1952) and zlib (RFC 1950), unpacked with a bound. Bytes in, bytes
//! out.
//!
//! Checksums are passed over: what a client makes of broken bytes is its own affair, and what is recorded is masked
//! either way. Bytes that end too soon give what was there, as a stream does that somebody left.

/// Why bytes cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replay) enum Bad {
    /// They are no such stream.
    Broken,
    /// More comes of them than is allowed.
    TooLong,
}

/// Why a block stopped.
enum Stop {
    /// There is no more input.
    Short,
    Bad(Bad),
}

/// The longest code, in bits.
const LONGEST: usize = 15;
const LENGTHS: [u16; 29] =
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS: [u8; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCES: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289, 16385, 24577,
];
const DISTANCE_BITS: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/// In which order the lengths of the codes for lengths come.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// What was unpacked, and how much of it there was when each place of the input had come.
pub(in crate::replay) struct Unpacked<'a> {
    pub(in crate::replay) bytes: Vec<u8>,
    pub(in crate::replay) cuts: Vec<usize>,
    /// Places in the input, in order.
    ends: &'a [usize],
    most: usize,
}

/// Gzip, one member or several.
pub(in crate::replay) fn gzip<'a>(input: &[u8], ends: &'a [usize], most: usize) -> Result<Unpacked<'a>, Bad> {
    let mut out = Unpacked { bytes: Vec::new(), cuts: Vec::new(), ends, most };
    let mut at = 0;
    while at < input.len() {
        let Some(header) = gzip_header(&input[at..])? else { break };
        match out.deflate(input, at + header) {
            Ok(end) => at = end.saturating_add(8),
            Err(Stop::Short) => break,
            Err(Stop::Bad(bad)) => return Err(bad),
        }
    }
    Ok(out.end())
}

/// Deflate as HTTP means it, in zlib's wrapping, or as many send it, in none.
pub(in crate::replay) fn deflate<'a>(input: &[u8], ends: &'a [usize], most: usize) -> Result<Unpacked<'a>, Bad> {
    let wrapped = matches!(input, [a, b, ..] if a & 15 == 8 && b & 0x20 == 0 && u16::from_be_bytes([*a, *b]) % 31 == 0);
    let from = |start: usize| {
        let mut out = Unpacked { bytes: Vec::new(), cuts: Vec::new(), ends, most };
        match out.deflate(input, start) {
            Ok(_) | Err(Stop::Short) => Ok(out.end()),
            Err(Stop::Bad(bad)) => Err(bad),
        }
    };
    match wrapped.then(|| from(2)) {
        Some(Err(Bad::Broken)) | None => from(0),
        Some(done) => done,
    }
}

/// The length of a member's header. `None`: it is not all there.
fn gzip_header(input: &[u8]) -> Result<Option<usize>, Bad> {
    if input.iter().zip([0x1f, 0x8b, 8]).any(|(byte, want)| *byte != want) {
        return Err(Bad::Broken);
    }
    let Some(&flags) = input.get(3) else { return Ok(None) };
    let mut at = 10;
    if flags & 4 != 0 {
        let &[low, high] = input.get(at..at + 2).unwrap_or_default() else { return Ok(None) };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let Some(end) = input.get(at..).and_then(|rest| memchr::memchr(0, rest)) else { return Ok(None) };
            at += end + 1;
        }
    }
    at += if flags & 2 != 0 { 2 } else { 0 };
    Ok((at <= input.len()).then_some(at))
}

/// Bits of the input, the lowest of each byte first.
struct Bits<'a> {
    input: &'a [u8],
    at: usize,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Result<usize, Stop> {
        while self.count < count {
            let byte = *self.input.get(self.at).ok_or(Stop::Short)?;
            self.held |= u32::from(byte) << self.count;
            self.at += 1;
            self.count += 8;
        }
        let bits = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.count -= count;
        Ok(bits as usize)
    }

    /// The next symbol of a code, a bit at a time.
    fn symbol(&mut self, code: &Code) -> Result<usize, Stop> {
        let (mut bits, mut first, mut index) = (0i32, 0i32, 0i32);
        for length in 1..=LONGEST {
            bits |= self.take(1)? as i32;
            let count = i32::from(code.counts[length]);
            if bits - count < first {
                let at = usize::try_from(index + bits - first).unwrap_or(usize::MAX);
                return code.symbols.get(at).map(|symbol| usize::from(*symbol)).ok_or(Stop::Bad(Bad::Broken));
            }
            index += count;
            first = (first + count) << 1;
            bits <<= 1;
        }
        Err(Stop::Bad(Bad::Broken))
    }
}

/// A canonical Huffman code: how many symbols have each length, and the symbols in order.
struct Code {
    counts: [u16; LONGEST + 1],
    symbols: Vec<u16>,
}

impl Code {
    /// Of the lengths of its symbols. More codes than there is room for are refused, fewer are not: one may do.
    fn of(lengths: &[u8]) -> Result<Self, Stop> {
        let mut counts = [0u16; LONGEST + 1];
        lengths.iter().for_each(|length| counts[usize::from(*length)] += 1);
        let mut left = 1i32;
        for count in &counts[1..] {
            left = (left << 1) - i32::from(*count);
            if left < 0 {
                return Err(Stop::Bad(Bad::Broken));
            }
        }
        let mut symbols: Vec<u16> = (0..lengths.len() as u16).filter(|n| lengths[usize::from(*n)] > 0).collect();
        symbols.sort_by_key(|n| lengths[usize::from(*n)]);
        counts[0] = 0;
        Ok(Self { counts, symbols })
    }
}

impl Unpacked<'_> {
    /// One stream of blocks. Gives where it ended.
    fn deflate(&mut self, input: &[u8], at: usize) -> Result<usize, Stop> {
        let window = self.bytes.len();
        let mut bits = Bits { input, at, held: 0, count: 0 };
        loop {
            let last = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => self.stored(&mut bits)?,
                1 => {
                    let mut lengths = [8; 288];
                    lengths[144..256].fill(9);
                    lengths[256..280].fill(7);
                    self.block(&mut bits, &Code::of(&lengths)?, &Code::of(&[5; 30])?, window)?;
                }
                2 => {
                    let (literals, distances) = codes(&mut bits)?;
                    self.block(&mut bits, &literals, &distances, window)?;
                }
                _ => return Err(Stop::Bad(Bad::Broken)),
            }
            if last {
                return Ok(bits.at);
            }
        }
    }

    fn stored(&mut self, bits: &mut Bits<'_>) -> Result<(), Stop> {
        (bits.held, bits.count) = (0, 0);
        let (length, complement) = (bits.take(16)?, bits.take(16)?);
        if length != complement ^ 0xffff {
            return Err(Stop::Bad(Bad::Broken));
        }
        for _ in 0..length {
            let byte = bits.take(8)? as u8;
            self.push(byte, bits.at)?;
        }
        Ok(())
    }

    fn block(&mut self, bits: &mut Bits<'_>, literals: &Code, distances: &Code, window: usize) -> Result<(), Stop> {
        let bad = || Stop::Bad(Bad::Broken);
        loop {
            match bits.symbol(literals)? {
                byte @ 0..=255 => self.push(byte as u8, bits.at)?,
                256 => return Ok(()),
                symbol => {
                    let n = symbol - 257;
                    let extra = *LENGTH_BITS.get(n).ok_or_else(bad)?;
                    let length = usize::from(LENGTHS[n]) + bits.take(extra.into())?;
                    let n = bits.symbol(distances)?;
                    let extra = *DISTANCE_BITS.get(n).ok_or_else(bad)?;
                    let distance = usize::from(DISTANCES[n]) + bits.take(extra.into())?;
                    if distance > self.bytes.len() - window {
                        return Err(bad());
                    }
                    for _ in 0..length {
                        let byte = self.bytes[self.bytes.len() - distance];
                        self.push(byte, bits.at)?;
                    }
                }
            }
        }
    }

    /// Adds a byte that came of the input up to `at`.
    fn push(&mut self, byte: u8, at: usize) -> Result<(), Stop> {
        if self.bytes.len() == self.most {
            return Err(Stop::Bad(Bad::TooLong));
        }
        while self.ends.get(self.cuts.len()).is_some_and(|end| *end < at) {
            self.cuts.push(self.bytes.len());
        }
        self.bytes.push(byte);
        Ok(())
    }

    fn end(mut self) -> Self {
        self.cuts.resize(self.ends.len(), self.bytes.len());
        self
    }
}

/// The two codes of a block that brings its own.
fn codes(bits: &mut Bits<'_>) -> Result<(Code, Code), Stop> {
    let bad = || Stop::Bad(Bad::Broken);
    let (literals, distances, count) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    let mut lengths = [0u8; 19];
    for &n in &ORDER[..count] {
        lengths[n] = bits.take(3)? as u8;
    }
    let code = Code::of(&lengths)?;
    let mut lengths: Vec<u8> = Vec::with_capacity(320);
    while lengths.len() < literals + distances {
        let (length, times) = match bits.symbol(&code)? {
            length @ 0..=15 => (length as u8, 1),
            16 => (*lengths.last().ok_or_else(bad)?, bits.take(2)? + 3),
            17 => (0, bits.take(3)? + 3),
            _ => (0, bits.take(7)? + 11),
        };
        lengths.resize(lengths.len() + times, length);
    }
    if lengths.len() > literals + distances || literals > 286 || distances > 30 {
        return Err(bad());
    }
    Ok((Code::of(&lengths[..literals])?, Code::of(&lengths[literals..])?))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const TEXT: &str = r#"{"Env":["DB_PASSWORD=S3cret/x&y"],"Image":"busybox"}"#;

    /// What other programs (zlib, gzip) make of [`TEXT`], in base64: `(row, gzip or deflate, bytes)`.
    const VECTORS: &[(&str, &str, &str)] = &[
        ("fixed", "deflate", "q1ZyzStTsopWcnGKD3AMDg73D3KxDTZOLkot0a9Qq1SK1VHyzE1MT1WyUkoqLa5Myq9QqgUA"),
        ("stored", "deflate", "ATQAy/97IkVudiI6WyJEQl9QQVNTV09SRD1TM2NyZXQveCZ5Il0sIkltYWdlIjoiYnVzeWJveCJ9"),
        ("zlib", "deflate", "eJyrVnLNK1OyilZycYoPcAwODvcPcrENNk4uSi3Rr1CrVIrVUfLMTUxPVbJSSiotrkzKr1CqBQClmRCI"),
        ("huffman only", "deflate", "q1ZyzStTsopWcnGKD3AMDg73D3KxDTZOLkot0a9Qq1SK1VHyzE1MT1WyUkoqLa5Myq9QqgUA"),
        (
            "gzip",
            "gzip",
            "H4sIAAAAAAACA6tWcs0rU7KKVnJxig9wDA4O9w9ysQ02Ti5KLdGvUKtUitVR8sxNTE9VslJKKi2uTMqvUKoFANnpxmY0AAAA",
        ),
        (
            "two members",
            "gzip",
            "H4sIAAAAAAACA6tWcs0rU7KKVnJxig9wDA4O9w9yAQD4pRnEFAAAAB+LCAAAAAAAAgOzDTZOLkot0a9Qq1SK1VHyzE1MT1Wy\
            UkoqLa5Myq9QqgUAiWQUqSAAAAA=",
        ),
        (
            "every field",
            "gzip",
            "H4sIHgAAAAAAAwMAYWJjbmFtZQBjb21tZW50AAAAq1ZyzStTsopWcnGKD3AMDg73D3KxDTZOLkot0a9Qq1SK1VHyzE1MT1Wy\
            UkoqLa5Myq9QqgUA2enGZjQAAAA=",
        ),
    ];

    /// Zlib's writing, with codes of its own, of 400 lines.
    const LONG: &str = "lZs9jiY3DETzPcV3AAdNsvV3nAlm4QUGtuGdwMc3jGnWhvWcE2q1iqLIJ+rjxx/vr+v15/fX2+vz/Z/P1+fvb5+vv9//en/7\
            /Pn68fnz/eP7b6/r28d/duHs4ssund39ZVfO7nzZ3fa788twOMMcX4bTGdYz4rK/8sxxO8P5/PRxhvtZxbCy1GNodcnn2+GV\
            WY+l1WblY2nVaUOrTvWfW3lmj2n1OY/iYQWqXk6r0Hr2Q1qF4plnWonG8/W0Ep3HNdNKdD+yp5Xo9M61Gt09T6vR6a9bjUav\
            p9VoP4ZWovnIXlaifDy+rET7+XpZiUYHOCtRPg5SVqL9BJqyEs1HzPJRrlfJShQ9ppfocc/yGj2Wt9Xoflb+thrVs5631Sh6\
            TKtRT9Pvomdv3Fai/Sz8bSVafQZaiVaPaSVaPc9DLcdFvz6C/tFIukqj6MqPG4o5BvWPManPjUX9eGy6N8ah+21edA/PoHFh\
            Jo01s2j8mjeNiXPQODsnjd1z0fNgbnrGzAOPrXXRk3AFPV1X0hN7Fc0C1k0zizVotrImzYDWolnV2jRTW4dmf/uiGeUOmqXu\
            pJnvLphM75vm53vQnH9PWkfsBUuTvWm1sw8uoC5ak52gZd5JWjmeosXouWF5ewasl8+EBfhZsKI/m4544BzjuuBvxxV0KePC\
            +sRVVPS4bupJcQ3qnnFNXuHTfRTXxjX+dXCR7xGDqnwAGdoSR7vwlEGFvscMqvQBaBA5mfQEicDHUnjWMDSBQw/Q8LThFuYJ\
            etRH4vwhPHA4msBNM53wyGG35aQZWSRO8wJAB03g0IQ0AHdobwHgoaNQ4Xw8PHroJD88ewiNOmg5Ep4+TJniwik8fyit66El\
            XngC0VP1BKJL0bhxfRueQXTRHJ5CLI06aHkfgEPIdPEJbP5bBy+WZxGSwMOI1nVgXhSeRsgFPY6QY3sgoe3iiYQ24cBgLzyT\
            UMDwUEJhyFMJBTePJRQyJyawAcBESwDIRB8aHk3oKAJsoi0xKA8PJ3QUezqhA97zCaUNHlAoGVn4RiM8olDi5BmF0jEPKZTk\
            eUqh1HHxqyfPKX7dZx2cPHtS0YN6UqE0f/MbQsAq2gU8rehV9bRCxZPHFSrJNr7GDU8sVD56ZKGi1DMLlboeWvRUD71nDwAt\
            2vKmvQCeWmjMiee58L9vvqBYpvTsosVPDy/apdLDi3bU9PCi3T8vuqfSs4vU9yfd/unZRQeVBPCiLXH4S88upi7fg4bqBPCi\
            lxW0SPS9dty8UWDgTgEPL9Qq4OGFegU8vFCzQODUIj28ULsA6JXodfXwohsGPLvohC0Tp4EJ2IUmMGnKmgBetLcAeNFRKHHS\
            nh5edCmQHl6ERk1atqSHF1OmuMRKDy+6cEsPL0KjLlhjpmcXXbhm4XI4PbvoIjs9vFgaNSkQSAAvZHrzCQz+W5Mv1sISeHjR\
            ut4YNKVnF3JBzy7k2B5eaLt4eKFNODAWTA8vFDA8vFAY8vBCwc3DC4XMgSFuAnjREgB40YcGaKroxQLwoi0xcE/PLnQUe3bx\
            qx1w4bTBwwslIxNfjyRorui5enihdMzDCyV5Hl4odVz4Mis9vFCaC+BFS+DhhQbdOM1f+OIxAbtoF/DwolfVswsVT55dqCTb\
            +JI4PbxQ+Qh6LdoDPLwIjbph/Zyb3ucnQBdtGZAdpCcXGrPwPGm7RQJy0Qt6uEyeXUh8Dy/kUge3xZSHF+3+ddE9VaDxQt8v\
            uv3rwt1LBeBFW+LwV55dTI26aaiuCzeZFWi8uNoUH1bl4cXQBIoerBW4G7A8vOgkoAKnFgUeeWgCm6ZBFbRrszy70GuDxGlg\
            AXahCRR+cJC4u7YAvOgnB4mT9vLwQo8OPLzQq4PEbdDl4cWUKS6xysOLLtzKw4vQqLRdvTy76MK1CpfD5dlFF9nl4cXSqPhZ\
            QQF4IVMMLwrAi/4tDy+0WPz9R3l40breGDSVZxdyQc8u5Ng3fqZTHl5oEw6MBcvDCwUMDy8Uhsb/eE81cMgcGOIWgBctAYAX\
            fWgM/vANwIu2xMC9PLvQUezZhQ74id8nlocXSkYmvh4p0HmhuW6cjk38kLQ8vFDquPBlVnl4oTQXwIuWYNEHvwUaL2SKLx4L\
            sIt2AQ8vtKr4WXZ5dqGSbONL4gJvRNpbQeNFe8DGT+fLwwtNld7nF0AXbbkhOyhPLnpM8FCkLWnPRQFyofevXCbPLiQ+eCyi\
            ueIGmfLwQu5/8J4CjRf3t38B";

    fn long() -> String {
        (0..400).map(|n| format!("line {n} of a text that repeats itself, {}\n", n * n % 97)).collect()
    }

    fn unpack<'a>(kind: &str, input: &[u8], ends: &'a [usize], most: usize) -> Result<Unpacked<'a>, Bad> {
        if kind == "gzip" { gzip(input, ends, most) } else { deflate(input, ends, most) }
    }

    fn text(kind: &str, input: &[u8], most: usize) -> Result<String, Bad> {
        unpack(kind, input, &[], most).map(|unpacked| String::from_utf8_lossy(&unpacked.bytes).into_owned())
    }

    #[test]
    fn what_others_packed() {
        for (row, kind, packed) in VECTORS {
            let packed = STANDARD.decode(packed).unwrap();
            assert_eq!(text(kind, &packed, TEXT.len()).as_deref(), Ok(TEXT), "{row}");
            assert_eq!(text(kind, &packed, TEXT.len() - 1), Err(Bad::TooLong), "{row}");
            for cut in 0..packed.len() {
                let part = text(kind, &packed[..cut], 1000).unwrap_or_else(|e| panic!("{row}, cut at {cut}: {e:?}"));
                assert!(TEXT.starts_with(&part), "{row}, cut at {cut}: {part}");
            }
        }
        let packed = STANDARD.decode(LONG).unwrap();
        assert_eq!(text("deflate", &packed, 100_000), Ok(long()));
    }

    #[test]
    fn what_is_none_is_refused_and_nothing_panics() {
        for (row, kind, bytes) in [
            ("text", "gzip", &b"{\"a\":1}"[..]),
            ("another method", "gzip", b"\x1f\x8b\x07"),
            ("a reserved block", "deflate", b"\x07"),
            ("a length that does not fit", "deflate", b"\x01\x01\x00\x00\x00x"),
            ("from before the start", "deflate", b"\x03\x02\x00"),
        ] {
            assert_eq!(unpack(kind, bytes, &[], 1000).err(), Some(Bad::Broken), "{row}");
        }
        let mut seed = 0x2545_f491_4f6c_dd1du64;
        let mut dice = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as usize % below
        };
        let good: Vec<_> = VECTORS.iter().map(|(_, kind, packed)| (*kind, STANDARD.decode(packed).unwrap())).collect();
        for round in 0..20_000 {
            let (kind, mut bytes) = good[round % good.len()].clone();
            for _ in 0..=dice(3) {
                let at = dice(bytes.len());
                bytes[at] = dice(256) as u8;
            }
            if let Ok(unpacked) = unpack(kind, &bytes, &[3, 9, 40], 4096) {
                assert!(unpacked.bytes.len() <= 4096 && unpacked.cuts.len() == 3, "round {round}");
            }
        }
    }

    #[test]
    fn cuts_are_where_their_bytes_are() {
        let packed = STANDARD.decode(VECTORS[1].2).unwrap();
        // Stored: five bytes before the text.
        let ends = [0, 5, 6, 20, packed.len()];
        let unpacked = deflate(&packed, &ends, 1000).unwrap();
        assert_eq!(unpacked.cuts, [0, 0, 1, 15, TEXT.len()]);
    }
}
