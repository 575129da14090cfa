//! A certificate that the hub gets by itself: for which names, from whom, and where it is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::acme::Plan;
use crate::config::Flags;
use crate::config::problem::{Problem, Warning, Written};
use crate::config::raw::tls::{RawAcme, RawTls};
use crate::fetch::{Address, Trust};
use crate::tls::{self, Tls};

/// Reads it; what the file names is named from `folder` on.
pub(super) fn read(
    raw: RawTls,
    folder: &Path,
    flags: &Flags,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Warning>,
) -> Option<(Plan, Arc<Tls>)> {
    let RawTls { certificate, key, acme_line, acme: raw } = raw;
    if let Some(Written { place, .. }) = certificate.or(key) {
        problems.push(place.wrong("one of both: a certificate in files, or [tls.acme]"));
    }
    let before = problems.len();
    let plan = plan(raw, acme_line, folder, problems);
    if problems.len() > before {
        return None;
    }
    let files = plan.files();
    let pair = match files.read() {
        Ok(pair) => Some(pair),
        Err(tls::BadPair::Certificate { why: tls::BadFile::Unreadable(error), .. })
            if error.kind() == io::ErrorKind::NotFound =>
        {
            None
        }
        // Another takes its place.
        Err(why) => {
            warnings.push(Warning { place: None, says: format!("{why}; the hub will get another") });
            None
        }
    };
    if flags.dev {
        let says = "with --dev no TLS is spoken, whatever is written".into();
        warnings.push(Warning { place: None, says });
        return None;
    }
    match Tls::by_itself(files.clone(), pair) {
        Ok(tls) => Some((plan, tls)),
        Err(unfit) => {
            let says = format!("{}; the hub will get another", files.unfit(unfit));
            warnings.push(Warning { place: None, says });
            Tls::by_itself(files, None).ok().map(|tls| (plan, tls))
        }
    }
}

fn plan(raw: RawAcme, line: Option<usize>, folder: &Path, problems: &mut Vec<Problem>) -> Plan {
    let mut missing = |key: &str, allowed: &str| {
        let key = format!("tls.acme.{key}");
        problems.push(Problem::Missing { at: line, key, allowed: allowed.into() });
    };
    let names = raw.names.unwrap_or_default();
    if names.is_empty() {
        missing("names", NAMES);
    }
    if raw.folder.is_none() {
        missing("folder", FOLDER);
    }
    match &raw.agree_to_terms {
        None => missing("agree_to_terms", TERMS),
        Some(Written { value: false, place }) => problems.push(place.wrong(TERMS)),
        Some(_) => {}
    }
    let mut kept = PathBuf::new();
    if let Some(written) = raw.folder {
        if written.value.is_empty() {
            problems.push(written.place.wrong(FOLDER));
        }
        kept = written.path(folder);
    }
    let contact = raw.contact.and_then(|written| one(written, contact, problems));
    let directory = raw.directory.and_then(|written| one(written, directory, problems));
    let trust = raw.directory_ca.and_then(|written| {
        let trust = tls::chain(&written.path(folder)).map_err(|bad| bad.to_string());
        let trust = trust.and_then(|chain| Trust::of(chain).map_err(|error| error.to_string()));
        trust.map_err(|why| problems.push(written.place.wrong(why))).ok()
    });
    let mut known = Vec::<String>::new();
    for written in names {
        let place = written.place.clone();
        let Some(name) = one(written, name, problems) else { continue };
        if known.len() == NAMES_MAX {
            problems.push(place.wrong(format!("{NAMES_MAX} names at most")));
            break;
        }
        if !known.contains(&name) {
            known.push(name);
        }
    }
    Plan {
        names: known,
        contact,
        directory: directory.unwrap_or_else(|| LETS_ENCRYPT.into()),
        trust,
        folder: kept,
    }
}

/// What a text means, or nothing and a problem.
fn one(
    Written { value, place }: Written<String>,
    read: fn(&str) -> Result<String, &'static str>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    read(&value).map_err(|allowed| problems.push(place.wrong(allowed))).ok()
}

/// A name that an authority can look for.
fn name(text: &str) -> Result<String, &'static str> {
    let name = text.to_ascii_lowercase();
    let of_a_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(of_a_label)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let ends_in_letters =
        name.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()));
    // One without a dot leads somewhere on this network alone.
    let fits = name.len() <= 253 && name.contains('.') && name.split('.').all(is_label) && ends_in_letters;
    if fits { Ok(name) } else { Err(NAMES) }
}

fn contact(text: &str) -> Result<String, &'static str> {
    const ALLOWED: &str = "an address of mail, like ops@example.com";
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let halves = text.split_once('@').filter(|(who, host)| !who.is_empty() && !host.is_empty());
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_graphic() && !b",;<>@?&".contains(&byte) || byte == b'@');
    match halves {
        Some((_, host)) if is_plain && !host.contains('@') => Ok(text.to_owned()),
        _ => Err(ALLOWED),
    }
}

fn directory(text: &str) -> Result<String, &'static str> {
    match text.parse::<Address>() {
        Ok(address) if !address.is_open_to_others() => Ok(text.to_owned()),
        _ => Err("the address of an authority's directory, https://HOST/PATH"),
    }
}

const NAMES: &str = "names that lead to this hub, like [\"hub.example.com\"]; no `*`, no addresses";
const FOLDER: &str = "a folder for account, certificate and key, like \"/var/lib/tidewire/acme\", that lasts";
const TERMS: &str = "true, if you agree to the terms of the authority, which stand at its `directory`";
/// So many a certificate may have at the authority that most use.
const NAMES_MAX: usize = 100;
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
