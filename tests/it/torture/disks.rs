//! A disk that fails, and one that is full.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::support::eventually;
use crate::support::http::Http;
use crate::support::hub::tidewire;
use crate::support::kept::Kept;
use crate::support::page::Folder;
use crate::torture::course::{Course, KEEP};
use crate::torture::mount::{Mount, run};
use crate::torture::random::Random;
use crate::torture::report::Row;

/// A sync fails: nothing is acknowledged from then on, and the next start has all that was before.
pub(crate) fn fail(times: usize, random: &mut Random) -> Row {
    if let Err(why) = run("strace", &["-D".into(), "-o".into(), "/dev/null".into(), "true".into()]) {
        return Row::skipped(why);
    }
    let mut all = Row::default();
    for _ in 0..times {
        let at = 8 + random.below(200);
        // The tracer is a child of the hub's, so that what is started is the hub.
        let mut strace = Command::new("strace");
        strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"]);
        strace.arg(format!("inject=fdatasync:error=EIO:when={at}"));
        let serve = tidewire("serve");
        strace.arg("--").arg(serve.get_program()).args(serve.get_args());
        for (name, _) in serve.get_envs() {
            strace.env_remove(name);
        }
        let mut course = Course::of(Kept::start_by(strace, KEEP));
        let hub = course.kept.hub();
        eventually("a sync fails", || hub.get("/healthz").ends_with("storage stopped: restart the hub\n"));
        course.after(Kept::kill_and_restart);
        course.run_on(random);
        all.add(course.end());
    }
    all
}

/// A disk is filled and emptied: publishers wait, nothing else happens.
pub(crate) fn fill(times: usize, random: &mut Random) -> Row {
    let mut all = Row::default();
    for round in 0..times {
        let folder = Folder::new();
        let mount = match Mount::memory(&folder, DISK_BYTES) {
            Ok(mount) => mount,
            Err(why) => return Row::skipped(why),
        };
        let data = mount.path().join("data");
        let mut course = Course::of(Kept::start_at(tidewire("serve"), Folder::new(), data, KEEP));
        course.run_on(random);
        // To its last byte, or so that less is left than the hub wants.
        let bytes = if round % 2 == 0 { u64::MAX } else { DISK_BYTES - (100 << 20) };
        let ballast = mount.path().join("ballast");
        fill_up(&ballast, bytes);
        let hub = course.kept.hub();
        eventually("the hub finds the disk full", || {
            hub.metric("tidewire_storing_stopped{why=\"full\"}") == 1
        });
        let answer =
            Http::to(hub.address).post("/v1/topics/t.0/messages", "application/json", b"\"too much\"");
        assert_eq!(answer.problem().1, "not_stored");
        for path in ["/healthz", "/readyz"] {
            assert!(hub.get(path).starts_with("HTTP/1.1 200 "), "{path}");
        }
        assert!(course.load.count() > 0);
        course.after(|kept| {
            fs::remove_file(&ballast).unwrap();
            let hub = kept.hub();
            eventually("the hub takes messages again", || hub.metric_sum("tidewire_storing_stopped") == 0);
        });
        course.run_on(random);
        course.after(Kept::kill_and_restart);
        all.add(Row { times: 1, ..course.end() });
    }
    all
}

/// A file with so many bytes, or as many as there is room for.
fn fill_up(path: &Path, bytes: u64) {
    let mut file = fs::File::create(path).unwrap();
    let part = vec![0; 1 << 20];
    let mut written = 0;
    while written < bytes && file.write_all(&part).is_ok() {
        written += part.len() as u64;
    }
    assert!(written > 0, "there is no room at all");
}

const DISK_BYTES: u64 = 256 << 20;
