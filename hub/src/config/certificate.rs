//! The hub's certificate and its key: whether they are what a hub can show, and clients will take. What the key's file
//! holds is told nobody.

use std::path::Path;
use std::sync::Arc;

use crate::acme::Plan;
use crate::config::problem::{Problem, Warning, Written};
use crate::config::raw::tls::RawTls;
use crate::config::secret_file::{open_to_all, show};
use crate::config::{Flags, acme};
use crate::tls::{self, Files, Pair, Tls};

/// A certificate, and how the hub gets others of its kind if it does so by itself.
pub(super) type Shown = (Option<Arc<Tls>>, Option<Plan>);

/// Reads it; files that the configuration names are named from `folder` on.
pub(super) fn read(
    raw: RawTls,
    folder: &Path,
    flags: &Flags,
    problems: &mut Vec<Problem>,
) -> (Shown, Vec<Warning>) {
    let mut warnings = Vec::new();
    let shown = if raw.acme_line.is_some() || raw.acme.is_wanted() {
        let planned = acme::read(raw, folder, flags, problems, &mut warnings);
        planned.map_or((None, None), |(plan, tls)| (Some(tls), Some(plan)))
    } else {
        let (tls, more) = of_files(raw.certificate, raw.key, folder, flags, problems);
        warnings.extend(more);
        (tls, None)
    };
    if flags.demo && shown.0.is_some() {
        let says =
            "the demo's charts stay empty where TLS is spoken: what fills them connects without".into();
        warnings.push(Warning { place: None, says });
    }
    (shown, warnings)
}

fn of_files(
    certificate: Option<Written<String>>,
    key: Option<Written<String>>,
    folder: &Path,
    flags: &Flags,
    problems: &mut Vec<Problem>,
) -> (Option<Arc<Tls>>, Vec<Warning>) {
    let mut warnings = Vec::new();
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(mut key)) => {
            let base = key.base(folder);
            show(&mut key, base);
            (certificate, key)
        }
        (None, None) => return (None, warnings),
        (Some(one), None) => {
            problems.push(missing(&one, "key", "the file with the certificate's private key"));
            return (None, warnings);
        }
        (None, Some(one)) => {
            problems.push(missing(&one, "certificate", "the file with the hub's certificate"));
            return (None, warnings);
        }
    };
    let files = Files { certificate: certificate.path(folder), key: key.path(folder) };
    let chain = tls::chain(&files.certificate).map_err(|bad| certificate.place.wrong(bad.to_string()));
    let private = tls::private_key(&files.key).map_err(|bad| key.place.wrong(bad.to_string()));
    let pair = match (chain, private) {
        (Ok(chain), Ok(private)) => Pair::new(chain, private),
        (chain, private) => {
            problems.extend(chain.err());
            problems.extend(private.err());
            return (None, warnings);
        }
    };
    let mut warn = |place, says| warnings.push(Warning { place, says });
    if let Some(complaint) = pair.warning() {
        warn(Some(certificate.place), complaint);
    }
    if let Some(mode) = open_to_all(&files.key) {
        let says = format!(
            "everybody on this machine may read it (mode {mode:04o}), and who has read it can pose as the hub: `chmod o= {}`",
            files.key.display()
        );
        warn(Some(key.place.clone()), says);
    }
    match Tls::new(files, pair) {
        Ok(_) if flags.dev => {
            warn(Some(key.place), "with --dev no TLS is spoken, whatever is written".into());
            (None, warnings)
        }
        Ok(tls) => (Some(tls), warnings),
        Err(unfit) => {
            problems.push(key.place.wrong(unfit.to_string()));
            (None, warnings)
        }
    }
}

fn missing(one: &Written<String>, other: &str, allowed: &str) -> Problem {
    Problem::Missing { at: one.place.line, key: format!("tls.{other}"), allowed: allowed.into() }
}
