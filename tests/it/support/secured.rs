//! A hub that speaks TLS, and an authority that vouches for it.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::support::file::{File, OPEN};
use crate::support::hub::Hub;
use crate::support::port::Port;
use crate::support::socket::RawSocket;

/// One that nobody knows who is not told of it.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as files hold them.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A hub where everybody may do everything, by TLS.
pub(crate) struct Secured {
    pub(crate) hub: Hub,
    pub(crate) authority: Authority,
    pub(crate) certificate: File,
    pub(crate) key: File,
    _config: File,
    _operators: Port,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name, valid from one year on and up to another.
    pub(crate) fn issue(&self, name: &str, years: (i32, i32)) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Itself, as if it were a hub.
    pub(crate) fn as_issued(&self) -> Issued {
        Issued { certificate: self.pem(), key: self.0.key().serialize_pem() }
    }

    /// A certificate for this machine.
    pub(crate) fn issue_local(&self) -> Issued {
        self.issue("127.0.0.1", VALID)
    }

    /// What a client trusts that trusts it alone.
    pub(crate) fn trusting(&self) -> Arc<ClientConfig> {
        self.trusting_by(rustls::DEFAULT_VERSIONS)
    }

    pub(crate) fn trusting_by(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        trusting(self.pem().as_bytes(), versions)
    }
}

/// What a client trusts that trusts this authority alone.
pub(crate) fn trusting(pem: &[u8], versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

impl Issued {
    /// Whether this is what the hub has shown on a connection.
    pub(crate) fn is_shown_on(&self, socket: &RawSocket) -> bool {
        let shown = &socket.tls().peer_certificates().unwrap()[0];
        *shown == CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

impl Secured {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more tables in its configuration.
    pub(crate) fn start_with(more: &str) -> Self {
        Self::start_by("", more)
    }

    /// The same with more keys, too.
    pub(crate) fn start_by(keys: &str, more: &str) -> Self {
        let authority = Authority::new();
        let issued = authority.issue_local();
        let (certificate, key) = (File::new(&issued.certificate), File::new(&issued.key));
        let operators = Port::keep();
        let tls = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", certificate.path(), key.path());
        let config = format!("admin_listen = \"{}\"\n{keys}{OPEN}{tls}{more}", operators.address());
        let config = File::new(&config);
        let mut hub = Hub::start(&["--config", config.path()], &[]);
        hub.operators = Some(operators.address());
        Self { hub, authority, certificate, key, _config: config, _operators: operators }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.hub.address
    }

    /// Puts another pair into its files.
    pub(crate) fn write(&self, issued: &Issued) {
        fs::write(self.certificate.path(), &issued.certificate).unwrap();
        fs::write(self.key.path(), &issued.key).unwrap();
    }

    /// A connection by TLS on which nothing was said.
    pub(crate) fn connect(&self) -> RawSocket {
        RawSocket::secure(self.address(), &self.authority.trusting()).unwrap()
    }

    /// A WebSocket by TLS that has signed in.
    pub(crate) fn signed_in(&self) -> RawSocket {
        self.connect().upgraded().sign_in()
    }
}

/// Years in which the tests run.
pub(crate) const VALID: (i32, i32) = (2000, 2100);
