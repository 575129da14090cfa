//! Clients that bring forged tokens, and come back at once when they are cut off.

use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mio::{Events, Poll, Token};

use crate::dialect::intruder::Intruder;
use crate::dialect::{Dialect, Request};
use crate::load::Load;
use crate::load::link::{Distance, Heard, Link};
use crate::load::wire::Target;
use crate::tokens;

/// They, and how often they were refused.
#[derive(Debug)]
pub(super) struct Flood {
    target: Target,
    request: Request,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    list: Vec<(Link, Intruder)>,
}

impl Load {
    /// From here on the plan's intruders are there.
    ///
    /// # Errors
    /// If they cannot connect, or the server takes no tokens.
    pub fn begin_flood(&mut self) -> Result<()> {
        let flood = Flood::connect(&self.target, self.publishers.dialect(), self.plan.intruders)?;
        self.crowd.wake_for(flood.poll.as_raw_fd())?;
        self.flood = Some(flood);
        Ok(())
    }

    /// How many forged tokens the server has refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        let list = self.flood.iter().flat_map(|flood| &flood.list);
        list.map(|(_, intruder)| intruder.refused).sum()
    }
}

impl Flood {
    /// So many; every second one may sign in, and brings what is forged then.
    fn connect(target: &Target, dialect: Dialect, count: usize) -> Result<Self> {
        let signer = target.signer.as_ref().context("this server takes no tokens")?;
        let (poll, request) = (Poll::new()?, dialect.publisher_request());
        let mut list = Vec::with_capacity(count);
        for index in 0..count {
            let own = (index % 2 == 1).then(|| signer.token(index, OWN_SECONDS)).transpose()?;
            let intruder = Intruder::new(own, tokens::forged(index)?);
            let link = Link::connect(target, Distance::Here, &request, poll.registry(), Token(index))?;
            list.push((link, intruder));
        }
        let (events, buffer) = (Events::with_capacity(EVENTS_AT_ONCE), vec![0; BUFFER_BYTES]);
        Ok(Self { target: target.clone(), request, poll, events, buffer, list })
    }

    /// Reads and says what there is for a few of them; whether there may be more.
    pub(super) fn turn(&mut self) -> Result<bool> {
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(true),
            result => result.context("cannot poll")?,
        }
        let mut count = 0;
        for event in &self.events {
            count += 1;
            let Some((link, intruder)) = self.list.get_mut(event.token().0) else { continue };
            let mut goes_on = !event.is_writable() || link.writable().is_ok();
            if goes_on && event.is_readable() {
                goes_on = link
                    .read(&mut self.buffer, usize::MAX, |heard, out| match heard {
                        Heard::Frame(frame) => intruder.hear(frame.payload, out),
                        Heard::Opened => {
                            intruder.greet(out);
                            Ok(())
                        }
                    })
                    .is_ok();
            }
            ensure!(!intruder.is_let_in, "the server takes a forged token");
            if !goes_on {
                // Whatever has ended it: an intruder does not mind.
                let (target, registry) = (&self.target, self.poll.registry());
                *link = Link::connect(target, Distance::Here, &self.request, registry, event.token())?;
            }
        }
        Ok(count == EVENTS_AT_ONCE)
    }
}

/// Few, so that the probe is looked after in between.
const EVENTS_AT_ONCE: usize = 16;
const BUFFER_BYTES: usize = 16 << 10;
/// Longer than any run.
const OWN_SECONDS: u64 = 3_600;
