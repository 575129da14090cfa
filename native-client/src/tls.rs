//! TLS before a connection speaks HTTP: whom the client trusts, and in words why it does not trust the one it met.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::Address;
use crate::status::NoConnection;

/// Shakes hands on a connection with whoever is of this name.
pub(crate) async fn secure(
    address: &Address,
    name: ServerName<'static>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, NoConnection> {
    let ca = address.ca.clone();
    // A system may keep its authorities in hundreds of files.
    let config = spawn_blocking(move || config(ca.as_deref())).await;
    let config = config.map_err(|error| error.to_string()).flatten();
    let config = config.map_err(|error| NoConnection::Untrusted { address: address.to_string(), error })?;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    connected.map_err(|error| explain(address.to_string(), &error))
}

/// What is trusted: the authorities in a file, as it is now, or else those that the system trusts.
fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(path) = ca {
        let bad = |error| format!("the authorities in {} cannot be used: {error}", path.display());
        return trusting(in_file(path).map_err(bad)?);
    }
    if let Some(config) = SYSTEM.get() {
        return Ok(Arc::clone(config));
    }
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let error = found.errors.first().map_or_else(|| "there are none".into(), ToString::to_string);
        return Err(format!(
            "this system's authorities cannot be read: {error}; name a file with some (`ca`)"
        ));
    }
    let mut roots = RootCertStore::empty();
    // Of a system's some may be too old for us.
    roots.add_parsable_certificates(found.certs);
    let config = trusting(roots)?;
    Ok(Arc::clone(SYSTEM.get_or_init(|| config)))
}

fn in_file(path: &Path) -> Result<RootCertStore, String> {
    let content = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&content) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("there is no certificate in PEM in it".into()) } else { Ok(roots) }
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder =
        builder.with_protocol_versions(rustls::DEFAULT_VERSIONS).map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    // A WebSocket begins as a request of HTTP/1.1, and a proxy may prefer another.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn explain(address: String, error: &io::Error) -> NoConnection {
    let ours = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    match ours {
        Some(Error::InvalidCertificate(why)) => NoConnection::Untrusted { address, error: objection(why) },
        Some(Error::InvalidMessage(_)) => {
            let error = "it speaks no TLS; connect by http or ws, if that is meant to be so".into();
            NoConnection::NoHub { address, error }
        }
        Some(error) => NoConnection::NoHub { address, error: format!("the TLS handshake failed: {error}") },
        None => {
            let error = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the connection was closed in the TLS handshake".into(),
                _ => error.to_string(),
            };
            NoConnection::Unreachable { address, error }
        }
    }
}

/// What a client has against a certificate, as a clause.
fn objection(why: &CertificateError) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    match why {
        UnknownIssuer | BadSignature => {
            "its certificate is of an authority that is not trusted here; a private one has to be named (`ca`)".into()
        }
        Expired | ExpiredContext { .. } => "its certificate has expired".into(),
        NotValidYet | NotValidYetContext { .. } => {
            "its certificate is not valid yet, or this machine's clock is behind".into()
        }
        NotValidForName => "its certificate is for another name".into(),
        NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "none".into() } else { names.join(", ") };
            format!("its certificate is not for `{}`; the names in it: {names}", expected.to_str())
        }
        // That is what many make who want one for a server.
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is an authority's own, and none for a server".into()
        }
        other => format!("its certificate cannot be used: {other}"),
    }
}

/// A name without its kind: `a` of `DnsName("a")`.
fn bare(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, name)| name.trim_end_matches(')').trim_matches('"'))
}
