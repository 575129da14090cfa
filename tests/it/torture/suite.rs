//! One kind of torture after another, each so often, and what came of it.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::torture::random::Random;
use crate::torture::report::{self, Row};
use crate::torture::{bites, disks, kills, powers};

/// A kind of torture.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The option that says how often.
    option: &'static str,
    /// How often without it.
    usual: usize,
    pub(crate) does: &'static str,
    run: fn(usize, &mut Random) -> Row,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "kill",
        option: "--kills",
        usual: 60,
        does: "`kill -9` at any moment of the load, every fourth time of the next start as well",
        run: kills::kill,
    },
    Kind {
        name: "frozen",
        option: "--freezes",
        usual: 20,
        does: "SIGSTOP at any moment of the load and SIGCONT a moment later, every fourth time SIGKILL instead",
        run: kills::freeze,
    },
    Kind {
        name: "power",
        option: "--powers",
        usual: 10,
        does: "an ext4 file system of its own is shut down at any moment of the load, so that what was not synced is gone",
        run: powers::power,
    },
    Kind {
        name: "bitten",
        option: "--bites",
        usual: 150,
        does: "a byte is flipped, or a file cut off or removed, in a copy of a directory whose hub stopped or was killed",
        run: bites::bite,
    },
    Kind {
        name: "failing",
        option: "--failures",
        usual: 4,
        does: "an `fdatasync` under load fails with EIO, and the hub is started again",
        run: disks::fail,
    },
    Kind {
        name: "full",
        option: "--fills",
        usual: 2,
        does: "a file system of its own is filled under load, to its last byte or nearly, and emptied",
        run: disks::fill,
    },
];

/// Runs what the arguments say.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let seed = number_of(args, "--seed")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos() as usize);
    let options: Vec<&str> = KINDS.iter().map(|kind| kind.option).chain(["--seed"]).collect();
    let is_value = |at: usize| at > 0 && options.contains(&&*args[at - 1]);
    let words: Vec<&String> = (0..args.len())
        .filter(|at| !args[*at].starts_with("--") && !is_value(*at))
        .map(|at| &args[at])
        .collect();
    println!("seed {seed}");
    let mut rows = Vec::new();
    for kind in &KINDS {
        let times = number_of(args, kind.option).unwrap_or(kind.usual);
        if times == 0 || !(words.is_empty() || words.iter().any(|word| kind.name.contains(&***word))) {
            continue;
        }
        let mut random = Random::new(seed as u64);
        let done = panic::catch_unwind(AssertUnwindSafe(|| (kind.run)(times, &mut random)));
        let row = done.unwrap_or_else(|_| Row::broken("it broke off; see above"));
        println!("{}", row.verdict(kind));
        rows.push((kind, row));
    }
    println!("\n{}", report::table(&rows));
    if let Some(path) = std::env::var_os("TIDEWIRE_TORTURE_DOCUMENT") {
        report::write_into(path.as_ref(), &rows);
    }
    let failed = rows.iter().filter(|(_, row)| !row.holds()).count();
    let skipped = rows.iter().filter(|(_, row)| row.skipped.is_some()).count();
    println!("{} passed, {failed} failed, {skipped} skipped", rows.len() - failed - skipped);
    if failed == 0 && !rows.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number_of(args: &[String], option: &str) -> Option<usize> {
    let at = args.iter().position(|arg| arg == option)?;
    let given = args.get(at + 1).and_then(|value| value.parse().ok());
    Some(given.unwrap_or_else(|| panic!("{option} is followed by a number")))
}
