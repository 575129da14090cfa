//! Where in tokens is what, and which scopes stand for which rights.

use tidewire_protocol::name::Pattern;

use crate::config::problem::{Problem, Warning, Written};
use crate::config::raw::auth::RawScope;
use crate::foreign;
use crate::tokens::claims::RIGHTS;
use crate::tokens::mapping::{Allow, Mapping};

/// Reads it.
pub(super) fn mapping(
    subject: Option<Written<String>>,
    scope: Option<Written<String>>,
    scopes: Vec<RawScope>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Warning>,
) -> Mapping {
    let mut mapping = Mapping::default();
    for (path, written) in [(&mut mapping.subject, subject), (&mut mapping.scope, scope)] {
        let Some(Written { value, place }) = written else { continue };
        if value.is_empty() {
            problems.push(place.wrong("the path of a claim, like preferred_username or realm_access.user"));
        }
        *path = value;
    }
    for RawScope { scope, topics, to } in scopes {
        let Written { value: name, place } = scope;
        if name.is_empty() || name.contains(char::is_whitespace) {
            problems.push(place.wrong("the name of a scope, without blanks"));
        }
        for Written { value, place } in &topics {
            if let Err(error) = Pattern::parse(value) {
                problems.push(place.wrong(format!("topic names and patterns; {error}")));
            }
            let says = [foreign::warning(value), foreign::braces(value)].into_iter().flatten();
            warnings.extend(says.map(|says| Warning { place: Some(place.clone()), says }));
        }
        for Written { value, place } in &to {
            if !RIGHTS.contains(&value.as_str()) {
                problems.push(place.wrong(RIGHTS.join(", ")));
            }
        }
        let texts = |written: Vec<Written<String>>| written.into_iter().map(|it| it.value).collect();
        let allow = Allow { topics: texts(topics), to: texts(to) };
        mapping.scopes.entry(name).or_default().push(allow);
    }
    mapping
}
