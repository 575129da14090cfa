//! How much of what the hub remembers one account may take.
//!
//! An account may hold as much as is still free. So one that takes all it can gets half, the next one half of what is
//! left, and whoever comes then finds room: a stranger displaces nobody.

use crate::ledger::{Account, Kind};

/// Whether `account` may hold so many bytes more of a kind of which the hub has `room` in all.
#[must_use]
pub fn allows(account: &Account, kind: Kind, bytes: usize, room: usize) -> bool {
    let free = room.saturating_sub(account.ledger().held(kind));
    account.held(kind) + bytes <= free
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::{AccountKey, Ledger};

    #[test]
    fn though_several_take_all_they_can_the_next_one_finds_room() {
        let ledger = Arc::new(Ledger::default());
        let mut accounts = Vec::new();
        for key in 1..=10 {
            let account = ledger.account(AccountKey(key));
            let mut taken = 0;
            while allows(&account, Kind::Names, 1, 10_000) {
                account.charge(Kind::Names, 1);
                taken += 1;
            }
            assert!(taken > 0, "account {key}");
            accounts.push(account);
        }
    }
}
