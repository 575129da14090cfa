//! Files that are not what was written: bytes flipped, ends cut off, files removed. Whatever is missing must be named.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::hub::tidewire;
use crate::support::kept::Kept;
use crate::support::page::Folder;
use crate::torture::checker::pages;
use crate::torture::course::{Course, KEEP};
use crate::torture::load::{PUBLISHERS, TOPICS, check_of, topic_of};
use crate::torture::random::Random;
use crate::torture::report::Row;

/// A directory as a hub left it, and what was acknowledged.
struct Left {
    files: Files,
    acknowledged: [Vec<u64>; PUBLISHERS],
    epoch: String,
}

/// Files by their paths: what they hold, without the zeros at their ends, and how long they are.
type Files = BTreeMap<PathBuf, (Vec<u8>, u64)>;

/// What a hub makes of a bitten directory.
enum Seen {
    /// It says that something is missing or damaged, or does not start for that.
    Named,
    /// Nothing is missing.
    Whole,
    Wrong(String),
}

/// Bites, each into a copy of its own.
pub(crate) fn bite(times: usize, random: &mut Random) -> Row {
    let left = [leave(random, true), leave(random, false)];
    let (begun, named) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let mut random = Random::new(random.below(u64::MAX));
            let (left, begun, named, wrong) = (&left, &begun, &named, &wrong);
            scope.spawn(move || {
                let folder = in_memory();
                while begun.fetch_add(1, Ordering::Relaxed) < times {
                    let left = &left[random.below(2) as usize];
                    let what = left.put(&folder.0, &mut random);
                    match left.look(&folder.0) {
                        Seen::Named => drop(named.fetch_add(1, Ordering::Relaxed)),
                        Seen::Whole => {}
                        Seen::Wrong(why) => wrong.lock().unwrap().push(format!("{what}: {why}")),
                    }
                }
            });
        }
    });
    let named = named.into_inner();
    let acknowledged = left.iter().flat_map(|left| &left.acknowledged).map(Vec::len).sum();
    let also = format!("; {named} were named by the start, and behind the others nothing was missing");
    Row { times, acknowledged, wrong: wrong.into_inner().unwrap(), also, ..Row::default() }
}

/// A directory as it is left after a moment, in good order or not.
fn leave(random: &mut Random, in_good_order: bool) -> Left {
    let mut course = Course::of(Kept::start_by(tidewire("serve"), KEEP));
    for _ in 0..3 {
        course.run_on(random);
        course.after(Kept::kill_and_restart);
    }
    course.run_on(random);
    assert_eq!(course.load.end(crate::support::PATIENCE), Vec::<String>::new());
    if in_good_order {
        course.kept.stop();
    } else {
        course.kept.hub().kill();
    }
    let acknowledged = course.load.acknowledged.each_ref().map(|offsets| offsets.lock().unwrap().clone());
    let mut files = BTreeMap::new();
    let directory = course.kept.directory();
    for folder in [directory.to_owned(), directory.join("segments")] {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file())
        {
            let mut bytes = fs::read(entry.path()).unwrap();
            let length = bytes.len() as u64;
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            files.insert(entry.path().strip_prefix(directory).unwrap().to_owned(), (bytes, length));
        }
    }
    let mut left = Left { files, acknowledged, epoch: String::new() };
    let folder = in_memory();
    left.put_files(&folder.0, &left.files);
    let mut hub = Started::on(&folder.0).unwrap_or_else(|told| panic!("{told}"));
    left.epoch = hub.read().unwrap().1;
    left
}

impl Left {
    /// A copy with one bite; which.
    fn put(&self, folder: &Path, random: &mut Random) -> String {
        let mut files = self.files.clone();
        let segments: Vec<_> = files.keys().filter(|path| path.extension().is_some()).cloned().collect();
        let name = match random.below(10) {
            0 => PathBuf::from("HEAD"),
            1 if random.below(4) == 0 => PathBuf::from("META"),
            _ => segments[random.below(segments.len() as u64) as usize].clone(),
        };
        let (bytes, length) = files.get_mut(&name).unwrap();
        let at = random.below(bytes.len() as u64) as usize;
        let how = match random.below(20) {
            0 => {
                files.remove(&name);
                "removed".to_owned()
            }
            1..=6 => {
                bytes.truncate(at);
                *length = at as u64;
                format!("cut off at {at}")
            }
            7..=9 => {
                let end = (at + 1 + random.below(600) as usize).min(bytes.len());
                bytes[at..end].fill(0);
                format!("zeros from {at} to {end}")
            }
            _ => {
                bytes[at] ^= 1 << random.below(8);
                format!("a bit flipped at {at}")
            }
        };
        self.put_files(folder, &files);
        format!("{}: {how}", name.display())
    }

    fn put_files(&self, folder: &Path, files: &Files) {
        let data = folder.join("data");
        let _ = fs::remove_dir_all(&data);
        fs::create_dir_all(data.join("segments")).unwrap();
        for (name, (bytes, length)) in files {
            let mut file = fs::File::create(data.join(name)).unwrap();
            file.write_all(bytes).and_then(|()| file.set_len(*length)).unwrap();
        }
    }

    /// Starts a hub on what is there, and compares.
    fn look(&self, folder: &Path) -> Seen {
        let mut hub = match Started::on(folder) {
            Ok(hub) => hub,
            Err(told) if told.contains("is damaged") || told.contains("no META") => return Seen::Named,
            Err(told) => return Seen::Wrong(format!("it does not start: {told}")),
        };
        let (found, epoch) = match hub.read() {
            Ok(read) => read,
            Err(why) => return Seen::Wrong(why),
        };
        let told = hub.end();
        let is_named = NAMED.iter().any(|words| told.contains(words));
        let mut missing = 0;
        for (publisher, offsets) in self.acknowledged.iter().enumerate() {
            for (number, offset) in offsets.iter().enumerate() {
                match found[publisher].get(&(number as u64)) {
                    Some(found) if found == offset => {}
                    Some(found) => return Seen::Wrong(format!("a message of {offset} is at {found}")),
                    None => missing += 1,
                }
            }
        }
        match (missing, is_named) {
            (0, false) => Seen::Whole,
            (0, true) => Seen::Named,
            (_, true) if epoch != self.epoch => Seen::Named,
            (_, true) => Seen::Wrong(format!("{missing} are missing, and subscribers are not told: {told}")),
            (_, false) => Seen::Wrong(format!("{missing} are missing, and it says nothing: {told}")),
        }
    }
}

/// A hub on a directory of which nobody knows whether it starts.
struct Started {
    process: Child,
    address: SocketAddr,
}

/// Of each publisher the offsets of its messages by their numbers.
type Found = [BTreeMap<u64, u64>; PUBLISHERS];

impl Started {
    fn on(folder: &Path) -> Result<Self, String> {
        let config = folder.join("hub.toml");
        let data = folder.join("data");
        fs::write(&config, format!("shards = 1\ndata_dir = \"{}\"\n{KEEP}", data.display())).unwrap();
        let mut serve = tidewire("serve");
        serve.args(["--dev", "--listen", "127.0.0.1:0", "--config"]).arg(config);
        let mut process = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("tidewire listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        let mut started = Self { process, address: SocketAddr::from(([0; 4], 0)) };
        match address {
            Some(address) => started.address = address,
            None => return Err(started.end()),
        }
        Ok(started)
    }

    /// What it serves, and its log's epoch. Whatever it serves was published so.
    fn read(&mut self) -> Result<(Found, String), String> {
        let (mut found, mut epoch) = (Found::default(), String::new());
        for (topic, name) in TOPICS.into_iter().enumerate() {
            let mut from = "earliest".to_owned();
            for page in pages(self.address, name, &mut from) {
                for message in page["messages"].as_array().into_iter().flatten() {
                    let data = &message["data"];
                    let publisher = data[0].as_u64().unwrap_or(u64::MAX) as usize;
                    let number = data[1].as_u64().unwrap_or(u64::MAX);
                    if publisher >= PUBLISHERS
                        || topic_of(publisher) != topic
                        || data[2] != check_of(publisher, number)
                    {
                        return Err(format!("it serves {message}, which nobody published"));
                    }
                    let found = &mut found[publisher];
                    if found.last_key_value().is_some_and(|(last, _)| *last >= number) {
                        return Err(format!("it serves {message} again, or too late"));
                    }
                    found.insert(number, message["offset"].as_u64().unwrap());
                }
            }
            from.split_once(':').unwrap().0.clone_into(&mut epoch);
        }
        Ok((found, epoch))
    }

    /// Ends it; what it said.
    fn end(&mut self) -> String {
        let _ = self.process.kill();
        let mut told = String::new();
        let _ = self.process.stderr.take().map(|mut pipe| pipe.read_to_string(&mut told));
        let _ = self.process.wait();
        told
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.end();
    }
}

/// A folder in memory where that can be: thousands of starts sync a lot.
fn in_memory() -> Folder {
    let folder = Folder::new();
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        return folder;
    }
    let name = memory.join(folder.0.file_name().unwrap());
    fs::create_dir_all(&name).unwrap();
    Folder(name)
}

/// So many hubs at once.
const AT_ONCE: usize = 2;
/// Words of which one stands in whatever tells of a loss.
const NAMED: [&str; 5] =
    ["is damaged", "Lost at the end", "HEAD is missing", "not there", "behind what is missing"];
