//! A server's process, from its start to its end.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdout};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use crate::folder::Folder;
use crate::load::Target;
use crate::tls::Certificate;
use crate::tokens::Signer;

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it speaks TLS.
    pub(super) certificate: Option<Certificate>,
    /// Whose tokens it takes.
    pub(super) signer: Option<Arc<Signer>>,
    /// Where it stores, if it does; what is there ends with it.
    pub(super) folder: Option<Folder>,
    /// Kept open: a server that cannot print any more may end.
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    /// One of which nothing is known yet; it is ended whatever happens from here on.
    pub(super) const fn of(child: Child) -> Self {
        let address = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self { child, address, certificate: None, signer: None, folder: None, stdout: None }
    }

    /// Waits until it says where it listens.
    pub(super) fn hear_address(mut self) -> Result<Self> {
        let stdout = self.child.stdout.take().context("no standard output")?;
        let stdout = self.stdout.insert(BufReader::new(stdout));
        let mut line = String::new();
        while stdout.read_line(&mut line)? > 0 {
            let told = line.trim_end().rsplit_once("listening on http");
            if let Some((_, address)) = told.and_then(|(_, told)| told.rsplit_once("://")) {
                self.address = address.parse().with_context(|| format!("cannot read {address}"))?;
                return Ok(self);
            }
            line.clear();
        }
        bail!("it ended without saying where it listens")
    }

    /// Where it is, whom to trust there, and who signs tokens for it.
    #[must_use]
    pub fn target(&self) -> Target {
        let tls = self.certificate.as_ref().map(|certificate| Arc::clone(&certificate.trusting));
        Target { address: self.address, tls, signer: self.signer.clone() }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder that it stores in, if it does.
    #[must_use]
    pub fn stores_in(&self) -> Option<&Path> {
        self.folder.as_ref().map(Folder::root)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself, which the load will have told.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
