//! A hub that cannot have its data directory says so in a sentence with what to do, and ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command_line::{check_fails, succeed};
use crate::support::hub::{Hub, tidewire};
use crate::support::kept::Kept;
use crate::support::page::Folder;

/// What a hub says of this directory, as the last line of it; it ends with 1, and promises nothing before.
#[track_caller]
fn check(directory: &Path, says: &str) {
    let mut serve = tidewire("serve");
    serve.args(["--dev", "--listen", "127.0.0.1:0", "--config", "/dev/null", "--data-dir"]).arg(directory);
    let output = serve.output().unwrap();
    check_fails(&output, says);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.lines().last().unwrap().contains(says), "{told}");
    assert!(!told.contains("topics are kept in") && output.stdout.is_empty(), "{told}");
}

/// The same, which `tidewire check` says as well, before anybody starts it.
#[track_caller]
fn check_before(directory: &Path, says: &str) {
    check(directory, says);
    let checked =
        tidewire("check").args(["--config", "/dev/null", "--data-dir"]).arg(directory).output().unwrap();
    check_fails(&checked, says);
    assert_eq!((checked.status.code(), checked.stdout), (Some(1), vec![]));
}

#[test]
fn two_hubs_do_not_share_a_directory() {
    let mut kept = Kept::start();
    let directory = kept.directory().to_owned();
    let in_use =
        format!("{} is in use by another hub: stop that one, or name another directory", directory.display());
    check(&directory, &in_use);
    // The first is none the worse, and a directory whose hub was killed is free.
    assert!(kept.hub().get("/readyz").starts_with("HTTP/1.1 200 "));
    kept.kill_and_restart();
    kept.stop();
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let folder = Folder::new();
    folder.write("thesis.tex", "the only copy");
    check_before(&folder.0, "holds other files and no META, so it is not the directory of a log");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn what_a_start_that_was_broken_off_has_left_is_in_nobodys_way() {
    let folder = Folder::new();
    folder.write("LOCK", "");
    folder.write("META.new", "unfin");
    let mut check = tidewire("check");
    check.args(["--config", "/dev/null", "--data-dir"]).arg(&folder.0);
    succeed(&check.output().unwrap());
    let hub = Hub::start(&["--dev", "--data-dir", folder.0.to_str().unwrap()], &[]);
    assert!(hub.get("/readyz").starts_with("HTTP/1.1 200 "));
}

/// Nothing ever comes of a pipe, and nobody is told why the hub does not start.
#[test]
fn a_pipe_in_the_place_of_what_was_revoked_keeps_no_start_waiting() {
    let mut kept = Kept::start();
    kept.stop();
    let revoked = kept.directory().join("REVOKED");
    let _ = fs::remove_file(&revoked);
    assert!(Command::new("mkfifo").arg(&revoked).status().unwrap().success());
    check_before(
        kept.directory(),
        "REVOKED cannot be read (it is a pipe, a directory or the like, and no file)",
    );
}

#[test]
fn a_directory_of_a_later_release_and_one_that_is_damaged_are_told_apart() {
    let mut kept = Kept::start();
    kept.stop();
    let directory = kept.directory().to_owned();
    let meta = fs::read(directory.join("META")).unwrap();
    kept.change("META", |bytes| bytes[8] += 1);
    check_before(
        &directory,
        "META is damaged, and without it no commit can be read: put it back from a backup",
    );
    kept.change("META", |bytes| *bytes = of_format(7, &meta));
    check_before(
        &directory,
        "was written by a later release (format 7; this one knows up to 1): start that release",
    );
    fs::remove_file(directory.join("META")).unwrap();
    check(&directory, "put its META back from a backup");
    kept.change("HEAD", |bytes| bytes.truncate(0));
    fs::write(directory.join("META"), &meta).unwrap();
    kept.start_again();
}

#[test]
fn what_the_system_says_no_to_is_told_with_its_words() {
    // Nobody makes folders there, not even root.
    check(
        Path::new("/proc/tidewire"),
        "/proc/tidewire cannot be opened; what the system logged may say more: ",
    );
    let folder = Folder::new();
    let file = folder.write("file", "");
    let mut serve = tidewire("serve");
    serve.args(["--dev", "--config", "/dev/null", "--data-dir", &file]);
    check_fails(
        &serve.output().unwrap(),
        "allowed: the path of a directory, which is made if it is not there",
    );
}

#[test]
fn a_directory_that_may_only_be_read_is_refused() {
    let folder = Folder::new();
    let closed = folder.0.join("closed");
    fs::create_dir(&closed).unwrap();
    let mode = |mode: &str| {
        assert!(Command::new("chmod").arg(mode).arg(&closed).status().unwrap().success());
    };
    mode("500");
    // Root may write all the same.
    if fs::write(closed.join("probe"), "").is_ok() {
        fs::remove_file(closed.join("probe")).unwrap();
        eprintln!("skipped: this user may write to whatever it likes");
    } else {
        check(&closed.join("data"), "may not be read and written by this user: change its owner or mode");
    }
    mode("700");
}

/// A `META` of another format, with its checksum.
fn of_format(format: u32, meta: &[u8]) -> Vec<u8> {
    let mut bytes = meta[..meta.len() - 4].to_vec();
    bytes[8..12].copy_from_slice(&format.to_le_bytes());
    let crc = crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// CRC-32C (RFC 3720, appendix B.4), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}
