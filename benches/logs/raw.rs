//! The least that a client can do: the same request on a Unix socket, chunks and frames taken apart as they come, stamps left
//! out, and what remains written to a file. It looks at nothing else, and would go on with nothing after a break.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

const BUFFER: usize = 64 * 1024;

/// Follows a container's output into a file, to its end.
pub(crate) fn follow(socket: &Path, id: &str, file: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let query = "follow=1&stdout=1&stderr=1&timestamps=1";
    write!(stream, "GET /v1.41/containers/{id}/logs?{query} HTTP/1.1\r\nHost: docker\r\n\r\n")?;
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    let body = loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => filled += n,
        }
        if let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::Error::other("the Engine refuses"));
    }
    let mut out = BufWriter::with_capacity(BUFFER, File::create(file)?);
    let (mut chunks, mut frames) = (Chunks::Size(0), Frames::Header { have: 0, length: 0 });
    let mut rest = body..filled;
    while chunks.take(&buffer[rest], &mut |bytes| frames.take(bytes, &mut out))? {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => rest = 0..n,
        }
    }
    out.flush()
}

enum Chunks {
    /// The digits of a length, so far; what is no digit ends with a newline.
    Size(usize),
    Data(usize),
}

impl Chunks {
    /// Hands on what is within chunks. False: that was the last one.
    fn take(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
        while let Some(&byte) = bytes.first() {
            match self {
                Self::Size(size) => {
                    bytes = &bytes[1..];
                    match byte {
                        b'\n' if *size == 0 => return Ok(false),
                        b'\n' => *self = Self::Data(*size + 2),
                        b'\r' => {}
                        digit => {
                            let digit = (digit as char).to_digit(16).ok_or(io::ErrorKind::InvalidData)?;
                            *size = *size * 16 + digit as usize;
                        }
                    }
                }
                Self::Data(left) => {
                    // Two of them are the line end behind it.
                    let data = left.saturating_sub(2).min(bytes.len());
                    let length = (*left).min(bytes.len());
                    each(&bytes[..data])?;
                    bytes = &bytes[length..];
                    *left -= length;
                    if *left == 0 {
                        *self = Self::Size(0);
                    }
                }
            }
        }
        Ok(true)
    }
}

enum Frames {
    Header { have: usize, length: u32 },
    Stamp(usize),
    Payload(usize),
}

impl Frames {
    fn take(&mut self, mut bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        while !bytes.is_empty() {
            match self {
                Self::Header { have: 0, .. } if bytes.len() >= 8 => {
                    let [.., a, b, c, d] = bytes[..8] else { continue };
                    bytes = &bytes[8..];
                    *self = Self::Stamp(u32::from_be_bytes([a, b, c, d]) as usize);
                }
                Self::Header { have, length } => {
                    if *have >= 4 {
                        *length = *length << 8 | u32::from(bytes[0]);
                    }
                    (*have, bytes) = (*have + 1, &bytes[1..]);
                    if *have == 8 {
                        *self = Self::Stamp(*length as usize);
                    }
                }
                Self::Stamp(left) => match bytes.iter().position(|&b| b == b' ') {
                    Some(blank) => {
                        *self = Self::of(*left - blank - 1);
                        bytes = &bytes[blank + 1..];
                    }
                    None => (*left, bytes) = (*left - bytes.len(), &[]),
                },
                Self::Payload(left) => {
                    let length = (*left).min(bytes.len());
                    out.write_all(&bytes[..length])?;
                    *self = Self::of(*left - length);
                    bytes = &bytes[length..];
                }
            }
        }
        Ok(())
    }

    fn of(left: usize) -> Self {
        if left == 0 { Self::Header { have: 0, length: 0 } } else { Self::Payload(left) }
    }
}
