//! What a client asks to read: checked by one rule, whatever the way it reads.

use tidewire_protocol::client_frame::{History, Subscribe};
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Page};
use tidewire_protocol::name::Selector;

use crate::access::Granted;
use crate::clock::Millis;
use crate::session::desk::{Demand, Desk};
use crate::session::telling::failed;
use crate::topics::Topics;

/// Checks what is asked before the shard makes a cursor of it.
pub fn subscription(frame: Subscribe<'_>, desk: &mut Desk<'_>) -> Demand {
    let limits = desk.topics.limits();
    let checked = readable(&frame.name, desk.topics).and_then(|selector| {
        let is_pattern = matches!(*selector, Selector::Pattern(_));
        if desk.subscriptions >= limits.subscriptions_max
            || is_pattern && desk.patterns >= limits.patterns_max
        {
            return Err(Code::LimitReached);
        }
        if frame.when_slow == WhenSlow::Latest || frame.when_slow == WhenSlow::Unknown {
            return Err(Code::NotSupported);
        }
        Ok(selector)
    });
    match checked {
        Ok(selector) => {
            let (request, start, when_slow) = (frame.request, frame.from, frame.when_slow);
            Demand::Subscribe { request, selector, start, when_slow }
        }
        Err(code) => {
            desk.replies.put(&failed(frame.request, code));
            Demand::Nothing
        }
    }
}

/// Answers with a page of history.
pub fn page(now: Millis, frame: &History<'_>, desk: &mut Desk<'_>) {
    let selector = match readable(&frame.name, desk.topics) {
        Ok(selector) => selector,
        Err(code) => return desk.replies.put(&failed(frame.request, code)),
    };
    let limits = desk.topics.limits();
    if desk.unread_bytes + desk.replies.len() > limits.outbox_bytes_max / 2 {
        // A page is much larger than its question: many at once would overrun the bound on answers.
        return desk.replies.put(&failed(frame.request, Code::Overloaded));
    }
    let bytes_max = limits.page_bytes_max;
    let wanted = match usize::try_from(frame.bytes_max) {
        Ok(bytes) if bytes > 0 => bytes.min(bytes_max),
        Ok(_) | Err(_) => bytes_max,
    };
    let read = desk.topics.page(now, &selector, &frame.from, wanted);
    desk.replies.put(&HubFrame::Page(Page {
        request: frame.request,
        more: read.more,
        after: vec![desk.topics.position(read.stand.cursor)],
        upto: vec![desk.topics.position(read.upto)],
        gap: read.stand.gap,
        blocks: read.blocks.into(),
    }));
}

/// One rule for every way to read: live, history, whatever comes.
fn readable(name: &str, topics: &Topics) -> Result<Granted<Selector>, Code> {
    let selector = Selector::parse(name).map_err(|_| Code::BadName)?;
    if depth(name) > topics.limits().topic_depth_max {
        return Err(Code::BadName);
    }
    topics.access().subscribe(selector)
}

/// Tokens of a name.
pub fn depth(name: &str) -> usize {
    name.split('.').count()
}
