//! The numbers by which JavaScript and the engine understand each other, with what goes with each.
//!
//! `js/src/engine/tables.ts` is written from here, by a test: nothing of this is said twice.

macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$vdoc])* $variant = $number,)*
        }

        impl $name {
            /// All, with their names.
            pub const ALL: &[(&str, u8)] = &[$((stringify!($variant), $number)),*];

            /// What a number stands for.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

numbers! {
    /// What the engine can be told, by [`crate::npm::call`]. Calls that bring an input of bytes find them at the address that
    /// [`crate::npm::input`] gave. One that can be refused answers with a number from zero on, or with minus twice the
    /// fault's number, less one if trying again can help; one of which nothing is said answers with zero.
    Call {
        /// Fills the table with all that is to be done; answers with the number of rows.
        Drain = 0,
        /// One whole binary WebSocket message is in the first `a` bytes of the input. Drains.
        Received = 1,
        /// The topic is in the first `a` bytes of the input, `b` is the publish's number, `c` the payload's length; `d` is
        /// its content, and eight times the seq under which an engine before this one sent it. Can be refused.
        Publish = 2,
        /// The name is in the first `a` bytes of the input; `b` and `c` are where to start, `d` the options. Answers with
        /// the listener's number. Can be refused.
        Subscribe = 3,
        /// The number of a publish.
        Cancel = 4,
        /// The number of a listener.
        Unsubscribe = 5,
        /// A listener, messages, and bytes of payload. Answers with 1 if a drain is due for it.
        Settled = 6,
        /// Connect now, and find out whether a link that is up is.
        Connect = 7,
        /// For good.
        Close = 8,
        /// The link is up.
        LinkOpened = 9,
        /// The close code.
        LinkClosed = 10,
        /// The deadline of the last drain has come.
        Timeout = 11,
        /// The network may be another.
        Online = 12,
        /// The page goes to sleep.
        Suspend = 13,
        /// There is no token now.
        NoToken = 14,
        /// Answers with the ping's number, or with 0 if there is no link.
        Ping = 15,
        /// The topic is in the first `a` bytes of the input, and `b` bytes of payload behind it; `c` is how many
        /// milliseconds it is worth waiting, `d` its content, and eight times its sender's number. Answers with 0 if it was
        /// dropped, 1 if it went, 2 if it waits. Can be refused.
        Send = 16,
        /// The name is in the first `a` bytes of the input; `b` and `c` are where to start, `d` the messages at most.
        /// Answers with the question's number. Can be refused.
        History = 17,
        /// The number of a listener.
        CatchUp = 18,
        /// The publishes told next, from the number `a` on and `b` in all, are a batch with `c` bytes of payload; below zero
        /// for one that an engine before this one had. Can be refused.
        Batch = 19,
        /// The number of a sender, who has gone: what waits of it is dropped.
        Withdraw = 20,
        /// The token to sign in with from now on is in the first `a` bytes of the input.
        Token = 21,
        /// What the publish or send that is told next has besides its payload. In the first `a` bytes of the input are its key,
        /// and its headers' names and values by turns, each behind a zero; behind them, if `b` has bit 2, the epoch and the offset
        /// that its key's latest message is to have, of eight bytes each. Bit 0 of `b` is set if its key is removed, bit 1 if that
        /// is to have no value; eight times its durability is in `b`, too. `c` is its time to live.
        Besides = 22,
    }
}

numbers! {
    /// What a row of the table of outputs is. Columns are counted in words; see `crate::table`.
    Kind {
        /// The last row of every drain. Upper half: 1 if the link is in doubt. 1: when a timeout is due, or [`NONE`].
        Deadline = 0,
        /// Open a link.
        OpenLink = 1,
        /// Close the link. Upper half: the close code.
        CloseLink = 2,
        /// Upper half: 0 if there was none yet, 1 if the last was refused, 2 if it ends soon. 1: milliseconds until
        /// the next one comes too late.
        NeedToken = 3,
        /// A packet. Upper half: the address of its bytes. 1: how many.
        Send = 4,
        /// A payload of the packet before. Upper half: its place in the packet's bytes. 1: its publish. 2: its seq.
        Splice = 5,
        /// Upper half: the [`Standing`]. 1: fault. 2: milliseconds to the next try, or [`NONE`].
        Status = 6,
        /// Upper half: listener. 1: outcome. 2 to 5: as `Gap`, with reason [`NONE`] if there is none.
        Ready = 7,
        /// A place that the messages after `Ready` follow, that a `Page` reaches up to, or below which lies what comes before
        /// it. Upper half: listener. 1: offset. 2: epoch.
        Position = 8,
        /// Upper half: listener. 1: fault + retryable.
        Refused = 9,
        /// Upper half: listener. 2: reason. 3: from. 4: to. 5: epoch.
        Gap = 10,
        /// Upper half: listener. 1: offset. 2: epoch. 3: time. 4: content + maybe duplicate. 5 to 7: start + length of
        /// sender, topic and payload. A row of `Besides` may follow.
        Message = 11,
        /// 1: offset. 2: epoch. 3: publish. 4: durability + (1: duplicate, 2: maybe duplicate).
        Published = 12,
        /// 1: fault + retryable. 3: publish. 2 and 4: offset and epoch of its key's latest message, where a condition failed;
        /// 0 if there is none.
        Failed = 13,
        /// 1: fault. 2: start + length of the hub's words for it.
        Said = 14,
        /// The hub has answered a ping. Upper half: its number.
        Echoed = 15,
        /// A page of history, whole; rows of `Position` follow. Upper half: question. 1: whether there is more, and twice how
        /// many of the rows say how far it reaches. 2 to 5: as `Ready`.
        Page = 16,
        /// Upper half: listener.
        CaughtUp = 17,
        /// An update that waited. Upper half: its sender. 1: 1 if it was dropped, 0 if it went.
        Settled = 18,
        /// The hub takes no updates for a topic. Upper half: one of those who send there. 1: as `Refused`.
        Unsendable = 19,
        /// What the message before has besides; rows of `Header` follow. Upper half: 1 if its key is removed. 1: start + length of
        /// its key. 2: its time to live.
        Besides = 20,
        /// 1 and 2: start + length of a name and its value.
        Header = 21,
    }
}

numbers! {
    /// How the client stands to its hub, in a row of [`Kind::Status`].
    Standing {
        /// A link is being opened, or signed in on.
        Connecting = 0,
        /// Signed in.
        Online = 1,
        /// No link.
        Offline = 2,
        /// For good.
        Closed = 3,
    }
}

/// In a row: no such number.
pub const NONE: u64 = u64::MAX;
