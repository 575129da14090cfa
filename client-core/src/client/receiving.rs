//! Which frame of the hub goes where.

use tidewire_protocol::binary;
use tidewire_protocol::block::Block;
use tidewire_protocol::client_frame;
use tidewire_protocol::code::Code;
use tidewire_protocol::field::{Field, Fields};
use tidewire_protocol::hub_frame::{
    Acked, Attached, Detached, Failed, Goodbye, Heartbeat, Missing, Opened, Page, Progress, Refused,
    SignedIn, Subscribed, Unsubscribed, Welcome,
};
use tidewire_protocol::number::Offset;

use crate::client::Client;
use crate::connection::Change;
use crate::fault::Broken;
use crate::input::Millis;
use crate::options::PartyId;
use crate::output::Event;
use crate::parties::JOINS;
use crate::request::Asker;
use crate::tail::span;

impl Client {
    pub(super) fn received(&mut self, now: Millis, bytes: &[u8]) -> Change {
        let mut rest = bytes;
        while !rest.is_empty() && self.connection.is_heard() {
            let change = self.frame(now, &mut rest, bytes).unwrap_or_else(|Broken| self.broken(now));
            match change {
                Change::None => {}
                Change::Up | Change::Online | Change::Doubt => self.follow(now, change),
                Change::Down | Change::Over(_) => return change,
            }
        }
        self.subscriptions.look_for_ends(&mut self.outputs);
        self.connection.heard(now, self.parties.waits() || self.requests.waits());
        Change::None
    }

    fn broken(&mut self, now: Millis) -> Change {
        self.connection.misbehaved(now, &mut self.outputs)
    }

    fn acked(&mut self, acked: &Acked) {
        if acked.offset.0 > 0 {
            let last = Offset(acked.offset.0 + acked.count.saturating_sub(1));
            self.subscriptions.landed(acked.epoch, last);
        }
        self.parties.acked(acked, &mut self.outputs);
    }

    fn signed_in(&mut self, now: Millis, signed_in: &SignedIn<'_>) {
        self.connection.signed_in(now, signed_in, &self.options);
    }

    /// A question is refused to whoever asked it.
    fn failed(&mut self, now: Millis, frame: &Failed<'_>) {
        let out = &mut self.outputs;
        match self.requests.answered(frame.request) {
            Some(Asker::Tail(id)) => self.subscriptions.refused(now, id, frame, out),
            Some(Asker::Reader(id)) => self.subscriptions.page_refused(now, id, frame, out),
            Some(Asker::Ping) => {}
            None => self.connection.not_signed_in(now, frame, &self.options),
        }
    }

    /// A page comes for whoever asked for it.
    fn page(&mut self, now: Millis, page: &Page<'_>, bytes: &[u8]) -> Result<(), Broken> {
        let out = &mut self.outputs;
        match self.requests.answered(page.request) {
            Some(Asker::Reader(id)) => self.subscriptions.page(now, id, page, bytes, out),
            Some(Asker::Tail(_) | Asker::Ping) | None => Ok(()),
        }
    }

    /// Takes in one frame, from the front of `rest`.
    ///
    /// Each is read where its kind is told apart, never as a `HubFrame`: moving that costs the wasm client more
    /// than all that is done with the frames.
    fn frame(&mut self, now: Millis, rest: &mut &[u8], bytes: &[u8]) -> Result<Change, Broken> {
        let out = &mut self.outputs;
        let (kind, body) = binary::take(rest)?;
        if kind == Block::KIND {
            self.subscriptions.block(&Block::take(body)?, bytes, out)?;
            return Ok(Change::None);
        }
        let fields = &mut Fields::read(body);
        if let Some((_, code, text)) = WORDS.iter().find(|words| words.0 == kind) {
            let text = <&[u8]>::take(fields, (*text).into());
            if !text.is_empty() {
                out.tell(Event::Said { code: Code::take(fields, (*code).into()), text: span(text, bytes) });
            }
        }
        match kind {
            Welcome::KIND => {
                let subject = <&[u8]>::take(fields, Welcome::SUBJECT);
                let welcome = Welcome::without_texts(fields)?;
                self.parties.welcomed(&welcome);
                self.sends.welcomed(&welcome);
                self.subscriptions.welcomed(&welcome);
                self.subscriptions.tagged(PartyId::default(), welcome.tag);
                return Ok(self.connection.welcomed(now, &welcome, subject, &self.options, out));
            }
            Goodbye::KIND => self.connection.goodbye(now, &Goodbye::without_texts(fields)?, out),
            Heartbeat::KIND => {
                let heartbeat = Heartbeat::of(fields)?;
                if heartbeat.request.0 == 0 {
                    client_frame::Heartbeat::default().put(&mut self.wire);
                } else {
                    self.requests.answered(heartbeat.request);
                    self.connection.echoed(heartbeat.request);
                    self.sends.echoed(heartbeat.request);
                    out.tell(Event::Echoed { request: heartbeat.request });
                }
            }
            Attached::KIND if JOINS => {
                let attached = Attached::of(fields)?;
                if let Some(party) = self.parties.attached(&attached) {
                    self.subscriptions.tagged(party, attached.tag);
                }
            }
            Detached::KIND => self.parties.detached(now, &Detached::without_texts(fields)?, out),
            Opened::KIND => self.parties.opened(&Opened::of(fields)?),
            Acked::KIND => self.acked(&Acked::of(fields)?),
            Refused::KIND => {
                let refused = Refused::without_texts(fields)?;
                self.sends.refused(now, &refused, out);
                self.parties.refused(now, &refused, out)?;
            }
            Subscribed::KIND => {
                let subscribed = Subscribed::of(fields)?;
                if let Some(Asker::Tail(id)) = self.requests.answered(subscribed.request) {
                    self.subscriptions.subscribed(id, subscribed, out);
                }
            }
            Unsubscribed::KIND => {
                self.subscriptions.unsubscribed(now, &Unsubscribed::without_texts(fields)?, out)
            }
            SignedIn::KIND => self.signed_in(now, &SignedIn::without_texts(fields)?),
            Failed::KIND => self.failed(now, &Failed::without_texts(fields)?),
            Missing::KIND => self.subscriptions.missing(&Missing::of(fields)?, out)?,
            Progress::KIND => self.subscriptions.progress(&Progress::of(fields)?),
            Page::KIND => self.page(now, &Page::of(fields)?, bytes)?,
            // A kind that this version does not know is passed over, by rule.
            _ => {}
        }
        Ok(Change::None)
    }
}

/// Where frames that say why have the code and the words, by their kind.
const WORDS: [(u8, u8, u8); 5] = [
    (Detached::KIND, 2, 3),
    (Refused::KIND, 4, 7),
    (Unsubscribed::KIND, 3, 4),
    (Failed::KIND, 2, 4),
    (Goodbye::KIND, 1, 3),
];
