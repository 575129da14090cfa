//! `REVOKED` in a data directory: which tokens were taken back, so that this holds over a restart.
//!
//! ```text
//! {"tokens":{JTI:END},"subjects":{SUBJECT:[ISSUED_BEFORE,END]},"issued_before":TIME}
//! CRC32C of that line, in 8 hexadecimal digits
//! ```
//!
//! Times are in seconds since 1970; `null` for an end that nobody knows. Written anew whenever there is one more or one less,
//! whole or not at all.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tidewire_hub_core::clock::{Millis, NEVER};
use tidewire_hub_core::credentials::revocations::{About, Revocation};

use crate::disk::opening::{OpenError, REVOKED, REVOKED_BYTES_MAX};
use crate::small_file;
use crate::tokens::wall_ms;

/// What was taken back, in memory and in its file.
#[derive(Debug)]
pub struct Remembered {
    path: PathBuf,
    kept: Mutex<Kept>,
}

/// Whoever has it changes what is remembered.
#[derive(Debug)]
pub struct Change<'a> {
    path: &'a Path,
    kept: MutexGuard<'a, Kept>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    tokens: BTreeMap<Box<str>, Option<u64>>,
    subjects: BTreeMap<Box<str>, (u64, Option<u64>)>,
    issued_before: u64,
}

/// Its file cannot be read: what it holds is not to be forgotten without a word.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// This user may not. It is whole for all that anybody knows, so nobody is told to remove it.
    #[error(transparent)]
    NoPermission(OpenError),
    /// It is not what a hub has written.
    #[error(
        "{} cannot be read ({why}), and says which tokens were revoked: put it back from a copy, or remove it and revoke them \
         again", .path.display()
    )]
    Spoilt {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Remembered {
    /// What is remembered in this directory; nothing where there is no such file.
    ///
    /// # Errors
    /// [`Unreadable`] names the file.
    pub fn open(directory: &Path) -> Result<Self, Unreadable> {
        let path = directory.join(REVOKED);
        // A link may lead to nothing, which is not that nothing was revoked, and the next change would put a file in its place.
        let kept = match small_file::kept_itself(&path, REVOKED_BYTES_MAX) {
            Ok(content) => parse(&content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Unreadable::NoPermission(OpenError::NoPermission(path)));
            }
            Err(error) => Err(error.to_string()),
        };
        match kept {
            Ok(kept) => Ok(Self { path, kept: Mutex::new(kept) }),
            Err(why) => Err(Unreadable::Spoilt { path, why }),
        }
    }

    /// All of it, by a steady clock that says `now`, but for what has ended meanwhile.
    pub fn revocations(&self, now: Millis) -> Vec<Revocation> {
        let wall = wall_ms() / 1_000;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let until = |end: Option<u64>| {
            end.map_or(NEVER, |end| now.plus(end.saturating_sub(wall).saturating_mul(1_000)))
        };
        let stands = |end: Option<u64>| end.is_none_or(|end| end > wall);
        let tokens = kept.tokens.iter().filter(|(_, end)| stands(**end));
        let tokens = tokens.map(|(id, end)| Revocation::Token { id: id.clone(), until: until(*end) });
        let subjects = kept.subjects.iter().filter(|(_, (_, end))| stands(*end));
        let subjects = subjects.map(|(subject, (issued_before, end))| Revocation::Subject {
            subject: subject.clone(),
            issued_before: *issued_before,
            until: until(*end),
        });
        let all = (kept.issued_before > 0).then_some(Revocation::All { issued_before: kept.issued_before });
        tokens.chain(subjects).chain(all).collect()
    }

    /// To change it: nobody else does meanwhile, so what is done beside that has the same order.
    pub fn change(&self) -> Change<'_> {
        Change { path: &self.path, kept: self.kept.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Change<'_> {
    /// Remembers one more, until a second since 1970 if that is known. Waits for the disk.
    ///
    /// # Errors
    /// What the system says; it is remembered as before then.
    pub fn add(&mut self, revocation: &Revocation, end: Option<u64>) -> io::Result<()> {
        let mut next = self.kept.clone();
        next.add(revocation, end);
        self.put(next)
    }

    /// Remembers what is about that no longer. Waits for the disk.
    ///
    /// # Errors
    /// What the system says; it is remembered as before then, or was given up: that is known after a restart.
    pub fn remove(&mut self, about: &About) -> io::Result<()> {
        let mut next = self.kept.clone();
        match about {
            About::All => next.issued_before = 0,
            About::Subject(subject) => drop(next.subjects.remove(subject)),
            About::Token(id) => drop(next.tokens.remove(id)),
        }
        self.put(next)
    }

    fn put(&mut self, next: Kept) -> io::Result<()> {
        let line = serde_json::to_string(&next)?;
        let crc = crc32c::crc32c(line.as_bytes());
        small_file::put(self.path, format!("{line}\n{crc:08x}\n").as_bytes())?;
        *self.kept = next;
        Ok(())
    }
}

impl Kept {
    fn add(&mut self, revocation: &Revocation, end: Option<u64>) {
        let wall = wall_ms() / 1_000;
        self.tokens.retain(|_, end| end.is_none_or(|end| end > wall));
        self.subjects.retain(|_, (_, end)| end.is_none_or(|end| end > wall));
        match revocation {
            Revocation::Token { id, .. } => {
                let known = self.tokens.entry(id.clone()).or_insert(end);
                *known = later(*known, end);
            }
            Revocation::Subject { subject, issued_before, .. } => {
                let known = self.subjects.entry(subject.clone()).or_insert((*issued_before, end));
                *known = (known.0.max(*issued_before), later(known.1, end));
            }
            Revocation::All { issued_before } => self.issued_before = self.issued_before.max(*issued_before),
        }
    }
}

/// The later of two ends; one that nobody knows is the latest.
fn later(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.max(other?))
}

fn parse(content: &[u8]) -> Result<Kept, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let (line, crc) = text.trim_end().rsplit_once('\n').ok_or("it is cut short")?;
    if u32::from_str_radix(crc, 16) != Ok(crc32c::crc32c(line.as_bytes())) {
        return Err("its checksum is wrong".into());
    }
    serde_json::from_str(line).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A directory of its own, which goes with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("tidewire-revoked-{}-{}", std::process::id(), getrandom::u64().unwrap());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_taken_back_is_there_again_until_it_has_ended() {
        let folder = Folder::new();
        let wall = wall_ms() / 1_000;
        let token = |id: &str| Revocation::Token { id: id.into(), until: NEVER };
        let subject = Revocation::Subject { subject: "ada".into(), issued_before: 7, until: NEVER };
        let remembered = Remembered::open(&folder.0).unwrap();
        assert_eq!(remembered.revocations(Millis(0)), []);
        remembered.change().add(&token("over"), Some(wall)).unwrap();
        remembered.change().add(&token("soon"), Some(wall + 100)).unwrap();
        remembered.change().add(&token("ever"), None).unwrap();
        remembered.change().add(&subject, None).unwrap();
        remembered.change().add(&Revocation::All { issued_before: 3 }, None).unwrap();
        let again = Remembered::open(&folder.0).unwrap().revocations(Millis(5));
        assert_eq!(again.len(), 4, "{again:?}");
        assert_eq!(again[0], token("ever"));
        assert!(again.contains(&subject) && again.contains(&Revocation::All { issued_before: 3 }));
        let Revocation::Token { id, until } = &again[1] else { unreachable!() };
        assert_eq!(&**id, "soon");
        assert!((Millis(98_005)..=Millis(100_005)).contains(until), "{until:?}");
        for (left, one) in again.iter().enumerate().rev() {
            remembered.change().remove(&one.about()).unwrap();
            assert_eq!(Remembered::open(&folder.0).unwrap().revocations(Millis(5)).len(), left, "{one:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_as_it_was_written_is_named_and_not_taken_for_none() {
        let folder = Folder::new();
        let remembered = Remembered::open(&folder.0).unwrap();
        remembered.change().add(&Revocation::All { issued_before: 1_800_000_000 }, None).unwrap();
        let path = folder.0.join(REVOKED);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() - 1 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let error = Remembered::open(&folder.0).map(|kept| kept.revocations(Millis(0))).unwrap_err();
            assert!(error.to_string().contains("REVOKED cannot be read"), "{at}: {error}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Remembered::open(&folder.0).is_err(), "{at} bytes");
        }
    }
}
