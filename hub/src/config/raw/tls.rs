//! `[tls]` as it is written.

use crate::config::fields::Fields;
use crate::config::problem::{Place, Problem, Written};

/// A certificate in files, or one that the hub gets by itself.
#[derive(Debug, Default)]
pub(in crate::config) struct RawTls {
    /// The file with the hub's certificate.
    pub(in crate::config) certificate: Option<Written<String>>,
    /// The file with its key.
    pub(in crate::config) key: Option<Written<String>>,
    /// The line of `[tls.acme]`, if that is there.
    pub(in crate::config) acme_line: Option<usize>,
    /// What it says.
    pub(in crate::config) acme: RawAcme,
}

/// `[tls.acme]`
#[derive(Debug, Default)]
pub(in crate::config) struct RawAcme {
    /// Names that lead to the hub.
    pub(in crate::config) names: Option<Vec<Written<String>>>,
    /// Where account, certificate and key are kept.
    pub(in crate::config) folder: Option<Written<String>>,
    /// Whom the authority may write to.
    pub(in crate::config) contact: Option<Written<String>>,
    /// Where the authority says what it can do.
    pub(in crate::config) directory: Option<Written<String>>,
    /// The file with whom the authority's own certificate is believed by.
    pub(in crate::config) directory_ca: Option<Written<String>>,
    /// Whether its terms are agreed to.
    pub(in crate::config) agree_to_terms: Option<Written<bool>>,
}

impl RawTls {
    /// Reads the table, if it is there.
    pub(in crate::config) fn read(file: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Self {
        let mut table = match file.table("tls") {
            Some(Ok(fields)) => fields,
            Some(Err(Written { place, .. })) => {
                problems.push(Place { key: "tls".into(), ..place }.wrong("a table headed [tls]"));
                return Self::default();
            }
            None => return Self::default(),
        };
        let (certificate, key) = (table.string("certificate", problems), table.string("key", problems));
        let (acme_line, acme) = match table.table("acme") {
            Some(Ok(fields)) => (fields.line(), RawAcme::read(fields, problems)),
            Some(Err(Written { place, .. })) => {
                problems.push(Place { key: "tls.acme".into(), ..place }.wrong("a table headed [tls.acme]"));
                (None, RawAcme::default())
            }
            None => (None, RawAcme::default()),
        };
        table.end(problems);
        Self { certificate, key, acme_line, acme }
    }
}

impl RawAcme {
    fn read(mut fields: Fields<'_>, problems: &mut Vec<Problem>) -> Self {
        let acme = Self {
            names: fields.texts("names", problems),
            folder: fields.string("folder", problems),
            contact: fields.string("contact", problems),
            directory: fields.string("directory", problems),
            directory_ca: fields.string("directory_ca", problems),
            agree_to_terms: fields.flag("agree_to_terms", problems),
        };
        fields.end(problems);
        acme
    }

    /// Whether anything is said, in the file or the environment.
    pub(in crate::config) fn is_wanted(&self) -> bool {
        let Self { names, folder, contact, directory, directory_ca, agree_to_terms } = self;
        let texts = [folder, contact, directory, directory_ca];
        names.is_some() || agree_to_terms.is_some() || texts.iter().any(|text| text.is_some())
    }
}
