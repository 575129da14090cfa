//! What options take: whatever is none is told with what is allowed, and where it was given.

use crate::command_line::{check_exit, check_fails, command, run};
use crate::support::hub::Hub;

#[test]
fn what_is_none_is_told_with_what_is_allowed_and_where_it_was_given() {
    let hub = Hub::dev();
    let count = "allowed: a whole number, 1 to 9007199254740991";
    let wrong: &[(&[&str], &str)] = &[
        (&["sub", "t", "--wait", "-1"], "'-1' for '--wait <SECONDS>': allowed: whole seconds, 0 to 31536000"),
        (&["pub", "t", "x", "--wait", "soon"], "'soon' for '--wait <SECONDS>': allowed: whole seconds, "),
        (&["history", "t", "--limit", "-1"], count),
        (&["history", "t", "--limit", "0"], count),
        (&["sub", "t", "--count", "-2.5"], count),
        (&["sub", "t", "--count", "99999999999999999999"], count),
        (&["log", "stats", "--data-dir", "x", "--top", "9007199254740992"], count),
        (
            &["log", "import", "--data-dir", "x", "--skip", "-1"],
            "allowed: a whole number, 0 to 9007199254740991",
        ),
        (
            &["log", "import", "--data-dir", "x", "--skip", ""],
            "allowed: a whole number, 0 to 9007199254740991",
        ),
        (
            &["log", "import", "--data-dir", "x", "--skip", "18446744073709551615"],
            "allowed: a whole number, 0 to ",
        ),
        (&["log", "export", "--data-dir", "x", "--since", "365001d"], "365000d at most"),
        (
            &["pub", "t", "x", "--ttl", "365001d"],
            "allowed: a span such as 10s (ms, s, m, h or d), 1ms to 365000d",
        ),
        (&["pub", "t", "x", "--ttl", "-1s"], "'-1s' for '--ttl <SPAN>': allowed: a span such as 10s"),
        (&["sub", "t", "--from", "-1"], "'-1' for '--from <PLACE>': allowed: latest, "),
        (&["history", "t", "--from", "-1"], "'-1' for '--from <PLACE>': allowed: latest, "),
        (
            &["history", "t", "--before", "latest", "--limit", "2"],
            "'latest' for '--before <PLACE>': allowed: EPOCH:OFFSET as ",
        ),
        (&["history", "t", "--before", "00000000000000ff:7"], "--limit <N>"),
        (
            &["history", "t", "--before", "00000000000000ff:7", "--limit", "2", "--from", "earliest"],
            "'--before <PLACE>' cannot be used with '--from <PLACE>'",
        ),
        (&["pub", "t", "x", "--url", ""], "--url or TIDEWIRE_URL: it is empty; allowed: http://HOST:PORT"),
        (&["check", "--config", ""], "--config or TIDEWIRE_CONFIG is empty; allowed: the path of a file"),
        (&["serve", "--config", ""], "--config or TIDEWIRE_CONFIG is empty; allowed: the path of a file"),
    ];
    for (arguments, says) in wrong {
        let output = run(&hub, arguments, "");
        check_fails(&output, says);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("tip:"), "{arguments:?}");
    }
    let empty: &[(&[&str], &str, &str)] = &[
        (&["check"], "TIDEWIRE_CONFIG", "TIDEWIRE_CONFIG is empty"),
        (&["serve"], "TIDEWIRE_CONFIG", "TIDEWIRE_CONFIG is empty"),
        (&["sub", "t"], "TIDEWIRE_URL", "TIDEWIRE_URL: it is empty"),
    ];
    for (arguments, variable, says) in empty {
        let output = command(&hub, arguments).env(variable, "").output().unwrap();
        check_exit(&output, 2, says);
    }
}
