//! What one connection and its participants may say, and are told.
//!
//! ```text
//!   New --hello--> SignedIn --(goodbye, by the shard)--> gone
//!    |\--hello with a token--> Waiting --it is sound--> SignedIn
//!    |                          \--it is not, or anything is said--> closed: bad_token, not_signed_in
//!    \--anything else--> closed: not_signed_in
//! ```
//!
//! A session checks and answers; it owns no socket and no cursor. What needs the shard's cursors comes back as
//! a [`Demand`].

use std::sync::Arc;

use tidewire_protocol::client_frame::{ClientFrame, Detach, Shut};
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Failed, Heartbeat, HubFrame};
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{Participant, Request, Tag};

use crate::access::Granted;
use crate::access::caller::Caller;
use crate::clock::Millis;
use crate::ledger::Charge;
use crate::letter::{Fate, Outcome, Serial};
use crate::names::producers::Attachment;
use crate::pace::Pace;
use crate::reading::question::{PageRead, UNREAD};
use crate::reading::reads::Asker;
use crate::session::asking::{page, page_of, still_readable, subscription};
use crate::session::desk::{Demand, Desk};
use crate::session::handles::Handles;
use crate::session::paging::Full;
use crate::session::refused::Refusals;
use crate::session::replies::Replies;
use crate::session::sign_in::Pending;
use crate::session::telling::{continues, failed, failed_for, outcome_frame};
use crate::session::whole::Whole;
use crate::topics::Topics;

pub mod sign_in;

mod publishing;

pub mod asking;

pub mod whole;

pub mod telling;

pub mod desk;

pub mod gathered;

pub mod handles;

pub mod refused;

pub mod replies;

pub mod paging;

/// One connection's side of the conversation.
#[derive(Debug, Default)]
pub struct Session {
    signed_in: bool,
    /// A token that is being checked.
    pending: Option<Box<Pending>>,
    caller: Caller,
    /// What the client calls itself.
    agent: Option<Arc<str>>,
    participants: Vec<Present>,
    handles: Handles,
    refused: Refusals,
    whole: Whole,
    /// Pages of history that are being read.
    asked: Vec<AskedPage>,
    /// What they take, on the connection's account.
    charge: Option<Charge>,
    pace: Pace,
    /// How often it signs in again.
    sign_ins: Pace,
    /// Bad tokens that it did that with, one after the other.
    bad_tokens: u8,
}

/// A page of history that is being read.
#[derive(Debug)]
pub struct AskedPage {
    /// What its answer comes with.
    serial: Serial,
    /// Number of the question.
    request: Request,
    /// Of which topics.
    selector: Granted<Selector>,
    /// How long it may be.
    bytes_max: usize,
    /// What it lacks if it is longer.
    full: Full,
    /// Whoever is gone needs none.
    #[expect(dead_code, reason = "others see whether it is there")]
    asker: Asker,
}

/// A participant that is attached.
#[derive(Debug, Clone)]
struct Present {
    number: Participant,
    /// `None` if it cannot publish.
    attachment: Option<Attachment>,
    tag: Tag,
}

impl Present {
    fn is_fenced(&self) -> bool {
        self.attachment.as_ref().is_some_and(Attachment::is_fenced)
    }
}

impl Session {
    /// Whether sign-in is done.
    #[must_use]
    pub fn signed_in(&self) -> bool {
        self.signed_in
    }

    /// Whether it waits to be told what its token says: until then nothing more is heard of it.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.signed_in && self.pending.is_some()
    }

    /// What the client calls itself, if it can be told.
    #[must_use]
    pub fn agent(&self) -> Option<&Arc<str>> {
        self.agent.as_ref()
    }

    /// Who is there.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Somebody signs in who says nothing, and so has no participant.
    pub fn listen(&mut self, caller: Caller) {
        (self.signed_in, self.caller) = (true, caller);
    }

    /// Handles one frame.
    ///
    /// # Errors
    /// The code to close the connection with.
    pub fn handle(
        &mut self,
        now: Millis,
        frame: ClientFrame<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<Demand, Code> {
        match frame {
            ClientFrame::Hello(hello) => self.hello(now, &hello, desk)?,
            _ if !self.signed_in => return Err(Code::NotSignedIn),
            ClientFrame::Publish(publish) if !(self.whole.is_open() && publish.void) => {
                self.publish(now, &publish, desk)?;
            }
            _ if self.whole.is_open() => return Err(Code::BadFrame),
            ClientFrame::Publish(_) => return Err(Code::BadFrame),
            ClientFrame::Batch(batch) => {
                self.whole.begin(&batch)?;
                desk.gathered.open_whole();
            }
            ClientFrame::Attach(attach) => self.attach(&attach, desk)?,
            ClientFrame::Detach(Detach { participant }) => {
                self.detach(now, participant, Code::Unknown, desk.topics, desk.replies);
            }
            ClientFrame::Open(open) => self.open(now, &open, desk)?,
            ClientFrame::Shut(Shut { handle }) => self.shut(now, handle, desk),
            ClientFrame::Subscribe(subscribe) => return Ok(subscription(subscribe, &self.caller, desk)),
            ClientFrame::Unsubscribe(frame) => {
                return Ok(Demand::Unsubscribe { request: frame.request, tail: frame.tail });
            }
            ClientFrame::History(history) => {
                if self.asked.len() >= READS_MAX {
                    desk.replies.put(&failed(history.request, Code::Overloaded));
                } else {
                    let asked = page(now, &history, &self.caller, self.under_way(), desk);
                    self.asked.extend(asked);
                }
            }
            ClientFrame::Heartbeat(frame) => {
                if frame.request.0 > 0 {
                    desk.replies.put(&HubFrame::Heartbeat(Heartbeat { request: frame.request }));
                }
            }
            // What may be lost is not answered, whether a handle takes it or not.
            ClientFrame::Send(update) => self.send(now, &update, desk),
            ClientFrame::SignIn(frame) => self.sign_in_again(now, &frame, desk),
        }
        Ok(Demand::Nothing)
    }

    /// A WebSocket message is over, and so must be a batch in it.
    ///
    /// # Errors
    /// The code to close the connection with.
    pub fn end_message(&self) -> Result<(), Code> {
        if self.whole.is_open() { Err(Code::BadFrame) } else { Ok(()) }
    }

    /// Tells outcomes of publishes; consecutive ones in one frame.
    pub fn tell(&self, outcomes: &[Outcome], topics: &Topics, replies: &mut Replies) {
        let mut rest = outcomes;
        while let Some(first) = rest.first() {
            let follows = |pair: &&[Outcome]| continues(&pair[0], &pair[1]);
            let (run, others) = rest.split_at(1 + rest.windows(2).take_while(follows).count());
            let count = run.iter().map(|outcome| outcome.count).sum();
            rest = others;
            let open = self.handles.get(first.handle);
            if open.is_some_and(|open| open.serial != first.origin.serial) {
                // Whoever has the number now did not publish that.
                continue;
            }
            let told = if let Fate::KeptOut(_) = first.fate { 0 } else { run.len() as u64 };
            // Whoever waits for what is in doubt asks again, of the hub that is started next.
            if let Some(frame) = outcome_frame(first, count, topics) {
                replies.put_answers(&frame, told);
            }
        }
    }

    /// Tells a page of history that had to be read.
    pub fn tell_page(&mut self, serial: Serial, page: PageRead, topics: &Topics, replies: &mut Replies) {
        let Some(at) = self.asked.iter().position(|asked| asked.serial == serial) else { return };
        let AskedPage { request, selector, bytes_max, full, .. } = self.asked.swap_remove(at);
        if still_readable(&selector, &self.caller, topics) {
            replies.put_page(page_of(request, page), bytes_max, full);
        } else {
            replies.put(&failed(request, Code::Forbidden));
        }
    }

    /// The disk could not be read for a page that it asked for.
    pub fn tell_unread(&mut self, serial: Serial, replies: &mut Replies) {
        let Some(at) = self.asked.iter().position(|asked| asked.serial == serial) else { return };
        let AskedPage { request, .. } = self.asked.swap_remove(at);
        let failed = Failed { message: UNREAD.into(), ..failed_for(request, Code::Overloaded) };
        replies.put(&HubFrame::Failed(failed));
    }

    /// Gives back what the connection held.
    pub fn end(&mut self, now: Millis, topics: &Topics) {
        topics.shut(now, self.handles.remove_of(None));
        self.charge = None;
        self.asked = Vec::new();
        self.pending = None;
        for attachment in self.participants.drain(..).filter_map(|present| present.attachment) {
            topics.detach(now, &attachment);
        }
    }

    /// Bytes of pages that are being read.
    fn under_way(&self) -> usize {
        self.asked.iter().map(|asked| asked.bytes_max).sum()
    }

    fn participant(&self, number: Participant) -> Option<&Present> {
        self.participants.iter().find(|present| present.number == number)
    }
}

/// Pages of history of one connection that may be under way.
const READS_MAX: usize = 64;
