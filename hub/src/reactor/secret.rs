//! What keys of requests are made producers with: as long as those are remembered nobody outside may know it, and the hub may have
//! no other. So it is kept beside a log that outlives the hub.

use std::io;
use std::path::Path;

use crate::small_file;

/// 32 bytes that nobody can guess.
pub(super) type Secret = [u8; 32];

/// The secret of a data directory, made with the first start there, or one for this run alone.
///
/// # Errors
/// What the system says, or that the file has been spoilt.
pub(super) fn of(data_dir: Option<&Path>) -> io::Result<Secret> {
    let Some(path) = data_dir.map(|dir| dir.join(FILE)) else { return random() };
    match small_file::content(&path, BYTES_MAX) {
        Ok(content) => Secret::try_from(content).map_err(|_| io::Error::other(spoilt(&path))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = random()?;
            small_file::put(&path, &secret)?;
            Ok(secret)
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))),
    }
}

fn random() -> io::Result<Secret> {
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    Ok(secret)
}

fn spoilt(path: &Path) -> String {
    format!(
        "{} is not as the hub wrote it: put it back from a backup, or remove it, and keys of requests (`Idempotency-Key`) from before mean nothing any more",
        path.display()
    )
}

const FILE: &str = "SECRET";
const BYTES_MAX: u64 = 1_024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn it_is_the_same_with_each_start_in_a_data_directory() {
        let dir = std::env::temp_dir().join(format!("tidewire-secret-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let first = of(Some(&dir)).unwrap();
        assert_eq!(of(Some(&dir)).unwrap(), first);
        assert!(first != of(None).unwrap() && of(None).unwrap() != of(None).unwrap());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "others can read it");
        }
        // Half of it, and one that never ends: no other takes its place.
        for spoilt in [&first[..16], &[7; 2_000][..]] {
            fs::write(dir.join(FILE), spoilt).unwrap();
            let error = of(Some(&dir)).unwrap_err().to_string();
            assert!(error.contains(FILE), "{error}");
            assert_eq!(fs::read(dir.join(FILE)).unwrap(), spoilt);
        }
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(of(Some(&dir)).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
