//! Payloads inside JSON: stamps have no character that JSON escapes, so they are found without parsing.

use memchr::{memchr, memmem};

use crate::ledger::Ledger;

/// Books every payload that stands in quotes behind `key`.
pub(super) fn deliver(mut text: &[u8], key: &[u8], subscriber: u32, ledger: &mut Ledger) {
    let finder = memmem::Finder::new(key);
    while let Some(at) = finder.find(text) {
        text = &text[at + key.len()..];
        let end = memchr(b'"', text).unwrap_or(text.len());
        ledger.deliver(subscriber as usize, &text[..end]);
        text = &text[end..];
    }
}

/// Whether `text` holds `part`.
pub(super) fn holds(text: &[u8], part: &str) -> bool {
    memmem::find(text, part.as_bytes()).is_some()
}
