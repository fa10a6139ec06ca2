//! The known name that somebody most likely meant.

/// The candidate with the fewest changes from `name` (a letter added, dropped, replaced, or swapped with the next one).
/// `None`: nothing is so near that it could be a slip.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = 2.max(name.chars().count() / 3);
    let ranked = candidates.map(|candidate| (distance(name, candidate), candidate));
    ranked.filter(|(distance, _)| *distance <= near).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The optimal string alignment distance, by rows.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut above: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(above[j - 2] + 1);
            }
            row.push(best);
        }
        above = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["image", "init", "entrypoint", "privileged", "mount", "mounts"];
        for (given, want) in [
            ("imge", Some("image")),
            ("iamge", Some("image")),
            ("Image", Some("image")),
            ("entry_points", Some("entrypoint")),
            ("privilege", Some("privileged")),
            ("mountz", Some("mount")),
            ("credentials", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, known.into_iter()), want, "{given}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, want) in [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("abc", "abd", 1), ("kitten", "sitting", 3)] {
            assert_eq!((distance(a, b), distance(b, a)), (want, want), "{a}, {b}");
        }
    }
}
