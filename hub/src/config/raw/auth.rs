//! What is written of tokens: the table `auth`.

use crate::config::fields::Fields;
use crate::config::problem::{Problem, Written};
use crate::config::raw::required;
use crate::tokens::claims::RIGHTS;
use crate::tokens::key::ALGORITHMS;

/// `[auth]`
#[derive(Debug, Default)]
pub(in crate::config) struct RawAuth {
    /// Keys that tokens may be signed with.
    pub(in crate::config) keys: Vec<RawKey>,
    /// Where more of them are fetched from.
    pub(in crate::config) jwks: Vec<RawJwks>,
    /// How many seconds tokens may last.
    pub(in crate::config) token_seconds_max: Option<Written<i64>>,
    /// Paths of claims: who somebody is, and where scopes are.
    pub(in crate::config) subject: Option<Written<String>>,
    pub(in crate::config) scope: Option<Written<String>>,
    /// What scopes allow.
    pub(in crate::config) scopes: Vec<RawScope>,
    /// Whether there are to be any keys: what is wrong with one is no reason to say that there is none.
    pub(in crate::config) means_keys: bool,
}

/// `[[auth.keys]]`
#[derive(Debug)]
pub(in crate::config) struct RawKey {
    /// What tokens are signed by.
    pub(in crate::config) algorithm: Written<String>,
    /// Where the key is.
    pub(in crate::config) file: Written<String>,
    /// What tokens call it.
    pub(in crate::config) kid: Option<Written<String>>,
    /// What else holds for them.
    pub(in crate::config) tokens: RawTokens,
}

/// `[[auth.jwks]]`
#[derive(Debug)]
pub(in crate::config) struct RawJwks {
    /// Where the keys are.
    pub(in crate::config) url: Written<String>,
    /// How often they are fetched again.
    pub(in crate::config) refresh_seconds: Option<Written<i64>>,
    /// What else holds for their tokens.
    pub(in crate::config) tokens: RawTokens,
}

/// What holds for tokens of a key, or of a set of keys.
#[derive(Debug)]
pub(in crate::config) struct RawTokens {
    /// Who has to have issued them.
    pub(in crate::config) issuer: Option<Written<String>>,
    /// Whom they have to be for.
    pub(in crate::config) audience: Option<Vec<Written<String>>>,
    /// By how much clocks may differ.
    pub(in crate::config) leeway_seconds: Option<Written<i64>>,
}

/// `[[auth.scopes]]`
#[derive(Debug)]
pub(in crate::config) struct RawScope {
    /// Its name.
    pub(in crate::config) scope: Written<String>,
    /// Names and patterns.
    pub(in crate::config) topics: Vec<Written<String>>,
    /// Names of rights.
    pub(in crate::config) to: Vec<Written<String>>,
}

impl RawAuth {
    /// Takes the table out of a file.
    pub(in crate::config) fn read(file: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Self {
        let before = problems.len();
        let mut auth = Self::default();
        match file.table("auth") {
            Some(Ok(fields)) => auth.fill(fields, problems),
            Some(Err(Written { place, .. })) => problems.push(place.wrong(KEYS)),
            None => {}
        }
        auth.means_keys = !auth.keys.is_empty() || !auth.jwks.is_empty() || problems.len() > before;
        auth
    }

    fn fill(&mut self, mut fields: Fields<'_>, problems: &mut Vec<Problem>) {
        self.token_seconds_max = fields.number("token_seconds_max", problems);
        for mut table in fields.tables("keys", problems) {
            let algorithm = required(&mut table, "algorithm", ALGORITHMS, problems);
            let file = required(&mut table, "file", "the name of a file that holds the key", problems);
            let kid = table.string("kid", problems);
            let tokens = tokens(&mut table, problems);
            table.end(problems);
            if let (Some(algorithm), Some(file)) = (algorithm, file) {
                self.keys.push(RawKey { algorithm, file, kid, tokens });
            }
        }
        for mut table in fields.tables("jwks", problems) {
            let url = required(&mut table, "url", "https://HOST/PATH", problems);
            let refresh_seconds = table.number("refresh_seconds", problems);
            let tokens = tokens(&mut table, problems);
            table.end(problems);
            self.jwks.extend(url.map(|url| RawJwks { url, refresh_seconds, tokens }));
        }
        match fields.table("claims") {
            Some(Ok(mut table)) => {
                (self.subject, self.scope) =
                    (table.string("subject", problems), table.string("scope", problems));
                table.end(problems);
            }
            Some(Err(Written { place, .. })) => problems.push(place.wrong(CLAIMS)),
            None => {}
        }
        for mut table in fields.tables("scopes", problems) {
            let scope = required(&mut table, "scope", "the name of a scope", problems);
            let topics = several(&mut table, "topics", "names and patterns of topics", problems);
            let to = several(&mut table, "to", &RIGHTS.join(", "), problems);
            table.end(problems);
            self.scopes.extend(scope.map(|scope| RawScope { scope, topics, to }));
        }
        fields.end(problems);
    }
}

/// Some texts, one at least.
fn several(
    table: &mut Fields<'_>,
    name: &'static str,
    allowed: &str,
    problems: &mut Vec<Problem>,
) -> Vec<Written<String>> {
    let before = problems.len();
    let texts = table.texts(name, problems).unwrap_or_default();
    if texts.is_empty() && problems.len() == before {
        let (at, key) = (table.line(), table.key(name));
        problems.push(Problem::Missing { at, key, allowed: allowed.into() });
    }
    texts
}

fn tokens(table: &mut Fields<'_>, problems: &mut Vec<Problem>) -> RawTokens {
    RawTokens {
        issuer: table.string("issuer", problems),
        audience: table.texts("audience", problems),
        leeway_seconds: table.number("leeway_seconds", problems),
    }
}

const CLAIMS: &str = "a table headed [auth.claims]";
const KEYS: &str = "tables, each headed [[auth.keys]]";
