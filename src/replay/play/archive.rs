//! A tar archive as requests are compared by it: two of the same files are the same, whenever and by whom they were made.
//! What is no archive is compared by its bytes. Nothing is unpacked.
//!
//! A client that copies files, or sends what an image is built of, makes an archive anew each time, and even of a
//! file that it makes up itself, it notes the moment.

use std::hash::Hasher;

/// The unit of an archive, in bytes.
const BLOCK: usize = 512;
/// More than this of an extended header is looked at as it is, in bytes.
const LONGEST_EXTENSION: u64 = 64 * 1024;
/// What a header says, but for its checksum, moments and owners: name, mode, size, kind and target of a link, what it is
/// made by, the first part of a long name. What lies between is a number of a device.
const TOLD: [std::ops::Range<usize>; 5] = [0..108, 124..136, 156..265, 329..345, 345..500];
/// Records of an extended header that say moments and owners.
const UNTOLD: [&[u8]; 8] =
    [b"mtime=", b"atime=", b"ctime=", b"uid=", b"gid=", b"uname=", b"gname=", b"LIBARCHIVE.creationtime="];

/// Gives a hasher what an archive says, as its bytes come.
#[derive(Debug, Default)]
pub(in crate::replay) struct Essence {
    state: State,
    /// A block that has not come whole.
    held: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    /// Before the first block.
    #[default]
    Unknown,
    /// At a header.
    Header,
    /// Within a file: how much of it is left, and of its last block.
    File { left: u64, pad: u64 },
    /// Within an extended header, which is held: how much of it is left, and of its last block.
    Extension { left: u64, pad: u64 },
    /// No archive, or none any more.
    Other,
}

impl Essence {
    /// Takes bytes as they come, in any pieces.
    pub(in crate::replay) fn feed(&mut self, mut bytes: &[u8], to: &mut impl Hasher) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Other => {
                    to.write(bytes);
                    return;
                }
                State::Unknown | State::Header => {
                    let want = (BLOCK - self.held.len()).min(bytes.len());
                    let (now, rest) = bytes.split_at(want);
                    self.held.extend_from_slice(now);
                    bytes = rest;
                    if self.held.len() == BLOCK {
                        self.header(to);
                    }
                }
                State::File { left, pad } => {
                    let now = take(&mut bytes, left);
                    to.write(now);
                    if now.is_empty() {
                        // What fills the last block says nothing.
                        take(&mut bytes, pad);
                    }
                    if *left == 0 && *pad == 0 {
                        self.state = State::Header;
                    }
                }
                State::Extension { left, pad } => {
                    let now = take(&mut bytes, left);
                    self.held.extend_from_slice(now);
                    if now.is_empty() {
                        take(&mut bytes, pad);
                    }
                    if *left == 0 && *pad == 0 {
                        extension(&std::mem::take(&mut self.held), to);
                        self.state = State::Header;
                    }
                }
            }
        }
    }

    /// No more will come. Gives whether all of it was an archive.
    pub(in crate::replay) fn end(&mut self, to: &mut impl Hasher) -> bool {
        let held = std::mem::take(&mut self.held);
        to.write(&held);
        held.is_empty() && matches!(self.state, State::Header)
    }

    fn header(&mut self, to: &mut impl Hasher) {
        let block = std::mem::take(&mut self.held);
        if block.iter().all(|byte| *byte == 0) {
            // The end has two of them, or as many as its maker likes.
            return;
        }
        let size = number(&block[124..136]).filter(|_| number(&block[148..156]) == Some(checksum(&block)));
        let Some(size) = size else {
            to.write(&block);
            self.state = State::Other;
            return;
        };
        let pad = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        // How long an extended header is depends on how a moment is written.
        let extends = matches!(block[156], b'x' | b'g') && size <= LONGEST_EXTENSION;
        for told in TOLD.into_iter().filter(|told| !extends || told.start != 124) {
            to.write(&block[told]);
        }
        self.state = match (size, extends) {
            (0, _) => State::Header,
            (left, true) => State::Extension { left, pad },
            (left, false) => State::File { left, pad },
        };
    }
}

fn take<'a>(bytes: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    let (now, rest) = bytes.split_at(n);
    (*bytes, *left) = (rest, *left - n as u64);
    now
}

/// The records of an extended header, `LENGTH NAME=VALUE` and a line break each.
fn extension(mut records: &[u8], to: &mut impl Hasher) {
    while let Some(space) = records.iter().position(|byte| *byte == b' ') {
        let len = std::str::from_utf8(&records[..space]).ok().and_then(|text| text.parse::<usize>().ok());
        let Some(len) = len.filter(|len| (space + 1..=records.len()).contains(len)) else { break };
        let (record, rest) = records.split_at(len);
        if !UNTOLD.iter().any(|name| record[space + 1..].starts_with(name)) {
            to.write(record);
        }
        records = rest;
    }
    to.write(records);
}

/// Octal digits between blanks, or the number of a file that is too large for them, in binary.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        let (high, low) = field.split_at(field.len() - 8);
        let fits = high[1..].iter().all(|byte| *byte == 0);
        return low.try_into().ok().filter(|_| fits).map(u64::from_be_bytes);
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// The sum of a header's bytes, with blanks where the sum is.
fn checksum(block: &[u8]) -> u64 {
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
    sum - own + 8 * u64::from(b' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::DefaultHasher;

    struct File<'a> {
        name: &'a str,
        mode: u32,
        owner: u32,
        time: u64,
        kind: u8,
        data: &'a [u8],
    }

    const FILE: File<'_> = File { name: "a", mode: 0o644, owner: 0, time: 1, kind: b'0', data: b"hello" };

    fn tar(files: &[File<'_>]) -> Vec<u8> {
        let mut archive = Vec::new();
        for file in files {
            let mut block = vec![0; BLOCK];
            let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
            put(0, file.name);
            put(100, &format!("{:07o}", file.mode));
            put(108, &format!("{:07o}", file.owner));
            put(124, &format!("{:011o}", file.data.len()));
            put(136, &format!("{:011o}", file.time));
            put(257, "ustar\x0000");
            block[156] = file.kind;
            let sum = checksum(&block);
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            archive.extend_from_slice(&block);
            archive.extend_from_slice(file.data);
            archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        }
        archive.resize(archive.len() + 2 * BLOCK, 0);
        archive
    }

    fn digest(bytes: &[u8], piece: usize) -> u64 {
        let (mut essence, mut hasher) = (Essence::default(), DefaultHasher::new());
        bytes.chunks(piece).for_each(|piece| essence.feed(piece, &mut hasher));
        essence.end(&mut hasher);
        hasher.finish()
    }

    fn extended<'a>(records: &'a [u8], data: &'a [u8]) -> Vec<u8> {
        tar(&[File { name: "PaxHeaders/a", kind: b'x', data: records, ..FILE }, File { data, ..FILE }])
    }

    #[test]
    fn the_same_files_are_the_same() {
        let later = File { time: 2, owner: 1000, ..FILE };
        let mut longer_end = tar(&[FILE]);
        longer_end.resize(10 * 1024, 0);
        for (row, a, b, same) in [
            ("another moment and owner", tar(&[FILE]), tar(&[later]), true),
            ("a longer end", tar(&[FILE]), longer_end, true),
            ("other data", tar(&[FILE]), tar(&[File { data: b"hullo", ..FILE }]), false),
            ("more data", tar(&[FILE]), tar(&[File { data: b"hello!", ..FILE }]), false),
            ("another name", tar(&[FILE]), tar(&[File { name: "b", ..FILE }]), false),
            ("another mode", tar(&[FILE]), tar(&[File { mode: 0o755, ..FILE }]), false),
            ("another kind", tar(&[FILE]), tar(&[File { kind: b'2', ..FILE }]), false),
            ("one file more", tar(&[FILE]), tar(&[FILE, FILE]), false),
            (
                "another moment, as an extended header says it",
                extended(b"21 mtime=1.123456789\n13 path=abcd\n", b"x"),
                extended(b"12 mtime=22\n13 path=abcd\n", b"x"),
                true,
            ),
            (
                "another name, as an extended header says it",
                extended(b"13 path=abcd\n", b"x"),
                extended(b"13 path=abce\n", b"x"),
                false,
            ),
            ("no archive", b"hello".to_vec(), b"hullo".to_vec(), false),
            ("an archive and none", tar(&[FILE]), tar(&[FILE])[..100].to_vec(), false),
            ("a long one that is none", vec![b'x'; 2000], [vec![b'x'; 1999], vec![b'y']].concat(), false),
            (
                "what follows an archive",
                [tar(&[FILE]), vec![1; 600]].concat(),
                [tar(&[FILE]), vec![2; 600]].concat(),
                false,
            ),
        ] {
            for piece in [1, 7, 512, 100_000] {
                assert_eq!(digest(&a, 100_000) == digest(&b, piece), same, "{row}, {piece} at a time");
                assert_eq!(digest(&a, piece), digest(&a, 100_000), "{row}, {piece} at a time");
            }
        }
    }

    #[test]
    fn damaged_ones_are_compared_by_their_bytes() {
        let mut wrong = tar(&[FILE]);
        wrong[148] = b'7';
        let mut other = wrong.clone();
        other[136] = b'7';
        assert_ne!(digest(&wrong, 512), digest(&other, 512));
        let huge = File { data: &[], ..FILE };
        let mut huge = tar(&[huge]);
        huge[124] = 0x80;
        huge[128..136].copy_from_slice(&u64::MAX.to_be_bytes());
        let sum = checksum(&huge[..BLOCK]);
        huge[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_ne!(digest(&huge, 512), digest(&huge[..BLOCK], 7), "its data never ends");
    }
}
