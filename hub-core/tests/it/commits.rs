//! What is stored together fits a commit: what never could is refused for good, and waits for nobody.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::frames::BODY_BYTES_MAX;
use tidewire_hub_core::limits::Limits;
use tidewire_protocol::client_frame::{Batch, ClientFrame, Publish};
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Handle, Seq};

use crate::durable::Lasting;
use crate::rig::{ALL, hello, limits, open_as, rule};

/// The longest message that a commit holds.
const LONGEST: usize = BODY_BYTES_MAX - (16 << 10) - 1_280;

fn large() -> Limits {
    limits(|limits| {
        limits.message_bytes_max = 100 << 20;
        limits.frame_bytes_max = 200 << 20;
        limits.half_received_bytes_max = 400 << 20;
        limits.pending_bytes_max = 200 << 20;
        limits.node_bytes_max = 8 << 30;
    })
}

fn publish(seq: u64, bytes: usize) -> ClientFrame<'static> {
    let (handle, seq, payload) = (Handle(1), Seq(seq), vec![b'm'; bytes].into());
    ClientFrame::Publish(Publish { handle, seq, payload, ..Publish::default() })
}

/// A seq, and why it was refused, whether for good, and in which words.
type Told = (u64, Option<(Code, bool, String)>);

/// Says that, stores what waits, and tells how long each commit is and what is heard.
fn told(lasting: &mut Lasting, frames: &[ClientFrame<'_>]) -> (Vec<usize>, Vec<Told>) {
    let id = lasting.client("a");
    lasting.hub.say(id, frames);
    let mut commits = Vec::new();
    while let Some(body) = lasting.take() {
        commits.push(body.len());
        lasting.land(body);
    }
    lasting.hub.work();
    let close = |code| panic!("closed with {code}");
    let heard = lasting.hub.heard_as(id, close, |frame| match frame {
        HubFrame::Acked(acked) => (0..acked.count).map(|n| (acked.seq.0 + n, None)).collect(),
        HubFrame::Refused(it) => {
            assert_eq!(it.retry_after_ms, 0);
            vec![(it.seq.0, Some((it.code, it.consumed, it.message.to_string()))); it.count as usize]
        }
        other => panic!("{other:?}"),
    });
    (commits, heard.concat())
}

#[test]
fn a_message_that_no_commit_holds_is_too_large_and_the_longest_other_one_is_stored() {
    let mut lasting = Lasting::new(large(), vec![rule("a", ALL)]);
    let (commits, heard) = told(
        &mut lasting,
        &[publish(1, BODY_BYTES_MAX), publish(2, 100 << 10), publish(3, LONGEST), publish(4, 1)],
    );
    let [(1, Some((Code::TooLarge, true, sentence))), (2, None), (3, None), (4, None)] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert!(sentence.contains("64 MiB"), "{sentence}");
    assert!(commits.len() > 1 && commits.iter().all(|bytes| *bytes <= BODY_BYTES_MAX), "{commits:?}");
    assert!(commits.iter().any(|bytes| *bytes >= LONGEST), "{commits:?}");
}

#[test]
fn a_batch_that_no_commit_holds_is_refused_for_good() {
    let mut lasting = Lasting::new(large(), vec![rule("a", ALL)]);
    let batch = ClientFrame::Batch(Batch { count: 3 });
    let (commits, heard) =
        told(&mut lasting, &[batch, publish(1, LONGEST / 2), publish(2, LONGEST / 2), publish(3, 1)]);
    let codes: Vec<_> =
        heard.iter().map(|(seq, why)| (*seq, why.as_ref().map(|(code, used, _)| (*code, *used)))).collect();
    let refused = |code| Some((code, true));
    assert_eq!(
        codes,
        [(1, refused(Code::BatchRefused)), (2, refused(Code::TooLarge)), (3, refused(Code::BatchRefused))]
    );
    assert!(commits.iter().all(|bytes| *bytes < 1_000), "{commits:?}");
}

/// However many come back meanwhile and publish nothing.
#[test]
fn the_longest_message_waits_for_nobody_who_only_takes_over() {
    let mut lasting = Lasting::new(large(), vec![rule(">", ALL)]);
    let come = |lasting: &mut Lasting, incarnation| {
        let mut ids = Vec::new();
        for producer in 2..=250 {
            let id = lasting.hub.connect(Dialect::Binary);
            lasting.hub.say(id, &[hello(producer, incarnation), open_as(1, 0, &"t".repeat(100))]);
            ids.push(id);
        }
        ids
    };
    for id in come(&mut lasting, 1) {
        lasting.hub.say(id, &[publish(1, 1)]);
    }
    lasting.store();
    come(&mut lasting, 2);
    let id = lasting.client("a");
    lasting.hub.say(id, &[publish(1, LONGEST)]);
    let body = lasting.take().unwrap();
    assert!(body.len() > LONGEST && body.len() <= BODY_BYTES_MAX, "{}", body.len());
    let mut news = body.len() - LONGEST;
    lasting.land(body);
    while let Some(body) = lasting.take() {
        news += body.len();
        lasting.land(body);
    }
    assert!(news > 249 * 100, "all of them are stored, too: {news}");
}
