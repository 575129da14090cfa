//! TOML read in such a way that one mistake hides no other: what is asked for is taken out of a table, and what
//! nobody asked for is named as unknown.

use std::num::IntErrorKind;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::problem::{Place, Problem, Written, nearest, successor};
use crate::tokens::flat;

/// A table of the file, from which fields are taken.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    text: &'a str,
    /// `access[0]`, for instance; empty for the whole file.
    path: String,
    line: Option<usize>,
    table: DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// All tables and values of a file. What cannot be read is left out and told.
    pub(super) fn of_file(text: &'a str, problems: &mut Vec<Problem>) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map(|span| line_of(text, span.start));
            // One mistake confuses the parser for the rest of its line.
            if !problems.iter().any(|known| known.line() == at) {
                problems.push(Problem::Syntax { at, says: error.message().to_owned() });
            }
        }
        Self { text, path: String::new(), line: None, table: table.into_inner(), asked: Vec::new() }
    }

    /// The line where the table begins, if it is not the whole file.
    pub(super) fn line(&self) -> Option<usize> {
        self.line
    }

    /// The name of one of its fields, as problems tell it.
    pub(super) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Whether something is written there, right or wrong.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    pub(super) fn number(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Option<Written<i64>> {
        self.take(name, "a whole number", problems, number_of)
    }

    pub(super) fn flag(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Option<Written<bool>> {
        self.take(name, "true or false", problems, |value| match value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => None,
        })
    }

    pub(super) fn string(
        &mut self,
        name: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Option<Written<String>> {
        self.take(name, "a text in quotes", problems, string_of)
    }

    /// A text, or a list of some.
    pub(super) fn texts(
        &mut self,
        name: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Option<Vec<Written<String>>> {
        match self.table.get(name).map(Spanned::get_ref) {
            Some(DeValue::Array(_)) => self.strings(name, problems),
            _ => self.string(name, problems).map(|text| vec![text]),
        }
    }

    /// A list of texts, each with its own place.
    pub(super) fn strings(
        &mut self,
        name: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Option<Vec<Written<String>>> {
        const ALLOWED: &str = "a list of texts in quotes, like [\"a\", \"b\"]";
        let (place, value) = self.value(name)?;
        let DeValue::Array(entries) = value.into_inner() else {
            problems.push(place.wrong(ALLOWED));
            return None;
        };
        let mut texts = Vec::new();
        for entry in entries {
            let place = self.place(name, entry.span());
            match string_of(entry.get_ref()) {
                Some(value) => texts.push(Written { value, place }),
                None => problems.push(place.wrong("a text in quotes")),
            }
        }
        Some(texts)
    }

    /// A list of tables: `[[name]]`.
    pub(super) fn tables(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Vec<Self> {
        let allowed = format!("tables, each headed [[{}]]", self.key(name));
        let Some((place, value)) = self.value(name) else { return Vec::new() };
        let DeValue::Array(entries) = value.into_inner() else {
            problems.push(place.wrong(allowed));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let path = format!("{}[{at}]", self.key(name));
            let place = self.place(name, entry.span());
            match entry.into_inner() {
                DeValue::Table(table) => tables.push(self.below(path, place.line, table)),
                _ => problems.push(place.wrong(allowed.clone())),
            }
        }
        tables
    }

    /// A table: `[name]` or `name = { ... }`; `Err` with its place if it is something else.
    pub(super) fn table(&mut self, name: &'static str) -> Option<Result<Self, Written<Option<String>>>> {
        let (place, value) = self.value(name)?;
        Some(match value.into_inner() {
            DeValue::Table(table) => Ok(self.below(self.key(name), place.line, table)),
            other => Err(Written { value: string_of(&other), place }),
        })
    }

    /// All fields of these names as numbers; there may be no others.
    pub(super) fn numbers(
        mut self,
        names: &'static [&'static str],
        problems: &mut Vec<Problem>,
    ) -> Vec<(String, Written<i64>)> {
        let number = |name: &&'static str| Some(((*name).to_owned(), self.number(name, problems)?));
        let numbers = names.iter().filter_map(number).collect();
        self.end(problems);
        numbers
    }

    /// All of it, whatever it is called, by path and as JSON; what lies in tables below has theirs in front.
    pub(super) fn flat(self, allowed: &str, problems: &mut Vec<Problem>) -> Vec<(Box<str>, Box<str>)> {
        let (mut found, before) = (Vec::new(), problems.len());
        let whole = Place { line: self.line, key: self.path.clone(), text: "empty".into() };
        self.flatten("", allowed, &mut found, problems);
        if found.is_empty() && problems.len() == before {
            problems.push(whole.wrong(allowed));
        }
        found
    }

    fn flatten(
        &self,
        path: &str,
        allowed: &str,
        found: &mut Vec<(Box<str>, Box<str>)>,
        problems: &mut Vec<Problem>,
    ) {
        for (name, value) in &self.table {
            let place = self.place(name.get_ref(), value.span());
            let path = if path.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{path}.{}", name.get_ref())
            };
            let json = match value.get_ref() {
                DeValue::String(text) => serde_json::Value::from(text.as_ref()),
                DeValue::Boolean(flag) => (*flag).into(),
                DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                    Ok(number) => number.into(),
                    Err(_) => serde_json::Value::Null,
                },
                DeValue::Table(table) => {
                    let below = self.below(self.key(name.get_ref()), place.line, table.clone());
                    below.flatten(&path, allowed, found, problems);
                    continue;
                }
                _ => serde_json::Value::Null,
            };
            match flat::written(&json) {
                Some(json) => found.push((path.into(), json)),
                None => problems.push(place.wrong(allowed)),
            }
        }
    }

    /// Names what nobody asked for.
    pub(super) fn end(self, problems: &mut Vec<Problem>) {
        for (name, value) in &self.table {
            let place = self.place(name.get_ref(), name.span().start..value.span().end);
            if let Some(instead) = successor(&place.key) {
                problems.push(Problem::Gone { place, instead });
                continue;
            }
            let nearest = nearest(name.get_ref(), self.asked.iter().copied());
            problems.push(Problem::Unknown {
                place,
                nearest: nearest.map(str::to_owned),
                known: self.asked.iter().map(|name| format!("`{name}`")).collect(),
            });
        }
    }

    /// A value with its place; neither `string` nor any other kind is asked for.
    fn value(&mut self, name: &'static str) -> Option<(Place, Spanned<DeValue<'a>>)> {
        self.asked.push(name);
        let value = self.table.remove(name)?;
        Some((self.place(name, value.span()), value))
    }

    fn take<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        problems: &mut Vec<Problem>,
        read: impl FnOnce(&DeValue<'a>) -> Option<T>,
    ) -> Option<Written<T>> {
        let (place, value) = self.value(name)?;
        match read(value.get_ref()) {
            Some(value) => Some(Written { value, place }),
            None => {
                problems.push(place.wrong(allowed));
                None
            }
        }
    }

    fn below(&self, path: String, line: Option<usize>, table: DeTable<'a>) -> Self {
        Self { text: self.text, path, line, table, asked: Vec::new() }
    }

    fn place(&self, name: &str, span: Range<usize>) -> Place {
        let written = self.text.get(span.clone()).unwrap_or_default();
        let first_line = written.lines().next().unwrap_or_default();
        let mut text: String = first_line.chars().take(TEXT_CHARS_MAX).collect();
        if text.len() < written.len() {
            text.push_str("...");
        }
        let key = self.key(name);
        if key.split('.').next().is_some_and(|head| SECRETS.contains(&head)) && !PUBLIC.contains(&name) {
            text = "\"...\"".into();
        }
        Place { line: Some(line_of(self.text, span.start)), key, text }
    }
}

fn number_of(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(digits) => whole_number(digits.as_str(), digits.radix()),
        _ => None,
    }
}

/// A number as it is written. One that is beyond all numbers is beyond what is allowed, too: it becomes the last one
/// there is, so that whoever knows what is allowed can say so.
pub(super) fn whole_number(digits: &str, radix: u32) -> Option<i64> {
    match i64::from_str_radix(digits, radix) {
        Ok(number) => Some(number),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Some(i64::MAX),
            IntErrorKind::NegOverflow => Some(i64::MIN),
            _ => None,
        },
    }
}

fn string_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        _ => None,
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// Below these keys somebody may write a secret where the name of its file belongs: values are told nobody, but of these keys.
const SECRETS: &[&str] = &["auth", "tls"];
const PUBLIC: &[&str] = &[
    "algorithm",
    "leeway_seconds",
    "certificate",
    "token_seconds_max",
    "refresh_seconds",
    "url",
    "subject",
    "scope",
    "topics",
    "to",
    "acme",
    "names",
    "folder",
    "contact",
    "directory",
    "directory_ca",
    "agree_to_terms",
];
/// How much of a wrong value is shown.
const TEXT_CHARS_MAX: usize = 80;
