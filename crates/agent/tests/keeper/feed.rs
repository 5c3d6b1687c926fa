//! An aggregator as a keeper hears it.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sekisho_agent::{
    journal::Journal,
    keeper::{Keeper, Verdict},
};
use sekisho_kernel::{KernelError, Nft};
use sekisho_model::{
    Change, Delta, Digest, Epoch, Key, List, Member, Moment, Position, Prefix, Revision, Tier,
    feed::Announcement, limits::MAX_LIVE_STEPS,
};
use sekisho_ruleset::{Mirror, SetName};

use crate::place::wait_for;

/// What one transaction takes in a set that packets see.
pub(crate) const AT_ONCE: u32 = 8_192;
const _: () = assert!(AT_ONCE as usize == MAX_LIVE_STEPS);

/// What an aggregator would say, and what it holds.
#[derive(Default)]
pub(crate) struct Feed {
    pub(crate) list: Mirror,
    revision: i64,
}

impl Feed {
    fn position(&self) -> Position {
        Position { epoch: Epoch(7), revision: Revision(self.revision) }
    }

    /// Begins a stream.
    pub(crate) fn welcome(&self, keeper: &mut Keeper) {
        keeper.begin_stream();
        going(keeper, Announcement::Welcome { now: now(), position: self.position() });
    }

    /// Takes `changes` in, and tells nobody.
    pub(crate) fn change(&mut self, changes: &[Change]) {
        self.list.apply(changes);
        self.revision += 1;
    }

    /// Sends everything.
    pub(crate) fn snapshot(&self, keeper: &mut Keeper) -> Verdict {
        let members: Vec<Member> = self.list.members().collect();
        let (position, digest) = (self.position(), self.list.digest());
        going(keeper, Announcement::SnapshotBegin { position, members: members.len() as u64, digest });
        for chunk in members.chunks(65_536) {
            going(keeper, Announcement::SnapshotChunk(chunk.to_vec()));
        }
        keeper.handle(Announcement::SnapshotEnd)
    }

    /// What leads from `previous` to here.
    pub(crate) fn delta(&self, previous: i64, changes: &[Change]) -> Announcement {
        let mut changes = changes.to_vec();
        changes.sort_by_key(Change::key);
        let (revision, digest) = (Revision(self.revision), self.list.digest());
        Announcement::Delta(Delta { previous: Revision(previous), revision, changes, digest })
    }

    /// Takes `changes` in and sends them.
    pub(crate) fn send(&mut self, keeper: &mut Keeper, changes: &[Change]) -> Verdict {
        let previous = self.revision;
        self.change(changes);
        keeper.handle(self.delta(previous, changes))
    }

    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }
}

/// Says something that must be taken.
fn going(keeper: &mut Keeper, announcement: Announcement) {
    taken(&keeper.handle(announcement));
}

/// Checks that something was put in force.
pub(crate) fn taken(verdict: &Verdict) {
    assert!(matches!(verdict, Verdict::Going(_)), "{verdict:?}");
}

/// A keeper on what `dir` remembers.
pub(crate) fn keeper(dir: &Path, own: bool) -> Keeper {
    let (journal, remembered) = Journal::open(dir).unwrap();
    Keeper::start(journal, remembered, own).unwrap()
}

pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Moment::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// The `n`th address.
pub(crate) fn nth(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
}

/// That these addresses are blocked for an hour.
pub(crate) fn block(numbers: impl IntoIterator<Item = u32>) -> Vec<Change> {
    put(numbers.into_iter().map(|n| Prefix::host(nth(n))), List::Block(Tier::Drop))
}

/// That these prefixes are on this list for an hour.
pub(crate) fn put(prefixes: impl IntoIterator<Item = Prefix>, list: List) -> Vec<Change> {
    let expires = now() + Duration::from_secs(3_600);
    prefixes.into_iter().map(|prefix| Change::Put(Member { prefix, list, expires })).collect()
}

/// That these addresses are not blocked.
pub(crate) fn unblock(numbers: impl IntoIterator<Item = u32>) -> Vec<Change> {
    let key = |n| Key { allow: false, prefix: Prefix::host(nth(n)) };
    numbers.into_iter().map(|n| Change::Remove(key(n))).collect()
}

/// The kernel as another process sees it.
pub(crate) fn kernel() -> Nft {
    let mut nft = Nft::open().unwrap();
    look(&mut nft);
    nft
}

/// Looks at the table, whose sets may be turned just now.
pub(crate) fn look(nft: &mut Nft) {
    wait_for("a look at a table at rest", || match nft.inspect() {
        Err(KernelError::Inconsistent) => None,
        looked => looked.map(|_| Some(())).unwrap(),
    });
}

/// Whether the kernel blocks the `n`th address.
pub(crate) fn blocked(nft: &mut Nft, n: u32) -> bool {
    nft.contains(SetName::Drop4, nth(n)).unwrap().is_some()
}

/// The kernel's sets hold just what `feed` says.
pub(crate) fn agree(feed: &Feed) {
    let mut nft = kernel();
    for set in SetName::FILLED {
        let mut wanted: Vec<_> = feed.list.elements_of(set, now()).map(|each| each.range).collect();
        wanted.sort();
        // While the kernel makes room in a set, a listing shows some elements twice and others not.
        wait_for(&format!("set {set} to hold what it should"), || {
            let mut held: Vec<_> = nft.read_set(set).ok()?.into_iter().map(|each| each.range).collect();
            held.sort();
            (held == wanted).then_some(())
        });
    }
    assert_eq!(Digest::of(&feed.list.members().collect::<Vec<_>>()), feed.list.digest());
}
