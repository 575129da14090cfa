//! `simulate`: runs worlds and says what it found.
#![allow(clippy::print_stdout)]
use tidewire_simulation::runs::{Mutant, hunt, live};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n: u64 = args[2].parse().unwrap_or(0);
    match args[1].as_str() {
        "seed" => {
            let v = live(n, None, true);
            for line in v.trace.iter() {
                println!("{line}");
            }
            println!("{:?} {:?}", v.violation, v.tally);
        }
        "mutants" => {
            for m in Mutant::all() {
                let t = std::time::Instant::now();
                let v = hunt(m, 1, n);
                println!(
                    "{} {:?} {:?}",
                    m.name(),
                    v.map(|v| (v.seed, v.violation.unwrap_or_default().lines().next().map(str::to_owned))),
                    t.elapsed()
                );
            }
        }
        _ => {
            let t = std::time::Instant::now();
            let mut sum = tidewire_simulation::world::Tally::default();
            let mut bad = 0;
            for seed in 1..=n {
                let v = live(seed, None, false);
                sum.add(&v.tally);
                if let Some(x) = v.violation {
                    bad += 1;
                    if bad < 15 {
                        println!("seed {seed}: {x}");
                    }
                }
            }
            println!("{sum:?} hours {} bad {bad} {:?}", sum.hours(), t.elapsed());
        }
    }
}
