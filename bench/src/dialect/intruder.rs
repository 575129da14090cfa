//! A client of the hub that brings forged tokens, in the compact encoding.

use anyhow::{Result, bail};
use tidewire_protocol::client_frame::ClientFrame;
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::HubFrame;

use crate::dialect::tidewire;

/// The client.
#[derive(Debug)]
pub struct Intruder {
    /// What it may sign in with: then it brings the forged one on that connection, again and again until it is cut off.
    /// Without, it says hello with the forged one, and is cut off at once.
    own: Option<Box<str>>,
    forged: Box<str>,
    /// How often the hub has refused the forged one.
    pub refused: u64,
    /// Whether the hub has taken it, which it must not.
    pub is_let_in: bool,
}

impl Intruder {
    /// One that has said nothing yet.
    #[must_use]
    pub const fn new(own: Option<Box<str>>, forged: Box<str>) -> Self {
        Self { own, forged, refused: 0, is_let_in: false }
    }

    /// What it says once its WebSocket is open.
    pub fn greet(&self, out: &mut Vec<u8>) {
        tidewire::greet(None, self.own.as_ref().unwrap_or(&self.forged), out);
    }

    /// Understands what the hub says.
    ///
    /// # Errors
    /// If the hub takes the forged token, or says what the protocol does not allow.
    pub fn hear(&mut self, mut message: &[u8], out: &mut Vec<u8>) -> Result<()> {
        while !message.is_empty() {
            match HubFrame::take(&mut message)? {
                Some(HubFrame::Welcome(_)) if self.own.is_some() => self.bring(out),
                Some(HubFrame::Welcome(_) | HubFrame::SignedIn(_)) => {
                    self.is_let_in = true;
                    bail!("the hub takes a forged token");
                }
                Some(HubFrame::Failed(failed)) => {
                    self.refused += u64::from(failed.code == Code::BadToken);
                    self.bring(out);
                }
                Some(HubFrame::Goodbye(goodbye)) => {
                    self.refused += u64::from(goodbye.code == Code::BadToken);
                }
                Some(HubFrame::Heartbeat(beat)) => {
                    tidewire::say(&ClientFrame::Heartbeat(tidewire::heartbeat(beat.request)), out);
                }
                Some(other) => bail!("the hub tells an intruder {other:?}"),
                None => {}
            }
        }
        Ok(())
    }

    fn bring(&self, out: &mut Vec<u8>) {
        tidewire::put_sign_in(&self.forged, out);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use tidewire_protocol::hub_frame::{Failed, Goodbye, SignedIn, Welcome};

    use super::*;
    use crate::websocket;

    /// The tokens that an intruder says, in turn, to what it hears; and how many of them the hub has refused by then.
    #[track_caller]
    fn check(own: Option<&str>, heard: &[HubFrame<'_>], tokens: &[&str], refused: u64) {
        let mut intruder = Intruder::new(own.map(Into::into), "forged".into());
        let mut out = Vec::new();
        intruder.greet(&mut out);
        for frame in heard {
            let mut message = Vec::new();
            frame.put(&mut message);
            intruder.hear(&message, &mut out).unwrap();
        }
        assert_eq!(
            (said(out), intruder.refused),
            (tokens.iter().map(ToString::to_string).collect(), refused)
        );
    }

    fn said(mut bytes: Vec<u8>) -> Vec<String> {
        let (mut at, mut tokens) = (0, Vec::new());
        while let Some(frame) = websocket::cut_masked(&mut bytes, &mut at).unwrap() {
            match ClientFrame::take(&mut &*frame.payload).unwrap() {
                Some(ClientFrame::Hello(hello)) => tokens.push(hello.token.into_owned()),
                Some(ClientFrame::SignIn(sign_in)) => tokens.push(sign_in.token.into_owned()),
                other => panic!("{other:?}"),
            }
        }
        tokens
    }

    fn refusal<'a>() -> HubFrame<'a> {
        HubFrame::Failed(Failed { code: Code::BadToken, ..Failed::default() })
    }

    fn end<'a>() -> HubFrame<'a> {
        HubFrame::Goodbye(Goodbye { code: Code::BadToken, ..Goodbye::default() })
    }

    #[test]
    fn who_has_no_token_of_its_own_says_hello_with_the_forged_one() {
        check(None, &[end()], &["forged"], 1);
    }

    #[test]
    fn who_has_one_brings_the_forged_one_until_it_is_cut_off() {
        let heard = [HubFrame::Welcome(Welcome::default()), refusal(), refusal(), end()];
        check(Some("own"), &heard, &["own", "forged", "forged", "forged"], 3);
    }

    #[test]
    fn a_forged_token_that_is_taken_is_seen() {
        for (own, heard) in [
            (None, HubFrame::Welcome(Welcome::default())),
            (Some("own"), HubFrame::SignedIn(SignedIn::default())),
        ] {
            let mut intruder = Intruder::new(own.map(Into::into), "forged".into());
            let mut message = Vec::new();
            heard.put(&mut message);
            assert!(intruder.hear(&message, &mut Vec::new()).is_err() && intruder.is_let_in);
        }
    }
}
