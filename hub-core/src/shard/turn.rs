//! Whose turn it is: every kind of work that waits gets its share, and nothing goes first for ever.

/// A kind of work of a shard, done in bounded pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Heartbeats, deadlines, the ageing of topics.
    Time,
    /// What other threads left.
    Mail,
    /// Connections that were told what became of their publishes.
    Answered,
    /// Connections with something to write that nobody holds up.
    Ready,
    /// A slice of a walk along live cursors.
    Walk,
    /// Connections that end.
    Ends,
    /// Subscriptions that rules which changed may allow no longer, and bearers of tokens that may stand no longer.
    Rules,
}

impl Work {
    /// All kinds.
    #[cfg(test)]
    const ALL: [Self; 7] =
        [Self::Time, Self::Mail, Self::Answered, Self::Ready, Self::Walk, Self::Ends, Self::Rules];
}

/// The order of turns, and where in it the shard is.
#[derive(Debug, Default)]
pub struct Turns {
    at: usize,
}

impl Turns {
    /// The next kind of work that `waits`; `None` if none does. One that waits all the time gets at least one of so
    /// many turns in a row as the order has places.
    pub fn next(&mut self, waits: impl Fn(Work) -> bool) -> Option<Work> {
        let places = (1..=ORDER.len()).map(|step| (self.at + step) % ORDER.len());
        let place = places.into_iter().find(|place| waits(ORDER[*place]))?;
        self.at = place;
        Some(ORDER[place])
    }

    /// Whether any kind of work `waits`.
    pub fn any(waits: impl Fn(Work) -> bool) -> bool {
        ORDER.into_iter().any(waits)
    }
}

/// Acks come twice a round, so that between two of their turns lies little: one slice of a walk, or one connection that
/// is merely ready and what is seldom.
const ORDER: [Work; 9] = [
    Work::Time,
    Work::Mail,
    Work::Answered,
    Work::Walk,
    Work::Rules,
    Work::Mail,
    Work::Answered,
    Work::Ready,
    Work::Ends,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The most turns that each kind waits while all of a set wait all the time.
    fn longest_waits(set: &[Work]) -> Vec<usize> {
        let mut turns = Turns::default();
        let mut waited = vec![0; set.len()];
        let mut longest = vec![0; set.len()];
        for _ in 0..10 * ORDER.len() {
            let work = turns.next(|work| set.contains(&work)).expect("something waits");
            for (place, other) in set.iter().enumerate() {
                waited[place] = if *other == work { 0 } else { waited[place] + 1 };
                longest[place] = longest[place].max(waited[place]);
            }
        }
        longest
    }

    #[test]
    fn each_kind_has_a_place_in_the_order() {
        // A new kind needs a place here, in the list of all and in the order.
        let place = |work: Work| match work {
            Work::Time => 0,
            Work::Mail => 1,
            Work::Answered => 2,
            Work::Ready => 3,
            Work::Walk => 4,
            Work::Ends => 5,
            Work::Rules => 6,
        };
        assert_eq!(Work::ALL.map(place), std::array::from_fn(|at| at));
        assert!(Work::ALL.iter().all(|work| ORDER.contains(work)));
    }

    #[test]
    fn whatever_else_waits_each_kind_gets_its_turn() {
        for set in 1..1_u32 << Work::ALL.len() {
            let set: Vec<_> =
                (0..).zip(Work::ALL).filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, w)| w).collect();
            for (work, waited) in set.iter().zip(longest_waits(&set)) {
                let bound = if matches!(work, Work::Mail | Work::Answered) { 4 } else { ORDER.len() - 1 };
                assert!(waited <= bound, "{work:?} waits {waited} turns beside {set:?}");
            }
        }
    }

    #[test]
    fn without_work_there_is_no_turn() {
        assert_eq!(Turns::default().next(|_| false), None);
    }
}
