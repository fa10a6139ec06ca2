//! Decisions in order, and how decisions about a text become decisions about the bytes in which that text was written.

use std::collections::VecDeque;

/// Decisions: so many bytes, masked or not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Runs(Vec<(usize, bool)>);

impl Runs {
    pub(super) fn push(&mut self, count: usize, masked: bool) {
        match self.0.last_mut() {
            _ if count == 0 => {}
            Some(last) if last.1 == masked => last.0 += count,
            _ => self.0.push((count, masked)),
        }
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = (usize, bool)> {
        self.0.drain(..)
    }
}

/// How many bytes of the text came from how many bytes of its writing: an escape is one and two, a frame's header none and eight.
/// Equal counts are so many single bytes; a unit of unequal counts is masked as a whole, if any of it is.
#[derive(Debug, Default)]
pub(super) struct Units {
    queue: VecDeque<(usize, usize)>,
    /// What was decided of the first unit.
    part: usize,
    masked: bool,
}

impl Units {
    pub(super) fn push(&mut self, text: usize, written: usize) {
        match self.queue.back_mut() {
            Some((t, w)) if t == w && text == written => (*t, *w) = (*t + text, *w + written),
            _ => self.queue.push_back((text, written)),
        }
    }

    /// Turns decisions about the text into decisions about its writing.
    pub(super) fn apply(&mut self, decisions: &mut Runs, out: &mut Runs) {
        for (mut count, masked) in decisions.drain() {
            while count > 0 {
                let Some(&mut (text, written)) = self.queue.front_mut() else { break };
                let taken = count.min(text - self.part);
                self.part += taken;
                count -= taken;
                if text == written {
                    out.push(taken, masked);
                } else {
                    self.masked |= masked && taken > 0;
                }
                if self.part == text {
                    if text != written {
                        out.push(written, self.masked);
                    }
                    self.queue.pop_front();
                    (self.part, self.masked) = (0, false);
                }
            }
        }
        while let Some(&(0, written)) = self.queue.front() {
            out.push(written, false);
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_about_a_writing() {
        // (units, decisions about the text, decisions about its writing)
        for (row, units, text, want) in [
            ("as it is", &[(3, 3)][..], &[(1, false), (2, true)][..], vec![(1, false), (2, true)]),
            (
                "an escape",
                &[(1, 1), (1, 2), (1, 1)],
                &[(1, false), (1, true), (1, false)],
                vec![(1, false), (2, true), (1, false)],
            ),
            ("half of a character", &[(2, 6)], &[(1, false), (1, true)], vec![(6, true)]),
            (
                "headers",
                &[(0, 8), (2, 2), (0, 8), (2, 2), (0, 8)],
                &[(4, true)],
                vec![(8, false), (2, true), (8, false), (2, true), (8, false)],
            ),
        ] {
            let (mut queue, mut given, mut out) = (Units::default(), Runs::default(), Runs::default());
            units.iter().for_each(|&(text, written)| queue.push(text, written));
            text.iter().for_each(|&(count, masked)| given.push(count, masked));
            queue.apply(&mut given, &mut out);
            assert_eq!(out.0, want, "{row}");
        }
    }
}
