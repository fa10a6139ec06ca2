//! Identities: a random UUID for what is really run, one made of names for what is only planned, and a task's own.

use std::fs::File;
use std::io::{self, Read};

/// Where the kernel gives random bytes.
const RANDOM: &str = "/dev/urandom";

/// A random UUID (version 4).
///
/// # Errors
/// The kernel's random bytes cannot be read.
pub fn random_uuid() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open(RANDOM)?.read_exact(&mut bytes)?;
    Ok(uuid(bytes, 4))
}

/// A UUID (version 8: of our own making) that is the same for the same names.
pub fn uuid_of(names: &[&str]) -> String {
    let joined = names.join("\0");
    let (high, low) = (fnv("high", &joined), fnv("low", &joined));
    uuid((u128::from(high) << 64 | u128::from(low)).to_be_bytes(), 8)
}

/// A task's id: `<allocation>/<task>/<8 hex>`. The last part follows from the others, so that the same allocation gives
/// the same containers; it stays over restarts.
pub(in crate::runner) fn task_id(alloc_id: &str, task: &str) -> String {
    let digest = fnv(alloc_id, task);
    format!("{alloc_id}/{task}/{:08x}", (digest >> 32) as u32 ^ digest as u32)
}

/// Names of locks that all allocations share (`state::lock`); they lie where an allocation's files do.
const RESERVED: [&str; 3] = ["peek", "placing", "wish"];

/// Whether `id` can be an allocation's: 1 to 64 letters, digits, `-` or `_`, the first no sign, and not the name of a lock. It becomes
/// a part of paths and of container names.
pub(in crate::runner) fn is_alloc_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric();
    !RESERVED.contains(&id)
        && (1..=64).contains(&id.len())
        && id.starts_with(plain)
        && id.chars().all(|c| plain(c) || c == '-' || c == '_')
}

fn uuid(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// FNV-1a, 64 bits, over both texts. std's hasher may change with the compiler, and these ids are written down.
fn fnv(seed: &str, text: &str) -> u64 {
    let bytes = seed.bytes().chain([0]).chain(text.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_their_form() {
        assert_eq!(uuid([0xff; 16], 4), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16], 4), "00000000-0000-4000-8000-000000000000");
        let (one, other) = (random_uuid().unwrap(), random_uuid().unwrap());
        assert!(one != other && one.len() == 36 && is_alloc_id(&one), "{one} {other}");
    }

    #[test]
    fn made_of_names() {
        assert_eq!(uuid_of(&["job", "group", "0"]), uuid_of(&["job", "group", "0"]));
        assert_ne!(uuid_of(&["job", "group", "0"]), uuid_of(&["job", "group", "1"]));
        assert_ne!(uuid_of(&["ab", "c"]), uuid_of(&["a", "bc"]), "the names are kept apart");
        let id = task_id("a1", "web");
        assert!(id.starts_with("a1/web/") && id.len() == "a1/web/".len() + 8, "{id}");
        assert_ne!(id, task_id("a2", "web").replace("a2", "a1"));
    }

    #[test]
    fn ids_of_allocations() {
        for (id, want) in [
            ("8f9a1f5e-0000-4000-8000-000000000001", true),
            ("test_1", true),
            ("", false),
            ("-x", false),
            ("../x", false),
            ("a/b", false),
            ("a.b", false),
            ("wish", false),
            ("peek", false),
            ("placing", false),
            ("wishes", true),
            (&*"x".repeat(65), false),
        ] {
            assert_eq!(is_alloc_id(id), want, "{id:?}");
        }
    }
}
