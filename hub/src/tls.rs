//! The certificate that the hub shows, with its key: read from their files, and read again when those change. Knows no
//! sockets; whoever shakes hands asks for what holds now.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::server::{ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::small_file;
use crate::tls::proofs::Proofs;
use crate::tls::validity::{Time, Validity};

pub mod proofs;

pub mod validity;

/// A certificate and its key, as their files say now or said when they were right.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    /// What an authority is shown, where the hub gets its certificate by itself.
    proofs: Option<Arc<Proofs>>,
    held: RwLock<Held>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Held {
    config: Arc<ServerConfig>,
    /// The certificate, if there is one.
    certificate: Option<CertificateDer<'static>>,
    /// From when to when it is valid, as far as that can be read.
    time: Option<Time>,
}

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The hub's certificate first, then those that lead to an authority.
    pub certificate: PathBuf,
    /// The private key of the first.
    pub key: PathBuf,
}

/// What was read of them, which need not fit.
#[derive(Debug)]
pub struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// What is wrong with a file, as what it would have to be.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// The system says no.
    #[error("a file that can be read, which it cannot: {0}")]
    Unreadable(#[from] io::Error),
    /// It holds no certificate.
    #[error(
        "a PEM file with the hub's certificate first and those that lead to its authority behind it; there is none in it"
    )]
    NoCertificate,
    /// It holds no key, or one that has a passphrase.
    #[error("a PEM file with the certificate's private key, without a passphrase; there is none in it")]
    NoKey,
    /// It begins as one and goes on otherwise.
    #[error("a PEM file, which it is not: {0}")]
    NoPem(String),
}

/// Why a pair cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPair {
    /// The certificate's file.
    #[error("{} has to be {why}", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: BadFile,
    },
    /// The key's file.
    #[error("{} has to be {why}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: BadFile,
    },
    /// They are not of each other.
    #[error("{} is not the private key of the first certificate in {}", .0.key.display(), .0.certificate.display())]
    OtherKey(Files),
    /// One of them is of a kind that is not spoken here.
    #[error("{} and {} cannot be used: {why}", files.certificate.display(), files.key.display())]
    Unusable {
        /// They.
        files: Files,
        /// What is wrong.
        why: rustls::Error,
    },
}

/// Why a certificate and a key that could be read are none of each other's.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The certificate is for another key.
    #[error("the private key of the first certificate, whose key is another")]
    OtherKey,
    /// One of them is of a kind that is not spoken here.
    #[error("a certificate and a key that can be used, which they cannot: {0}")]
    Unusable(#[from] rustls::Error),
}

/// How the files looked.
#[derive(Debug, Default)]
struct Seen {
    /// When they were read last.
    read: Stamp,
    /// When they were looked at last.
    last: Stamp,
}

/// When each was changed, and how large it is.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// What a hub shows whose files hold this pair.
    ///
    /// # Errors
    /// [`Unfit`] if they do not fit.
    pub fn new(files: Files, pair: Pair) -> Result<Arc<Self>, Unfit> {
        Self::with(files, Some(pair), None)
    }

    /// What a hub shows that gets its certificate by itself, puts it where these files are, and may have one already.
    ///
    /// # Errors
    /// [`Unfit`] if it does not fit.
    pub fn by_itself(files: Files, pair: Option<Pair>) -> Result<Arc<Self>, Unfit> {
        Self::with(files, pair, Some(Arc::default()))
    }

    fn with(files: Files, pair: Option<Pair>, proofs: Option<Arc<Proofs>>) -> Result<Arc<Self>, Unfit> {
        let held = RwLock::new(Held::new(pair, proofs.as_ref())?);
        let stamp = files.stamp();
        Ok(Arc::new(Self { files, proofs, held, seen: Mutex::new(Seen { read: stamp, last: stamp }) }))
    }

    /// What holds for the next handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.held().config)
    }

    /// Whether there is a certificate: where the hub gets it by itself, that may take a while.
    pub fn is_there(&self) -> bool {
        self.held().certificate.is_some()
    }

    /// Whether the certificate is for this name.
    pub fn is_for(&self, name: &str) -> bool {
        self.held().certificate.as_ref().is_some_and(|certificate| is_for(certificate, name))
    }

    /// From when to when the certificate is valid.
    pub fn time(&self) -> Option<Time> {
        self.held().time
    }

    /// What an authority is shown, where the hub gets its certificate by itself.
    pub fn proofs(&self) -> Option<&Arc<Proofs>> {
        self.proofs.as_ref()
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Reads the files again if they have changed, and since the last look no more: whoever writes one after the other is
    /// not interrupted. Gives what came of it, with a warning where there is one.
    pub fn look(&self) -> Option<Result<Option<String>, BadPair>> {
        let stamp = self.files.stamp();
        let mut seen = self.seen();
        let still = std::mem::replace(&mut seen.last, stamp) == stamp;
        let is_due = still && seen.read != stamp;
        drop(seen);
        is_due.then(|| self.read_again())
    }

    /// Reads the files again. What is wrong with them changes nothing.
    ///
    /// # Errors
    /// [`BadPair`] says what is wrong.
    pub fn read_again(&self) -> Result<Option<String>, BadPair> {
        self.seen().read = self.files.stamp();
        let pair = self.files.read()?;
        let warning = pair.warning();
        self.show(pair).map_err(|unfit| self.files.unfit(unfit))?;
        Ok(warning)
    }

    /// Shows another pair from now on, whatever the files say.
    ///
    /// # Errors
    /// [`Unfit`] if it does not fit. Then nothing changes.
    pub fn show(&self, pair: Pair) -> Result<(), Unfit> {
        let held = Held::new(Some(pair), self.proofs.as_ref())?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(())
    }

    /// What is shown is what the files say now: they need not be read again for that.
    pub fn know_files(&self) {
        let stamp = self.files.stamp();
        *self.seen() = Seen { read: stamp, last: stamp };
    }

    /// Nothing can fail half-way under this lock, so a poisoned one is as good as any.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn new(pair: Option<Pair>, proofs: Option<&Arc<Proofs>>) -> Result<Self, Unfit> {
        let certificate = pair.as_ref().and_then(|pair| pair.chain.first().cloned());
        let time = pair.as_ref().and_then(Pair::time);
        Ok(Self { config: Arc::new(config(pair, proofs)?), certificate, time })
    }
}

impl Files {
    /// Reads both.
    ///
    /// # Errors
    /// [`BadPair`] says which is wrong.
    pub fn read(&self) -> Result<Pair, BadPair> {
        let (certificate, key) = (&self.certificate, &self.key);
        let chain =
            chain(certificate).map_err(|why| BadPair::Certificate { path: certificate.clone(), why })?;
        let key = private_key(key).map_err(|why| BadPair::Key { path: key.clone(), why })?;
        Ok(Pair { chain, key })
    }

    /// Says of these why they do not fit.
    #[must_use]
    pub fn unfit(&self, unfit: Unfit) -> BadPair {
        match unfit {
            Unfit::OtherKey => BadPair::OtherKey(self.clone()),
            Unfit::Unusable(why) => BadPair::Unusable { files: self.clone(), why },
        }
    }

    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

impl Pair {
    /// These two.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self { chain, key }
    }

    /// Those of a text that has both.
    ///
    /// # Errors
    /// [`BadFile`] says what is missing.
    pub fn of_pem(text: &[u8]) -> Result<Self, BadFile> {
        Ok(Self { chain: chain_of(text)?, key: key_of(text)? })
    }

    /// From when to when the certificate is valid.
    pub fn time(&self) -> Option<Time> {
        Time::of(&self.chain)
    }

    /// What clients will have against the certificate because of the time, as a clause.
    pub fn warning(&self) -> Option<String> {
        Validity::now(&self.chain).complaint()
    }

    /// Whether the certificate is for this name.
    pub fn is_for(&self, name: &str) -> bool {
        self.chain.first().is_some_and(|certificate| is_for(certificate, name))
    }
}

fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let (certificate, name) = (ParsedCertificate::try_from(certificate), ServerName::try_from(name));
    matches!((certificate, name), (Ok(certificate), Ok(name)) if verify_server_name(&certificate, &name).is_ok())
}

fn config(pair: Option<Pair>, proofs: Option<&Arc<Proofs>>) -> Result<ServerConfig, Unfit> {
    let provider = Arc::new(default_provider());
    let own = pair.map(|pair| certified(pair, &provider)).transpose()?.map(Arc::new);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows { own, proofs: proofs.cloned() }));
    // A WebSocket begins as a request of HTTP/1.1: who wants one says so. Events by HTTP/2 take what only Unix has.
    let protocols = [cfg!(unix).then_some(HTTP2), Some(b"http/1.1")];
    config.alpn_protocols = protocols.into_iter().flatten().map(<[u8]>::to_vec).collect();
    config.alpn_protocols.extend(proofs.map(|_| proofs::PROTOCOL.to_vec()));
    // Who comes back brings what is to be remembered of it. Another certificate has other tickets.
    config.ticketer = Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Which certificate whoever shakes hands is shown.
#[derive(Debug)]
struct Shows {
    own: Option<Arc<CertifiedKey>>,
    proofs: Option<Arc<Proofs>>,
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match &self.proofs {
            Some(proofs) if proofs::is_asked_for(&hello) => proofs.of(hello.server_name()?),
            _ => self.own.clone(),
        }
    }
}

fn certified(Pair { chain, key }: Pair, provider: &CryptoProvider) -> Result<CertifiedKey, Unfit> {
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Unfit::OtherKey,
        error => Unfit::Unusable(error),
    })
}

/// Reads the certificates of a file.
///
/// # Errors
/// [`BadFile`] says what it should have been.
pub fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    chain_of(&content(path)?)
}

fn chain_of(content: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    let chain = chain.map_err(|error| BadFile::NoPem(error.to_string()))?;
    if chain.is_empty() { Err(BadFile::NoCertificate) } else { Ok(chain) }
}

/// Reads the first private key of a file.
///
/// # Errors
/// [`BadFile`] says what it should have been.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, BadFile> {
    key_of(&content(path)?)
}

fn key_of(content: &[u8]) -> Result<PrivateKeyDer<'static>, BadFile> {
    use rustls::pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(content).map_err(|error| match error {
        Error::NoItemsFound => BadFile::NoKey,
        // What is in the file is told nobody.
        _ => BadFile::NoPem("a line of it is wrong".into()),
    })
}

fn content(path: &Path) -> Result<Vec<u8>, BadFile> {
    Ok(small_file::content(path, FILE_BYTES_MAX)?)
}

/// What clients call HTTP/2.
pub const HTTP2: &[u8] = b"h2";
/// A chain of ten large certificates fits.
const FILE_BYTES_MAX: u64 = 262_144;
