//! `tidewire log` over directories with which no hub starts: each command says so, and none waits for what never comes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{self, CommitNumber, DirectoryId, FRAME_HEADER_BYTES, Seeds, SegmentNumber};

use crate::command_line::{check_fails, run, succeed};
use crate::support::file::Folder;
use crate::support::hub::{Hub, tidewire};

const SEGMENT: &str = "segments/00000000000000000001.seg";

/// A directory that a hub has written.
fn written() -> Folder {
    let folder = Folder::new();
    let mut hub = Hub::start(&["--dev", "--data-dir", folder.path()], &[]);
    succeed(&run(&hub, &["pub", "t", "-"], "one\ntwo\n"));
    hub.signal("TERM");
    assert!(hub.wait().success());
    folder
}

fn place(folder: &Folder, name: &str) -> PathBuf {
    Path::new(folder.path()).join(name)
}

fn log(folder: &Folder, command: &str) -> Output {
    tidewire("log").args([command, "--data-dir", folder.path()]).output().unwrap()
}

fn backup(folder: &Folder) -> (Output, Folder) {
    let to = Folder::new();
    (tidewire("log").args(["backup", to.path(), "--data-dir", folder.path()]).output().unwrap(), to)
}

fn checked(folder: &Folder) -> Output {
    tidewire("check").args(["--config", "/dev/null", "--data-dir", folder.path()]).output().unwrap()
}

#[track_caller]
fn check_start_fails(folder: &Folder, says: &str) {
    let mut serve = tidewire("serve");
    serve.args(["--dev", "--listen", "127.0.0.1:0", "--config", "/dev/null", "--data-dir", folder.path()]);
    let mut serve = serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while serve.try_wait().unwrap().is_none() && Instant::now() < until {
        sleep(Duration::from_millis(20));
    }
    // One that has started would never end.
    let _ = serve.kill();
    check_fails(&serve.wait_with_output().unwrap(), says);
}

/// Whether it is printed or told as an error, the exit code says that it is none.
#[track_caller]
fn check(output: &Output, code: i32, says: &str) {
    let told = [&output.stdout[..], &output.stderr[..]].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains(says), "{says:?} is not in {told}");
    assert_eq!(output.status.code(), Some(code), "{told}");
}

/// No hub starts, and every command that reads says so; those that take out what is there have done it.
#[track_caller]
fn check_all(folder: &Folder, says: &str) {
    check(&log(folder, "verify"), 1, says);
    for command in ["stats", "dump", "export"] {
        let output = log(folder, command);
        check(&output, 3, says);
        assert!(!output.stdout.is_empty(), "{command}");
    }
    let (output, copy) = backup(folder);
    check(&output, 3, says);
    check(&log(&copy, "verify"), 1, says);
}

/// Adds a commit with this body behind all others.
fn add_commit(folder: &Folder, body: &[u8]) {
    let meta = fs::read(place(folder, "META")).unwrap();
    let directory = DirectoryId(u128::from_le_bytes(meta[16..32].try_into().unwrap()));
    let (path, segment) = (place(folder, SEGMENT), SegmentNumber(1));
    let mut bytes = fs::read(&path).unwrap();
    let frames = Scan::new(directory, segment, &bytes, CommitNumber(0)).filter_map(|item| match item {
        Item::Frame(frame) => Some((frame.number, frame.at + FRAME_HEADER_BYTES + frame.body.len())),
        Item::Damage { .. } | Item::Torn { .. } | Item::End { .. } => None,
    });
    let (last, end) = frames.last().unwrap();
    let mut frame = Vec::new();
    frames::begin(&mut frame);
    frame.extend_from_slice(body);
    frames::seal(&mut frame, last.next(), Seeds::new(directory, segment)).unwrap();
    bytes.splice(end..(end + frame.len()).min(bytes.len()), frame);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_row_that_this_version_does_not_know_is_told_by_each_command() {
    let folder = written();
    add_commit(&folder, &[200]);
    check_start_fails(&folder, "a commit holds a row that this version cannot read");
    check_all(&folder, "is whole, and this version cannot read it, so it starts no hub with this directory");
}

/// A message whose topic no commit names: each row is as it should be, and no start knows what to do with it.
#[test]
fn rows_that_mean_nothing_together_are_told_by_each_command() {
    let folder = written();
    add_commit(&folder, &[7, 99, 100, 1, 0, 1, 0, 0, 1, b'x', 0]);
    check_start_fails(&folder, "a commit holds a row that this version cannot read");
    check_all(&folder, "is whole, and this version cannot read it, so it starts no hub with this directory");
}

#[test]
fn damage_in_what_was_revoked_is_told_by_each_command() {
    let folder = written();
    fs::write(place(&folder, "REVOKED"), "{}\nffffffff\n").unwrap();
    check_start_fails(&folder, "REVOKED cannot be read (its checksum is wrong)");
    check_all(&folder, "REVOKED cannot be read (its checksum is wrong)");
}

/// A link is none of the hub's files wherever it leads: one to what is not there says least that nothing was revoked.
#[test]
fn a_link_in_the_place_of_what_was_revoked_is_told_by_each_command() {
    let (folder, elsewhere) = (written(), Folder::new());
    let good = "{\"tokens\":{},\"subjects\":{},\"issued_before\":7}\n39b0749f\n";
    fs::write(elsewhere.path(), good).unwrap();
    for leads_to in [elsewhere.path(), "/nowhere"] {
        symlink(leads_to, place(&folder, "REVOKED")).unwrap();
        let says = "REVOKED cannot be read (it is a link, and the file itself is to be there)";
        check_start_fails(&folder, says);
        check(&checked(&folder), 1, says);
        check(&log(&folder, "verify"), 1, says);
        for command in ["stats", "dump", "export"] {
            check(&log(&folder, command), 3, says);
        }
        let (output, copy) = backup(&folder);
        check(&output, 2, "REVOKED says which tokens were revoked, and is a link");
        assert!(!Path::new(copy.path()).exists());
        fs::remove_file(place(&folder, "REVOKED")).unwrap();
    }
    fs::remove_file(elsewhere.path()).unwrap();
}

/// Whoever may not read a file is not told to remove it, but how it can be read, and which it is.
#[test]
fn what_this_user_may_not_read_is_named() {
    let (folder, other) = (written(), 65_534);
    fs::copy(place(&folder, "HEAD"), place(&folder, "REVOKED")).unwrap();
    let files = ["", "META", "HEAD", "LOCK", "REVOKED", "segments", SEGMENT].map(|name| place(&folder, name));
    let is_root = fs::metadata(&files[0]).unwrap().uid() == 0;
    if is_root {
        // Root reads everything.
        files.iter().for_each(|file| std::os::unix::fs::chown(file, Some(other), Some(other)).unwrap());
    }
    let ask = |command: &mut Command| {
        let command = command.args(["--data-dir", folder.path()]).current_dir("/");
        if is_root { command.uid(other).gid(other).output() } else { command.output() }
    };
    if ask(&mut tidewire("check")).is_err() {
        return eprintln!("skipped: no other user may run the program where it is");
    }
    for name in ["REVOKED", "META", SEGMENT] {
        let path = place(&folder, name);
        let mode = |mode: u32| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0);
        let says = format!("{} may not be read and written by this user: change its owner", path.display());
        let serve = ["--dev", "--listen", "127.0.0.1:0", "--config", "/dev/null"];
        check(&ask(tidewire("serve").args(serve)).unwrap(), 1, &says);
        check(&ask(tidewire("check").args(["--config", "/dev/null"])).unwrap(), 1, &says);
        let says = format!("{} may not be read by this user: run this as the hub's user", path.display());
        for command in ["verify", "stats", "dump", "export"] {
            check(&ask(tidewire("log").arg(command)).unwrap(), 2, &says);
        }
        let copy = Folder::new();
        check(&ask(tidewire("log").args(["backup", copy.path()])).unwrap(), 2, &says);
        mode(0o600);
    }
}

/// A first start that was killed may leave that, and the next goes on.
#[test]
fn a_directory_without_segments_is_that_of_an_empty_log() {
    let folder = written();
    fs::remove_dir_all(place(&folder, "segments")).unwrap();
    fs::remove_file(place(&folder, "HEAD")).unwrap();
    for output in ["verify", "stats", "dump", "export"].map(|command| log(&folder, command)) {
        succeed(&output);
    }
    succeed(&checked(&folder));
    let (output, copy) = backup(&folder);
    succeed(&output);
    succeed(&log(&copy, "verify"));
    // A link to nothing is no folder that is yet to be made.
    symlink("/nowhere", place(&folder, "segments")).unwrap();
    check(&log(&folder, "stats"), 2, "segments cannot be opened");
    check(&checked(&folder), 1, "segments cannot be opened");
    check_start_fails(
        &folder,
        "segments is no directory, lies in what is none, or is a link to what is not there",
    );
    fs::remove_file(place(&folder, "segments")).unwrap();
    let mut hub = Hub::start(&["--dev", "--data-dir", folder.path()], &[]);
    hub.signal("TERM");
    assert!(hub.wait().success());
}

/// What is done stands, whatever becomes of the output; and an empty log has no newest message.
#[test]
fn a_copy_and_an_import_are_done_where_the_output_takes_nothing() {
    let (folder, copy) = (Folder::new(), Folder::new());
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut import = tidewire("log");
    let import = import.args(["import", "--data-dir", folder.path()]).stdin(Stdio::null()).stdout(full());
    check(&import.output().unwrap(), 0, "tidewire: messages: 0, of 0 topics");
    let mut backup = tidewire("log");
    backup.args(["backup", copy.path(), "--data-dir", folder.path()]).stdout(full());
    let output = backup.output().unwrap();
    check(&output, 0, "it is done, but standard output cannot be written (No space left on device");
    check(&output, 0, "tidewire: offsets: up to 0\n");
    succeed(&log(&copy, "verify"));
}

#[test]
fn what_is_no_directory_is_told_as_that() {
    let (file, dangling) = (Folder::new(), Folder::new());
    fs::write(file.path(), "").unwrap();
    symlink("/nowhere", dangling.path()).unwrap();
    for place in [&file, &dangling] {
        let says = format!(
            "{} is no directory, lies in what is none, or is a link to what is not there",
            place.path()
        );
        check(&log(place, "import"), 2, &says);
        check(
            &tidewire("log").args(["backup", place.path(), "--data-dir", written().path()]).output().unwrap(),
            2,
            &says,
        );
        fs::remove_file(place.path()).unwrap();
    }
}

#[test]
fn with_the_meta_of_another_directory_nothing_is_read() {
    let (folder, other) = (written(), written());
    fs::copy(place(&other, "META"), place(&folder, "META")).unwrap();
    for command in ["verify", "stats", "dump", "export"] {
        check(&log(&folder, command), 2, "META is that of another directory");
    }
    check(&backup(&folder).0, 2, "META is that of another directory");
}

#[test]
fn nobody_waits_for_a_pipe_or_reads_a_device_in_the_place_of_a_file() {
    let pipe = |path: &Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let device = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    let directory = |path: &Path| fs::create_dir(path).unwrap();
    for name in ["META", "HEAD", "LOCK", SEGMENT] {
        for put in [&pipe as &dyn Fn(&Path), &device, &directory] {
            let folder = written();
            let path = place(&folder, name);
            fs::remove_file(&path).unwrap();
            put(&path);
            let says =
                format!("{} is no file of a log: it is a pipe, a directory or the like", path.display());
            check_fails(&log(&folder, "verify"), &says);
            check_start_fails(&folder, &says);
            if name == "LOCK" {
                continue;
            }
            for command in ["stats", "dump", "export"] {
                check(&log(&folder, command), 2, &says);
            }
            check(&backup(&folder).0, 2, &says);
        }
    }
}

#[test]
fn what_is_longer_than_any_of_its_kind_is_not_read_to_its_end() {
    for (name, bytes, says) in [
        ("META", 1 << 40, "META is no file of a log: it has more than 4096 bytes"),
        ("HEAD", 1 << 40, "HEAD is no file of a log: it has more than "),
        (SEGMENT, 1 << 40, ".seg is no file of a log: it has more than "),
    ] {
        let folder = written();
        let file = fs::OpenOptions::new().write(true).open(place(&folder, name)).unwrap();
        file.set_len(bytes).unwrap();
        check_fails(&log(&folder, "verify"), says);
        check(&log(&folder, "stats"), 2, says);
        check_start_fails(&folder, says);
    }
}

/// What the system said is told with what was asked of it.
#[test]
fn why_a_file_cannot_be_opened_is_told() {
    let folder = Folder::new();
    fs::write(folder.path(), "no directory").unwrap();
    check(&log(&folder, "verify"), 2, "Not a directory");
    check(&log(&folder, "stats"), 2, "Not a directory");
    check(&backup(&folder).0, 2, "Not a directory");
    fs::remove_file(folder.path()).unwrap();
}
