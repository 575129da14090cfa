//! What becomes of the process.

use std::time::Duration;

use crate::support::hub::tidewire;
use crate::support::kept::Kept;
use crate::torture::course::{Course, KEEP};
use crate::torture::random::Random;
use crate::torture::report::Row;

/// It is killed, again and again.
pub(crate) fn kill(times: usize, random: &mut Random) -> Row {
    let mut course = Course::of(Kept::start_by(tidewire("serve"), KEEP));
    for _ in 0..times {
        course.run_on(random);
        let in_the_start = (random.below(4) == 0).then(|| Duration::from_micros(random.below(START_MICROS)));
        course.after(|kept| {
            kept.hub().kill();
            if let Some(later) = in_the_start {
                kept.start_and_kill(later);
            }
            kept.start_again();
        });
        if !course.is_well() {
            break;
        }
    }
    course.end()
}

/// It stands still.
pub(crate) fn freeze(times: usize, random: &mut Random) -> Row {
    let mut course = Course::of(Kept::start_by(tidewire("serve"), KEEP));
    for _ in 0..times {
        course.run_on(random);
        let (is_killed, moment) = (random.below(4) == 0, Duration::from_micros(random.below(START_MICROS)));
        course.after(|kept| {
            kept.hub().stop_all();
            std::thread::sleep(moment);
            if is_killed {
                kept.kill_and_restart();
            } else {
                kept.hub().signal("CONT");
            }
        });
        if !course.is_well() {
            break;
        }
    }
    course.end()
}

/// A start takes about so long.
const START_MICROS: u64 = 40_000;
