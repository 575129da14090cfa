//! What an outbox puts into a packet.

use tidewire_protocol::client_frame::Open;
use tidewire_protocol::number::Participant;

use crate::entry::Batch;
use crate::filling::Filling;
use crate::input::NEVER;
use crate::limits::{IN_FLIGHT_BYTES_MAX, TOPICS_MAX};
use crate::outbox::Outbox;
use crate::outputs::Outputs;
use crate::window::Window;

impl Outbox {
    /// Appends what can be sent now to a packet: handles to open, and, once the hub has welcomed us, messages.
    pub(crate) fn fill(&mut self, filling: &mut Filling<'_>, online: bool, out: &mut Outputs) {
        if self.at_rest {
            return;
        }
        let before = filling.packet.bytes.len();
        filling.packet.bytes.append(&mut self.shuts);
        let all_open = self.open_windows(filling, filling.size - before);
        filling.size += filling.packet.bytes.len() - before;
        self.at_rest = all_open && (!online || self.send(filling, out));
    }

    /// Appends messages. `false` if there is more to send at once, in another packet.
    fn send(&mut self, filling: &mut Filling<'_>, out: &mut Outputs) -> bool {
        if filling.pace.resume_at < NEVER {
            return true;
        }
        let (places, turn) = (self.windows.len(), self.turn);
        let mut following = turn;
        let allowance = filling.allowance;
        // The batch that was found to wait: windows that come to it need not look again, unless something was sent that
        // it may have waited for. Then all of them are gone through once more.
        let mut waiting = Batch::default();
        let (mut step, mut end) = (0, places);
        while step < end {
            let place = (turn + step) % places;
            step += 1;
            while let Some(next) = self.peek(place, allowance) {
                if next.batch.count > 0 && next.batch == waiting {
                    break;
                }
                let Some(load) = self.weigh(filling.now, next, allowance, out) else {
                    (waiting, end) = (Batch::default(), step + places);
                    continue;
                };
                let Filling { size, flying, careful, .. } = *filling;
                if load.count == 0 {
                    waiting = next.batch;
                    break;
                }
                if flying.count > 0 && flying.count >= filling.pace.limit {
                    self.turn = following;
                    return true;
                }
                if flying.count > 0 && (careful || flying.bytes + load.bytes > IN_FLIGHT_BYTES_MAX) {
                    break;
                }
                if size > 0 && (careful || size as u64 + load.bytes > allowance.packet_bytes as u64) {
                    self.turn = place + 1;
                    return false;
                }
                let before = filling.packet.bytes.len();
                self.send_whole(place, next, load.count, filling);
                filling.size += filling.packet.bytes.len() - before;
                filling.flying.count += load.count;
                filling.flying.bytes += load.count;
                following = place + 1;
                if waiting.count > 0 {
                    (waiting, end) = (Batch::default(), step + places);
                }
            }
        }
        true
    }

    /// Appends handles to open, to a packet with so many bytes of payload. `false` if there are more, for another one.
    fn open_windows(&mut self, filling: &mut Filling<'_>, payload: usize) -> bool {
        let bytes = &mut filling.packet.bytes;
        let mut oldest = None;
        let mut handles = self.windows.iter().flatten().filter(|window| window.has_handle()).count();
        for place in 0..self.windows.len() {
            if !self.windows.get(place).and_then(Option::as_ref).is_some_and(Window::wants_handle) {
                continue;
            }
            let length = payload + bytes.len() + OPEN_BYTES_MAX;
            if length > filling.allowance.packet_bytes && !bytes.is_empty() {
                return false;
            }
            if handles >= TOPICS_MAX {
                if let Some(idle) = self.longest_idle(true) {
                    self.forget(idle);
                    bytes.append(&mut self.shuts);
                    handles -= 1;
                } else {
                    let oldest = *oldest.get_or_insert_with(|| self.oldest());
                    let here =
                        self.windows.get(place).and_then(Option::as_ref).and_then(Window::first_waiting);
                    if here != oldest {
                        continue;
                    }
                }
            }
            let (handle, participant) = (self.handle(place), Participant(self.load.party.0.into()));
            if let Some(Some(window)) = self.windows.get_mut(place) {
                let lowest = window.opening(filling.careful);
                let (topic, again) = (window.topic.as_str().into(), window.again);
                Open { handle, participant, topic, lowest, again, ..Open::default() }.put(bytes);
                handles += 1;
            }
        }
        true
    }
}

/// The longest frame that opens a handle, generously, with one that shuts another.
const OPEN_BYTES_MAX: usize = 300;
