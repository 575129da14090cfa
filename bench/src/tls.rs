//! A certificate of this run's own, for servers that speak TLS and the load that trusts it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};

/// A folder with it that ends with its server.
#[derive(Debug)]
pub struct Certificate {
    folder: PathBuf,
    /// What trusts it alone.
    pub trusting: Arc<ClientConfig>,
}

impl Certificate {
    /// Makes one for the loopback address.
    ///
    /// # Errors
    /// If it cannot be made or written.
    pub fn make() -> Result<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let client = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let client = client.with_safe_default_protocol_versions()?;
        let trusting = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
        let folder = std::env::temp_dir().join(format!("tidewire-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let made = Self { folder, trusting };
        fs::write(made.chain(), cert.pem())?;
        fs::write(made.key(), signing_key.serialize_pem())?;
        fs::write(made.hub_config(), HUB_CONFIG)?;
        Ok(made)
    }

    /// The certificate.
    #[must_use]
    pub fn chain(&self) -> PathBuf {
        self.folder.join("chain.pem")
    }

    /// Its private key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    /// What a hub that shows it reads, and lets everybody do everything by.
    #[must_use]
    pub fn hub_config(&self) -> PathBuf {
        self.folder.join("hub.toml")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Whom it names.
pub const HOST: &str = "127.0.0.1";
/// As with `--dev`, where no TLS is spoken.
const HUB_CONFIG: &str = r#"listen = "127.0.0.1:0"
allow_no_origin = true

[tls]
certificate = "chain.pem"
key = "key.pem"

[[access]]
pattern = ">"
publish = true
subscribe = true
anonymous = true

[limits]
connections_per_address_max = 100000
handshakes_per_address_max = 4096
"#;
