//! What is shown to an authority that asks whether a name leads here (RFC 8737): a certificate of its own, to nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

/// Certificates by the names that are asked for.
#[derive(Debug, Default)]
pub struct Proofs(Mutex<HashMap<String, Arc<CertifiedKey>>>);

/// One that is shown as long as this is kept.
#[derive(Debug)]
pub struct Shown {
    proofs: Arc<Proofs>,
    name: String,
}

/// Why none can be made.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// For a name that no certificate can have.
    #[error("no certificate can be made for it: {0}")]
    Certificate(#[from] rcgen::Error),
    /// With a key that is not spoken.
    #[error("its key cannot be used: {0}")]
    Key(#[from] rustls::Error),
}

impl Proofs {
    /// Shows that whoever answers for a name knows this digest.
    ///
    /// # Errors
    /// [`NoProof`] says what is wrong with the name.
    pub fn show(self: &Arc<Self>, name: &str, digest: &[u8]) -> Result<Shown, NoProof> {
        let name = name.to_ascii_lowercase();
        let mut parameters = CertificateParams::new(vec![name.clone()])?;
        parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let key = default_provider().key_provider.load_private_key(key.into())?;
        // Nobody is to take it for anything else than a proof, so whoever looks whether it fits its key would refuse it.
        let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
        self.lock().insert(name.clone(), Arc::new(certified));
        Ok(Shown { proofs: Arc::clone(self), name })
    }

    pub(super) fn of(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.lock().get(&name.to_ascii_lowercase()).cloned()
    }

    /// Nothing can fail half-way under this lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.proofs.lock().remove(&self.name);
    }
}

/// Whether it is an authority that asks for a proof, and for nothing else.
pub(super) fn is_asked_for(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut protocols| protocols.next() == Some(PROTOCOL) && protocols.next().is_none())
}

/// What such an authority says that it speaks.
pub const PROTOCOL: &[u8] = b"acme-tls/1";
