//! Which frame of the hub goes where.

use tidewire_protocol::binary;
use tidewire_protocol::block::Block;
use tidewire_protocol::client_frame;
use tidewire_protocol::field::{Field, Fields};
use tidewire_protocol::hub_frame::{
    Acked, Attached, Detached, Failed, Goodbye, Heartbeat, Missing, Opened, Page, Progress, Refused,
    Subscribed, Unsubscribed, Welcome,
};
use tidewire_protocol::number::Offset;

use crate::client::Client;
use crate::connection::Change;
use crate::fault::Broken;
use crate::history::ASKS;
use crate::input::Millis;
use crate::options::PartyId;
use crate::parties::JOINS;

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
        self.connection.heard(now, self.parties.waits());
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
        match kind {
            Welcome::KIND => {
                let subject = <&[u8]>::take(fields, Welcome::SUBJECT);
                let welcome = Welcome::without_texts(fields)?;
                self.parties.welcomed(&welcome);
                self.sends.welcomed(&welcome);
                self.subscriptions.tagged(PartyId::default(), welcome.tag);
                return Ok(self.connection.welcomed(now, &welcome, subject, &self.options, out));
            }
            Goodbye::KIND => self.connection.goodbye(now, &Goodbye::without_texts(fields)?, out),
            Heartbeat::KIND => {
                let heartbeat = Heartbeat::of(fields)?;
                if heartbeat.request.0 == 0 {
                    client_frame::Heartbeat::default().put(&mut self.wire);
                } else {
                    self.sends.echoed(heartbeat.request);
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
                self.sends.refused(now, &refused);
                self.parties.refused(now, &refused, out)?;
            }
            Subscribed::KIND => self.subscriptions.subscribed(Subscribed::of(fields)?, out),
            Unsubscribed::KIND => {
                self.subscriptions.unsubscribed(now, &Unsubscribed::without_texts(fields)?, out)
            }
            Failed::KIND => {
                let failed = Failed::without_texts(fields)?;
                self.subscriptions.failed(now, &failed, out);
                if ASKS {
                    self.history.failed(now, &failed, out);
                }
            }
            Missing::KIND => self.subscriptions.missing(&Missing::of(fields)?, out)?,
            Progress::KIND => self.subscriptions.progress(&Progress::of(fields)?),
            Page::KIND => {
                let page = Page::of(fields)?;
                self.subscriptions.page(now, &page, bytes, out)?;
                if ASKS {
                    self.history.page(&page, bytes, out)?;
                }
            }
            // A kind that this version does not know is passed over, by rule.
            _ => {}
        }
        Ok(Change::None)
    }
}
