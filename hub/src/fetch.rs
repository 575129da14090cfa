//! Small documents that the hub asks others for, by HTTP or HTTPS: bounded in bytes and time, and from where they are said to be
//! and nowhere else.

use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::header::{ACCEPT, CONNECTION, HOST, HeaderValue, USER_AGENT};
use axum::http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    host: String,
    port: u16,
    is_secure: bool,
}

/// Why a text is no such place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("https://HOST/PATH, perhaps with a port, or http; a name or password before an `@` goes nowhere")]
pub struct BadAddress;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody is there, or not reached.
    #[error("there is no connection: {0}")]
    Connect(#[source] io::Error),
    /// The system has no authorities that certificates could be checked by.
    #[error("there are no certificate authorities to check by: {0}")]
    Authorities(String),
    /// Whoever is there is not who it should be, or speaks no TLS.
    #[error("the TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
    /// What comes is no answer.
    #[error("what comes is no answer of HTTP/1.1: {0}")]
    Http(#[source] hyper::Error),
    /// It is somewhere else, and nobody said that it may be.
    #[error("the answer is {0}, which leads elsewhere: name that address, if it is the right one")]
    Elsewhere(u16),
    /// It is not there.
    #[error("the answer is {0}")]
    Status(u16),
    /// It is too large.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    /// It takes too long.
    #[error("it did not come within {} s", _0.as_secs())]
    TooLate(Duration),
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let uri: Uri = text.parse().map_err(|_| BadAddress)?;
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadAddress),
        };
        let authority = uri.authority().filter(|it| !it.as_str().contains('@')).ok_or(BadAddress)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match (authority.port_u16(), authority.as_str().ends_with(':')) {
            (Some(port), _) if port > 0 => port,
            (None, false) if authority.as_str() == authority.host() => {
                if is_secure {
                    443
                } else {
                    80
                }
            }
            _ => return Err(BadAddress),
        };
        if host.is_empty() || text.contains('#') {
            return Err(BadAddress);
        }
        Ok(Self { uri, host, port, is_secure })
    }
}

impl Address {
    /// Whether whoever is on the way can change what comes.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        let is_local = self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        !self.is_secure && !is_local
    }

    /// Fetches what is there: so many bytes, and for so long, at most.
    ///
    /// # Errors
    /// [`FetchError`] says why it did not come.
    pub async fn fetch(&self, bytes_max: usize, patience: Duration) -> Result<Vec<u8>, FetchError> {
        let fetch = async {
            let mut request = Request::new(Body::empty());
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
            let (answer, _driver) = self.send(request, None).await?;
            let status = answer.status();
            if status.is_redirection() {
                return Err(FetchError::Elsewhere(status.as_u16()));
            }
            if status != 200 {
                return Err(FetchError::Status(status.as_u16()));
            }
            whole(answer.into_body(), bytes_max).await
        };
        tokio::time::timeout(patience, fetch).await.unwrap_or(Err(FetchError::TooLate(patience)))
    }

    /// Sends a request there, wherever it says that it goes, and gives the answer, whatever it is. Others are trusted than those
    /// whom the system trusts, if some are given.
    ///
    /// # Errors
    /// [`FetchError`] says why there is no answer.
    pub async fn exchange(
        &self,
        request: Request<Body>,
        trust: Option<Trust>,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let exchange = async {
            let (answer, _driver) = self.send(request, trust).await?;
            let (parts, body) = answer.into_parts();
            Ok(Response::from_parts(parts, whole(body, bytes_max).await?))
        };
        tokio::time::timeout(patience, exchange).await.unwrap_or(Err(FetchError::TooLate(patience)))
    }

    /// The answer comes as long as what drives it is kept.
    async fn send(
        &self,
        request: Request<Body>,
        trust: Option<Trust>,
    ) -> Result<(Response<Incoming>, JoinSet<hyper::Result<()>>), FetchError> {
        let stream = TcpStream::connect((&*self.host, self.port)).await.map_err(FetchError::Connect)?;
        if !self.is_secure {
            return self.ask(stream, request).await;
        }
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| FetchError::Tls(io::Error::other(error)))?;
        let Trust(trust) = match trust {
            Some(trust) => trust,
            None => {
                // A system may keep its authorities in hundreds of files.
                let trust = tokio::task::spawn_blocking(Trust::of_the_system).await;
                trust.map_err(|error| FetchError::Authorities(error.to_string()))??
            }
        };
        let stream = TlsConnector::from(trust).connect(name, stream).await.map_err(FetchError::Tls)?;
        self.ask(stream, request).await
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        mut request: Request<Body>,
    ) -> Result<(Response<Incoming>, JoinSet<hyper::Result<()>>), FetchError> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
        let (mut sender, connection) =
            builder.handshake::<_, Body>(TokioIo::new(stream)).await.map_err(FetchError::Http)?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        let wrong = |error: axum::http::Error| FetchError::Connect(io::Error::other(error));
        *request.uri_mut() = Uri::builder().path_and_query(path).build().map_err(wrong)?;
        let host = HeaderValue::from_str(host).map_err(|error| wrong(error.into()))?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tidewire/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        Ok((sender.send_request(request).await.map_err(FetchError::Http)?, driver))
    }
}

async fn whole(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(FetchError::TooLarge(bytes_max));
    }
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(FetchError::Http)?.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(FetchError::TooLarge(bytes_max));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.uri.fmt(f)
    }
}

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Those authorities.
    ///
    /// # Errors
    /// None of them can be used.
    pub fn of(authorities: Vec<CertificateDer<'static>>) -> Result<Self, FetchError> {
        let mut roots = RootCertStore::empty();
        // Of a system's some may be too old for us.
        let (added, _) = roots.add_parsable_certificates(authorities);
        if added == 0 {
            return Err(FetchError::Authorities("there are none".into()));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .map_err(|error| FetchError::Authorities(error.to_string()))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Those that the system trusts.
    fn of_the_system() -> Result<Self, FetchError> {
        static TRUST: OnceLock<Trust> = OnceLock::new();
        if let Some(trust) = TRUST.get() {
            return Ok(trust.clone());
        }
        let found = rustls_native_certs::load_native_certs();
        let trust = Self::of(found.certs).map_err(|none| {
            found.errors.first().map_or(none, |error| FetchError::Authorities(error.to_string()))
        })?;
        Ok(TRUST.get_or_init(|| trust).clone())
    }
}

/// More is no head of a small document.
const HEAD_BYTES_MAX: usize = 65_536;
const HEADERS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_of_http_and_name_a_host_and_nobody() {
        for (text, host, port) in [
            ("https://issuer.example.com/keys", "issuer.example.com", 443),
            ("http://127.0.0.1:8080/.well-known/jwks.json?a=b", "127.0.0.1", 8080),
            ("https://[::1]/", "::1", 443),
            ("https://[::1]:8443/keys", "::1", 8443),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((&*address.host, address.port, address.to_string()), (host, port, text.to_owned()));
        }
        for text in [
            "",
            "keys.json",
            "file:///etc/passwd",
            "ftp://a/b",
            "https://",
            "https://user:secret@a/b",
            "https:///b",
            "https://a:0/",
            "https://a:/",
            "https://a:99999/",
            "https://a/b#c",
            "//a/b",
        ] {
            assert_eq!(text.parse::<Address>(), Err(BadAddress), "{text}");
        }
        let open = |text: &str| text.parse::<Address>().unwrap().is_open_to_others();
        assert!(open("http://a/") && open("http://10.0.0.1/"));
        assert!(!open("https://a/") && !open("http://localhost/") && !open("http://[::1]/"));
    }
}
