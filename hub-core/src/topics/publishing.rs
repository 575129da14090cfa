//! What is published goes to its log: what a read gathered under one lock, a batch whole.

use std::collections::BTreeMap;

use tidewire_protocol::code::{Code, Durability};

use crate::clock::Millis;
use crate::letter::Wakes;
use crate::log::sequencer::whole::Meets;
use crate::log::submission::{Submission, Wish};
use crate::topics::Topics;

impl Topics {
    /// Publishes. Outcomes come to the inboxes of their origins' shards.
    pub fn publish<'a>(&self, now: Millis, submissions: impl IntoIterator<Item = Submission<'a>>) {
        let mut wakes = Wakes::default();
        let mut submissions = submissions.into_iter().map(|it| self.within_means(it)).peekable();
        while let Some(first) = submissions.next() {
            if first.whole > 1 {
                let others = submissions.by_ref().take(first.whole - 1);
                let batch: Vec<_> = std::iter::once(first).chain(others).collect();
                self.publish_whole(now, &batch, &mut wakes);
                continue;
            }
            let index = first.topic.log;
            let mut log = self.log(index).lock();
            log.submit(now, &first);
            let joins = |next: &Submission<'_>| next.topic.log == index && next.whole == 1;
            while let Some(submission) = submissions.next_if(joins) {
                log.submit(now, &submission);
            }
            wakes.add(log.deliver());
            self.settle(now, log);
        }
        wakes.wake(&self.inboxes);
        self.relieve(now);
    }

    /// A publish that asks for more than its log can do is refused for good: never taken for less.
    fn within_means<'a>(&self, submission: Submission<'a>) -> Submission<'a> {
        let holds = self.log(submission.topic.log).durability;
        match submission.terms.durability {
            Some(asked)
                if submission.wish == Wish::Append && asked != Durability::Memory && asked != holds =>
            {
                submission.refused(Code::NotSupported)
            }
            _ => submission,
        }
    }

    /// Publishes all of a batch or nothing. Of several logs there is nobody who could: it is refused, for good if nothing keeps
    /// any of it out for now.
    fn publish_whole(&self, now: Millis, batch: &[Submission<'_>], wakes: &mut Wakes) {
        let index = batch[0].topic.log;
        if batch.iter().all(|submission| submission.topic.log == index) {
            let mut log = self.log(index).lock();
            log.submit_whole(now, batch);
            wakes.add(log.deliver());
            self.settle(now, log);
            return;
        }
        let mut parts = BTreeMap::<u8, Vec<_>>::new();
        for submission in batch {
            parts.entry(submission.topic.log).or_default().push(*submission);
        }
        let met = parts.iter().map(|(log, part)| self.log(*log).lock().meets(part)).max();
        for (log, part) in &parts {
            let mut log = self.log(*log).lock();
            log.refuse_part(now, part, met.unwrap_or(Meets::Nothing), Code::NotSupported);
            wakes.add(log.deliver());
            self.settle(now, log);
        }
    }
}
