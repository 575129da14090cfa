//! What is kept of an authority's: the account, and the certificate with its key. Files are written whole or not at all, and only the
//! hub's own user can read them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::small_file;

/// A folder for them.
#[derive(Debug)]
pub struct Store(PathBuf);

impl Store {
    /// That for one authority in this folder: what one has given is none of another's.
    pub fn new(folder: &Path, directory: &str) -> Self {
        let digest = Sha256::digest(directory);
        let print: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let (_, rest) = directory.split_once("://").unwrap_or(("", directory));
        let host: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.' || *c == '-').collect();
        Self(folder.join(format!("{host}-{print}")))
    }

    /// The file with the key, and the certificate behind it with those that lead to an authority.
    pub fn certificate(&self) -> PathBuf {
        self.0.join("certificate.pem")
    }

    /// The file with the account.
    pub fn account(&self) -> PathBuf {
        self.0.join("account.json")
    }

    /// Makes the folder if it is not there, and sees whether it can be written.
    ///
    /// # Errors
    /// It cannot.
    pub fn prepare(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&self.0)?;
        let trial = self.0.join("certificate.pem.new");
        let mut file = small_file::create(&trial)?;
        // A full disk takes the name of a file, and nothing in it.
        file.write_all(&[b'\n'; TRIAL_BYTES])?;
        file.sync_all()?;
        fs::remove_file(trial)
    }

    /// What was kept of tries, if there is something.
    pub fn tries(&self) -> Vec<u8> {
        small_file::kept(&self.tried(), ACCOUNT_BYTES_MAX).unwrap_or_default()
    }

    /// Keeps it, for a hub that is started again and again.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_tries(&self, content: &[u8]) -> io::Result<()> {
        small_file::put(&self.tried(), content)
    }

    fn tried(&self) -> PathBuf {
        self.0.join("tries.json")
    }

    /// The account that was kept, if there is one.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_account(&self) -> io::Result<Option<Vec<u8>>> {
        match small_file::kept(&self.account(), ACCOUNT_BYTES_MAX) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps an account.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_account(&self, content: &[u8]) -> io::Result<()> {
        small_file::put(&self.account(), content)
    }

    /// Forgets the account.
    ///
    /// # Errors
    /// What the system says.
    pub fn forget_account(&self) -> io::Result<()> {
        fs::remove_file(self.account())
    }

    /// Keeps a certificate with its key.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_certificate(&self, pem: &str) -> io::Result<()> {
        small_file::put(&self.certificate(), pem.as_bytes())
    }
}

/// More than a key, a certificate and those that lead to an authority take.
const TRIAL_BYTES: usize = 32 << 10;
/// No account has more.
const ACCOUNT_BYTES_MAX: u64 = 65_536;
