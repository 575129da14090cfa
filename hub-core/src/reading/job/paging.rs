//! Pages of a pattern: forward from a place until they are full, or whole up to the place below which they end.

use tidewire_protocol::block::put_on_page;
use tidewire_protocol::code::GapReason;
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position, Start};

use crate::clock::Millis;
use crate::reading::gather::{Found, Search};
use crate::reading::job::{Hub, Job, Stage};
use crate::reading::merge::{Form, Merge, Part};
use crate::reading::most::Most;
use crate::reading::question::{Answer, Ask};
use crate::reading::start::asked_place;

impl Job {
    /// The page has no messages, and says of a log where its last one is that is kept.
    pub(super) fn tell_end(&mut self, hub: &Hub<'_>, log: u8, found: &Found) -> Option<Answer> {
        let place = hub.logs[usize::from(log)].position(found.last_kept);
        self.page.after.push(place);
        self.page.upto.push(place);
        None
    }

    /// Looks for where a page begins that ends in this log at `below`, or has nothing to tell of it but that it began later.
    pub(super) fn look_below(
        &mut self,
        hub: &Hub<'_>,
        log: u8,
        mut found: Found,
        (last, bytes_max): (u64, usize),
        below: Option<Offset>,
    ) {
        let room = bytes_max.saturating_sub(self.page.blocks.len());
        let is_full = !self.page.blocks.is_empty() && room == 0;
        if is_full || below.is_none() && self.page.gap.is_some() {
            self.stay_where_asked(hub, log);
            return;
        }
        let Some(below) = below else {
            let begin = hub.logs[usize::from(log)].position(Offset(0));
            let (from, to) = (Offset(1), Offset(0));
            self.page.gap = Some(Gap { epoch: begin.epoch, from, to, reason: GapReason::EpochChanged });
            self.page.after.push(begin);
            self.page.upto.push(begin);
            return;
        };
        found.upto = found.upto.min(below);
        let count = self.shares.get(usize::from(log)).copied().unwrap_or(last);
        let search = Search::new(&found, count, room as u64);
        self.stage = Stage::Searching(log, found, search);
    }

    /// Adds what a log has to the page. Whether some of that has to be read from the disk first.
    pub(super) fn read_page(
        &mut self,
        now: Millis,
        hub: &Hub<'_>,
        form: &Form<'_>,
        merge: &mut Merge,
    ) -> bool {
        let Ask::Page { start, most, .. } = &self.ask else { return false };
        let place = hub.logs[usize::from(form.log)].position(merge.begun_at());
        let ends_below = matches!(start, Start::Before { .. });
        // What lies below a place was weighed, and comes whole.
        let most = if ends_below { Most::ALL } else { self.left(*most) };
        let is_full = !self.page.blocks.is_empty() && most.bytes == 0;
        let form = Form { most, ..*form };
        let mut part = Part { upto: merge.cursor(), ..Part::default() };
        let len = self.page_len as usize;
        let mut scratch = Vec::new();
        loop {
            if is_full {
                break;
            }
            let from = if ends_below { place.offset } else { merge.cursor() };
            part = merge.read(now, &form);
            if part.is_away {
                return true;
            }
            if let Some(lost) = part.lost
                && !self.lose(place, from.next(), lost.min(merge.upto()))
            {
                self.page.blocks.truncate(len);
                if ends_below {
                    self.stay_where_asked(hub, form.log);
                } else {
                    self.stay(place);
                }
                return false;
            }
            for block in &part.blocks {
                self.page_messages += block.count as usize;
                put_on_page(&block.wire(), &mut scratch, &mut self.page.blocks);
            }
            let has_some = !part.blocks.is_empty();
            let goes_on =
                if ends_below { has_some || part.lost.is_some() } else { !has_some && part.lost.is_some() };
            if part.done || !goes_on {
                break;
            }
        }
        self.page.after.push(place);
        self.page.upto.push(Position { offset: part.upto, ..place });
        self.page.more |= if ends_below { place.offset.0 > 0 } else { !part.done };
        self.stage = Stage::Next;
        false
    }

    /// What the page has room for yet.
    pub(super) const fn left(&self, most: Most) -> Most {
        most.without(self.page.blocks.len(), self.page_messages)
    }

    /// Tells that messages from here on were lost while the page was read; `false` if it tells a gap of another log.
    fn lose(&mut self, Position { epoch, .. }: Position, from: Offset, lost: Offset) -> bool {
        if self.page.gap.is_some_and(|told| told.epoch != epoch) {
            return false;
        }
        let gap = Gap { epoch, from, to: lost, reason: GapReason::Retention };
        self.page.gap = Some(self.page.gap.map_or(gap, |told| Gap { to: told.to.max(lost), ..told }));
        true
    }

    /// The page brings nothing of a log: the reader is where it says that it is.
    pub(super) fn stay_where_asked(&mut self, hub: &Hub<'_>, log: u8) {
        let Ask::Page { start, .. } = &self.ask else { return };
        let place = asked_place(start, hub.logs, log);
        self.stay(place);
    }

    /// The page brings nothing of a log.
    fn stay(&mut self, place: Position) {
        self.page.after.push(place);
        self.page.upto.push(place);
        self.page.more = true;
    }
}
