//! A certificate of this run's own, for servers that speak TLS and the load that trusts it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};

use crate::folder::Folder;
use crate::open_hub;

/// It, in a folder that ends with its server.
#[derive(Debug)]
pub struct Certificate {
    folder: Folder,
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
        let folder = Folder::make()?;
        folder.write(CHAIN, &cert.pem())?;
        folder.write(KEY, &signing_key.serialize_pem())?;
        folder.write(HUB, &open_hub::config(SHOWN))?;
        Ok(Self { folder, trusting })
    }

    /// The certificate.
    #[must_use]
    pub fn chain(&self) -> PathBuf {
        self.folder.path(CHAIN)
    }

    /// Its private key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.path(KEY)
    }

    /// What a hub that shows it reads, and lets everybody do everything by.
    #[must_use]
    pub fn hub_config(&self) -> PathBuf {
        self.folder.path(HUB)
    }
}

/// Whom it names.
pub const HOST: &str = "127.0.0.1";

const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";
const HUB: &str = "hub.toml";
const SHOWN: &str = r#"[tls]
certificate = "chain.pem"
key = "key.pem"
"#;
