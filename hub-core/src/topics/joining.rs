//! Cursors come to tails and leave them: where one starts is decided, and the cursor counted, with nothing in between.

use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::name::{Pattern, Selector};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Start;

use crate::access::Granted;
use crate::clock::Millis;
use crate::ledger::Account;
use crate::log::Log;
use crate::names::directory::Directory;
use crate::names::follow::Followed;
use crate::reading::start::{self, Stand};
use crate::sync::lock;
use crate::tail::{Source, Tail};
use crate::topics::Topics;

/// A subscription as the topics see it.
#[derive(Debug)]
pub struct Joined {
    /// Where its messages come from: a tail in each log of the subscription.
    pub tails: Vec<Arc<Tail>>,
    /// Where it starts in each; `None` where that takes a look at many topics.
    pub stands: Vec<Option<Stand>>,
    /// The pattern, if it is one.
    pub followed: Option<Arc<Followed>>,
}

impl Topics {
    /// Begins a subscription: where it starts is decided, and the cursor counted, with nothing in between.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if there is no room for one more name, [`Code::LimitReached`] if there is none for one more
    /// kind of pattern.
    pub fn join(
        &self,
        now: Millis,
        shard: usize,
        selector: &Granted<Selector>,
        start: &Start,
        account: &Arc<Account>,
    ) -> Result<Joined, Code> {
        match &**selector {
            Selector::Topic(name) => {
                let (topic, known) = {
                    let mut names = lock(&self.names);
                    let known = names.find(name).is_some();
                    let topic = names.topic(name, account).ok_or(Code::Overloaded)?;
                    // Joined before it can be dismissed for want of anybody who needs it.
                    topic.tail.join(now, shard);
                    (topic, known)
                };
                let mut stand = start::of_subscriber(self.log(topic.log), now, &topic, start);
                if !known {
                    stand.was_forgotten();
                }
                let tails = vec![Arc::clone(&topic.tail)];
                Ok(Joined { tails, stands: vec![Some(stand)], followed: None })
            }
            Selector::Pattern(pattern) => self.join_pattern(now, shard, pattern, start, account),
        }
    }

    fn join_pattern(
        &self,
        now: Millis,
        shard: usize,
        pattern: &Pattern,
        start: &Start,
        account: &Arc<Account>,
    ) -> Result<Joined, Code> {
        let mut names = lock(&self.names);
        let followed = match names.followed(pattern) {
            Some(followed) => Arc::clone(followed),
            None => self.follow(&mut names, pattern, account)?,
        };
        // Where each log stood before its tail is joined: what comes from then on is in the tail, or after its start.
        let ends: Vec<Offset> = self.logs.iter().map(Log::visible).collect();
        let bounds: Vec<_> = followed.tails.iter().map(|tail| tail.join(now, shard)).collect();
        drop(names);
        let stands = self.logs.iter().zip(ends).zip(bounds);
        let stands = stands.map(|((log, end), held)| start::of_pattern(log, held, end, start));
        let (stands, tails) = (stands.collect(), followed.tails.clone());
        Ok(Joined { tails, stands, followed: Some(followed) })
    }

    /// Makes the tails of a pattern, each at the end of its log.
    fn follow(
        &self,
        names: &mut Directory,
        pattern: &Pattern,
        account: &Arc<Account>,
    ) -> Result<Arc<Followed>, Code> {
        let followed = names.follow(pattern, account)?;
        for (log, tail) in self.logs.iter().zip(&followed.tails) {
            let mut log = log.lock();
            tail.begin_at(log.last_visible());
            log.feed.insert(pattern.as_str(), Arc::clone(tail));
        }
        Ok(followed)
    }

    /// The last cursor of a shard has left a tail. A topic that nobody ever published to goes with it.
    pub fn left(&self, now: Millis, tail: Arc<Tail>) {
        let Source::Topic(name) = tail.source.clone() else { return };
        let (gone, last) = tail.bounds(now);
        drop(tail);
        if gone == last {
            let mut names = lock(&self.names);
            if let Some(topic) = names.find(&name).cloned() {
                names.dismiss(&topic, now);
            }
        }
    }
}
