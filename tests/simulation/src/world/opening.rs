//! A hub starts: with logs of its own, and with what its durable log held. A hub ends.

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::topics::found::Found as State;
use tidewire_protocol::number::Epoch;

use crate::world::World;
use crate::world::disk::Found;
use crate::world::hub::Hub;
use crate::world::hub::lasting::Durable;

impl World {
    /// Starts a hub, with logs of its own but for the durable one.
    pub fn start_hub(&mut self) {
        if self.hub.is_some() {
            return;
        }
        let former = self.oracle.life(0);
        let mut epochs: Vec<Epoch> = if self.epoch_kept && !former.is_empty() {
            former.iter().map(|log| self.oracle.logs[*log].epoch).collect()
        } else {
            (0..self.setup.logs).map(|_| Epoch(self.random.number() >> 1 | 1)).collect()
        };
        let found = self.storing.as_mut().map(|storing| (storing.log, storing.disk.open()));
        let rules = &self.setup.hub.rules;
        let found = found.map(|(log, found)| (log, found.state(rules, Millis(self.now)), found));
        if let Some((log, (state, misread), found)) = &found {
            let fresh = Epoch(self.random.number() >> 1 | 1);
            epochs[usize::from(*log)] = state.epoch(&found.losses, fresh);
            if let Some(misread) = misread {
                self.oracle.object(format_args!("commit {misread} cannot be read"));
            }
        }
        self.setup.hub.boot = self.storing.as_ref().map_or(0, |storing| storing.disk.boot);
        self.oracle.begin_life(&epochs);
        self.note(|| format!("hub starts, epochs {epochs:?}"));
        let (state, found) = found.map(|(_, (state, _), found)| (state, found)).unzip();
        let had_state = state.as_ref().is_some_and(|state| state.state.is_some());
        let durable = state.zip(found.as_ref()).map(|(state, found)| {
            let known = found.losses.iter().copied().chain(state.lost_beginning()).collect();
            (state, known)
        });
        self.hub = Some(self.make_hub(&epochs, durable));
        self.forget_revocations();
        let is_kept = self.setup.durable.is_some();
        self.oracle.time.begin_life(self.now, is_kept);
        self.tick();
        if let Some(found) = found {
            self.check_restored(&former, &found, had_state);
        }
        self.compare_clocks();
        self.tick();
    }

    fn make_hub(&mut self, epochs: &[Epoch], found: Option<(State, Vec<u64>)>) -> Hub {
        let system = self.now.saturating_add_signed(self.oracle.time.ahead_ms);
        let durable = self.storing.as_mut().zip(found).map(|(storing, (state, losses))| Durable {
            log: storing.log,
            state,
            wakes: storing.begin(losses),
        });
        Hub::start((self.now, system), &self.setup, epochs, durable)
    }

    /// What the durable log holds is held against what was visible.
    fn check_restored(&mut self, former: &[usize], found: &Found, had_state: bool) {
        let (Some(hub), Some(storing)) = (&self.hub, &self.storing) else { return };
        let log = usize::from(storing.log);
        let former = former.get(log).copied();
        let is_kept = former == Some(self.oracle.living(log));
        if !is_kept && had_state && !storing.disk.is_damaged {
            self.oracle.object("a durable log that has lost nothing begins as another one");
        }
        if let Some(misread) = found.misread {
            self.oracle.object(format_args!("commit {misread} is not read as it was written"));
        }
        let held = hub.held(self.now, log, Some(&storing.disk));
        let stand = hub.stand(self.now, storing.log);
        let before = self.stand.take().unwrap_or_default();
        let visible = hub.topics.log(storing.log).visible();
        self.note(|| format!("the durable log begins with {} messages", held.len()));
        self.oracle.restored(self.now, log, former, (&held, visible), &before);
        if is_kept {
            self.oracle.windows_restored(&before, &stand);
        }
    }

    /// The hub goes; what it counted as held goes with it.
    pub fn end_hub(&mut self) {
        self.stand = self.hub.as_ref().zip(self.setup.durable).map(|(hub, log)| hub.stand(self.now, log));
        if let Some(storing) = &mut self.storing {
            storing.look = None;
        }
        let held = self.hub.take().map(Hub::end).unwrap_or_default();
        if !held.is_empty() {
            self.oracle.object(format_args!("the hub has gone, and still counts {held:?}"));
        }
        let Some(storing) = &mut self.storing else { return };
        let crash = storing.end();
        self.note(|| format!("{crash:?}"));
    }

    /// The next hubs keep the epoch of the one before: a seeded bug.
    pub fn keep_epoch(&mut self) {
        self.epoch_kept = true;
    }
}
