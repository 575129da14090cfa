//! What publishers are told.

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::output::Published;
use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::number::Offset;

use crate::oracle::fate::{Cause, Fate};
use crate::oracle::payload::expires_soon;
use crate::oracle::{Oracle, Publish, Uid};

impl Oracle {
    /// A publisher hears that its message is in the log.
    pub fn acknowledged(&mut self, uid: Uid, published: &Published) {
        let Some(place) = self.log(published.epoch) else {
            return self
                .object(format_args!("#{uid} is acknowledged in a log that never was: {published:?}"));
        };
        let log = &self.logs[place];
        let is_synced = published.durability == Durability::Synced;
        if published.offset > Offset(0) && is_synced != (self.durable == Some(log.index)) {
            self.object(format_args!("#{uid} is acknowledged as {}", published.durability));
        }
        let log = &self.logs[place];
        let stored = log.record(published.offset);
        // Or its time was over before it could be shown.
        let unseen_excuse = stored.is_none() && (log.may_have_had(published.offset) || expires_soon(uid));
        if stored.is_none_or(|record| record.uid != uid) && !unseen_excuse {
            self.object(format_args!("#{uid} is acknowledged, but the log has {stored:?}: {published:?}"));
        }
        self.settle(uid, Fate::Done);
    }

    /// A publisher hears that its message has failed.
    pub fn failed(&mut self, uid: Uid, fault: Fault, cause: Cause) {
        let Publish { topic, producer, incarnation, .. } = self.publishes[uid as usize];
        let fate = match fault {
            Fault::Client(ClientCode::Cancelled) => Fate::Withdrawn,
            Fault::Client(ClientCode::Expired) if self.may_expire(uid) => Fate::Withdrawn,
            Fault::Client(ClientCode::Dropped) => Fate::Refused,
            Fault::Client(ClientCode::Closed) | Fault::Protocol(Code::Fenced) => Fate::Failed,
            Fault::Protocol(Code::UnknownNumber) if cause.taken_over => Fate::Failed,
            Fault::Protocol(Code::BadToken) if cause.refused => Fate::Failed,
            // It may be on its way to the log all the same, if only its sending again was refused.
            Fault::Protocol(Code::Forbidden) if self.closing.may_refuse(topic) => {
                self.gave_back_places(uid);
                Fate::Failed
            }
            Fault::Protocol(Code::TooLarge) if cause.too_large => Fate::Refused,
            Fault::Protocol(code) if self.batch_may_fail(uid, code, cause).is_some() => {
                self.batch_may_fail(uid, code, cause).unwrap_or(Fate::Failed)
            }
            // One that had been fenced came back to a hub that knew nothing of it, and used up its seqs.
            Fault::Protocol(Code::OutcomeForgotten)
                if self.first.get(&producer).is_some_and(|first| *first < incarnation) =>
            {
                Fate::Failed
            }
            Fault::Protocol(Code::OutcomeForgotten) if cause.damaged => Fate::Failed,
            Fault::Client(_) | Fault::Protocol(_) => {
                return self.object(format_args!("#{uid} failed with {}", fault.name()));
            }
        };
        if fate == Fate::Refused && self.publishes[uid as usize].seen > 0 {
            self.object(format_args!("#{uid} failed with {} and is in the log", fault.name()));
        }
        self.settle(uid, fate);
    }

    fn settle(&mut self, uid: Uid, fate: Fate) {
        let publish = &mut self.publishes[uid as usize];
        if publish.fate != Fate::Waiting {
            let publish = *publish;
            return self.object(format_args!("#{uid} has a second outcome {fate:?}: {publish:?}"));
        }
        publish.fate = fate;
        self.check_fates(uid);
    }
}
