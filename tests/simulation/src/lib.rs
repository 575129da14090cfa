//! Many clients against one hub, in virtual time, on one thread, from one seed.
//!
//! Real client cores speak through simulated sockets to real shards over real topics, others listen there to event streams
//! as browsers do, and others call by HTTP. Links drop, stall and cut bytes anywhere; hubs crash; engines are late; disks
//! tear, fail and fill up under durable logs; rules change, and tokens expire, are renewed and are taken back. An oracle that sees
//! everything checks all the time that no acknowledged message is lost, none is seen twice, all are in order, a hole always
//! comes with a gap, and what ended has ended for its bearer and for nobody else.
//!
//! The modules, in the order a run meets them; each uses only those after it.

pub mod runs;

pub mod world;

pub mod oracle;

pub mod setup;

pub mod events;
pub mod names;
pub mod queue;
pub mod websocket;

pub mod random;
