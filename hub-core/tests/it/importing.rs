//! Messages that are put into a durable log while no hub has it.

use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::Retention;
use tidewire_protocol::code::{Outcome, WhenSlow};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Start;

use crate::durable::{Lasting, acked};
use crate::rig::{ALL, Heard, after, keep_all, messages, rule};

#[test]
fn what_is_put_in_stands_behind_what_was_there_and_readers_go_on() {
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let id = lasting.client("a");
    assert_eq!(lasting.publishes(id, 1, b"one"), [Heard::Acked(1, 1)]);
    let given = lasting.hub.now.0;
    let late = given + 1_000;
    let (mut lasting, places) =
        lasting.import(&[("a", 5, b"early"), ("b", late, b"late"), ("a", late, b"x")]);
    let places: Vec<_> = places.into_iter().map(|put| (put.offset, put.is_later)).collect();
    assert_eq!(places, [(Offset(2), true), (Offset(3), false), (Offset(4), false)]);
    let id = lasting.hub.client(3);
    assert_eq!(lasting.hub.history(id, "a", Start::Earliest), ["one", "early", "x"]);
    assert_eq!(lasting.hub.history(id, "b", Start::Earliest), ["late"]);
    lasting.hub.subscribe(id, "a", after(1), WhenSlow::CatchUp);
    let heard = lasting.hub.heard(id);
    assert_eq!(heard[0], Heard::Subscribed(Outcome::Resumed, 1, None));
    let news = messages(&heard).into_iter().map(|told| told.offset).filter(|offset| *offset > 1);
    assert_eq!(news.collect::<Vec<_>>(), [2, 4]);
    // What was published before is known, and the log goes on.
    let id = lasting.client("a");
    lasting.hub.publish(id, 1, b"one");
    assert_eq!(lasting.hub.heard(id), [Heard::Acked(1, 1)]);
    assert_eq!(lasting.publishes(id, 2, b"two"), [Heard::Acked(2, 1)]);
    let (mut lasting, places) = lasting.import(&[("b", 0, b"again")]);
    assert_eq!(places[0].offset, Offset(6));
    assert_eq!((lasting.hub.kept("a"), lasting.hub.kept("b")), (4, 2));
    let mut lasting = lasting.restart();
    assert_eq!((lasting.hub.kept("a"), lasting.hub.kept("b")), (4, 2));
}

#[test]
fn into_an_empty_log_and_after_all_was_told_anew() {
    let (mut lasting, places) = Lasting::new(Limits::default(), keep_all()).import(&[("a", 7, b"one")]);
    assert_eq!(places[0].offset, Offset(1));
    lasting.tell_anew();
    lasting.tidy();
    let (mut lasting, places) = lasting.import(&[("c", 8, b"two"), ("a", 8, b"three")]);
    assert_eq!(places[0].offset, Offset(2));
    assert_eq!((lasting.hub.kept("a"), lasting.hub.kept("c")), (2, 1));
    let id = lasting.client("a");
    lasting.hub.publish(id, 1, b"four");
    lasting.store();
    assert_eq!(acked(&mut lasting, id), [(1, 4, false)]);
}

#[test]
fn who_had_read_a_name_that_went_is_told_nothing_is_missing_and_who_had_not_that_something_is() {
    let age = Retention { age_ms: Some(1_000), ..ALL };
    let mut lasting = Lasting::new(Limits::default(), vec![rule(">", age)]);
    let id = lasting.client("a.b");
    assert_eq!(lasting.publishes(id, 1, b"m"), [Heard::Acked(1, 1)]);
    lasting.hub.shard.gone(lasting.hub.now, id);
    lasting.hub.wait(60_000);
    lasting.tell_anew();
    let now = lasting.hub.now.0;
    let (mut lasting, places) = lasting.import(&[("a.b", now, b"back")]);
    assert_eq!(places[0].offset, Offset(2));
    for (from, gap) in [(0, Some((1, 1))), (1, None)] {
        let id = lasting.hub.client(3);
        lasting.hub.subscribe(id, "a.b", after(from), WhenSlow::CatchUp);
        let heard = lasting.hub.heard(id);
        let Heard::Subscribed(_, _, told) = &heard[0] else { panic!("{heard:?}") };
        assert_eq!(told.as_ref().map(|(from, to, _)| (*from, *to)), gap);
        assert_eq!(messages(&heard).len(), 1);
        lasting.hub.shard.gone(lasting.hub.now, id);
    }
}
