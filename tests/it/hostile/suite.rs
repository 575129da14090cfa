//! One attack after another: a hub of its own, a quiet while, the attack from a process of its own, and a look at
//! what the neighbour noticed.

use std::io::Read as _;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::hostile::attacks::{Attack, all};
use crate::hostile::ground::Ground;
use crate::hostile::neighbour::{Account, Delays, Neighbour, newcomer, text_of};
use crate::hostile::report::{self, Row};
use crate::hostile::stranger::{Target, done_so_far};
use crate::support::file::File;
use crate::support::hub::Hub;

/// Runs the attacks whose names hold one of the words, or all.
pub(crate) fn run(words: &[&str]) -> ExitCode {
    let words: Vec<_> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let wanted = |attack: &Attack| words.is_empty() || words.iter().any(|word| attack.name.contains(**word));
    let attacks: Vec<_> = all().into_iter().filter(wanted).collect();
    if attacks.is_empty() {
        println!("no attack has such a name");
        return ExitCode::FAILURE;
    }
    let mut rows = Vec::new();
    for attack in &attacks {
        // A machine that is busy for a moment misses a time once, a hub that can be harmed misses it again.
        let mut row = try_to_endure(attack);
        for _ in 0..RETRIES {
            if row.only_late() {
                row = try_to_endure(attack);
            }
        }
        println!("{}", row.verdict());
        rows.push(row);
    }
    println!("\n{}", report::table(&rows));
    if let Some(path) = std::env::var_os("TIDEWIRE_HOSTILE_DOCUMENT") {
        report::write_into(path.as_ref(), &rows);
    }
    let failed = rows.iter().filter(|row| !row.is_right()).count();
    println!("{} passed, {failed} failed", rows.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The attacker's process: does its worst until its standard input ends, whatever the hub does to it.
pub(crate) fn attack(name: &str, hub: SocketAddr, authority: Option<&str>) -> ExitCode {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let attack = all().into_iter().find(|attack| attack.name == name).unwrap();
    let target = Target::new(hub, ATTACKER).trusting(authority);
    for _ in 0..attack.threads {
        thread::spawn(move || {
            loop {
                let _ = (attack.worst)(target);
                // Not to run in circles of its own where it is turned away at once.
                thread::sleep(Duration::from_millis(2));
            }
        });
    }
    let _ = std::io::stdin().read(&mut [0]);
    let (connected, sent) = done_so_far();
    println!("{connected} {sent}");
    ExitCode::SUCCESS
}

/// A hub that does not even answer a well-behaved client must not spare the next attacks.
fn try_to_endure(attack: &Attack) -> Row {
    let attempt = panic::catch_unwind(AssertUnwindSafe(|| endure(attack)));
    attempt.unwrap_or_else(|panic| Row::broken(attack, format!("broken off: {}", text_of(&*panic))))
}

/// One attack, and what came of it.
fn endure(attack: &Attack) -> Row {
    let mut ground = if attack.is_by_tls() { Ground::by_tls() } else { Ground::plain() };
    let (others, hub) = (ground.others, &mut ground.hub);
    (attack.before)(others);
    let neighbour = Neighbour::of(others);
    let began = Instant::now();
    thread::sleep(QUIET);
    let quiet = neighbour.delays(began);
    let memory_before = hub.memory();
    let unaccounted_before = unaccounted(hub);
    let mut memory_peak = memory_before;
    let mut attacker = Attacker::start(attack, hub.address, ground.authority.as_ref());
    let began = Instant::now();
    let mut alive = true;
    while alive && began.elapsed() < seconds() {
        thread::sleep(MEMORY_EVERY);
        alive = hub.is_running();
        memory_peak = memory_peak.max(if alive { hub.memory() } else { 0 });
    }
    let under_attack = neighbour.delays(began);
    let done = attacker.stop();
    let account = neighbour.end(others);
    let mut row = Row::new(attack, &quiet, &under_attack, &account, (memory_before, memory_peak));
    row.done = done;
    if done.0 == 0 {
        row.wrong.push("the attacker does nothing".to_owned());
    }
    judge(&mut row, &quiet, &under_attack, &account);
    row.wrong.extend(aftermath(hub, others, alive));
    if alive {
        row.wrong.extend(kept_after_each(attack, &ground, unaccounted_before));
    }
    row
}

/// What is wrong with the hub's memory once the attacker is gone: what was held for it is to go with it. What stays once
/// may be what the system's allocator keeps for the next that asks; what is lost is lost again with the next attack.
fn kept_after_each(attack: &Attack, ground: &Ground, before: u64) -> Option<String> {
    let hub = &ground.hub;
    let mut kept = kept_for_nobody(hub, before)?;
    for _ in 0..ATTACKS_MORE {
        let before = unaccounted(hub);
        let mut attacker = Attacker::start(attack, hub.address, ground.authority.as_ref());
        thread::sleep(seconds());
        attacker.stop();
        kept = kept_for_nobody(hub, before)?;
    }
    Some(format!("after each of {} attacks {} MiB more are held for nobody", 1 + ATTACKS_MORE, kept >> 20))
}

fn judge(row: &mut Row, quiet: &Delays, under_attack: &Delays, account: &Account) {
    let quiet = Delays::p99(&quiet.acks).max(Delays::p99(&quiet.deliveries));
    let bound = (5 * quiet).clamp(DELAY_MAX, 4 * DELAY_MAX);
    for (what, delays) in [("acks", &under_attack.acks), ("deliveries", &under_attack.deliveries)] {
        let p99 = Delays::p99(delays);
        if p99 > bound {
            row.late.push(format!("{what} take {} ms, more than {}", p99.as_millis(), bound.as_millis()));
        }
    }
    let counts = [
        (account.unacknowledged, "are not acknowledged"),
        (account.undelivered, "are not delivered"),
        (account.not_kept, "are not kept"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        row.wrong.push(format!("{count} of {} messages {what}", account.published));
    }
    if let Some(first) = account.harms.first() {
        row.wrong.push(format!("{} harms, first {first}", account.harms.len()));
    }
    let grown = row.memory.1.saturating_sub(row.memory.0);
    if grown > MEMORY_MAX {
        row.wrong.push(format!("memory grows by {} MiB, more than {}", grown >> 20, MEMORY_MAX >> 20));
    }
}

/// What is wrong with the hub after the attack.
fn aftermath(hub: &Hub, others: SocketAddr, alive: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if hub.errors().contains("panicked") {
        wrong.push(format!("the hub panicked: {}", hub.errors()));
    }
    if !alive {
        wrong.push("the hub has ended".to_owned());
        return wrong;
    }
    wrong.extend(newcomer(others).err().map(|why| format!("a newcomer afterwards: {why}")));
    if !hub.get("/healthz").starts_with("HTTP/1.1 200 ") {
        wrong.push("it is not healthy afterwards".to_owned());
    }
    let until = Instant::now() + GONE;
    while hub.metric("tidewire_connections") > 0 {
        if Instant::now() > until {
            wrong.push("connections of the attack are still there".to_owned());
            break;
        }
        thread::sleep(MEMORY_EVERY);
    }
    wrong
}

/// What the hub's memory is besides what it is held for.
fn unaccounted(hub: &Hub) -> u64 {
    hub.memory().saturating_sub(hub.metric_sum("tidewire_held_bytes"))
}

/// By how much the hub's memory has grown for good, if that is more than it may.
fn kept_for_nobody(hub: &Hub, before: u64) -> Option<u64> {
    let until = Instant::now() + GONE;
    loop {
        let grown = unaccounted(hub).saturating_sub(before);
        if grown <= NOBODYS_MAX {
            return None;
        }
        if Instant::now() > until {
            return Some(grown);
        }
        thread::sleep(MEMORY_EVERY);
    }
}

/// The attacker's process. It comes second to everybody on this machine: others have machines of their own.
struct Attacker(Child);

impl Attacker {
    fn start(attack: &Attack, hub: SocketAddr, authority: Option<&File>) -> Self {
        let mut command = Command::new("nice");
        command.args(["-n", "10"]).arg(std::env::current_exe().unwrap());
        command.args(["--attack", attack.name, &hub.to_string()]).args(authority.map(File::path));
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Ends it; how many connections it made, and how many bytes it sent.
    fn stop(&mut self) -> (u64, u64) {
        drop(self.0.stdin.take());
        let mut said = String::new();
        let _ = self.0.stdout.take().map(|mut pipe| pipe.read_to_string(&mut said));
        let _ = self.0.wait();
        let mut numbers = said.split_whitespace().map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long each attack goes on.
fn seconds() -> Duration {
    let given = std::env::var("TIDEWIRE_HOSTILE_SECONDS").ok();
    Duration::from_secs_f64(given.map_or(SECONDS, |seconds| seconds.parse().unwrap()))
}

/// Long enough to see harm, short enough for every change.
const SECONDS: f64 = 1.2;
const QUIET: Duration = Duration::from_millis(300);
const RETRIES: usize = 2;
const MEMORY_EVERY: Duration = Duration::from_millis(20);
/// How long the hub may take to notice that the attacker has gone.
const GONE: Duration = Duration::from_secs(5);
/// All of 127.0.0.0/8 is this machine, and the neighbour comes from 127.0.0.1.
const ATTACKER: [u8; 4] = [127, 0, 0, 2];
/// What the neighbour's 99th percentile may be, or five times what it is in peace, up to four times this: one hiccup in
/// peace must not excuse everything after it.
const DELAY_MAX: Duration = Duration::from_millis(50);
/// The node's limit in the configuration, and 64 MiB for what it does not count.
const MEMORY_MAX: u64 = 128 << 20;
/// By how much the hub's memory may have grown when the attacker is gone, besides what is held.
const NOBODYS_MAX: u64 = 64 << 20;
/// How often an attack is made again that left more.
const ATTACKS_MORE: usize = 2;
