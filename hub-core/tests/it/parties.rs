//! Several who publish through one connection: whose tag a message bears.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, Publish};
use tidewire_protocol::code::WhenSlow;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Handle, Seq, Tag};
use tidewire_protocol::position::Start;

use crate::rig::*;

/// The tags in what a connection hears: those of participants, and of messages.
fn tags(hub: &mut Hub, id: ConnectionId) -> Vec<u64> {
    let told = |frame: &HubFrame<'_>| match frame {
        HubFrame::Welcome(welcome) => vec![welcome.tag.0],
        HubFrame::Attached(attached) => vec![attached.tag.0],
        HubFrame::Block(block) => block.messages().map(|message| message.unwrap().tag.0).collect(),
        _ => vec![],
    };
    hub.heard_as(id, |_| vec![], told).concat()
}

fn publish_as(seq: u64, tag: u64) -> ClientFrame<'static> {
    let (handle, seq, tag, payload) = (Handle(1), Seq(seq), Tag(tag), b"m"[..].into());
    ClientFrame::Publish(Publish { handle, seq, tag, payload, ..Publish::default() })
}

#[test]
fn a_message_bears_the_tag_of_another_participant_of_its_connection_only() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (reader, elsewhere, id) = (hub.client(1), hub.client(2), hub.connect(Dialect::Binary));
    hub.subscribe(reader, "t", Start::Latest, WhenSlow::CatchUp);
    hub.say(elsewhere, &[attach(1, 3, 1)]);
    let theirs = tags(&mut hub, elsewhere)[0];
    hub.say(id, &[hello(4, 1), attach(1, 5, 1), attach(2, 6, 1), detach(2), open_as(1, 0, "t")]);
    let [own, other, gone] = tags(&mut hub, id)[..] else { panic!("three tags") };
    tags(&mut hub, reader);
    // All in one read, and in one batch.
    let asked = [0, other, own, other, gone, theirs, 12_345];
    let frames: Vec<_> = (1..).zip(asked).map(|(seq, tag)| publish_as(seq, tag)).collect();
    hub.say(id, &frames);
    assert_eq!(tags(&mut hub, reader), [own, other, own, other, own, own, own]);
}
