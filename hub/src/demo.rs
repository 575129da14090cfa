//! The demo's publisher: how busy this machine is, once a second, on a topic that keeps the last ten minutes.
//! It is a client of the hub like any other and comes in through a socket. The library does not know of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tidewire_client::{Client, Options};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::warn;

use crate::demo::host::Meter;

mod host;
mod proc;

/// Publishes for as long as the hub runs at this address; says so once if it cannot.
pub(crate) async fn publish_host(hub: SocketAddr) {
    if let Err(error) = publish(&url(hub)).await {
        warn!(
            target: "demo",
            "the demo's charts stay empty: {error:#}; they need `allow_no_origin = true`, and an access rule that lets \
             everybody publish to `{TOPIC}`"
        );
    }
}

async fn publish(url: &str) -> anyhow::Result<()> {
    let mut meter = Meter::start()?;
    let client = Client::connect(url, Options::default())?;
    client.connected().await?;
    let mut seconds = interval_at(Instant::now() + SECOND, SECOND);
    // After a pause one sample tells of all of it.
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        client.publish(TOPIC, &meter.sample()?).await?;
    }
}

/// A hub that listens everywhere is reached through loopback.
fn url(hub: SocketAddr) -> String {
    let ip = match hub.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, hub.port()))
}

const TOPIC: &str = "demo.host";
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hub: &str, expected: &str) {
        assert_eq!(hub.parse().map(url), Ok(expected.into()));
    }

    #[test]
    fn a_hub_that_listens_everywhere_is_here() {
        check("127.0.0.1:7700", "http://127.0.0.1:7700");
        check("0.0.0.0:80", "http://127.0.0.1:80");
        check("[::]:80", "http://[::1]:80");
        check("192.0.2.7:80", "http://192.0.2.7:80");
    }
}
