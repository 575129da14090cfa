//! Parties that come and go on a client's connection, and clients that lose their engines.

use tidewire_client_core::options::PartyId;
use tidewire_client_core::output::{Packet, PublishId};
use tidewire_protocol::code::Content;
use tidewire_protocol::number::{Incarnation, Seq};

use crate::names::{NAMES, TOPICS};
use crate::oracle::Uid;
use crate::oracle::batches::Batch;
use crate::oracle::fate::Fate;
use crate::world::World;
use crate::world::actor::{Side, secret};

impl World {
    /// A second party joins a client's connection, or the one that is there goes.
    pub(crate) fn join_or_part(&mut self, actor: usize) {
        let this = &mut self.actors[actor];
        if let Some(side) = this.side.take() {
            this.client.detach(self.now, side.party);
            self.note(|| format!("client {actor} detaches {:?}", side.party));
        } else {
            let producer = self.next_producer;
            self.next_producer += 1;
            let this = &mut self.actors[actor];
            let party = this.client.attach(self.now, secret(producer), Incarnation(1));
            this.sides += 1;
            let number = this.sides;
            this.side = Some(Side { party, number, producer, incarnation: 1, counters: [0; TOPICS] });
            self.note(|| format!("client {actor} attaches {party:?}"));
        }
        self.drain(actor, &[]);
    }

    /// A client is gone, as when its engine traps. Its application makes another one from what it keeps: what it
    /// published without an outcome, and the seqs of what was sent of that.
    pub fn rebuild(&mut self, actor: usize) {
        if self.actors[actor].taken_over {
            return;
        }
        self.note(|| format!("client {actor} loses its engine"));
        self.close_link(actor, 1000);
        let seed = self.random.number();
        let this = &mut self.actors[actor];
        for index in &this.listeners {
            self.oracle.listeners[*index].ended = true;
            self.oracle.questions.remove(index);
        }
        this.rebuild(seed);
        self.oracle.lost_places(actor, 0, &this.counters);
        this.client.connect(self.now);
        let (mut moved, mut batch) = (None, Batch::default());
        if let Some(side) = &mut this.side {
            side.incarnation += 1;
            self.oracle.lost_places(actor, side.number, &side.counters);
            let party = this.client.attach(self.now, secret(side.producer), Incarnation(side.incarnation));
            moved = Some((std::mem::replace(&mut side.party, party), party, side.incarnation));
        }
        for (index, uid) in this.published.iter().enumerate() {
            let publish = &mut self.oracle.publishes[*uid as usize];
            if publish.fate != Fate::Waiting {
                continue;
            }
            let party = &mut this.parties[index];
            publish.incarnation = this.incarnation;
            if let Some((_, after, incarnation)) = moved.filter(|moved| moved.0 == *party) {
                (*party, publish.incarnation) = (after, incarnation);
            }
            let its = *publish;
            let (name, seq) = (NAMES[usize::from(its.topic)], this.seqs[index]);
            if seq > 0 {
                this.client.window(*party, name, Seq(seq), 1);
            }
            let id = PublishId(index as u64 + 1);
            if its.batch.count > 0 && its.batch != batch {
                batch = its.batch;
                let first = PublishId(id.0 - u64::from(*uid - batch.first));
                if this.client.begin_batch(*party, first, batch.count, 0).is_err() {
                    self.oracle
                        .object(format_args!("client {actor} does not take the batch of #{uid} in again"));
                }
            }
            if this.client.take(self.now, *party, id, name, Content::Binary, its.len).is_err() {
                self.oracle.object(format_args!("client {actor} does not take #{uid} in again"));
            }
        }
        self.drain(actor, &[]);
    }

    /// What a client says of a publish, it says of one of that party's.
    pub(crate) fn publish_of(&mut self, actor: usize, party: PartyId, id: PublishId) -> Uid {
        let index = id.0 as usize - 1;
        let this = &self.actors[actor];
        if this.parties[index] != party {
            self.oracle.object(format_args!("client {actor} tells {party:?} of another's publish {}", id.0));
        }
        self.actors[actor].published[index]
    }

    /// Notes under which seqs messages go out.
    pub(crate) fn going_out(&mut self, actor: usize, packet: &Packet) {
        for splice in &packet.payloads {
            let uid = self.publish_of(actor, splice.party, splice.id);
            let this = &mut self.actors[actor];
            this.seqs[splice.id.0 as usize - 1] = splice.seq.0;
            // Once it is fenced, its seqs are another's.
            if !this.taken_over {
                self.oracle.sent(uid, splice.seq.0);
            }
        }
    }
}
