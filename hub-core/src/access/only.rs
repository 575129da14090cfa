//! Whom of those who have signed in a rule speaks of: by their subjects, by other claims of their tokens, or each of their own
//! topics, where the subject stands in the pattern.

use std::borrow::Cow;
use std::sync::Arc;

use tidewire_protocol::name::Pattern;

use crate::access::caller::{Caller, Claims};

/// What has to hold for a bearer; all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// Who it has to be; nobody in particular if that is not said.
    pub subject: Option<SubjectIs>,
    /// What the token has to say, by the path of a claim and its value as JSON.
    pub claims: Vec<(Box<str>, Box<str>)>,
    /// Whether [`SUB`] in the rule's pattern stands for the subject.
    pub has_subject_in_pattern: bool,
}

/// What a subject has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectIs {
    /// This.
    Exactly(Box<str>),
    /// Anything that begins so.
    BeginsWith(Box<str>),
}

impl Only {
    /// The pattern of a rule of its, as it is for a caller; none if the rule does not speak of that one.
    #[must_use]
    pub(super) fn pattern<'a>(&self, pattern: &'a Pattern, caller: &Caller) -> Option<Cow<'a, Pattern>> {
        let pass = caller.pass()?;
        let is_whom = self.subject.as_ref().is_none_or(|subject| subject.holds(&pass.subject));
        let says = |(path, value): &(Box<str>, Box<str>)| pass.claims.say(path, value);
        if !is_whom || !self.claims.iter().all(says) {
            return None;
        }
        if self.has_subject_in_pattern {
            return with_subject(pattern.as_str(), &pass.subject).map(Cow::Owned);
        }
        Some(Cow::Borrowed(pattern))
    }
}

impl SubjectIs {
    fn holds(&self, subject: &str) -> bool {
        match self {
            Self::Exactly(whole) => **whole == *subject,
            Self::BeginsWith(begin) => subject.starts_with(&**begin),
        }
    }
}

impl Claims {
    /// Whether a claim is this, or is a list that holds it. The value is JSON.
    #[must_use]
    pub fn say(&self, path: &str, value: &str) -> bool {
        self.0.iter().any(|(known, said)| **known == *path && **said == *value)
    }

    /// Bytes that they take. A path that lists share counts for each of their entries.
    pub(super) fn bytes(&self) -> usize {
        let each = size_of::<(Arc<str>, Box<str>)>() + 2 * size_of::<usize>();
        self.0.iter().map(|(path, value)| each + path.len() + value.len()).sum()
    }
}

/// A pattern with the subject in the place of [`SUB`]; none if that is no single token of a name, which could make it match
/// more than its writer meant.
#[must_use]
pub fn with_subject(pattern: &str, subject: &str) -> Option<Pattern> {
    let is_plain = !subject.contains(['.', '*', '>', '{', '}']) && !subject.starts_with('$');
    // What is no name by itself, such as one with a space, is none in the middle of another.
    if !is_plain || Pattern::parse(subject).is_err() {
        return None;
    }
    Pattern::parse(&pattern.replace(SUB, subject)).ok()
}

/// What stands for the subject in a pattern.
pub const SUB: &str = "{sub}";
