//! What operators ask a running hub: is it well, and what does it do.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tidewire_hub_core::metrics::Metrics;

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
    page.gauge("websockets", "WebSockets open, those that take their leave among them.", gate.connections());
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
            refused,
            blocks_sent,
            bytes_sent,
            blocked,
            gaps,
            block_bytes,
        } = metrics;
        self.gauge("connections", "Connections that a shard serves.", connections.value());
        self.counter("accepted_total", "Connections ever given to a shard.", accepted.value());
        self.counter(
            "disconnected_total",
            "Connections ended for a fault of the client.",
            disconnected.value(),
        );
        self.gauge("subscriptions", "Subscriptions.", subscriptions.value());
        self.gauge("topics", "Topics whose state is kept.", topics.value());
        self.counter("published_total", "Messages appended.", published.value());
        self.counter("published_bytes_total", "Payload bytes appended.", published_bytes.value());
        self.counter("duplicates_total", "Retried publishes that had landed before.", duplicates.value());
        self.counter("refused_total", "Publishes refused.", refused.value());
        self.counter("blocks_sent_total", "Blocks written whole to a subscriber.", blocks_sent.value());
        self.counter("sent_bytes_total", "Bytes written to sockets.", bytes_sent.value());
        self.counter("blocked_total", "Writes that found a socket full.", blocked.value());
        self.counter("gaps_total", "Gaps told to subscribers.", gaps.value());
        self.gauge("block_bytes", "Bytes of sealed blocks in memory.", block_bytes.value());
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
        let name = "tidewire_handshakes_refused_total";
        let help = "Clients refused before or at the handshake.";
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} counter\n");
        for (reason, count) in refusals.counts() {
            let _ = writeln!(self.0, "{name}{{reason=\"{}\"}} {count}", reason.name());
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.sample(&format!("tidewire_{name}"), "gauge", help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.sample(&format!("tidewire_{name}"), "counter", help, value);
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
        let lines: Vec<&str> = page.0.lines().collect();
        for sample in lines.chunks(3) {
            assert!(sample[0].starts_with("# HELP tidewire_") && sample[1].starts_with("# TYPE tidewire_"));
            assert!(sample[2].ends_with(" 0"), "{}", sample[2]);
        }
    }
}
