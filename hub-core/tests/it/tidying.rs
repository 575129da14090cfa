//! Commits that were told anew are tidied: a hub over what is left of them begins as one over all of them would.

use tidewire_hub_core::log::rows::tidying::tidy;
use tidewire_hub_core::names::directory::Retention;
use tidewire_hub_core::tail::needed::Need;
use tidewire_protocol::position::Start;

use crate::durable::{Lasting, acked};
use crate::rig::{ALL, limits, open_as, publish_on, rule};

fn of_two_kinds() -> Lasting {
    let few = rule("few.>", Retention { count: Some(3), ..ALL });
    // What goes goes by blocks.
    let small = limits(|limits| limits.block_bytes = 64);
    Lasting::new(small, vec![few, rule(">", ALL)])
}

fn all(lasting: &mut Lasting, topic: &str) -> Vec<String> {
    let reader = lasting.hub.client(9);
    lasting.hub.history(reader, topic, Start::Earliest)
}

#[test]
fn what_is_left_of_commits_is_all_that_is_kept_in_order() {
    let mut lasting = of_two_kinds();
    let few = lasting.client("few.a");
    lasting.hub.say(few, &[open_as(2, 0, "many.b")]);
    for seq in 1..=20_u64 {
        let (one, other) = (format!("few {seq}"), format!("many {seq}"));
        let both = [publish_on(1, seq, one.as_bytes()), publish_on(2, seq, other.as_bytes())];
        lasting.hub.say(few, &both);
        lasting.store();
    }
    lasting.hub.heard(few);
    lasting.tell_anew();
    lasting.publishes(few, 21, b"few 21");
    let kept = [all(&mut lasting, "few.a"), all(&mut lasting, "many.b")];
    assert!(kept[0].len() < 10 && kept[1].len() == 20, "{kept:?}");
    let (before, after) = lasting.tidy();
    assert!(after < before * 3 / 4, "{after} of {before} bytes");
    let mut lasting = lasting.restart();
    assert_eq!([all(&mut lasting, "few.a"), all(&mut lasting, "many.b")], kept);
    // Whose seqs were taken is told in the windows, not beside the messages.
    let few = lasting.client("few.a");
    lasting.hub.publish(few, 21, b"few 21");
    lasting.store();
    assert_eq!(acked(&mut lasting, few), [(21, 41, true)]);
}

#[test]
fn a_commit_that_cannot_be_read_is_not_tidied() {
    let mut lasting = of_two_kinds();
    let id = lasting.client("many.b");
    lasting.hub.publish(id, 1, b"one");
    let mut body = lasting.take().unwrap();
    let mut out = b"before".to_vec();
    assert_eq!(tidy(&body, &mut out, |_, _, _| Need::Whole).unwrap().len(), 1);
    let whole = std::mem::replace(&mut out, b"before".to_vec());
    assert!(whole.len() > out.len());
    body.push(0xff);
    tidy(&body, &mut out, |_, _, _| Need::Whole).unwrap_err();
    assert_eq!(out, b"before");
}

/// A topic's message that comes behind itself is a mistake, and no tail is asked to take it.
#[test]
fn a_message_that_has_no_place_is_not_read() {
    let topic = [&[2, 1, 1][..], b"t", &[0, 0, 0]].concat();
    let message = |behind: u8| [&topic[..], &[7, 1, 5, behind, 0, 1, 0, 0, 0, 0]].concat();
    let read = |behind| tidy(&message(behind), &mut Vec::new(), |_, _, _| Need::Whole).map(|kept| kept.len());
    assert_eq!((read(5), read(1)), (Ok(1), Ok(1)));
    assert!(read(0).is_err() && read(6).is_err());
}
