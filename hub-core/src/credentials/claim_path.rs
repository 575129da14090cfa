//! Where in a token something is wrong: the path of a claim, and nothing of what it says.

use std::fmt::{self, Write as _};

/// A path such as `tidewire.allow[2].topics[0]`, or none where no single claim is at fault. As short as it is, it goes
/// wherever the check goes that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClaimPath {
    text: [u8; BYTES_MAX],
    length: u8,
}

impl ClaimPath {
    /// No claim in particular.
    pub const NONE: Self = Self { text: [0; BYTES_MAX], length: 0 };

    /// This one. Of a name that somebody made up so much stays as is needed to find it, and no character that could be
    /// taken for something else where it is told.
    #[must_use]
    pub fn of(path: fmt::Arguments<'_>) -> Self {
        let mut claim = Self::NONE;
        // It is full, then.
        let _ = claim.write_fmt(path);
        claim
    }

    /// It as text; empty if it is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Write for ClaimPath {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let c = if c.is_ascii_graphic() && !matches!(c, '`' | '"' | '<' | '>' | '&') { c } else { '?' };
            let at = usize::from(self.length);
            *self.text.get_mut(at).ok_or(fmt::Error)? = c as u8;
            self.length += 1;
        }
        Ok(())
    }
}

impl fmt::Debug for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes of a path.
const BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_short_and_plain_whatever_it_is_made_of() {
        assert_eq!(ClaimPath::of(format_args!("tidewire.allow[{}].to", 2)).as_str(), "tidewire.allow[2].to");
        assert_eq!(ClaimPath::NONE.as_str(), "");
        assert_eq!(ClaimPath::of(format_args!("a.{}", "é`\"\n<b>\u{202e}")).as_str(), "a.?????b??");
        assert_eq!(ClaimPath::of(format_args!("{}", "x".repeat(1_000))).as_str().len(), BYTES_MAX);
    }
}
