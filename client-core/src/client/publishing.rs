//! What the application publishes.

use tidewire_protocol::number::Seq;

use crate::client::Client;
use crate::entry::Batch;
use crate::fault::{ClientCode, Fault};
use crate::input::Millis;
use crate::options::PartyId;
use crate::outbox::Outbox;
use crate::outgoing::Outgoing;
use crate::output::PublishId;

impl Client {
    /// Takes a message into the client's own outbox. The shell keeps the payload under the id until `Published` or `Failed`
    /// says what became of it: `expired` where its time to live was over before the hub had it, `not_supported` where the
    /// hub could not tell what it asks for.
    ///
    /// # Errors
    /// `closed`, `bad_name`, `outbox_full` or `larger_than_outbox`; nothing was taken then.
    pub fn publish(&mut self, now: Millis, message: &Outgoing<'_>) -> Result<PublishId, Fault> {
        let party = PartyId::default();
        let id = self.parties.outbox(party).map_or(PublishId(1), |outbox| outbox.following());
        self.take(now, party, id, message)?;
        Ok(id)
    }

    /// As [`Self::publish`], for any party, under a number of the shell's, higher than all before it. So its numbers
    /// outlive a client: the next one is told of [`Self::window`]s, and takes in their messages again in their order.
    ///
    /// # Errors
    /// Those of [`Self::publish`]; `closed` also if the party is gone.
    pub fn take(
        &mut self,
        now: Millis,
        party: PartyId,
        id: PublishId,
        message: &Outgoing<'_>,
    ) -> Result<(), Fault> {
        self.now = now;
        let valid = self.check(message.topic, false);
        let out = &mut self.outputs;
        let outbox = self.parties.outbox(party).ok_or(ClientCode::Closed)?;
        let taken = valid.and_then(|()| outbox.take(now, id, message, out));
        if taken.is_err() {
            outbox.break_batch(id, out);
        } else {
            self.start(now);
        }
        taken
    }

    /// The messages that are taken in next, `count` of them with numbers from `first` on and all before the next output is
    /// asked for, are a batch: the hub takes all of them or none, and so does this client. `bytes` are those of all of
    /// them ([`Outgoing::bytes`]); `None` for what a client before this one had taken in.
    ///
    /// # Errors
    /// `closed`, `outbox_full`, `larger_than_outbox`, or `limit_reached` for more than 1,000.
    pub fn begin_batch(
        &mut self,
        party: PartyId,
        first: PublishId,
        count: u32,
        bytes: Option<u64>,
    ) -> Result<(), Fault> {
        if self.connection.is_closed() {
            return Err(ClientCode::Closed.into());
        }
        let outbox = self.parties.outbox(party).ok_or(ClientCode::Closed)?;
        outbox.begin_batch(Batch { first, count }, bytes, &mut self.outputs)
    }

    /// As [`Self::publish`], for messages of which the hub takes all or none. Their numbers follow that which this gives.
    ///
    /// # Errors
    /// Those of [`Self::publish`] and [`Self::begin_batch`]; nothing was taken then.
    pub fn publish_batch(&mut self, now: Millis, messages: &[Outgoing<'_>]) -> Result<PublishId, Fault> {
        let party = PartyId::default();
        let first = self.parties.outbox(party).map_or(PublishId(1), |outbox| outbox.following());
        let bytes = messages.iter().map(Outgoing::bytes).sum();
        messages.iter().try_for_each(|message| self.check(message.topic, false))?;
        self.begin_batch(party, first, messages.len() as u32, Some(bytes))?;
        let mut numbered = (first.0..).zip(messages);
        let taken = numbered.try_for_each(|(id, message)| self.take(now, party, PublishId(id), message));
        // The numbers that were not used are the next ones.
        self.parties.outbox(party).into_iter().for_each(Outbox::end_batch);
        taken.map(|()| first)
    }

    /// Goes on where a client before this one was, with the party's producer in a lower incarnation: the message that is
    /// taken in next for the topic has this seq, and so many from it on may have been sent. Seqs that this leaves out,
    /// behind what was taken in before, are void.
    ///
    /// What a packet's [`crate::output::Splice`] tells is enough for that: the seq of each message that was sent and has
    /// no outcome. What was never sent needs no window: the hub knows what comes before it.
    pub fn window(&mut self, party: PartyId, topic: &str, lowest: Seq, sent: u64) {
        if let Some(outbox) = self.parties.outbox(party) {
            outbox.resume(topic, lowest, sent);
        }
    }

    /// Withdraws a message: a void takes its place. It ends as `cancelled`, at once if it was never sent, else with the
    /// void, or as published if that came too late.
    pub fn cancel(&mut self, _now: Millis, party: PartyId, id: PublishId) {
        if let Some(outbox) = self.parties.outbox(party) {
            outbox.cancel(id, &mut self.outputs);
        }
    }
}
