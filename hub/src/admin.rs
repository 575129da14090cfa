//! What operators ask a running hub: is it well, and what does it do.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::ledger::{Kind, Ledger};
use tidewire_hub_core::metrics::{Counts, Metrics};
use tidewire_protocol::code::{Code, GapReason};

use crate::admin::process::Process;
use crate::gate::Gate;
use crate::gate::refusals::Refusals;
use crate::reactor::Reactor;

mod process;

/// Answers `/metrics`.
pub fn router(gate: Arc<Gate>, reactor: Arc<Reactor>) -> Router {
    let hub = Hub { gate, reactor, process: Arc::default() };
    Router::new().route("/metrics", get(metrics)).with_state(hub)
}

/// Answers `/healthz`.
pub fn health_router(gate: Arc<Gate>) -> Router {
    Router::new().route("/healthz", get(health)).with_state(gate)
}

#[derive(Debug, Clone)]
struct Hub {
    gate: Arc<Gate>,
    reactor: Arc<Reactor>,
    process: Arc<Process>,
}

async fn health(State(gate): State<Arc<Gate>>) -> Response {
    if gate.is_shut() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    "ok\n".into_response()
}

/// The text format of Prometheus, version 0.0.4.
async fn metrics(State(Hub { gate, reactor, process }): State<Hub>) -> Response {
    let mut page = MetricsPage::default();
    page.core(reactor.topics().metrics());
    page.ledger(reactor.topics().ledger());
    let waiting = reactor.topics().credentials().waiting();
    page.gauge("tokens_waiting", "Tokens that wait to be checked.", waiting);
    let help = "Clients that are in, also those that take their leave: WebSockets, streams, connections of the HTTP API.";
    page.gauge("clients", help, gate.connections());
    page.gauge("http_connections", "Connections that speak HTTP.", gate.door().handshakes());
    page.refusals(&gate.door().refusals);
    page.process(&process).await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.0).into_response()
}

#[derive(Debug, Default)]
struct MetricsPage(String);

impl MetricsPage {
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
        self.counter_by_code(
            "disconnected_total",
            "Connections ended for a fault of the client or its link.",
            "code",
            disconnected,
        );
        self.gauge("subscriptions", "Subscriptions.", subscriptions.value());
        self.gauge("topics", "Topics whose state is kept.", topics.value());
        self.counter("published_total", "Messages appended.", published.value());
        self.counter("published_bytes_total", "Payload bytes appended.", published_bytes.value());
        self.counter("duplicates_total", "Retried publishes that had landed before.", duplicates.value());
        let checks = BadToken::ALL.iter().map(|bad| (bad.check(), bad_tokens.of(bad.number())));
        let help = "Tokens not taken, or not any more, by the check that they failed.";
        self.samples("bad_tokens_total", "counter", help, "check", checks);
        let help = "Refusals told: of publishes, questions, identities.";
        self.counter_by_code("refused_total", help, "code", refused);
        let help = "Updates without an ack that were not taken.";
        self.counter_by_code("updates_dropped_total", help, "reason", updates_dropped);
        self.counter("blocks_sent_total", "Blocks written whole to a subscriber.", blocks_sent.value());
        self.counter("sent_bytes_total", "Bytes written to sockets.", bytes_sent.value());
        self.counter("blocked_total", "Writes that found a socket full.", blocked.value());
        let reasons = GapReason::ALL.iter().map(|reason| (reason.name(), gaps.of(reason.number())));
        self.samples("gaps_total", "counter", "Gaps told to readers.", "reason", reasons);
    }

    /// What the hub's memory is held by, as far as it is counted.
    fn ledger(&mut self, ledger: &Ledger) {
        let held = Kind::ALL.into_iter().map(|kind| (kind.name(), ledger.held(kind)));
        self.samples("held_bytes", "gauge", "Memory by what it is held for.", "kind", held);
    }

    /// What the system says of this process, where it says so.
    async fn process(&mut self, process: &Arc<Process>) {
        if let Some(bytes) = process::resident_bytes() {
            self.sample("process_resident_memory_bytes", "gauge", "Memory of the process.", bytes);
        }
        if let Some(files) = process.open_files().await {
            self.sample("process_open_fds", "gauge", "Open files of the process, seconds ago.", files);
        }
        if let Ok((max, _)) = rlimit::Resource::NOFILE.get() {
            self.sample("process_max_fds", "gauge", "Open files that the process may have.", max);
        }
    }

    /// Whom the gate refused, by reason.
    fn refusals(&mut self, refusals: &Refusals) {
        let help = "Clients refused before or at the handshake.";
        let counts = refusals.counts().map(|(reason, count)| (reason.name(), count));
        self.samples("handshakes_refused_total", "counter", help, "reason", counts);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.sample(&format!("tidewire_{name}"), "gauge", help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.sample(&format!("tidewire_{name}"), "counter", help, value);
    }

    fn counter_by_code(&mut self, name: &str, help: &str, label: &str, counts: &Counts) {
        let codes = Code::ALL.iter().map(|code| (code.name(), counts.of(code.number())));
        self.samples(name, "counter", help, label, codes);
    }

    /// A sample for each value of a label.
    fn samples<'a>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'a str, impl Display)>,
    ) {
        let _ = write!(self.0, "# HELP tidewire_{name} {help}\n# TYPE tidewire_{name} {kind}\n");
        for (label_value, value) in values {
            let _ = writeln!(self.0, "tidewire_{name}{{{label}=\"{label_value}\"}} {value}");
        }
    }

    fn sample(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_its_help_and_type() {
        let mut page = MetricsPage::default();
        page.core(&Metrics::default());
        let mut described = ("", "");
        for line in page.0.lines() {
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
        assert!(page.0.contains("\ntidewire_refused_total{code=\"rate_limited\"} 0\n"));
    }
}
