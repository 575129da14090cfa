//! Parties that come and go on a client's connection, and clients that lose their engines.

use tidewire_client_core::options::PartyId;
use tidewire_client_core::output::{Packet, PublishId};
use tidewire_protocol::number::{Incarnation, Seq};

use crate::names::{NAMES, TOPICS};
use crate::oracle::Uid;
use crate::oracle::batches::Batch;
use crate::oracle::fate::Fate;
use crate::oracle::payload::message_of;
use crate::world::World;
use crate::world::actor::{Actor, Side, secret};
use crate::world::tokens::SUBJECTS;

impl World {
    /// A second party joins a client's connection, or the one that is there goes.
    pub fn join_or_part(&mut self, actor: usize) {
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
            this.side = Some(Side { party, actor, number, producer, incarnation: 1, counters: [0; TOPICS] });
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
        let waiting = self.waiting_of(actor, PartyId(0));
        self.take_in_again(actor, (PartyId(0), self.actors[actor].incarnation), waiting);
        if let Some(side) = self.actors[actor].side.take() {
            self.settle_in(actor, actor, side);
        }
        self.drain(actor, &[]);
    }

    /// A second party goes to another client's connection, with what it published without an outcome. What it said on the
    /// connection before may still be on its way.
    pub fn move_party(&mut self, from: usize, to: usize) {
        let can = |actor: &Actor| !actor.closed && !actor.taken_over;
        let fits = self.actors[to].outbox_count_max >= self.actors[from].outbox_count_max;
        let speaks_for = |actor: usize| self.actors[actor].producer % SUBJECTS;
        let is_same = !self.has_tokens() || speaks_for(from) == speaks_for(to);
        if from == to || !fits || !is_same || !can(&self.actors[to]) || self.actors[to].side.is_some() {
            return;
        }
        let Some(side) = self.actors[from].side.take() else { return };
        self.note(|| format!("{:?} goes from client {from} to client {to}", side.party));
        if let Some(link) = self.actors[from].link.filter(|_| self.random.one_in(2)) {
            self.cut(link);
        }
        self.settle_in(from, to, side);
        self.actors[from].left.push(side.party);
        self.actors[from].client.detach(self.now, side.party);
        self.drain(from, &[]);
        self.drain(to, &[]);
    }

    /// A second party begins anew at a client, as a new owner of all that it has.
    fn settle_in(&mut self, from: usize, to: usize, mut side: Side) {
        let waiting = self.waiting_of(from, side.party);
        side.incarnation += 1;
        self.oracle.lost_places(side.actor, side.number, &side.counters);
        let incarnation = Incarnation(side.incarnation);
        side.party = self.actors[to].client.attach(self.now, secret(side.producer), incarnation);
        if from != to {
            let first = self.actors[to].published.len();
            let (mut batch, mut begins) = (Batch::default(), first);
            for index in waiting {
                let this = &mut self.actors[from];
                this.parties[index] = NOBODY;
                let (uid, seq) = (this.published[index], this.seqs[index]);
                let its = self.oracle.publishes[uid as usize].batch;
                let this = &mut self.actors[to];
                if its != batch {
                    this.pass_over(batch, begins, batch.count);
                    (batch, begins) = (its, this.published.len());
                }
                this.pass_over(its, begins, uid.saturating_sub(its.first));
                this.published.push(uid);
                this.seqs.push(seq);
                this.parties.push(side.party);
            }
            self.actors[to].pass_over(batch, begins, batch.count);
            let all = first..self.actors[to].published.len();
            self.take_in_again(to, (side.party, side.incarnation), all.collect());
        } else {
            self.take_in_again(to, (side.party, side.incarnation), waiting);
        }
        self.actors[to].rebuilt = true;
        self.actors[to].side = Some(side);
    }

    /// What a party of a client published and has not heard of, by its place among the client's.
    fn waiting_of(&self, actor: usize, party: PartyId) -> Vec<usize> {
        let Actor { published, parties, .. } = &self.actors[actor];
        let waits = |uid: Uid| self.oracle.publishes[uid as usize].fate == Fate::Waiting;
        let theirs = (0..published.len()).filter(|index| parties[*index] == party);
        theirs.filter(|index| waits(published[*index])).collect()
    }

    /// A client takes in what another one, or itself before, had taken for a party, with the seqs of what was sent.
    fn take_in_again(&mut self, actor: usize, (party, incarnation): (PartyId, u64), places: Vec<usize>) {
        let this = &mut self.actors[actor];
        let mut batch = Batch::default();
        for index in places.into_iter().filter(|index| this.parties[*index] != NOBODY).collect::<Vec<_>>() {
            let uid = this.published[index];
            let publish = &mut self.oracle.publishes[uid as usize];
            publish.incarnation = incarnation;
            this.parties[index] = party;
            let its = *publish;
            let (name, seq) = (NAMES[usize::from(its.topic)], this.seqs[index]);
            if seq > 0 {
                this.client.window(party, name, Seq(seq), 1);
            }
            let id = PublishId(index as u64 + 1);
            if its.batch.count > 0 && its.batch != batch {
                batch = its.batch;
                let first = PublishId(id.0 - u64::from(uid - batch.first));
                if this.client.begin_batch(party, first, batch.count, None).is_err() {
                    self.oracle
                        .object(format_args!("client {actor} does not take the batch of #{uid} in again"));
                }
            }
            if this.client.take(self.now, party, id, &message_of(uid, its.topic, its.len)).is_err() {
                self.oracle.object(format_args!("client {actor} does not take #{uid} in again"));
            }
        }
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

impl Actor {
    /// The numbers of a batch follow each other: those of its messages that have their outcome stay empty, here those of
    /// its first so many, as far as none is taken. Else what comes next would be taken for one of the batch.
    fn pass_over(&mut self, batch: Batch, begins: usize, count: u32) {
        let end = begins + if batch.count > 0 { count as usize } else { 0 };
        for place in self.published.len()..end {
            self.published.push(batch.first + (place - begins) as Uid);
            self.seqs.push(0);
            self.parties.push(NOBODY);
        }
    }
}

/// Whose a publish is at a client that its party has left.
const NOBODY: PartyId = PartyId(u32::MAX);
