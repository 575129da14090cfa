//! A mirror of a topic that keeps the latest of each key, where the far end loses its log or begins it anew.

use tidewire_client::{Change, Client, Epoch, GapReason, LiveMap, Offset, Options, Position};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::block::{Block, Head, put_message};
use tidewire_protocol::code::{Content, Outcome};
use tidewire_protocol::hub_frame::{HubFrame, Missing, Page, Subscribed};
use tidewire_protocol::number::{Request, TailNumber};
use tidewire_protocol::position::Gap;

use crate::far_end::{EPOCH, FarEnd, FarLink, Frame, in_time};

const ANOTHER: Epoch = Epoch(8);

impl FarLink {
    /// Begins the subscription that the client asks for.
    async fn begin(&mut self, epoch: Epoch, gap: Option<Gap>) {
        let frame = self.next().await;
        let Frame::Subscribe { request, .. } = frame else { panic!("{frame:?}") };
        self.say(HubFrame::Subscribed(Subscribed {
            request: Request(request),
            tail: TailNumber(9),
            outcome: if gap.is_some() { Outcome::Gap } else { Outcome::Resumed },
            positions: vec![Position { epoch, offset: Offset(0) }],
            gap,
            ..Subscribed::default()
        }))
        .await;
    }

    /// Says where the messages end, as it is asked.
    async fn end(&mut self, epoch: Epoch, offset: u64) {
        let frame = self.next().await;
        let Frame::History { request } = frame else { panic!("{frame:?}") };
        let end = vec![Position { epoch, offset: Offset(offset) }];
        self.say(HubFrame::Page(Page {
            request: Request(request),
            after: end.clone(),
            upto: end,
            ..Page::default()
        }))
        .await;
    }

    /// Sends the message with this place: a key, and what it has.
    async fn value(&mut self, offset: u64, key: &str, payload: &str) {
        let mut ext = Vec::new();
        Attributes { key: key.into(), ..Attributes::default() }.put(&mut ext);
        let (prev, content) = (Offset(offset - 1), Content::Json);
        let head = Head { prev, offset: Offset(offset), content, ext: &ext, ..Head::default() };
        let mut records = Vec::new();
        put_message(&head, payload.as_bytes(), &mut records);
        let tail = TailNumber(9);
        self.say(HubFrame::Block(Block { tail, prev, records: &records, ..Block::default() })).await;
    }

    /// Begins anew in the same log.
    async fn compact(&mut self, to: u64) {
        let gap = gap(EPOCH, to, GapReason::Compacted);
        let (tail, after) = (TailNumber(9), Offset(0));
        self.say(HubFrame::Missing(Missing { tail, gap: Some(gap), after })).await;
    }
}

fn gap(epoch: Epoch, to: u64, reason: GapReason) -> Gap {
    Gap { epoch, from: Offset(1), to: Offset(to), reason }
}

/// The next change, in a few words.
async fn told(map: &mut LiveMap<u64>) -> String {
    match in_time(map.next()).await.unwrap() {
        Change::Set(key) => format!("{key} is {}", map.get(&key).unwrap().data),
        Change::Removed(key, _) => format!("{key} is gone"),
        Change::Whole => "whole".into(),
        Change::Anew(gap) => format!("anew {}", gap.reason),
        Change::Bad(bad) => format!("{} is bad", bad.message.key().unwrap()),
        Change::Ended(fault) => fault.name().into(),
    }
}

/// A map of which one value has come, with its client, who must stay, and the link of that.
async fn begun(hub: &FarEnd) -> (Client, LiveMap<u64>, FarLink) {
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut map = LiveMap::open(&client, "t");
    let mut link = hub.welcome().await;
    link.begin(EPOCH, None).await;
    link.value(1, "ada", "1").await;
    assert_eq!(told(&mut map).await, "ada is 1");
    (client, map, link)
}

#[tokio::test]
async fn a_map_is_not_whole_before_it_holds_what_the_hub_has_that_it_is_at_now() {
    let hub = FarEnd::new().await;
    let (_client, mut map, mut link) = begun(&hub).await;
    // It is told where the messages end, and never comes there.
    link.end(EPOCH, 9).await;
    link.close(4017).await;
    let mut link = hub.welcome().await;
    link.begin(ANOTHER, Some(gap(ANOTHER, 0, GapReason::EpochChanged))).await;
    assert_eq!(told(&mut map).await, "anew epoch_changed");
    link.end(ANOTHER, 2).await;
    link.value(1, "ada", "2").await;
    link.value(2, "bob", "3").await;
    assert_eq!(told(&mut map).await, "ada is 2");
    assert!(!map.is_whole());
    assert_eq!(told(&mut map).await, "bob is 3");
    assert_eq!(told(&mut map).await, "whole");
}

#[tokio::test]
async fn a_map_that_begins_anew_is_whole_once() {
    let hub = FarEnd::new().await;
    let (_client, mut map, mut link) = begun(&hub).await;
    link.end(EPOCH, 3).await;
    // Before it is whole, and then when it is.
    for _ in 0..2 {
        link.compact(2).await;
        assert_eq!(told(&mut map).await, "anew compacted");
        link.end(EPOCH, 2).await;
        link.value(1, "ada", "4").await;
        link.value(2, "bob", "5").await;
        link.value(3, "cy", "6").await;
        let mut changes = Vec::new();
        for _ in 0..4 {
            changes.push(told(&mut map).await);
        }
        changes.retain(|change| change != "whole");
        assert_eq!(changes, ["ada is 4", "bob is 5", "cy is 6"]);
        assert!(map.is_whole());
    }
    link.value(4, "ada", "7").await;
    assert_eq!(told(&mut map).await, "ada is 7");
}
