//! Topic names and patterns: what is allowed, and what matches what.

use alloc::sync::Arc;
use core::fmt;

/// Bytes a topic name or pattern may have.
pub const NAME_BYTES_MAX: usize = 255;

/// The name of a topic: dot-separated tokens, UTF-8, no control characters, white space, `*` or `>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// A topic name in which `*` stands for one token and a last `>` for one or more.
///
/// Neither matches a token that opens with `$` in first place: reserved topics must be named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

/// What a subscription asks for: one topic, or all that match a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// Exactly this topic.
    Topic(TopicName),
    /// Every topic that the pattern matches.
    Pattern(Pattern),
}

/// Why a text is no topic name or pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// The name, or a token between two dots, is empty.
    Empty,
    /// More than [`NAME_BYTES_MAX`] bytes.
    TooLong,
    /// A control character, white space, or a `*` or `>` where none may stand.
    BadCharacter,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a name and its dot-separated tokens must not be empty",
            Self::TooLong => "a name has at most 255 bytes",
            Self::BadCharacter => "a name has no control characters, spaces, or misplaced `*` and `>`",
        })
    }
}

impl core::error::Error for NameError {}

impl TopicName {
    /// Checks and takes over a topic name.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, false)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as text that all its clones share.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }

    /// Whether the name is kept for the hub's own use (`$...`).
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl Pattern {
    /// Checks and takes over a pattern. A plain topic name is a pattern that matches itself.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, true)?;
        Ok(Self(text.into()))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern stands for this topic.
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        self.covers_text(topic.as_str())
    }

    /// Whether every topic that `other` matches is matched by `self` too.
    ///
    /// A grant must cover what is asked for whole (rule 8 of the model).
    #[must_use]
    pub fn covers(&self, other: &Pattern) -> bool {
        self.covers_text(other.as_str())
    }

    /// Whether some topic could match both patterns.
    #[must_use]
    pub fn overlaps(&self, other: &Pattern) -> bool {
        let (mut ours, mut theirs) = (self.0.split('.'), other.0.split('.'));
        let mut first = true;
        loop {
            let (a, b) = match (ours.next(), theirs.next()) {
                (Some(a), Some(b)) => (a, b),
                (a, b) => return a.is_none() && b.is_none(),
            };
            let wild = [a, b].iter().any(|token| *token == "*" || *token == ">");
            let reserved = first && (a.starts_with('$') || b.starts_with('$'));
            if a != b && (!wild || reserved) {
                return false;
            }
            if a == ">" || b == ">" {
                return true;
            }
            first = false;
        }
    }

    /// Token by token. A wildcard of `text` is covered only by a wildcard at least as wide.
    fn covers_text(&self, text: &str) -> bool {
        let mut tokens = text.split('.');
        let mut first = true;
        for wanted in self.0.split('.') {
            let Some(token) = tokens.next() else { return false };
            if first && token.starts_with('$') && wanted != token {
                return false;
            }
            first = false;
            match wanted {
                ">" => return true,
                "*" if token == ">" => return false,
                "*" => {}
                _ if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

impl Selector {
    /// A text with a wildcard token is a pattern, any other a topic.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if is_pattern(text) {
            Pattern::parse(text).map(Self::Pattern)
        } else {
            TopicName::parse(text).map(Self::Topic)
        }
    }

    /// The name or pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Topic(topic) => topic.as_str(),
            Self::Pattern(pattern) => pattern.as_str(),
        }
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text holds a wildcard and so can only be a pattern.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    text.bytes().any(|b| b == b'*' || b == b'>')
}

/// Checks a name without keeping it; `wildcards` says whether `*` and a last `>` may stand as tokens.
///
/// # Errors
/// [`NameError`] says which rule the text breaks.
pub fn check(text: &str, wildcards: bool) -> Result<(), NameError> {
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    let mut token = Token::Empty;
    for c in text.chars() {
        token = match (token, c) {
            (Token::Empty, '.') => return Err(NameError::Empty),
            (Token::One | Token::Text, '.') => Token::Empty,
            (Token::One | Token::Rest, _) => return Err(NameError::BadCharacter),
            (Token::Empty, '*') if wildcards => Token::One,
            (Token::Empty, '>') if wildcards => Token::Rest,
            _ if c == '*' || c == '>' || c.is_control() || is_space(c) => {
                return Err(NameError::BadCharacter);
            }
            (Token::Empty | Token::Text, _) => Token::Text,
        };
    }
    if token == Token::Empty { Err(NameError::Empty) } else { Ok(()) }
}

/// What the token that is being read has been so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Empty,
    Text,
    /// `*`, after which only a dot may come.
    One,
    /// `>`, after which nothing may come.
    Rest,
}

/// ASCII space, and the Unicode spaces and line separators that would make two names look alike.
fn is_space(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

#[cfg(feature = "json")]
pub(crate) mod as_text {
    //! Names in JSON. Half a surrogate pair in one makes it a name that nothing can have, so that it is refused as such
    //! names are and does not end the link.

    use alloc::borrow::Cow;
    use alloc::string::String;
    use core::fmt;

    use serde::Deserializer;
    use serde::de::{Error, Visitor};

    pub(crate) fn deserialize<'de, 'a, D: Deserializer<'de>>(from: D) -> Result<Cow<'a, str>, D::Error> {
        from.deserialize_bytes(Name).map(Cow::Owned)
    }

    struct Name;

    impl Visitor<'_> for Name {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<String, E> {
            Ok(name.into())
        }

        fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<String, E> {
            Ok(core::str::from_utf8(name).unwrap_or(NO_NAME).into())
        }
    }

    /// A text that is no name.
    const NO_NAME: &str = "\0";
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check_match(pattern: &str, topic: &str, expected: bool) {
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(&TopicName::parse(topic).unwrap()), expected);
    }

    #[test]
    fn wildcards_stand_for_whole_tokens() {
        check_match("a.*", "a.b", true);
        check_match("a.*", "a", false);
        check_match("a.*", "a.b.c", false);
        check_match("a.>", "a.b.c", true);
        check_match("a.>", "a", false);
        check_match("*.b", "a.b", true);
        check_match(">", "a", true);
        check_match("a.b", "a.b", true);
    }

    #[test]
    fn wildcards_never_match_a_leading_dollar() {
        check_match(">", "$presence.a", false);
        check_match("*.a", "$presence.a", false);
        check_match("$presence.*", "$presence.a", true);
        check_match("a.*", "a.$b", true);
    }

    #[test]
    fn a_grant_covers_a_pattern_whole() {
        let covers = |a: &str, b: &str| Pattern::parse(a).unwrap().covers(&Pattern::parse(b).unwrap());
        assert!(covers("a.>", "a.*.c"));
        assert!(covers("a.>", "a.>"));
        assert!(covers("a.*", "a.*"));
        assert!(!covers("a.*", "a.>"));
        assert!(!covers("a.b", "a.*"));
        assert!(!covers(">", "$x.>"));
        assert!(!covers("*.*", "a.>"));
    }

    #[test]
    fn patterns_overlap_where_one_topic_could_match_both() {
        let overlap = |a: &str, b: &str| Pattern::parse(a).unwrap().overlaps(&Pattern::parse(b).unwrap());
        assert!(overlap("a.*", "*.b"));
        assert!(overlap("a.>", "*.b.c"));
        assert!(overlap("a.b", "a.b"));
        assert!(!overlap("a.*", "b.*"));
        assert!(!overlap("a.*", "a.b.c"));
        assert!(!overlap("a.>", "a"));
        assert!(!overlap(">", "$x.a"));
    }

    #[test]
    fn bad_names_are_refused() {
        for (text, error) in [
            ("", NameError::Empty),
            ("a..b", NameError::Empty),
            (".a", NameError::Empty),
            ("a b", NameError::BadCharacter),
            ("a\n", NameError::BadCharacter),
            ("a\u{2028}", NameError::BadCharacter),
            ("a.*", NameError::BadCharacter),
            ("a*", NameError::BadCharacter),
        ] {
            assert_eq!(TopicName::parse(text).unwrap_err(), error, "{text:?}");
        }
        assert_eq!(TopicName::parse(&"x".repeat(256)).unwrap_err(), NameError::TooLong);
        assert_eq!(Pattern::parse("a.>.b").unwrap_err(), NameError::BadCharacter);
        assert_eq!(Pattern::parse("a*").unwrap_err(), NameError::BadCharacter);
    }
}
