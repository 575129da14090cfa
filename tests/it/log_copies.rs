//! `tidewire log backup`, `export` and `import`: what comes out of a data directory while its hub runs, and into another.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tidewire_client::{Event, Position, Start, SubscribeOptions};
use tokio::time::timeout;

use crate::command_line::{check_exit, check_fails, run, succeed};
use crate::durable::{Load, client_of, from_earliest, heard_of, kept_of};
use crate::support::PATIENCE;
use crate::support::file::Folder;
use crate::support::http::Http;
use crate::support::hub::{Hub, tidewire};
use crate::support::kept::Kept;
use crate::support::page;

pub(crate) fn log(data: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = tidewire("log");
    command.args(&arguments[..1]).args(["--data-dir", data]).args(&arguments[1..]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // Whoever refuses its arguments reads nothing.
    let _ = process.stdin.take().unwrap().write_all(input);
    process.wait_with_output().unwrap()
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

/// Messages that import takes, of all kinds, with all that messages may have.
const LINES: &str = r#"{"topic":"a.x","text":"tab\t line\n ü","sender":"somebody"}
{"topic":"a.j","data":{"big":  123456789012345678901234567890, "f": 1.00},"key":"k ü","headers":{"trace":"1"},"ttl_ms":3600000}
{"topic":"a.j","key":"k ü","remove":true,"data":null}
{"topic":"b","base64":"AP8=","content":"cbor","maybe_duplicate":true}
{"topic":"b","base64":"ewoxfQ==","content":"json"}
{"topic":"b","base64":"/w==","content":"text"}
"#;

/// A directory with these messages.
fn imported(lines: &str) -> Folder {
    let folder = Folder::new();
    succeed(&log(folder.path(), &["import"], lines.as_bytes()));
    folder
}

fn export(folder: &Folder) -> String {
    succeed(&log(folder.path(), &["export"], b""))
}

/// Each copy holds all that was acknowledged before it was begun, nothing twice, and ends where it says; the hub that begins
/// with it complains of nothing, and is another log to those who were further.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_are_taken_under_load_hold_all_up_to_where_they_say() {
    let mut kept = Kept::start();
    let client = client_of(&mut kept);
    let mut subscription = client.subscribe::<u64>("t", from_earliest());
    let load = Load::on(&client);
    let mut copies = Vec::new();
    for count in [20, 200, 500] {
        load.go_on(count);
        let folder = page::Folder::new();
        let data = folder.0.join("copy");
        let before = load.acknowledged.load(Ordering::Relaxed);
        let told = succeed(&log(path(kept.directory()), &["backup", path(&data)], b""));
        let upto = told.lines().find_map(|line| line.strip_prefix("offsets: up to ")).unwrap();
        let upto: u64 = upto.split(',').next().unwrap().parse().unwrap();
        copies.push((folder, data, before, upto));
    }
    load.go_on(10);
    let places = load.end().await;
    let expected: Vec<_> = (0..).zip(places.iter().map(|place| place.offset.0)).collect();
    assert_eq!(heard_of(&mut subscription, expected.len()).await, expected);
    let end = places.last().unwrap();
    let end = Position { epoch: end.epoch, offset: end.offset };
    for (folder, data, before, upto) in copies {
        succeed(&log(path(&data), &["verify"], b""));
        let mut copy = Kept::start_at(tidewire("serve"), folder, data, "");
        let client = client_of(&mut copy);
        let found = kept_of(&client, "t").await;
        let due: Vec<_> = expected.iter().copied().filter(|(_, offset)| *offset <= upto).collect();
        assert_eq!(found, due, "up to {upto}");
        assert!(found.len() as u64 >= before, "{before} were acknowledged, {} are there", found.len());
        let further = SubscribeOptions { from: Start::After(vec![end]), ..SubscribeOptions::default() };
        let mut further = client.subscribe::<u64>("t", further);
        let told = timeout(PATIENCE, further.next()).await.unwrap();
        assert!(matches!(told, Some(Event::Ready { gap: Some(_), .. })), "{told:?}");
        assert!(client.publish("t", &0_u64).await.unwrap().epoch != end.epoch);
        let errors = copy.hub().errors();
        assert!(errors.contains("is a copy"), "{errors}");
        assert!(!errors.contains("lost") && !errors.contains("missing"), "{errors}");
        // From its first start on it is a log like any other.
        let epoch = client.publish("t", &1_u64).await.unwrap().epoch;
        copy.kill_and_restart();
        assert_eq!(client.publish("t", &2_u64).await.unwrap().epoch, epoch);
    }
}

#[test]
fn a_copy_goes_where_nothing_is_and_one_that_was_broken_off_is_none() {
    let folder = imported(LINES);
    let copies = page::Folder::new();
    let copy = copies.0.join("new/copy");
    let backup = |to: &Path| log(folder.path(), &["backup", path(to)], b"");
    let told = succeed(&backup(&copy));
    for says in
        ["segments: 1, of ", "offsets: up to 6, published at 20", "topics: 3\n", "messages that are kept: 6,"]
    {
        assert!(told.contains(says), "{says}: {told}");
    }
    assert_eq!(succeed(&log(path(&copy), &["export"], b"")), export(&folder));
    check_exit(&backup(&copy), 2, "is not empty");
    check_exit(&backup(&PathBuf::from(folder.path()).join("copy")), 2, "nothing but the hub's own files");
    check_exit(&log(path(&copies.0), &["backup", "elsewhere"], b""), 2, "it has no META");
    // As one that is killed leaves it.
    fs::remove_file(copy.join("META")).unwrap();
    check_exit(&backup(&copy), 2, "broken off");
    let serve = tidewire("serve").args(["--dev", "--data-dir", path(&copy)]).output().unwrap();
    check_fails(&serve, "holds other files and no META");
    let file = copy.join("segments/00000000000000000001.seg");
    for to in [file.clone(), file.join("copy")] {
        check_exit(&backup(&to), 2, "is no directory, lies in what is none");
    }
}

/// Of a pipe nothing comes, and a link may lead anywhere.
#[cfg(unix)]
#[test]
fn which_tokens_were_revoked_is_copied_of_a_file_only() {
    let folder = imported(LINES);
    let revoked = PathBuf::from(folder.path()).join("REVOKED");
    let copies = page::Folder::new();
    let copy = copies.0.join("copy");
    let backup = || log(folder.path(), &["backup", path(&copy)], b"");
    let elsewhere = copies.0.join("elsewhere");
    fs::write(&elsewhere, "secret").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &revoked).unwrap();
    check_exit(&backup(), 2, "REVOKED says which tokens were revoked, and is a link");
    fs::remove_file(&revoked).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&revoked).status().unwrap().success());
    check_exit(&backup(), 2, "is a link, a pipe or the like");
    assert!(!copy.exists());
    fs::remove_file(&revoked).unwrap();
    let content = "{\"tokens\":{},\"subjects\":{},\"issued_before\":7}\n39b0749f\n";
    fs::write(&revoked, content).unwrap();
    succeed(&backup());
    assert_eq!(fs::read_to_string(copy.join("REVOKED")).unwrap(), content);
}

#[test]
fn a_copy_or_export_of_what_is_damaged_holds_the_rest_and_costs_the_exit_code() {
    let folder = imported(LINES);
    succeed(&log(folder.path(), &["import"], br#"{"topic":"c","text":"later"}"#));
    let segment = PathBuf::from(folder.path()).join("segments/00000000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let copies = page::Folder::new();
    let copy = copies.0.join("copy");
    let backup = log(folder.path(), &["backup", path(&copy)], b"");
    assert_eq!(backup.status.code(), Some(3));
    check_fails(&backup, "Segment 1 is damaged");
    assert_eq!(log(path(&copy), &["verify"], b"").status.code(), Some(1));
    let export = log(path(&copy), &["export"], b"");
    assert_eq!(export.status.code(), Some(3));
    check_fails(&export, "Segment 1 is damaged");
    let told = String::from_utf8(export.stdout).unwrap();
    assert!(told.contains("later") && told.lines().count() == 1, "{told}");
}

#[test]
fn what_is_exported_is_imported_byte_for_byte_and_served() {
    let first = imported(LINES);
    let lines = export(&first);
    let parsed: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let offsets: Vec<_> = parsed.iter().map(|line| line["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5, 6]);
    assert!(lines.contains(r#""data":{"big":  123456789012345678901234567890, "f": 1.00}"#), "{lines}");
    assert_eq!((&parsed[3]["content"], &parsed[3]["base64"]), (&json!("cbor"), &json!("AP8=")));
    let second = imported(&lines);
    assert_eq!(export(&second), lines);
    // While a hub has it, too, which serves it as it was.
    let hub = Hub::start(&["--dev", "--data-dir", second.path()], &[]);
    assert_eq!(export(&second), lines);
    let pages = ["a.x", "a.j", "b"].map(|topic| {
        let page = Http::to(hub.address).get(&format!("/v1/topics/{topic}/messages?from=earliest"));
        serde_json::from_slice::<Value>(&page.body).unwrap()["messages"].as_array().unwrap().clone()
    });
    let served: Vec<Value> = pages.concat();
    assert_eq!(served.len(), 6, "{served:?}");
    for (line, served) in parsed.iter().zip(&served) {
        let mut line = line.clone();
        line.as_object_mut().unwrap().remove("topic");
        // What does not fit on a line as it is.
        if line["base64"] != "ewoxfQ==" {
            assert_eq!(&line, served);
        }
    }
    succeed(&run(&hub, &["pub", "a.x", "more"], ""));
    assert_eq!(export(&second).lines().count(), 7);
    let of = |arguments: &[&str]| {
        succeed(&log(second.path(), &[&["export"], arguments].concat(), b"")).lines().count()
    };
    assert_eq!(of(&["--topic", "a.*", "--from", "2"]), 3);
    assert_eq!(of(&["--topic", "b", "--topic", "a.x"]), 5);
    assert_eq!((of(&["--since", "1h"]), of(&["--since", "2100-01-01T00:00:00Z"])), (7, 0));
    check_exit(&log(second.path(), &["export", "--topic", "a..b"], b""), 2, "a..b: ");
    check_exit(&log(second.path(), &["import"], b""), 2, "is in use by another hub");
}

#[test]
fn what_history_and_sub_print_as_json_is_imported_as_what_it_was() {
    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    let payloads: [(&str, &[u8], Option<&str>); 4] = [
        ("application/cbor", &[0x81, 1], Some("cbor")),
        ("application/octet-stream", &[0, 0xff], Some("binary")),
        ("text/plain", b"a\tb", None),
        ("application/json", b"{\"k\": 1.00}", None),
    ];
    for (kind, payload, _) in payloads {
        http.post("/v1/topics/a/messages", kind, payload).ok();
    }
    for arguments in
        [&["history", "a", "--json"][..], &["sub", "a", "--json", "--from", "earliest", "--count", "4"]]
    {
        let printed = succeed(&run(&hub, arguments, ""));
        let exported = export(&imported(&printed));
        assert_eq!((printed.lines().count(), exported.lines().count()), (4, 4));
        let pairs = printed.lines().zip(exported.lines()).zip(payloads);
        for ((printed, exported), (.., content)) in pairs {
            let [printed, exported] =
                [printed, exported].map(|line| serde_json::from_str::<Value>(line).unwrap());
            for field in ["topic", "published_at", "content", "base64", "text", "data"] {
                assert_eq!(printed.get(field), exported.get(field), "{arguments:?}: {field}");
            }
            assert_eq!(printed["content"].as_str(), content);
        }
    }
}

#[test]
fn what_messages_have_besides_counts() {
    let text = r#"{"topic":"plain","text":"12345","sender":"me"}"#;
    let key = "k".repeat(200);
    let folder = imported(&format!("{text}\n{{\"topic\":\"map\",\"text\":\"1\",\"key\":\"{key}\"}}\n"));
    let told = succeed(&log(folder.path(), &["stats", "--top", "1"], b""));
    // The key has its number, its kind and its length before it.
    assert!(told.contains("messages that are kept: 2, with 211 bytes\n"), "{told}");
    assert!(told.contains("  map: 1 messages, 204 bytes\n"), "{told}");
}

/// A removal is one there, too.
#[test]
fn a_dump_prints_of_messages_what_an_export_does_and_their_commits() {
    let folder = imported(LINES);
    let dumped = succeed(&log(folder.path(), &["dump"], b""));
    assert_eq!(dumped.replace("{\"commit\":1,", "{"), export(&folder));
    assert_eq!(dumped.matches("{\"commit\":1,").count(), LINES.lines().count());
}

#[test]
fn what_has_outlived_its_time_is_not_exported_unless_it_removes_a_key() {
    let folder = imported(
        r#"{"topic":"a","text":"over","key":"k","ttl_ms":1,"published_at":1700000000000}
{"topic":"a","text":"stays","key":"l","published_at":1700000000000}
{"topic":"a","remove":true,"key":"l","ttl_ms":1,"published_at":1700000000000}
"#,
    );
    let lines = export(&folder);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[0]["text"], &lines[1]["remove"]), (&json!("stays"), &json!(true)));
}

#[test]
fn a_line_that_is_wrong_is_named_those_before_it_are_stored_and_it_goes_on_behind_them() {
    let folder = Folder::new();
    let import = |arguments: &[&str], lines: &str| {
        log(folder.path(), &[&["import"], arguments].concat(), lines.as_bytes())
    };
    let one = |n: usize| format!("{{\"topic\":\"t\",\"text\":\"{n}\"}}\n");
    let good: String = (0..5_000).map(one).collect();
    let all = |wrong: &str| format!("{good}{wrong}\n{}", one(5_000));
    let of_sender = |name: &str| format!(r#"{{"topic":"t","text":"x","sender":"{name}"}}"#);
    let large = format!(r#"{{"topic":"t","text":"{}"}}"#, "x".repeat((256 << 10) + 1));
    for (wrong, says) in [
        ("nonsense", "it is no JSON object"),
        (r#"{"topic":"t","text":"x","kee":1}"#, "unknown field `kee`"),
        (r#"{"topic":"a..b","text":"x"}"#, "this is no valid topic name"),
        (r#"{"topic":"$hub","text":"x"}"#, "are the hub's own"),
        (r#"{"topic":"t"}"#, "a message has one of"),
        (r#"{"topic":"t","text":"x","headers":{"A":"b"}}"#, "a header's name"),
        (r#"{"topic":"t","text":"x","published_at":9000000000000}"#, "has not come yet"),
        ("", "it is no JSON object"),
        (&of_sender(&"s".repeat(256)), "its sender is more than 255 bytes"),
        (&of_sender(r"a\nb"), "or has control characters"),
        (&large, "its payload has 262145 bytes, and 262144 are taken (--message-bytes-max)"),
    ] {
        let stored = export_or_none(&folder).len();
        let output = import(&["--skip", &stored.to_string()], &all(wrong));
        check_fails(&output, "line 5001: ");
        check_fails(&output, says);
        check_fails(&output, "; stored: 5000 lines; go on with --skip 5000");
        assert_eq!(output.status.code(), Some(2));
    }
    let output = import(&["--skip", "99999"], &all(&one(7)));
    assert_eq!(output.status.code(), Some(2));
    check_fails(&output, "and --skip passes over more: nothing was stored");
    succeed(&import(&["--skip", "5000"], &all(&one(7)).replace("\n\n", "\n")));
    let texts = export_or_none(&folder);
    let expected: Vec<_> = (0..5_000).chain([7, 5_000]).map(|n| n.to_string()).collect();
    assert_eq!(texts, expected);
    // A hub may take more.
    succeed(&import(&["--message-bytes-max", "262145"], &large));
    assert_eq!(export_or_none(&folder).pop().map(|text| text.len()), Some(262_145));
}

/// The texts of all messages; none where there is no log yet.
fn export_or_none(folder: &Folder) -> Vec<String> {
    let output = log(folder.path(), &["export"], b"");
    let text = |line: &str| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
    String::from_utf8(output.stdout).unwrap().lines().map(text).collect()
}

/// Killed at whatever moment, a part that is whole commits is stored, and what was told says how many lines that is: also of an
/// import that went on where another one was killed.
#[test]
fn an_import_that_is_killed_leaves_whole_commits_and_the_rest_is_added() {
    let folder = imported("{\"topic\":\"t\",\"text\":\"before\"}");
    let lines: String = (0..40_000).map(|n| format!("{{\"topic\":\"t\",\"text\":\"{n}\"}}\n")).collect();
    let mut skip = 0;
    for part in [lines.len() / 2, lines.len() / 4 * 3] {
        let first = format!("line {} becomes offset {}. ", skip + 1, skip + 2);
        let less = killed_in_import(&folder, skip, &lines.as_bytes()[..part], &first);
        let stats = succeed(&log(folder.path(), &["stats"], b""));
        let upto = stats.lines().find_map(|line| line.strip_prefix("offsets: up to ")).unwrap();
        let stored = upto.parse::<u64>().unwrap() - less;
        assert!((stored - skip).is_multiple_of(4_096) && stored < 40_000, "{stored}");
        skip = stored;
    }
    succeed(&log(folder.path(), &["import", "--skip", &skip.to_string()], lines.as_bytes()));
    let expected: Vec<_> =
        std::iter::once("before".to_owned()).chain((0..40_000).map(|n| n.to_string())).collect();
    assert_eq!(export_or_none(&folder), expected);
}

/// Imports until these bytes are written, and is killed. Returns what is to be taken from the offset that `stats` says.
fn killed_in_import(folder: &Folder, skip: u64, lines: &[u8], says: &str) -> u64 {
    let mut command = tidewire("log");
    command.args(["import", "--data-dir", folder.path(), "--skip", &skip.to_string()]);
    let mut process = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    BufReader::new(process.stderr.take().unwrap()).read_line(&mut told).unwrap();
    assert!(told.contains(says), "{says}: {told}");
    process.stdin.take().unwrap().write_all(lines).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    told.trim_end().rsplit_once(", less ").unwrap().1.parse().unwrap()
}

/// Lines that are passed over need not be of this log.
#[test]
fn what_to_skip_is_right_where_more_is_passed_over_than_the_log_has() {
    let folder = Folder::new();
    let told = log(folder.path(), &["import", "--skip", "2"], LINES.as_bytes()).stderr;
    let told = String::from_utf8(told).unwrap();
    assert!(
        told.contains("line 3 becomes offset 1. ") && told.ends_with("are stored, and 2 more\n"),
        "{told}"
    );
}

#[test]
fn who_reads_no_more_ends_an_export_without_a_word() {
    let lines: String = (0..20_000).map(|n| format!("{{\"topic\":\"t\",\"text\":\"{n}\"}}\n")).collect();
    let folder = imported(&lines);
    let mut command = tidewire("log");
    command.args(["export", "--data-dir", folder.path()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(64, process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(line.starts_with("{\"offset\":1,"), "{line}");
}
