//! A pattern in two logs, of which one outlives the hub.

use std::borrow::Cow;

use tidewire_protocol::block::{Block, put_on_page};
use tidewire_protocol::code::{GapReason, Outcome};
use tidewire_protocol::hub_frame::{HubFrame, Page, Subscribed};
use tidewire_protocol::number::{Epoch, Offset, Request, Tag, TailNumber};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::rig::{Rig, records};

fn place(epoch: u64, offset: u64) -> Position {
    Position { epoch: Epoch(epoch), offset: Offset(offset) }
}

/// The hub begins the pattern, or begins it again.
fn begin(rig: &mut Rig, request: u64, tail: u64, positions: [Position; 2], gap: Option<Gap>) {
    let outcome = if gap.is_some() { Outcome::Gap } else { Outcome::Resumed };
    let (request, tail) = (Request(request), TailNumber(tail));
    rig.say(HubFrame::Subscribed(Subscribed {
        request,
        tail,
        outcome,
        positions: positions.into(),
        gap,
        ..Subscribed::default()
    }));
}

/// Messages in the second log.
fn second(tail: u64, prev: u64, records: &[u8]) -> Block<'_> {
    Block { tail: TailNumber(tail), log: 1, prev: Offset(prev), records, ..Block::default() }
}

#[test]
fn what_was_read_of_a_log_that_goes_on_does_not_come_again_because_another_began_anew() {
    let mut rig = Rig::online();
    rig.subscribe("t.*", Start::Latest);
    begin(&mut rig, 1, 9, [place(7, 4), place(8, 5)], None);
    // The second listener reads history, and with it what the live flow has not brought yet.
    rig.subscribe("t.*", Start::Earliest);
    rig.forget();
    let mut blocks = Vec::new();
    put_on_page(&second(0, 0, &records(0, &[5, 7, 9], Tag(0), None)), &mut Vec::new(), &mut blocks);
    let (after, upto) = (vec![place(7, 0), place(8, 0)], vec![place(7, 4), place(8, 9)]);
    let page = Page { request: Request(2), after, upto, blocks: Cow::Owned(blocks), ..Page::default() };
    rig.say(HubFrame::Page(page));
    rig.events.clear();
    rig.reconnect();
    rig.expect_sent(&["hello ", "subscribe 3 t.* after 7:4,8:5"]);
    rig.events.clear();
    let anew = Gap { epoch: Epoch(6), from: Offset(1), to: Offset(0), reason: GapReason::EpochChanged };
    begin(&mut rig, 3, 10, [place(6, 0), place(8, 5)], Some(anew));
    rig.expect_events(&["gap 1 1..0 epoch_changed", "gap 2 1..0 epoch_changed"]);
    rig.say(HubFrame::Block(second(10, 5, &records(5, &[7, 9, 11], Tag(0), None))));
    rig.expect_events(&["message 1 m7", "message 1 m9", "message 1 m11", "message 2 m11"]);
    rig.say(HubFrame::Block(Block { log: 0, ..second(10, 0, &records(0, &[1], Tag(0), None)) }));
    rig.expect_events(&["message 1 m1", "message 2 m1"]);
}

#[test]
fn a_log_that_ends_before_what_was_read_of_it_is_read_from_its_end() {
    let mut rig = Rig::online();
    rig.subscribe("t.*", Start::Latest);
    begin(&mut rig, 1, 9, [place(7, 4), place(8, 5)], None);
    rig.reconnect();
    rig.events.clear();
    let lost = Gap { epoch: Epoch(8), from: Offset(4), to: Offset(5), reason: GapReason::BeyondEnd };
    begin(&mut rig, 2, 10, [place(7, 4), place(8, 3)], Some(lost));
    rig.say(HubFrame::Block(second(10, 3, &records(3, &[4], Tag(0), None))));
    rig.expect_events(&["gap 1 4..5 beyond_end", "message 1 m4"]);
}
