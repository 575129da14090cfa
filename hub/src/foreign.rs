//! Patterns as other brokers write them: here they mean something else, and mostly nothing.

use tidewire_hub_core::access::only::SUB;

/// What is to be said of a pattern that looks like one of those.
#[must_use]
pub fn warning(pattern: &str) -> Option<String> {
    as_ours(pattern).map(|ours| {
        format!(
            "`/`, `+` and `#` are letters like any other here: tokens are parted by dots, `*` stands for one and a last `>` for the rest; did you mean `{ours}`?"
        )
    })
}

/// What is to be said of one that has something in braces besides the subject.
#[must_use]
pub fn braces(pattern: &str) -> Option<String> {
    let rest = pattern.replace(SUB, "");
    let has_braces = rest.contains('{') && rest.contains('}');
    has_braces.then(|| format!("only `{SUB}` stands for something; all else in braces means itself"))
}

/// It in our way.
fn as_ours(text: &str) -> Option<String> {
    let foreign = |token: &str| token == "+" || token == "#";
    let parted_by_slashes = text.contains('/') && !text.contains('.');
    if !parted_by_slashes && !text.split(['/', '.']).any(foreign) {
        return None;
    }
    let tokens = text.split(['/', '.']).filter(|token| !token.is_empty());
    let ours = tokens.map(|token| match token {
        "+" => "*",
        "#" => ">",
        token => token,
    });
    let ours = ours.collect::<Vec<_>>().join(".");
    (ours != text).then_some(ours)
}
