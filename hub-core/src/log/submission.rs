//! A publish on its way: as its session hands it over, and as it waits for the engine.

use std::sync::Arc;

use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Handle, Offset, Seq};

use crate::ledger::Account;
use crate::letter::{Address, Outcome};
use crate::log::window::run::Answer;
use crate::log::windows::WindowKey;
use crate::names::producers::Attachment;
use crate::record::{OwnRecord, Record};
use crate::topic::Topic;

/// A publish, checked by its session.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// Whom to tell.
    pub origin: Address,
    /// The number that it published with.
    pub handle: Handle,
    /// Who answers for what it takes.
    pub account: &'a Arc<Account>,
    /// Where to.
    pub topic: &'a Arc<Topic>,
    /// By whom, and as which of its publishes there; `None` for one that no producer numbers.
    pub numbered: Option<Numbered<'a>>,
    /// Whether its outcome is told although nobody numbers it: else it is an update that may be lost.
    pub is_call: bool,
    /// What is to become of it.
    pub wish: Wish,
    /// It and those behind it, so many in all, are taken all or none.
    pub whole: usize,
    /// When it is acknowledged, and on which condition it is published.
    pub terms: Terms,
    /// The message.
    pub record: Record<'a>,
}

/// One of a producer's publishes to a topic.
#[derive(Debug, Clone, Copy)]
pub struct Numbered<'a> {
    /// Who publishes.
    pub attachment: &'a Attachment,
    /// Its window there.
    pub window: WindowKey,
    /// Its number, or of a run of voids the first.
    pub seq: Seq,
    /// How many seqs it is for.
    pub count: u64,
    /// Lowest seq whose outcome is still wanted; 0 if unchanged.
    pub lowest: Seq,
}

impl Submission<'_> {
    /// The same, to be refused for good: nobody is to hold its message for that.
    #[must_use]
    pub fn refused(self, code: Code) -> Self {
        self.wishing(Wish::Refuse(code))
    }

    /// The same without its message.
    #[must_use]
    pub fn wishing(self, wish: Wish) -> Self {
        let terms = Terms::default();
        Self { wish, terms, record: Record { ext: &[], payload: &[], ..self.record }, ..self }
    }
}

/// What a publish asks for, by its session's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Append it.
    Append,
    /// Use up its seq and append nothing.
    Void,
    /// Use up its seq: it is refused for good.
    Refuse(Code),
    /// Use up its seq: its condition fails, since its key's latest message is this one; 0 if it has no value.
    Fail(Offset),
}

/// A publish that waits: for the engine, or for those before it.
#[derive(Debug)]
pub struct Pending {
    /// Which of all that ever waited.
    pub serial: u64,
    /// Its number, or for one that is not appended that of the message before it.
    pub offset: Offset,
    /// How many before it, and behind it, are shown and given up together with it.
    pub beside: Beside,
    /// Whether the engine has it.
    pub complete: bool,
    /// What its window will say of it.
    pub answer: Answer,
    /// Its window, its seq there, and how many it uses up from that on.
    pub numbered: Option<(WindowKey, Seq, u64)>,
    /// The lowest seq whose outcome is wanted there; 0 if that is as before.
    pub lowest: Seq,
    /// Whom to tell what.
    pub waiters: Vec<Outcome>,
    /// Who answers for what it takes.
    pub account: Arc<Account>,
    /// Where to.
    pub topic: Arc<Topic>,
    /// The message.
    pub record: OwnRecord,
}

/// Others of a batch: how many stand before a publish, and how many behind it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside {
    /// Before it.
    pub before: usize,
    /// Behind it.
    pub behind: usize,
}

impl Pending {
    /// Bytes of its message.
    #[must_use]
    pub fn message_len(&self) -> usize {
        self.record.record().len()
    }

    /// Bytes that it takes, but for retries that wait with it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.message_len()
    }
}
