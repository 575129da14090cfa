//! What a client asks to read: checked by one rule, whatever the way it reads.

use tidewire_protocol::client_frame::{History, Subscribe};
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::hub_frame::Page;
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::Request;
use tidewire_protocol::position::Start;

use crate::access::Granted;
use crate::access::caller::{Caller, Right};
use crate::clock::Millis;
use crate::limits::of_bearer::Bound;
use crate::reading::most::Most;
use crate::reading::question::{Ask, PageRead};
use crate::reading::reads::Asker;
use crate::session::AskedPage;
use crate::session::desk::{Demand, Desk};
use crate::session::paging::Full;
use crate::session::telling::failed;
use crate::topics::Topics;

/// Checks what is asked before the shard makes a cursor of it.
pub fn subscription(frame: Subscribe<'_>, caller: &Caller, desk: &mut Desk<'_>) -> Demand {
    let limits = desk.topics.limits();
    let checked = readable(&frame.name, caller, Right::Subscribe, desk.topics).and_then(|selector| {
        let is_pattern = matches!(*selector, Selector::Pattern(_));
        if desk.subscriptions >= caller.at_most(Bound::Subscriptions, limits.subscriptions_max)
            || is_pattern && desk.patterns >= caller.at_most(Bound::Patterns, limits.patterns_max)
        {
            return Err(Code::LimitReached);
        }
        if frame.when_slow == WhenSlow::Unknown || frame.when_slow == WhenSlow::Latest && is_pattern {
            return Err(Code::NotSupported);
        }
        if matches!(frame.from, Start::Before { .. }) {
            // What is subscribed to has no end.
            return Err(Code::NotSupported);
        }
        few(&frame.from)?;
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

/// Answers with a page of history, at once or when it was read: then gives what was asked for. So many bytes of others are
/// `under_way`.
pub fn page(
    now: Millis,
    frame: &History<'_>,
    caller: &Caller,
    under_way: usize,
    desk: &mut Desk<'_>,
) -> Option<AskedPage> {
    let asked = readable(&frame.name, caller, Right::History, desk.topics).and_then(|selector| {
        few(&frame.from)?;
        let limits = desk.topics.limits();
        if desk.unread_bytes + desk.replies.len() + under_way > limits.outbox_bytes_max / 2 {
            // A page is much larger than its question: many at once would overrun the bound on answers.
            return Err(Code::Overloaded);
        }
        let bytes_max = match usize::try_from(frame.bytes_max) {
            Ok(bytes) if bytes > 0 => bytes.min(limits.page_bytes_max),
            Ok(_) | Err(_) => limits.page_bytes_max,
        };
        let full = match frame.from {
            Start::Before { .. } => Full::LacksOldest,
            _ => Full::LacksNewest,
        };
        let most = Most::bytes(bytes_max).messages(frame.messages_max);
        let start = most.start(&frame.from);
        if let Some(read) = desk.topics.page(now, &selector, &start, frame.removals, most) {
            desk.replies.put_page(page_of(frame.request, read), bytes_max, full);
            return Ok(None);
        }
        let serial = desk.serials.give();
        let ask = Ask::Page { selector: Selector::clone(&selector), start, most };
        let asker = Asker::default();
        desk.topics.read(desk.address.with(serial), &asker, desk.account, ask)?;
        Ok(Some(AskedPage { serial, request: frame.request, selector, bytes_max, full, asker }))
    });
    asked.unwrap_or_else(|code| {
        desk.replies.put(&failed(frame.request, code));
        None
    })
}

/// A page as it is told.
#[must_use]
pub fn page_of(request: Request, read: PageRead) -> Page<'static> {
    let PageRead { after, upto, gap, blocks, more, removals } = read;
    Page { request, more, after, upto, gap, blocks: blocks.into(), removals }
}

/// One rule for every way to read: live, history, whatever comes.
///
/// # Errors
/// [`Code::BadName`], or [`Code::Forbidden`] if nothing allows it.
pub fn readable(
    name: &str,
    caller: &Caller,
    right: Right,
    topics: &Topics,
) -> Result<Granted<Selector>, Code> {
    let selector = Selector::parse(name).map_err(|_| Code::BadName)?;
    if depth(name) > topics.limits().topic_depth_max {
        return Err(Code::BadName);
    }
    topics.access().now().read(caller, right, selector)
}

/// Whether a page that was granted is still allowed by the rules and the pass that hold now.
#[must_use]
pub fn still_readable(selector: &Granted<Selector>, caller: &Caller, topics: &Topics) -> bool {
    let rules = topics.access();
    selector.grant().is_current(rules.edition(), caller) || rules.now().may(caller, Right::History, selector)
}

/// Tokens of a name.
pub fn depth(name: &str) -> usize {
    name.split('.').count()
}

/// A reader has a place in each log, and may have kept those of some that are gone.
fn few(start: &Start) -> Result<(), Code> {
    match start {
        Start::After(positions) | Start::Before { positions, .. } if positions.len() > POSITIONS_MAX => {
            Err(Code::LimitReached)
        }
        _ => Ok(()),
    }
}

const POSITIONS_MAX: usize = 64;
