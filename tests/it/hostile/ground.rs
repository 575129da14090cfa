//! The hub that an attack finds, and the way on which others come to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::support::file::File;
use crate::support::hub::Hub;
use crate::support::keyed::KEYS;
use crate::support::port::Port;
use crate::support::secured::Authority;

/// A hub of its own.
pub(crate) struct Ground {
    pub(crate) hub: Hub,
    /// Where others connect as if there were no TLS.
    pub(crate) others: SocketAddr,
    /// Whose certificate it has, where it speaks TLS.
    pub(crate) authority: Option<File>,
    _files: Vec<File>,
    _operators: Option<Port>,
}

impl Ground {
    pub(crate) fn plain() -> Self {
        let config = File::new(&format!("{OPEN}{}", key()));
        let hub = Hub::start(&["--config", config.path()], &[]);
        Self { others: hub.address, hub, authority: None, _files: vec![config], _operators: None }
    }

    /// By TLS, without which nothing else is there.
    pub(crate) fn by_tls() -> Self {
        let authority = Authority::new();
        let issued = authority.issue_local();
        let (certificate, private) = (File::new(&issued.certificate), File::new(&issued.key));
        let operators = Port::keep();
        let tls = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", certificate.path(), private.path());
        let config = format!("admin_listen = \"{}\"\n{OPEN}{}{tls}", operators.address(), key());
        let config = File::new(&config);
        let mut hub = Hub::start(&["--config", config.path()], &[]);
        hub.operators = Some(operators.address());
        Self {
            others: tunnel(hub.address, authority.trusting()),
            hub,
            authority: Some(File::new(&authority.pem())),
            _files: vec![certificate, private, config],
            _operators: Some(operators),
        }
    }
}

/// Tokens are taken that are signed by this.
fn key() -> String {
    format!("[[auth.keys]]\nalgorithm = \"ES256\"\nfile = \"{KEYS}/ec.public.pem\"\n")
}

/// A port at which what comes goes on to a hub by TLS: those who are no attackers read and write at once, which the library that
/// speaks it does not let two threads do.
fn tunnel(hub: SocketAddr, trust: Arc<ClientConfig>) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let connector = TlsConnector::from(trust);
            while let Ok((mut near, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let far = TcpStream::connect(hub).await?;
                    far.set_nodelay(true)?;
                    near.set_nodelay(true)?;
                    let mut far = connector.connect(ServerName::from(hub.ip()), far).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
    });
    told.recv().unwrap()
}

const OPEN: &str = include_str!("../support/open.toml");
