//! What the hub's memory is held by: what outlives a call and is not bounded by its number is charged once, to a kind and,
//! where one client causes it, to an account. The node's limit is compared with the total; whoever holds most is asked first.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::metrics::Count;
use crate::pace::Pace;
use crate::sync::{Mutex, lock};

/// What bytes are held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages, sealed or not: history, and tails of patterns.
    Messages,
    /// The latest message of each key, sealed or not, in topics that keep those, and what is known of the keys: nothing that
    /// goes where room is short.
    Latest,
    /// Other encodings of them, which can be made again.
    Derived,
    /// Producers, and their windows on topics.
    Windows,
    /// Handles of connections.
    Handles,
    /// Subscriptions of connections, and their cursors.
    Subscriptions,
    /// What connections' tokens say.
    Tokens,
    /// Names without messages.
    Names,
    /// Answers that a client has not read.
    Unread,
    /// Messages of clients that are not whole yet.
    HalfReceived,
    /// Publishes that wait for the engine.
    Staged,
    /// Reads that wait or are under way.
    Reading,
    /// What was read, until it is handed over to those who asked.
    Unclaimed,
    /// Names that went, and are remembered as gone.
    Gone,
    /// Blocks that no tail holds, and other encodings, kept alive by readers to whom a frame of them is half written.
    Pinned,
    /// The same for readers that were told to go.
    Parting,
}

/// Who causes something: an address, as the shell names it. 0 is the hub itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct AccountKey(pub u128);

impl AccountKey {
    /// Who answers for what is kept of a name over restarts, since nobody knows any more who brought it: one of so many that
    /// none holds much more than others do. No address is named so.
    #[must_use]
    pub fn of_stored(name: &str) -> Self {
        let sum = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Self(u128::MAX - u128::from(sum % STORED_ACCOUNTS))
    }
}

/// Accounts that what outlives a hub is divided among.
const STORED_ACCOUNTS: u32 = 256;

/// All that is held.
#[derive(Debug)]
pub struct Ledger {
    totals: [Count; Kind::COUNT],
    /// What an account may hold in all and still take more; a number that none reaches, but where the node is full.
    level: AtomicUsize,
    /// Bytes that [`KNOWN`] may take together.
    known_bytes_max: usize,
    accounts: Mutex<BTreeMap<AccountKey, Weak<Account>>>,
}

/// What one address causes. Lives as long as somebody of it is here, or something of it is kept.
#[derive(Debug)]
pub struct Account {
    key: AccountKey,
    /// Whether it can be found by that.
    is_listed: bool,
    held: [Count; Kind::COUNT],
    ledger: Arc<Ledger>,
    /// How fast its connections publish together.
    pub pace: Pace,
}

/// What one holder is charged; given back with it.
#[derive(Debug)]
pub struct Charge {
    account: Arc<Account>,
    kind: Kind,
    bytes: usize,
}

impl Kind {
    const COUNT: usize = Self::ALL.len();

    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Messages,
        Self::Latest,
        Self::Derived,
        Self::Windows,
        Self::Handles,
        Self::Subscriptions,
        Self::Tokens,
        Self::Names,
        Self::Unread,
        Self::HalfReceived,
        Self::Staged,
        Self::Reading,
        Self::Unclaimed,
        Self::Gone,
        Self::Pinned,
        Self::Parting,
    ];

    /// What operators call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Latest => "latest",
            Self::Derived => "derived",
            Self::Windows => "windows",
            Self::Handles => "handles",
            Self::Subscriptions => "subscriptions",
            Self::Tokens => "tokens",
            Self::Names => "names",
            Self::Unread => "unread",
            Self::HalfReceived => "half_received",
            Self::Staged => "staged",
            Self::Reading => "reading",
            Self::Unclaimed => "unclaimed",
            Self::Gone => "gone",
            Self::Pinned => "pinned",
            Self::Parting => "parting",
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Ledger {
    /// An empty one, where what is known about clients may take so many bytes together.
    #[must_use]
    pub fn new(known_bytes_max: usize) -> Self {
        let level = AtomicUsize::new(usize::MAX);
        Self { totals: Default::default(), level, known_bytes_max, accounts: Mutex::default() }
    }

    /// The account of this key, opened if it is not there.
    #[must_use]
    pub fn account(self: &Arc<Self>, key: AccountKey) -> Arc<Account> {
        let mut accounts = lock(&self.accounts);
        if let Some(account) = accounts.get(&key).and_then(Weak::upgrade) {
            return account;
        }
        let account = Arc::new(Account {
            key,
            is_listed: true,
            held: Default::default(),
            ledger: Arc::clone(self),
            pace: Pace::default(),
        });
        accounts.insert(key, Arc::downgrade(&account));
        account
    }

    /// An account of nobody: what is charged to it counts in the totals alone.
    #[must_use]
    pub fn nobody(self: &Arc<Self>) -> Arc<Account> {
        let (key, held, pace) = (AccountKey::default(), Default::default(), Pace::default());
        Arc::new(Account { key, is_listed: false, held, ledger: Arc::clone(self), pace })
    }

    /// Charges what belongs to nobody in particular.
    pub fn charge(&self, kind: Kind, bytes: usize) {
        self.totals[kind as usize].add(bytes as u64);
    }

    /// Gives that back.
    pub fn release(&self, kind: Kind, bytes: usize) {
        self.totals[kind as usize].sub(bytes as u64);
    }

    /// Bytes of a kind.
    #[must_use]
    pub fn held(&self, kind: Kind) -> usize {
        usize::try_from(self.totals[kind as usize].value()).unwrap_or(usize::MAX)
    }

    /// Bytes in all.
    #[must_use]
    pub fn total(&self) -> usize {
        let total: u64 = self.totals.iter().map(Count::value).sum();
        usize::try_from(total).unwrap_or(usize::MAX)
    }

    /// How much an account may hold in all, if those that hold more are to give back messages of so many bytes together:
    /// whoever holds less is let be. Looks at every account, so ask seldom.
    #[must_use]
    pub fn level(&self, excess: usize) -> usize {
        let accounts: Vec<_> = lock(&self.accounts).values().filter_map(Weak::upgrade).collect();
        let held: Vec<_> = accounts.iter().map(|it| (it.held_in_all(), it.held(Kind::Messages))).collect();
        let given = |level: usize| -> usize {
            held.iter().map(|(all, messages)| all.saturating_sub(level).min(*messages)).sum()
        };
        // What is given shrinks as the level grows: the highest one is looked for at which it is enough.
        let (mut enough, mut too_much) = (0, held.iter().map(|(all, _)| *all + 1).max().unwrap_or(0));
        while too_much > enough + 1 {
            let middle = enough + (too_much - enough) / 2;
            if given(middle) >= excess {
                enough = middle;
            } else {
                too_much = middle;
            }
        }
        enough
    }

    /// The node is full, and accounts that hold more than this in all take no more; or it is not.
    pub fn restrict(&self, level: Option<usize>) {
        self.level.store(level.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Whether the node was full when that was looked at last.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.level.load(Ordering::Relaxed) < usize::MAX
    }

    /// Who holds most of a kind. Looks at every account, so ask seldom.
    #[must_use]
    pub fn heaviest(&self, kind: Kind) -> Option<Arc<Account>> {
        // Those that are looked at may be the last to hold their account, which takes this lock when it goes.
        let accounts: Vec<_> = lock(&self.accounts).values().filter_map(Weak::upgrade).collect();
        accounts.into_iter().max_by_key(|account| account.held(kind))
    }
}

impl Account {
    /// Whose it is.
    #[must_use]
    pub fn key(&self) -> AccountKey {
        self.key
    }

    /// The ledger that it is part of.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Charges bytes.
    pub fn charge(&self, kind: Kind, bytes: usize) {
        self.held[kind as usize].add(bytes as u64);
        self.ledger.charge(kind, bytes);
    }

    /// Gives them back; of the total first, so that others are not asked for what went already.
    pub fn release(&self, kind: Kind, bytes: usize) {
        self.ledger.release(kind, bytes);
        self.held[kind as usize].sub(bytes as u64);
    }

    /// What held `before` bytes holds `after` now.
    pub fn change(&self, kind: Kind, before: usize, after: usize) {
        if after > before {
            self.charge(kind, after - before);
        } else if before > after {
            self.release(kind, before - after);
        }
    }

    /// Bytes of a kind.
    #[must_use]
    pub fn held(&self, kind: Kind) -> usize {
        usize::try_from(self.held[kind as usize].value()).unwrap_or(usize::MAX)
    }
}

impl Account {
    /// Bytes of all kinds, but for what can be made again.
    #[must_use]
    pub fn held_in_all(&self) -> usize {
        let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Derived);
        kinds.map(|kind| self.held(kind)).sum()
    }

    /// Whether it is to take no more messages, since the node is full and it holds more than others. A few are
    /// nobody's fault.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.ledger.is_full()
            && self.held(Kind::Messages) + self.held(Kind::Latest) > FEW_BYTES
            && self.held_in_all() > self.ledger.level.load(Ordering::Relaxed)
    }

    /// Whether the hub may know so many bytes more of it, in names, handles, subscriptions, tokens, windows and reads: as many as
    /// are left for others.
    #[must_use]
    pub fn may_be_known(&self, more: usize) -> bool {
        let theirs: usize = KNOWN.into_iter().map(|kind| self.held(kind)).sum();
        let all: usize = KNOWN.into_iter().map(|kind| self.ledger.held(kind)).sum();
        theirs + more <= self.ledger.known_bytes_max.saturating_sub(all)
    }

    /// Whether it may hold `more` bytes of a kind of which there may be `bytes_max`: as many as are left for others,
    /// so that one account gets half at most, and the next always finds something.
    #[must_use]
    pub fn may_hold(&self, kind: Kind, more: usize, bytes_max: usize) -> bool {
        let fits = self.held(kind) + more <= bytes_max.saturating_sub(self.ledger.held(kind));
        fits && (!KNOWN.contains(&kind) || self.may_be_known(more))
    }
}

impl Charge {
    /// Nothing yet.
    #[must_use]
    pub fn new(account: &Arc<Account>, kind: Kind) -> Self {
        Self { account: Arc::clone(account), kind, bytes: 0 }
    }

    /// Whose it is.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// How much it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// It is so many bytes now.
    pub fn set(&mut self, bytes: usize) {
        self.account.change(self.kind, std::mem::replace(&mut self.bytes, bytes), bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !self.is_listed {
            return;
        }
        let mut accounts = lock(&self.ledger.accounts);
        // One of the same key may have been opened since the last reference to this one went.
        if accounts.get(&self.key).is_some_and(|known| known.strong_count() == 0) {
            accounts.remove(&self.key);
        }
    }
}

/// What the hub knows about clients.
const KNOWN: [Kind; 6] =
    [Kind::Windows, Kind::Handles, Kind::Subscriptions, Kind::Tokens, Kind::Names, Kind::Reading];
/// Messages of so few bytes are no reason to restrict an account.
const FEW_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_charged_is_given_back_and_accounts_go_with_their_last_holder() {
        let ledger = Arc::new(Ledger::default());
        let (one, two) = (ledger.account(AccountKey(1)), ledger.account(AccountKey(2)));
        one.charge(Kind::Unread, 10);
        two.charge(Kind::Unread, 20);
        two.change(Kind::Unread, 20, 15);
        ledger.charge(Kind::Messages, 5);
        assert_eq!((ledger.held(Kind::Unread), ledger.total()), (25, 30));
        assert_eq!(ledger.heaviest(Kind::Unread).map(|account| account.key()), Some(AccountKey(2)));
        assert!(Arc::ptr_eq(&one, &ledger.account(AccountKey(1))));
        two.release(Kind::Unread, 15);
        drop(two);
        assert_eq!(lock(&ledger.accounts).len(), 1);
        assert_eq!(ledger.total(), 15);
    }

    #[track_caller]
    fn check_level(held: &[usize], excess: usize, level: usize) {
        let ledger = Arc::new(Ledger::default());
        let accounts = (1..).zip(held).map(|(key, bytes)| {
            let account = ledger.account(AccountKey(key));
            account.charge(Kind::Messages, *bytes);
            account
        });
        let accounts: Vec<_> = accounts.collect();
        ledger.nobody().charge(Kind::Messages, 1_000);
        assert_eq!(ledger.level(excess), level, "{held:?} less {excess}");
        drop(accounts);
    }

    #[test]
    fn whoever_holds_much_of_anything_gives_back_messages_first() {
        let ledger = Arc::new(Ledger::default());
        let (one, two) = (ledger.account(AccountKey(1)), ledger.account(AccountKey(2)));
        one.charge(Kind::Messages, 100);
        two.charge(Kind::Messages, 80);
        two.charge(Kind::Names, 90);
        two.charge(Kind::Derived, 1_000);
        assert_eq!(ledger.level(70), 100);
        assert_eq!(ledger.level(90), 90);
        assert_eq!(ledger.level(180), 0);
    }

    #[test]
    fn those_who_hold_most_give_back_before_others() {
        check_level(&[], 10, 0);
        check_level(&[100], 10, 90);
        check_level(&[10, 100, 20], 80, 20);
        check_level(&[10, 100, 20], 90, 15);
        check_level(&[10, 100, 20], 110, 6);
        check_level(&[10, 100, 20], 131, 0);
    }
}
