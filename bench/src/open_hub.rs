//! The configuration of a hub that has to be told more than `--dev` allows.

/// Everybody may do everything, as with `--dev`; `more` says what is special.
#[must_use]
pub fn config(more: &str) -> String {
    format!("{ANYBODY}\n{more}\n{EVERYTHING}")
}

const ANYBODY: &str = r#"listen = "127.0.0.1:0"
allow_no_origin = true
"#;
const EVERYTHING: &str = r#"[[access]]
pattern = ">"
publish = true
subscribe = true
anonymous = true

[limits]
connections_per_address_max = 100000
handshakes_per_address_max = 4096
"#;
