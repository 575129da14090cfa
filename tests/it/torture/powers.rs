//! The power fails.

use crate::support::hub::tidewire;
use crate::support::kept::Kept;
use crate::support::page::Folder;
use crate::torture::course::{Course, KEEP};
use crate::torture::mount::Mount;
use crate::torture::random::Random;
use crate::torture::report::Row;

/// What was not synced is gone, again and again.
pub(crate) fn power(times: usize, random: &mut Random) -> Row {
    let folder = Folder::new();
    let mount = match Mount::ext4(&folder, DISK_BYTES) {
        Ok(mount) => mount,
        Err(why) => return Row::skipped(why),
    };
    let data = mount.path().join("data");
    let mut course = Course::of(Kept::start_at(tidewire("serve"), Folder::new(), data, KEEP));
    for _ in 0..times {
        course.run_on(random);
        course.after(|kept| {
            mount.cut_power().unwrap();
            kept.hub().kill();
            mount.leave().unwrap();
            mount.again().unwrap();
            kept.start_again();
        });
        if !course.is_well() {
            break;
        }
    }
    course.end()
}

/// More than a hub wants to have free, and room for what is published.
const DISK_BYTES: u64 = 1 << 30;
