//! What is measured of a hub, for all forms in which it is told.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::ledger::{Kind as Held, Ledger};
use tidewire_hub_core::metrics::{Counts, Metrics};
use tidewire_protocol::code::{Code, GapReason};

use crate::admin::process::{self, Process};
use crate::gate::Gate;
use crate::reactor::Reactor;
use crate::reactor::storage::{Measured, Storage};

/// All of it, at one moment.
#[derive(Debug, Default)]
pub(super) struct Measures(Vec<Measure>);

/// One thing that is measured.
#[derive(Debug)]
struct Measure {
    name: String,
    kind: Kind,
    help: &'static str,
    values: Values,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// It only grows while the hub runs.
    Counter,
    /// It comes and goes.
    Gauge,
}

#[derive(Debug)]
enum Values {
    One(u64),
    /// One for each value of a label.
    By(&'static str, Vec<(&'static str, u64)>),
}

impl Measures {
    /// What there is to tell of a hub now.
    pub(super) async fn of(gate: &Gate, process: &Arc<Process>) -> Self {
        let topics = gate.reactor().topics();
        let mut measures = Self::default();
        measures.core(topics.metrics());
        measures.ledger(topics.ledger());
        measures.gauge("tokens_waiting", "Tokens that wait to be checked.", topics.credentials().waiting());
        let revocations = topics.credentials().standing().revocations(gate.reactor().desk().now());
        measures.gauge("revocations", "Revocations of tokens that stand, as the list has them.", revocations);
        let help = "Clients that are in, also those that take their leave: WebSockets, streams, connections of the HTTP API, requests by HTTP/2.";
        measures.gauge("clients", help, gate.connections());
        let help =
            "Connections in a handshake, before their first request, or that ask for nothing of the API.";
        measures.gauge("http_connections", help, gate.door().handshakes());
        if let Some(time) = gate.door().tls.as_ref().and_then(|tls| tls.time()) {
            let help = "When the certificate expires, in seconds since 1970.";
            measures.gauge("certificate_expiry_seconds", help, time.to);
        }
        measures.refusals(gate);
        measures.process(process).await;
        measures.storage(gate.reactor()).await;
        measures
    }

    /// The durable log, if there is one.
    async fn storage(&mut self, reactor: &Arc<Reactor>) {
        let reactor = Arc::clone(reactor);
        // The system is asked for files, and may be slow to answer.
        let asked = tokio::task::spawn_blocking(move || reactor.storage().map(Storage::measure));
        let Ok(Some(measured)) = asked.await else { return };
        let Measured {
            has_failed,
            is_full,
            commits,
            commit_bytes,
            commit_micros,
            reads,
            failed_reads,
            disk_bytes,
            free_bytes,
        } = measured;
        self.counter("commits_total", "Commits written to the data directory and synced.", commits);
        self.counter("commit_bytes_total", "Bytes of these commits.", commit_bytes);
        let help = "Microseconds that writing and syncing them took.";
        self.counter("commit_microseconds_total", help, commit_micros);
        let help = "Reads of history that memory does not hold, of the data directory.";
        self.counter("reads_total", help, reads);
        let help =
            "Reads of history for which the data directory's disk failed, so that they are tried again.";
        self.counter("failed_reads_total", help, failed_reads);
        let help = "Bytes of the data directory's segments, with room that was taken ahead.";
        self.gauge("disk_bytes", help, disk_bytes);
        self.gauge("disk_free_bytes", "Bytes that the data directory's disk has left.", free_bytes);
        let help = "Whether publishes to durable topics are refused, by why: a write failed, or the disk is nearly full.";
        let values = [("failed", u64::from(has_failed)), ("full", u64::from(is_full))];
        self.by("storing_stopped", Kind::Gauge, help, "why", values.into_iter());
    }

    /// Everything that the core counts; a count that is missing here does not compile.
    fn core(&mut self, metrics: &Metrics) {
        let Metrics {
            connections,
            accepted,
            disconnected,
            subscriptions,
            topics,
            published,
            published_bytes,
            duplicates,
            bad_tokens,
            refused,
            updates_dropped,
            blocks_sent,
            bytes_sent,
            blocked,
            gaps,
        } = metrics;
        self.gauge("connections", "Connections that a shard serves.", connections.value());
        self.counter("accepted_total", "Connections ever given to a shard.", accepted.value());
        let help = "Connections ended for a fault of the client or its link.";
        self.by_code("disconnected_total", help, "code", disconnected);
        self.gauge("subscriptions", "Subscriptions.", subscriptions.value());
        self.gauge("topics", "Topics whose state is kept.", topics.value());
        self.counter("published_total", "Messages appended.", published.value());
        self.counter("published_bytes_total", "Payload bytes appended.", published_bytes.value());
        self.counter("duplicates_total", "Retried publishes that had landed before.", duplicates.value());
        let checks = BadToken::ALL.iter().map(|bad| (bad.check(), bad_tokens.of(bad.number())));
        let help = "Tokens not taken, or not any more, by the check that they failed.";
        self.by("bad_tokens_total", Kind::Counter, help, "check", checks);
        self.by_code("refused_total", "Refusals told: of publishes, questions, identities.", "code", refused);
        let help = "Updates without an ack that were not taken.";
        self.by_code("updates_dropped_total", help, "reason", updates_dropped);
        self.counter("blocks_sent_total", "Blocks written whole to a subscriber.", blocks_sent.value());
        self.counter("sent_bytes_total", "Bytes written to sockets.", bytes_sent.value());
        self.counter("blocked_total", "Writes that found a socket full.", blocked.value());
        let reasons = GapReason::ALL.iter().map(|reason| (reason.name(), gaps.of(reason.number())));
        self.by("gaps_total", Kind::Counter, "Gaps told to readers.", "reason", reasons);
    }

    /// What the hub's memory is held by, as far as it is counted.
    fn ledger(&mut self, ledger: &Ledger) {
        let held = Held::ALL.into_iter().map(|kind| (kind.name(), ledger.held(kind) as u64));
        self.by("held_bytes", Kind::Gauge, "Memory by what it is held for.", "kind", held);
    }

    /// Whom the gate refused, by reason.
    fn refusals(&mut self, gate: &Gate) {
        let counts = gate.door().refusals.counts().map(|(reason, count)| (reason.name(), count));
        let help = "Clients refused before or at the handshake.";
        self.by("handshakes_refused_total", Kind::Counter, help, "reason", counts);
    }

    /// What the system says of this process, where it says so.
    async fn process(&mut self, process: &Arc<Process>) {
        let mut tell = |name: &str, help, value| {
            self.0.push(Measure { name: name.into(), kind: Kind::Gauge, help, values: Values::One(value) });
        };
        if let Some(bytes) = process::resident_bytes() {
            tell("process_resident_memory_bytes", "Memory of the process.", bytes);
        }
        if let Some(files) = process.open_files().await {
            tell("process_open_fds", "Open files of the process, seconds ago.", files as u64);
        }
        if let Ok((max, _)) = rlimit::Resource::NOFILE.get() {
            tell("process_max_fds", "Open files that the process may have.", max);
        }
    }

    fn gauge(&mut self, name: &str, help: &'static str, value: impl TryInto<u64>) {
        let values = Values::One(value.try_into().unwrap_or(u64::MAX));
        self.0.push(Measure { name: format!("tidewire_{name}"), kind: Kind::Gauge, help, values });
    }

    fn counter(&mut self, name: &str, help: &'static str, value: u64) {
        let values = Values::One(value);
        self.0.push(Measure { name: format!("tidewire_{name}"), kind: Kind::Counter, help, values });
    }

    fn by_code(&mut self, name: &str, help: &'static str, label: &'static str, counts: &Counts) {
        let codes = Code::ALL.iter().map(|code| (code.name(), counts.of(code.number())));
        self.by(name, Kind::Counter, help, label, codes);
    }

    fn by(
        &mut self,
        name: &str,
        kind: Kind,
        help: &'static str,
        label: &'static str,
        values: impl Iterator<Item = (&'static str, u64)>,
    ) {
        let values = Values::By(label, values.collect());
        self.0.push(Measure { name: format!("tidewire_{name}"), kind, help, values });
    }

    /// As the text format of Prometheus has it, version 0.0.4.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for Measure { name, kind, help, values } in &self.0 {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            match values {
                Values::One(value) => drop(writeln!(out, "{name} {value}")),
                Values::By(label, values) => values.iter().for_each(|(of, value)| {
                    let _ = writeln!(out, "{name}{{{label}=\"{of}\"}} {value}");
                }),
            }
        }
        out
    }
}

/// By name: a number, or one for each value of the label.
impl Serialize for Measures {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|Measure { name, values, .. }| (name, values)))
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(value) => to.serialize_u64(*value),
            Self::By(_, values) => to.collect_map(values.iter().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_its_help_and_type() {
        let mut measures = Measures::default();
        measures.core(&Metrics::default());
        let (text, mut described) = (measures.text(), ("", ""));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                described = (help.split(' ').next().unwrap_or_default(), "");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                described.1 = kind.split(' ').next().unwrap_or_default();
            } else {
                let name = line.split(['{', ' ']).next().unwrap_or_default();
                assert!(name.starts_with("tidewire_") && described == (name, name), "{line}");
                assert!(line.ends_with(" 0"), "{line}");
            }
        }
        assert!(text.contains("\ntidewire_refused_total{code=\"rate_limited\"} 0\n"));
    }
}
