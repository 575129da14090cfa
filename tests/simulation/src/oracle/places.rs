//! Which seq each message goes out under: that of its place among all that was published to its topic.

use std::collections::BTreeMap;

use crate::names::{TOPICS, TopicIndex};
use crate::oracle::{Oracle, Publish, Uid};

/// What is known of seqs.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The latest message that went out by (client, party, topic).
    latest: BTreeMap<(usize, u32, TopicIndex), Latest>,
    /// The seq of each message that went out.
    seqs: BTreeMap<Uid, u64>,
}

/// A message that went out.
#[derive(Debug, Clone, Copy)]
struct Latest {
    counter: u32,
    seq: u64,
    /// How often its topic had been closed to publishers, or opened again.
    turns: u32,
}

impl Oracle {
    /// A message goes out under a seq. Those that were withdrawn before it, sent or not, had their own. Only the hub may
    /// move it further back, for what it knows of this publisher.
    pub fn sent(&mut self, uid: Uid, seq: u64) {
        let before = *self.places.seqs.entry(uid).or_insert(seq);
        if before != seq {
            return self.object(format_args!("#{uid} goes out under seq {seq}, and before under {before}"));
        }
        let Publish { actor, party, topic, counter, .. } = self.publishes[uid as usize];
        let turns = self.closing.turns(topic);
        let now = Latest { counter, seq, turns };
        let before = *self.places.latest.entry((actor, party, topic)).or_insert(now);
        if counter <= before.counter {
            return;
        }
        self.places.latest.insert((actor, party, topic), now);
        // A handle that is refused takes with it the places of what was withdrawn, and of that nobody is told.
        let may_be_refused = turns > before.turns || turns % 2 == 1;
        let (places, seqs) = (u64::from(counter - before.counter), seq.saturating_sub(before.seq));
        if seqs < places && !may_be_refused {
            self.object(format_args!("#{uid} is {places} places behind the last, and {seqs} seqs"));
        }
    }

    /// A message has failed with all others of its topic: those that were not sent gave their places back, and so did
    /// what was withdrawn.
    pub(crate) fn gave_back_places(&mut self, uid: Uid) {
        let key = |publish: &Publish| (publish.actor, publish.party, publish.topic);
        let of = key(&self.publishes[uid as usize]);
        let last = self.publishes.iter().rev().find(|publish| key(publish) == of);
        let counter = last.map_or(0, |last| last.counter);
        let turns = self.closing.turns(of.2);
        self.places.latest.insert(of, Latest { counter, seq: 0, turns });
    }

    /// A client has lost its engine. Nobody kept the places of what was withdrawn before it was sent.
    pub fn lost_places(&mut self, actor: usize, party: u32, counters: &[u32; TOPICS]) {
        for (topic, counter) in (0..).zip(counters) {
            let turns = self.closing.turns(topic);
            self.places.latest.insert((actor, party, topic), Latest { counter: *counter, seq: 0, turns });
        }
    }
}
