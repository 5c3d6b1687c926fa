//! Keeps the blocklist in the kernel: follows the feed, commits each revision as one transaction, and
//! remembers what is in force. It owns the follower, the mirror, the journal and the netlink socket, and
//! lives on a thread of its own, since the kernel works inside each call.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sekisho_feed::{Effect, Follower};
use sekisho_kernel::{Counters, Found, KernelError, Nft, table::Owner};
use sekisho_model::{
    Change, Completed, Digest, Hit, Key, Moment, Position, Prefix,
    feed::{Announcement, Response},
};
use sekisho_ruleset::{Kind, Mirror, Op, SetName, Transaction, Ways, diff};

use crate::{
    hits::HitReader,
    journal::{ClockMark, Journal, JournalError, Remembered},
    objections::Objections,
};

/// Members that are looked up in the kernel to confirm what the journal says.
const SAMPLES: usize = 64;
/// One element in this many becomes a sample.
const SPREAD: usize = 1_009;
/// Elements that are read as a whole without a second thought.
const SMALL: usize = 10_000;
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
    /// There is one already.
    #[error(
        "another agent enforces in this network namespace; stop that one, or run this one in observe mode"
    )]
    Second,
    /// It cannot be known.
    #[error("it cannot be made sure that no other agent enforces here: {0}")]
    Lock(io::Error),
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

/// What the rules did.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What was hit since the last reading.
    pub hits: Vec<Hit>,
    /// What the rules have counted since the table was made.
    pub counters: Counters,
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
    /// Whether what is in force could not be written down.
    pub unwritten: bool,
}

/// The list, in the kernel.
pub struct Keeper {
    follower: Follower,
    mirror: Mirror,
    journal: Journal,
    nft: Nft,
    ways: Ways,
    hits: HitReader,
    objections: Objections,
    clock: Clock,
    /// Whether the kernel may hold more than the mirror says: until the feed has spoken for the first time
    /// after the table was taken over, and all of it was brought in line.
    unknown: bool,
    /// The kernel's count of transactions, as far as we know them.
    generation: Option<u16>,
    /// Held for as long as we keep this network namespace's table.
    #[expect(dead_code, reason = "holding it is its use")]
    lock: UnixListener,
    counts: Counts,
}

impl Keeper {
    /// Takes over the table that is there, or makes it, and brings it to where the journal stands.
    /// Nothing that is blocked stops being blocked by this.
    ///
    /// # Errors
    /// What keeps the kernel or the journal from being used, and what to do.
    pub fn start(journal: Journal, remembered: Remembered) -> Result<Self, KeeperError> {
        let mut nft = Nft::open()?;
        nft.check()?;
        let lock = lock_namespace()?;
        let ways = nft.probe()?.ways;
        let (found, asides) = nft.inspect()?;
        match &found {
            Found::Absent => nft.install(Owner::Anybody, &Transaction::default())?,
            Found::Ours => {}
            Found::Older(old) => {
                nft.upgrade(old)?;
                tracing::info!(
                    "an earlier version's table is brought to this one's; what it blocks stays blocked"
                );
            }
            Found::Foreign { what } => return Err(KernelError::Foreign(what.clone()).into()),
        }
        nft.delete_asides(&asides)?;
        let Remembered { mirror, applied, clock } = remembered;
        let generation = nft.generation()?;
        let mut keeper = Self {
            follower: Follower::new(applied),
            unknown: found != Found::Absent,
            mirror,
            journal,
            nft,
            ways,
            hits: HitReader::default(),
            objections: Objections::default(),
            clock: Clock::resume(clock),
            generation,
            lock,
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
                let unknown = self.unknown && self.is_small();
                let done = self.put_in_force(&changes, unknown);
                self.unknown &= done.is_err() || !unknown;
                self.counts.deltas += u64::from(done.is_ok());
                self.conclude(done, &changes, (position, digest), false)
            }
            Effect::Replace { members, position, digest } => {
                let changes = self.mirror.changes_to(members);
                let done = self.put_in_force(&changes, self.unknown);
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

    /// What was hit since the last reading, and what the rules have counted.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_hits(&mut self) -> Result<Reading, KeeperError> {
        let hits = match self.nft.hits() {
            Err(KernelError::Missing) => {
                self.repair(&[])?;
                self.nft.hits()?
            }
            read => read?,
        };
        Ok(Reading { hits: self.hits.read(hits), counters: self.nft.counters()? })
    }

    /// The next `limit` entries of the blocklist to look for counter-evidence against.
    pub fn listed(&mut self, limit: usize) -> Vec<Prefix> {
        self.objections.next(limit, &self.mirror)
    }

    /// Says against which entries this host has counter-evidence.
    pub fn object(&mut self, found: &[Completed]) {
        self.objections.object(found, &self.mirror);
    }

    /// What was done since the start.
    pub fn counts(&self) -> Counts {
        Counts { members: self.mirror.len() as u64, ..self.counts }
    }

    /// Takes our table, and all blocks with it, out of the kernel.
    ///
    /// # Errors
    /// The kernel's.
    pub fn flush(&mut self) -> Result<(), KernelError> {
        self.nft.remove()
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
        self.commit(&missing)?;
        self.generation = self.nft.generation()?;
        let position = self.follower.applied().map(|(at, _)| at.to_string());
        let table = match found {
            Found::Absent => "made",
            Found::Ours => "found",
            Found::Older(_) => "upgraded",
            Found::Foreign { .. } => "foreign",
        };
        tracing::info!(
            table,
            position,
            members = self.mirror.len(),
            added = missing.len(),
            "the kernel's table is taken over"
        );
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
            // The first ones, and in a long list ones from all over it in their places.
            let sample = (element.set, element.range.first());
            if samples.len() < SAMPLES {
                samples.push(sample);
            } else if n % SPREAD == 0
                && let Some(place) = samples.get_mut((n / SPREAD) % SAMPLES)
            {
                *place = sample;
            }
        }
        for (set, counted) in SetName::FILLED.into_iter().zip(counted) {
            // The kernel counts both ends of an interval; one that ends with the last address has one end.
            let least = if set.kind() == Kind::Interval { (2 * counted).saturating_sub(1) } else { counted };
            let held = self.nft.count(set)?.map(|held| held as usize);
            // More may be there for a while, since the kernel sweeps what has expired now and then; where the
            // set is small it costs nothing to look.
            let surplus = |held: usize| held > 2 * counted && held < SMALL;
            if held.is_none_or(|held| held < least || surplus(held)) {
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

    /// Whether so little is in the kernel that all of it can be read at once.
    fn is_small(&mut self) -> bool {
        let counts = SetName::FILLED.map(|set| self.nft.count(set));
        let sum = counts.into_iter().try_fold(0, |sum, count| Some(sum + count.ok()?? as usize));
        sum.is_some_and(|sum| sum < SMALL)
    }

    fn held(&mut self) -> Result<Vec<sekisho_ruleset::Element>, KernelError> {
        let mut held = Vec::new();
        for set in SetName::FILLED {
            held.extend(self.nft.read_set(set)?);
        }
        Ok(held)
    }

    /// Puts `changes` in force as one transaction. Where the kernel does not hold what the mirror says, or is
    /// not known to, its whole content is brought to what it should be, still in one transaction.
    fn put_in_force(&mut self, changes: &[Change], unknown: bool) -> Result<(), KeeperError> {
        let planned = self.mirror.plan(changes, self.clock.now())?;
        let done =
            if unknown { self.reconcile(changes) } else { self.commit(&planned).map_err(KeeperError::from) };
        match done {
            Err(KeeperError::Kernel(KernelError::Missing)) => self.repair(changes),
            Err(KeeperError::Kernel(KernelError::Overlap(_) | KernelError::Full(_))) if !unknown => {
                tracing::error!(
                    "another program has put elements into table inet sekisho; bringing it in line"
                );
                self.counts.repairs += 1;
                self.reconcile(changes)
            }
            done => done,
        }
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), KernelError> {
        if transaction.is_empty() {
            return Ok(());
        }
        self.nft.commit(transaction, self.ways)?;
        self.generation = self.generation.map(|generation| generation.wrapping_add(1));
        Ok(())
    }

    /// Brings the kernel's whole content to the mirror with `changes`.
    fn reconcile(&mut self, changes: &[Change]) -> Result<(), KeeperError> {
        let mut wanted = self.mirror.clone();
        wanted.apply(changes);
        let difference = diff(&self.held()?, &wanted, self.clock.now(), TOLERANCE);
        Ok(self.commit(&difference)?)
    }

    /// Our table is gone: somebody flushed it. Makes it again with all that belongs in it.
    fn repair(&mut self, changes: &[Change]) -> Result<(), KeeperError> {
        tracing::error!("table inet sekisho was taken away or edited by another program; putting it back");
        match self.nft.inspect()?.0 {
            Found::Absent => self.nft.install(Owner::Anybody, &Transaction::default())?,
            // In one step: what is left of it goes on until then.
            Found::Ours | Found::Older(_) | Found::Foreign { .. } => {
                self.nft.replace(Owner::Anybody, &Transaction::default())?;
            }
        }
        let mut wanted = self.mirror.clone();
        wanted.apply(changes);
        self.commit(&wanted.fill(self.clock.now()))?;
        self.counts.repairs += 1;
        self.generation = self.nft.generation()?;
        Ok(())
    }

    /// Looks whether another program has changed the firewall, and puts right what is ours.
    ///
    /// # Errors
    /// What could not be put right.
    pub fn check(&mut self) -> Result<(), KeeperError> {
        let generation = self.nft.generation()?;
        if generation == self.generation {
            return Ok(());
        }
        match self.nft.inspect()?.0 {
            Found::Ours if self.confirmed(self.clock.now())? => self.generation = generation,
            Found::Ours => {
                tracing::error!(
                    "another program has changed the elements of table inet sekisho; bringing it in line"
                );
                if self.unknown {
                    // The kernel may be ahead of the journal: as at the start, nothing is let go.
                    let difference = diff(&self.held()?, &self.mirror, self.clock.now(), TOLERANCE);
                    self.commit(&additions(&difference)?)?;
                } else {
                    self.reconcile(&[])?;
                }
                self.counts.repairs += 1;
                self.generation = self.nft.generation()?;
            }
            Found::Absent | Found::Older(_) | Found::Foreign { .. } => self.repair(&[])?,
        }
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
        self.objections.before(changes, &self.mirror);
        self.mirror.apply(changes);
        let written = if whole {
            self.journal.begin_anew(to, self.clock.mark(), &self.mirror)
        } else {
            self.journal.step(changes, to, self.clock.mark(), &self.mirror)
        };
        self.counts.unwritten = written.is_err();
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

    /// For a restart, which has no steady clock.
    fn mark(self) -> ClockMark {
        let showed = self.now();
        ClockMark { ahead: showed.as_millis().saturating_sub(wall().as_millis()), showed }
    }

    /// By our wall clock, but no earlier than at the mark: a wall clock that was set back meanwhile must not
    /// make blocks last longer.
    fn resume(mark: ClockMark) -> Self {
        let by_wall = Moment::from_millis(wall().as_millis().saturating_add(mark.ahead));
        Self::set(by_wall.max(mark.showed))
    }
}

/// Keeps a second agent out of this network namespace: abstract socket names belong to it. The name goes
/// with the process, however that ends.
fn lock_namespace() -> Result<UnixListener, KeeperError> {
    let name = SocketAddr::from_abstract_name("sekisho-agent").map_err(KeeperError::Lock)?;
    UnixListener::bind_addr(&name).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => KeeperError::Second,
        _ => KeeperError::Lock(error),
    })
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
        let Some(range) = op.range() else { return false };
        let before = removed.get(&op.set()).and_then(|ranges| ranges.range(..=range.last()).next_back());
        before.is_some_and(|(_, last)| *last >= range.first())
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
        let names: Vec<String> = left.ops().iter().map(|op| op.range().unwrap().to_string()).collect();
        assert_eq!(names, ["203.0.114.0/24", "198.51.100.10"]);
    }
}
