//! The kernel as the keeper uses it: what is worth a second try is tried again, and what is too much for one
//! transaction is filled aside.

use std::{
    iter,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use sekisho_kernel::{Counters, Found, KernelError, Nft, nft::Features, table::Owner};
use sekisho_model::{
    Hit, Moment,
    limits::{MAX_LIVE_STEPS, NFT_TRIES},
};
use sekisho_ruleset::{Element, Kind, Mirror, SCAFFOLD, SetName, Snapshot, Transaction};

use super::portions::Portions;

/// What the kernel is to hold.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// What the mirror says.
    Mirror(&'a Mirror),
    /// What a snapshot says that is not in the mirror yet.
    Snapshot(&'a Snapshot),
}

impl<'a> Wanted<'a> {
    pub(super) fn elements(self, set: SetName, now: Moment) -> Box<dyn Iterator<Item = Element> + 'a> {
        match self {
            Self::Mirror(mirror) => Box::new(mirror.elements_of(set, now)),
            Self::Snapshot(snapshot) => Box::new(snapshot.elements(set, now)),
        }
    }

    fn all(self, now: Moment) -> Box<dyn Iterator<Item = Element> + 'a> {
        match self {
            Self::Mirror(mirror) => Box::new(mirror.elements(now)),
            Self::Snapshot(snapshot) => Box::new(snapshot.all_elements(now)),
        }
    }

    /// How many elements each of [`SetName::FILLED`] is to hold: one walk over the list.
    fn counts(self, now: Moment) -> Counted {
        let mut counted = [0; SetName::FILLED.len()];
        for element in self.all(now) {
            if let Some(count) = SetName::FILLED.iter().position(|set| *set == element.set) {
                counted[count] += 1;
            }
        }
        Counted(counted)
    }

    fn refill(self, sets: &[SetName], counted: &Counted, now: Moment) -> Transaction {
        if sets.iter().all(|set| counted.of(*set) == 0) {
            return Transaction::refill(sets, iter::empty());
        }
        Transaction::refill(sets, self.all(now).filter(|element| sets.contains(&element.set)))
    }
}

/// Elements that the sets are to hold.
struct Counted([usize; SetName::FILLED.len()]);

impl Counted {
    fn of(&self, set: SetName) -> usize {
        let sets = SetName::FILLED.into_iter().zip(self.0);
        sets.filter(|(each, _)| *each == set).map(|(_, count)| count).sum()
    }

    /// Whether they are more than one transaction may add.
    fn is_big(&self, set: SetName) -> bool {
        set.kind() == Kind::Hash && self.of(set) > MAX_LIVE_STEPS
    }
}

/// What was done, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct DoorCounts {
    /// Sets that were filled aside.
    pub filled_aside: u64,
    /// Tries that others' transactions came between.
    pub races: u64,
    /// The longest that one call of the kernel held a core.
    pub longest: Duration,
    /// When the rules were last turned to sets that were filled aside.
    pub turned: Option<Instant>,
}

/// A socket to nf_tables, and what is known of the kernel behind it.
pub(super) struct Door {
    pub(super) nft: Nft,
    pub(super) features: Features,
    pub(super) counts: DoorCounts,
    owner: Owner,
    /// The kernel's count of transactions, as far as we know them.
    generation: Option<u16>,
    portions: Portions,
}

impl Door {
    /// Opens it, and finds out what the kernel can do. With `own`, the table belongs to this socket where the kernel
    /// takes that.
    pub(super) fn open(own: bool) -> Result<Self, KernelError> {
        let mut nft = Nft::open()?;
        nft.check()?;
        let features = nft.probe()?;
        let owner = if own && features.owner { Owner::Socket } else { Owner::Anybody };
        let counts = DoorCounts::default();
        let generation = nft.generation()?;
        Ok(Self { nft, features, counts, owner, generation, portions: Portions::new() })
    }

    /// What there is under our table's name, sets that were left aside taken away.
    pub(super) fn look(&mut self) -> Result<Found, KernelError> {
        let (found, asides) = self.patiently(Nft::inspect)?;
        if self.owner == Owner::Socket && !matches!(found, Found::Absent) {
            self.nft.claim()?;
        }
        if !matches!(found, Found::Absent | Found::Foreign { .. }) {
            self.patiently(|nft| nft.delete_asides(&asides))?;
        }
        Ok(found)
    }

    /// Makes a table that is `Older` or `Edited` ours; what its sets hold stays.
    pub(super) fn set_right(&mut self, found: &Found) -> Result<(), KernelError> {
        match found {
            Found::Older(old) => self.patiently(|nft| nft.upgrade(old)),
            Found::Edited { .. } => self.patiently(|nft| nft.upgrade(&SCAFFOLD)),
            Found::Ours | Found::Absent | Found::Foreign { .. } => Ok(()),
        }
    }

    /// Makes the table, instead of what `found` says is there, with what is `wanted` in it: in one transaction all but
    /// the big hash sets. Those are filled in use, some elements at a time: where nothing is in force any more, each
    /// element is of use from the moment on that it is there.
    pub(super) fn make(&mut self, found: &Found, wanted: Wanted<'_>, now: Moment) -> Result<(), KernelError> {
        let counted = wanted.counts(now);
        let (big, small): (Vec<_>, Vec<_>) =
            SetName::FILLED.into_iter().partition(|set| counted.is_big(*set));
        let contents = wanted.refill(&small, &counted, now);
        let owner = self.owner;
        self.patiently(|nft| match found {
            Found::Absent => nft.install(owner, &contents),
            _ => nft.replace(owner, &contents),
        })?;
        self.did(1)?;
        for set in big {
            self.complete(set, wanted.elements(set, now))?;
        }
        Ok(())
    }

    /// Carries out `transaction`.
    pub(super) fn commit(&mut self, transaction: &Transaction) -> Result<(), KernelError> {
        if transaction.is_empty() {
            return Ok(());
        }
        let ways = self.features.ways;
        self.patiently(|nft| nft.commit(transaction, ways))?;
        self.did(1)
    }

    /// Makes the sets `fresh` hold just what is `wanted`, and carries out `rest`, which says nothing about them:
    /// packets see all of it at once, and nothing is read to do so.
    pub(super) fn refresh(
        &mut self,
        fresh: &[SetName],
        wanted: Wanted<'_>,
        rest: Transaction,
        now: Moment,
    ) -> Result<(), KernelError> {
        if fresh.is_empty() {
            return self.commit(&rest);
        }
        let (counted, mut asides) = (wanted.counts(now), Vec::new());
        for set in fresh {
            let holds_much =
                set.kind() == Kind::Hash && self.count(*set)?.is_none_or(|held| held > MAX_LIVE_STEPS);
            if holds_much || counted.is_big(*set) {
                asides.push(*set);
            }
        }
        let small: Vec<SetName> = fresh.iter().filter(|set| !asides.contains(set)).copied().collect();
        let rest = wanted.refill(&small, &counted, now).then(rest);
        if asides.is_empty() {
            return self.commit(&rest);
        }
        let done = self.turn(&asides, wanted, &rest, now);
        if done.is_err() {
            // What was filled is of no use any more; what cannot be taken away now is so before the next filling.
            for set in asides {
                let _ = self.nft.delete_asides(&[set]);
            }
        }
        done
    }

    fn turn(
        &mut self,
        asides: &[SetName],
        wanted: Wanted<'_>,
        rest: &Transaction,
        now: Moment,
    ) -> Result<(), KernelError> {
        for set in asides {
            self.patiently(|nft| nft.begin_aside(*set))?;
            self.did(1)?;
            self.stream(wanted.elements(*set, now), |nft, some| nft.fill_aside(*set, some))?;
            self.counts.filled_aside += 1;
        }
        let ways = self.features.ways;
        self.patiently(|nft| nft.turn(asides, rest, ways))?;
        self.counts.turned = Some(Instant::now());
        self.did(1)
    }

    /// Adds to a set in use what it lacks of `elements`. Nothing is taken away.
    pub(super) fn complete(
        &mut self,
        set: SetName,
        elements: impl Iterator<Item = Element>,
    ) -> Result<(), KernelError> {
        self.stream(elements, |nft, some| nft.add_again(set, some))
    }

    /// Gives `elements` to `put`, some at a time.
    fn stream(
        &mut self,
        elements: impl Iterator<Item = Element>,
        mut put: impl FnMut(&mut Nft, &[Element]) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        let mut portions = self.portions;
        let done = portions.stream(elements, |some| {
            self.patiently(|nft| put(nft, some))?;
            self.did(1)
        });
        self.portions = portions;
        done
    }

    /// How many elements a set holds; none where the kernel does not say.
    pub(super) fn count(&mut self, set: SetName) -> Result<Option<usize>, KernelError> {
        Ok(self.nft.count(set)?.map(|held| held as usize))
    }

    /// Whether another program has changed the firewall since the last [`Self::known`].
    pub(super) fn disturbed(&mut self) -> Result<bool, KernelError> {
        Ok(self.nft.generation()? != self.generation)
    }

    /// Whether the table is there and belongs to this socket, so that nobody else can have changed it.
    pub(super) fn owns(&mut self) -> Result<bool, KernelError> {
        if self.owner == Owner::Anybody {
            return Ok(false);
        }
        match self.nft.owns() {
            Err(KernelError::Missing) => Ok(false),
            owns => owns,
        }
    }

    /// Takes everything that was done up to now for known.
    pub(super) fn known(&mut self) -> Result<(), KernelError> {
        self.generation = self.nft.generation()?;
        Ok(())
    }

    /// Takes note of so many transactions of our own. One that changes nothing is not counted by the kernel.
    fn did(&mut self, ours: u16) -> Result<(), KernelError> {
        let now = self.nft.generation()?;
        let passed = now.zip(self.generation).map(|(now, before)| now.wrapping_sub(before));
        if passed.is_none_or(|passed| passed <= ours) {
            self.generation = now;
        } else {
            // Somebody else's are among them: the next look tells.
            self.generation = self.generation.map(|generation| generation.wrapping_add(ours));
        }
        Ok(())
    }

    pub(super) fn hits(&mut self) -> Result<Vec<Hit>, KernelError> {
        self.nft.hits()
    }

    pub(super) fn counters(&mut self) -> Result<Counters, KernelError> {
        self.nft.counters()
    }

    /// Tries again what others' transactions came between.
    fn patiently<T>(
        &mut self,
        mut act: impl FnMut(&mut Nft) -> Result<T, KernelError>,
    ) -> Result<T, KernelError> {
        for _ in 1..NFT_TRIES {
            let begun = busy();
            let done = act(&mut self.nft);
            self.counts.longest = self.counts.longest.max(busy().saturating_sub(begun));
            match done {
                Err(KernelError::Raced | KernelError::Inconsistent) => self.counts.races += 1,
                done => return done,
            }
        }
        act(&mut self.nft)
    }
}

/// How long this thread has had a core, in the kernel's calls as well.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
