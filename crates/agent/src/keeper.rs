//! Keeps the blocklist in the kernel: follows the feed, commits each revision as one transaction, and
//! remembers what is in force. It owns the follower, the mirror, the journal and the netlink socket, and
//! lives on a thread of its own, since the kernel works inside each call.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sekisho_feed::{Effect, Follower};
use sekisho_kernel::{Found, KernelError, Nft, table};
use sekisho_model::{
    Change, Digest, Hit, Key, Member, Moment, Position,
    feed::{Announcement, Response},
};
use sekisho_ruleset::{Mirror, Op, Removal, SetName, Transaction, diff};

use crate::{
    hits::HitReader,
    journal::{Journal, JournalError, Remembered},
};

/// Members that are looked up in the kernel to confirm what the journal says.
const SAMPLES: usize = 64;
/// Difference of two timeouts that is only the time between two readings.
const TOLERANCE: Duration = Duration::from_secs(2);

/// Why the kernel cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The kernel's own.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The state directory's.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The list cannot be in a kernel.
    #[error(transparent)]
    Ruleset(#[from] sekisho_ruleset::RulesetError),
}

/// What a message came to.
#[derive(Debug)]
pub enum Verdict {
    /// The stream goes on; perhaps something is to be said.
    Going(Option<Response>),
    /// The stream must end, after this was said.
    Over(Response),
}

/// What was done, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Deltas put in force.
    pub deltas: u64,
    /// Snapshots put in force.
    pub snapshots: u64,
    /// Messages that could not be applied.
    pub refusals: u64,
    /// Times that our table was gone and was put back.
    pub repairs: u64,
    /// Members of the list.
    pub members: u64,
}

/// The list, in the kernel.
pub struct Keeper {
    follower: Follower,
    mirror: Mirror,
    journal: Journal,
    nft: Nft,
    removal: Removal,
    hits: HitReader,
    clock: Clock,
    /// Whether the kernel may hold more than the mirror says: until the first snapshot after a start
    /// without a journal.
    unknown: bool,
    counts: Counts,
}

impl Keeper {
    /// Takes over the table that is there, or makes it, and brings it to where the journal stands.
    /// Nothing that is blocked stops being blocked by this.
    ///
    /// # Errors
    /// What keeps the kernel or the journal from being used, and what to do.
    pub fn start(journal: Journal, remembered: Remembered) -> Result<Self, KeeperError> {
        table::check()?;
        let mut nft = Nft::open()?;
        nft.usable()?;
        let found = table::inspect()?;
        match &found {
            Found::Absent => table::install()?,
            Found::Ours => {}
            Found::Foreign { what } => return Err(KernelError::Foreign(what.clone()).into()),
        }
        if let Some(owner) = nft.owner()? {
            return Err(KernelError::Owned(owner).into());
        }
        let removal = nft.probe_removal()?;
        let Remembered { mirror, applied, clock_ahead } = remembered;
        let mut keeper = Self {
            follower: Follower::new(applied),
            unknown: applied.is_none() && found == Found::Ours,
            mirror,
            journal,
            nft,
            removal,
            hits: HitReader::default(),
            clock: Clock::set(Moment::from_millis(wall().as_millis().saturating_add(clock_ahead))),
            counts: Counts::default(),
        };
        keeper.adopt(&found)?;
        Ok(keeper)
    }

    /// What to say first on a new stream.
    pub fn begin_stream(&mut self) -> Response {
        self.follower.start()
    }

    /// How long the stream may stay silent from now on.
    pub fn patience(&self) -> Option<Duration> {
        self.follower.poll_timeout().map(|until| until.since(self.clock.now()))
    }

    /// Judges a message, and puts in force what it asks for.
    pub fn handle(&mut self, message: Announcement) -> Verdict {
        if let Announcement::Welcome { now: theirs, .. } = &message {
            self.clock = Clock::set(*theirs);
        }
        let mirror = &self.mirror;
        let effect = match self.follower.handle(message, self.clock.now(), |key: &Key| mirror.get(key)) {
            Ok(effect) => effect,
            Err(rejection) => {
                self.counts.refusals += 1;
                tracing::warn!(%rejection, "the feed does not add up");
                return Verdict::Over(self.follower.rejected(rejection));
            }
        };
        match effect {
            Effect::None => Verdict::Going(None),
            Effect::Confirm { position, digest } => {
                Verdict::Going(Some(self.follower.put_in_force(position, digest)))
            }
            Effect::Apply { changes, position, digest } => {
                let done = self.put_in_force(&changes, None);
                self.counts.deltas += u64::from(done.is_ok());
                self.conclude(done, &changes, (position, digest), false)
            }
            Effect::Replace { members, position, digest } => {
                let changes = self.mirror.changes_to(members.iter().copied());
                let done = self.put_in_force(&changes, self.unknown.then_some(&members[..]));
                self.unknown &= done.is_err();
                self.counts.snapshots += u64::from(done.is_ok());
                self.conclude(done, &changes, (position, digest), true)
            }
            Effect::Advance { position } => {
                let digest = self.mirror.digest();
                self.conclude(Ok(()), &[], (position, digest), false)
            }
        }
    }

    /// What was hit since the last reading; and packets dropped since the table was made.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_hits(&mut self) -> Result<(Vec<Hit>, u64), KeeperError> {
        let hits = match self.nft.hits() {
            Err(KernelError::Missing) => {
                self.repair(&[])?;
                self.nft.hits()?
            }
            read => read?,
        };
        let hits = self.hits.read(hits);
        Ok((hits, self.nft.dropped_packets()?))
    }

    /// What was done since the start.
    pub fn counts(&self) -> Counts {
        Counts { members: self.mirror.len() as u64, ..self.counts }
    }

    /// Takes our table, and all blocks with it, out of the kernel.
    ///
    /// # Errors
    /// The kernel's.
    pub fn flush(&self) -> Result<(), KernelError> {
        table::remove()
    }

    /// Brings the kernel to where the journal stands. Only additions: what the kernel holds beyond it was
    /// put there after the last step was written, and must not be let go before the feed has said so.
    fn adopt(&mut self, found: &Found) -> Result<(), KeeperError> {
        let now = self.clock.now();
        let missing = match found {
            Found::Absent => self.mirror.fill(now),
            _ if self.confirmed(now)? => Transaction::default(),
            _ => additions(&diff(&self.held()?, &self.mirror, now, TOLERANCE))?,
        };
        if !missing.is_empty() {
            self.nft.commit(&missing, self.removal)?;
        }
        let position = self.follower.applied().map(|(at, _)| at.to_string());
        tracing::info!(table = ?found, position, members = self.mirror.len(), added = missing.len(), "the kernel's table is taken over");
        Ok(())
    }

    /// Whether the kernel holds what the mirror says, by count and by samples: a whole listing would take
    /// time with the square of the size.
    fn confirmed(&mut self, now: Moment) -> Result<bool, KernelError> {
        let mut counted = [0usize; SetName::FILLED.len()];
        let mut samples: Vec<(SetName, IpAddr)> = Vec::with_capacity(SAMPLES);
        for (n, element) in
            self.mirror.elements(now).filter(|element| element.remaining > TOLERANCE).enumerate()
        {
            if let Some(place) = SetName::FILLED.iter().position(|set| *set == element.set) {
                counted[place] += 1;
            }
            if samples.len() < SAMPLES || n % 1_009 == 0 {
                samples.truncate(SAMPLES - 1);
                samples.push((element.set, element.range.first()));
            }
        }
        for (set, counted) in SetName::FILLED.into_iter().zip(counted) {
            let held = self.nft.count(set)?.map(|held| held as usize);
            if held.is_none_or(|held| held < counted) {
                return Ok(false);
            }
        }
        for (set, address) in samples {
            if self.nft.contains(set, address)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn held(&mut self) -> Result<Vec<sekisho_ruleset::Element>, KernelError> {
        let mut held = Vec::new();
        for set in SetName::FILLED {
            held.extend(self.nft.read_set(set)?);
        }
        Ok(held)
    }

    /// Commits `changes` as one transaction; with `against`, the kernel's whole content is brought to
    /// exactly those members instead, since it is not known what it holds.
    fn put_in_force(&mut self, changes: &[Change], against: Option<&[Member]>) -> Result<(), KeeperError> {
        let now = self.clock.now();
        let transaction = match against {
            None => self.mirror.plan(changes, now)?,
            Some(members) => {
                let wanted = Mirror::of(members.iter().copied())?;
                diff(&self.held()?, &wanted, now, TOLERANCE)
            }
        };
        match self.commit(&transaction) {
            Err(KernelError::Missing) => self.repair(changes),
            done => Ok(done?),
        }
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), KernelError> {
        if transaction.is_empty() { Ok(()) } else { self.nft.commit(transaction, self.removal) }
    }

    /// Our table is gone: somebody flushed it. Makes it again with all that belongs in it.
    fn repair(&mut self, changes: &[Change]) -> Result<(), KeeperError> {
        tracing::error!("table inet sekisho was taken away by another program; putting it back");
        let now = self.clock.now();
        let mut wanted = self.mirror.clone();
        self.mirror.plan(changes, now)?;
        wanted.apply(changes);
        if table::inspect()? == Found::Absent {
            table::install()?;
        }
        self.commit(&wanted.fill(now))?;
        self.counts.repairs += 1;
        Ok(())
    }

    fn conclude(
        &mut self,
        done: Result<(), KeeperError>,
        changes: &[Change],
        to: (Position, Digest),
        whole: bool,
    ) -> Verdict {
        if let Err(error) = done {
            self.counts.refusals += 1;
            tracing::error!(%error, position = %to.0, "the kernel did not take a revision; what was in force stays");
            return Verdict::Over(self.follower.kernel_refused(to.0, error.to_string()));
        }
        self.mirror.apply(changes);
        let written = if whole {
            self.journal.begin_anew(to, self.clock.ahead(), &self.mirror)
        } else {
            self.journal.step(changes, to, self.clock.ahead(), &self.mirror)
        };
        if let Err(error) = written {
            // The kernel is right; only a restart would have more to catch up with.
            tracing::warn!(%error, "what is in force could not be written down");
        }
        tracing::debug!(position = %to.0, changes = changes.len(), "in force");
        Verdict::Going(Some(self.follower.put_in_force(to.0, to.1)))
    }
}

/// The aggregator's clock: as it said last, and on from there by our steady one. A step of this host's wall
/// clock changes no expiry.
#[derive(Clone, Copy, Debug)]
struct Clock {
    theirs: Moment,
    at: Instant,
}

impl Clock {
    fn set(theirs: Moment) -> Self {
        Self { theirs, at: Instant::now() }
    }

    fn now(self) -> Moment {
        self.theirs + self.at.elapsed()
    }

    /// Milliseconds that it is ahead of our wall clock: for a restart, which has no steady clock.
    fn ahead(self) -> i64 {
        self.now().as_millis().saturating_sub(wall().as_millis())
    }
}

/// Only what `transaction` adds anew, not what it removes or replaces.
fn additions(transaction: &Transaction) -> Result<Transaction, sekisho_ruleset::RulesetError> {
    // What a set holds is disjoint, so that only the last range that begins before the end can overlap.
    let mut removed: BTreeMap<SetName, BTreeMap<IpAddr, IpAddr>> = BTreeMap::new();
    for op in transaction.ops() {
        if let Op::Remove { set, range } = op {
            removed.entry(*set).or_default().insert(range.first(), range.last());
        }
    }
    let replaces = |op: &Op| {
        let before = removed.get(&op.set()).and_then(|ranges| ranges.range(..=op.range().last()).next_back());
        before.is_some_and(|(_, last)| *last >= op.range().first())
    };
    let fresh = |op: &&Op| matches!(op, Op::Add { .. }) && !replaces(op);
    Transaction::new(transaction.ops().iter().filter(fresh).copied().collect())
}

fn wall() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adoption_only_adds() {
        let text = "remove element dropnet4 203.0.113.0/24\nremove element drop4 198.51.100.9\n\
                    add element dropnet4 203.0.113.0/25 timeout 60s\nadd element dropnet4 203.0.114.0/24 timeout 60s\n\
                    add element drop4 198.51.100.9 timeout 60s\nadd element drop4 198.51.100.10 timeout 60s\n";
        let left = additions(&text.parse().unwrap()).unwrap();
        let names: Vec<String> = left.ops().iter().map(|op| op.range().to_string()).collect();
        assert_eq!(names, ["203.0.114.0/24", "198.51.100.10"]);
    }
}
