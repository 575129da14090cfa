//! What a disk may hold: whatever its bytes are, what is read of them is bounded by them, and what is read of a commit is put
//! back or refused.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tidewire_hub_core::access::Access;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{CommitNumber, DirectoryId, SegmentNumber};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::{Disk, Engine};
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::log::rows::tidying::tidy;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::tail::needed::Need;
use tidewire_hub_core::topics::found::Found;
use tidewire_hub_core::topics::{Settings, Topics};
use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::Epoch;

fuzz_target!(|bytes: &[u8]| {
    check_scan(bytes);
    let rows: Vec<_> = Rows::new(bytes).collect();
    assert!(rows.len() <= bytes.len());
    let is_readable = rows.iter().all(Result::is_ok);
    let mut tidied = Vec::new();
    if tidy(bytes, &mut tidied, |_, _, _| Need::Whole).is_ok() {
        assert!(is_readable);
        // What is left of a commit is read again, and nothing more goes of it.
        assert!(Rows::new(&tidied).all(|row| row.is_ok()));
        let mut again = Vec::new();
        assert!(tidy(&tidied, &mut again, |_, _, _| Need::Whole).is_ok() && again == tidied);
    }
    // As two commits as well, so that the second meets what the first has left.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for commits in [&[bytes][..], &[first, second]] {
        let mut found = Found::new(&[]);
        for (number, commit) in (1..).zip(commits) {
            let seen = found.see(number, commit);
            assert!(seen.is_err() || Rows::new(commit).all(|row| row.is_ok()));
        }
        let restored = topics().restore(0, Millis(1_000_000), found);
        assert!(restored.messages <= bytes.len() as u64 && restored.topics <= bytes.len() as u64);
    }
});

/// Each byte is in one item at most, and the last item is the end.
fn check_scan(bytes: &[u8]) {
    let mut at = 0;
    let mut is_over = false;
    for item in Scan::new(DirectoryId(0), SegmentNumber(1), bytes, CommitNumber(0)) {
        assert!(!is_over);
        match item {
            Item::Frame(frame) => {
                assert!(frame.at >= at);
                at = frame.at + frame.body.len();
            }
            Item::Damage { from, to } => {
                assert!(at <= from && from < to);
                at = to;
            }
            Item::Torn { from, to } => is_over = at <= from && from <= to && to <= bytes.len(),
            Item::End { at: end } => is_over = at <= end && end <= bytes.len(),
        }
    }
    assert!(is_over);
}

fn topics() -> Arc<Topics> {
    let all = Retention::ALL;
    let rules = Pattern::parse(">").map(|pattern| vec![TopicRule { pattern, retention: all, log: 0 }]);
    let rules = rules.unwrap_or_default();
    let settings = Settings { limits: Limits::default(), access: Access::open(), rules, boot: 0 };
    let disk = Engine::Disk(Disk::default());
    Arc::new(Topics::with_logs(settings, vec![(Epoch(1), disk)], Vec::new()))
}
