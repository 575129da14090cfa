//! `simulate`: lives through many worlds and says what it found. Exits with 1 if anything did not fit.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidewire_simulation::runs::{Mutant, Verdict, hunt, live};
use tidewire_simulation::world::Tally;

const USAGE: &str = "\
simulate --ci                 what a change must pass, in a minute
simulate --hours N [--seed S] worlds from seed S on (1) until clients have lived N hours
simulate --seed S [--trace]   one world again, exactly; with all that happened in it
simulate --mutants            seeds each known bug and wants it caught";

/// What was asked for.
#[derive(Clone, Copy)]
enum Task {
    Ci,
    Hours { hours: f64, seed: u64 },
    Seed { seed: u64, traced: bool },
    Mutants,
    Help,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error:#}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(args: impl Iterator<Item = String>) -> Result<Task> {
    let (mut hours, mut seed, mut traced, mut word) = (None, None, false, None);
    let mut args = args;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--hours" => hours = Some(number(args.next(), "--hours")?),
            "--seed" => seed = Some(number(args.next(), "--seed")?),
            "--trace" => traced = true,
            "--ci" => word = Some(Task::Ci),
            "--mutants" => word = Some(Task::Mutants),
            "--help" | "-h" => word = Some(Task::Help),
            other => bail!("{other} is not known"),
        }
    }
    match (word, hours, seed) {
        (Some(task), None, None) => Ok(task),
        (None, Some(hours), seed) => Ok(Task::Hours { hours: hours as f64, seed: seed.unwrap_or(1) }),
        (None, None, Some(seed)) => Ok(Task::Seed { seed, traced }),
        (None, None, None) => bail!("what to do is missing"),
        (Some(_), _, _) => bail!("--ci and --mutants take no more"),
    }
}

fn number(text: Option<String>, flag: &str) -> Result<u64> {
    let text = text.with_context(|| format!("{flag} takes a number"))?;
    text.parse().with_context(|| format!("{flag} takes a number, not {text}"))
}

/// Tells whether all is well.
fn run(task: Task) -> Result<bool> {
    match task {
        Task::Ci => Ok(ci()),
        Task::Hours { hours, seed } => Ok(report(&live_many(seed, hours, None))),
        Task::Seed { seed, traced } => Ok(replay(seed, traced)),
        Task::Mutants => Ok(catch_mutants().1 == 0),
        Task::Help => {
            println!("{USAGE}");
            Ok(true)
        }
    }
}

/// Mutants, then a clean run.
fn ci() -> bool {
    let (caught, survived) = catch_mutants();
    let clean = report(&live_many(1, CI_HOURS, Some(Instant::now() + CI_TIME)));
    let (passed, failed) = (caught + usize::from(clean), survived + usize::from(!clean));
    println!("{passed} passed, {failed} failed");
    failed == 0
}

/// How many were caught, and how many not.
fn catch_mutants() -> (usize, usize) {
    let mutants = Mutant::all();
    let (next, caught) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            let began = Instant::now();
            let found = hunt(mutant, 1, WORLDS_PER_MUTANT);
            let (name, seconds) = (mutant.name(), began.elapsed().as_secs_f64());
            let Some(world) = found else {
                println!("SURVIVED  {name} in {WORLDS_PER_MUTANT} worlds, {seconds:.1} s");
                continue;
            };
            caught.fetch_add(1, Ordering::Relaxed);
            let how = world.violation.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
            let how: String = how.chars().take(90).collect();
            println!("caught    {name} by seed {} in {seconds:.1} s: {how}", world.seed);
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    let caught = caught.into_inner();
    (caught, mutants.len() - caught)
}

/// What a run of many worlds came to.
#[derive(Default)]
struct Sum {
    tally: Tally,
    worlds: u64,
    violations: Vec<Verdict>,
    took: Duration,
}

/// Lives through worlds from `seed` on until `hours` are lived, or until the time is up.
fn live_many(seed: u64, hours: f64, until: Option<Instant>) -> Sum {
    let began = Instant::now();
    let next = AtomicU64::new(seed);
    let lived_ms = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let wanted_ms = (hours * 3_600_000.0) as u64;
    let work = || {
        let mut sum = Sum::default();
        while !over.load(Ordering::Relaxed) {
            let world = live(next.fetch_add(1, Ordering::Relaxed), None, false);
            sum.tally.add(&world.tally);
            sum.worlds += 1;
            let lived = lived_ms.fetch_add(world.tally.client_ms, Ordering::Relaxed) + world.tally.client_ms;
            let late = until.is_some_and(|until| Instant::now() >= until);
            if lived >= wanted_ms || late {
                over.store(true, Ordering::Relaxed);
            }
            sum.violations.extend(Some(world).filter(|world| world.violation.is_some()));
        }
        sum
    };
    let mut all = Sum::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        for sum in workers.into_iter().filter_map(|worker| worker.join().ok()) {
            all.tally.add(&sum.tally);
            all.worlds += sum.worlds;
            all.violations.extend(sum.violations);
        }
    });
    all.violations.sort_by_key(|world| world.seed);
    all.took = began.elapsed();
    all
}

/// Prints what a run came to; tells whether all is well.
fn report(sum: &Sum) -> bool {
    for world in sum.violations.iter().take(VIOLATIONS_SHOWN) {
        println!("seed {}: {}", world.seed, world.violation.as_deref().unwrap_or_default());
    }
    let hours = sum.tally.hours();
    let Tally { published, heard, pages, faults, steps, .. } = sum.tally;
    let seconds = sum.took.as_secs_f64();
    println!(
        "client_hours={hours:.0} worlds={} published={published} heard={heard} pages={pages} faults={faults} steps={steps} \
         violations={} seconds={seconds:.1} client_hours_per_second={:.0} \
         per_client_hour: publishes={:.0} faults={:.1}",
        sum.worlds,
        sum.violations.len(),
        hours / seconds,
        published as f64 / hours,
        faults as f64 / hours,
    );
    sum.violations.is_empty()
}

fn replay(seed: u64, traced: bool) -> bool {
    let world = live(seed, None, traced);
    for line in &world.trace {
        println!("{line}");
    }
    let Tally { published, heard, pages, faults, steps, .. } = world.tally;
    let hours = world.tally.hours();
    println!(
        "seed={seed} client_hours={hours:.1} published={published} heard={heard} pages={pages} faults={faults} steps={steps}"
    );
    match &world.violation {
        Some(violation) => println!("violation: {violation}"),
        None => println!("no violation"),
    }
    world.violation.is_none()
}

/// Worlds that a seeded bug may live through before it counts as not found.
const WORLDS_PER_MUTANT: u64 = 300;
/// What a run in CI is to hold.
const CI_HOURS: f64 = 10_000.0;
/// What the clean one may take, the last worlds' length aside.
const CI_TIME: Duration = Duration::from_secs(120);
/// Each world is one thread's; two of them run side by side.
const THREADS: u64 = 2;
const VIOLATIONS_SHOWN: usize = 10;
