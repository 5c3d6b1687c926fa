//! Keeps the blocklist in the kernel: follows the feed, commits each revision as one transaction, and
//! remembers what is in force. It owns the follower, the mirror, the journal and the netlink socket, and
//! lives on a thread of its own, since the kernel works inside each call.

mod audit;
mod clock;
mod door;
mod portions;
mod takeover;

pub use door::DoorCounts;

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    sync::Arc,
    time::{Duration, Instant},
};

use sekisho_feed::{Effect, Follower};
use sekisho_kernel::{Counters, Found, KernelError};
use sekisho_model::{
    Change, Completed, Digest, Hit, Key, Position, Prefix,
    feed::{Announcement, Response},
    limits::{
        AUDIT_INTERVAL, AUDIT_SAMPLES, DISTURBED_SAMPLES, MAX_CANDIDATES, MAX_ENDING_PREFIXES, MAX_LIVE_STEPS,
    },
};
use sekisho_ruleset::{Fill, Mirror, SetName, Snapshot, Transaction, newly_dropped};

use crate::{
    endings::Endings,
    hits::HitReader,
    journal::{Journal, JournalError, Remembered},
    objections::Objections,
};
use clock::Clock;
use door::{Door, Wanted};

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
    /// How full the sets are that the rules fill; nothing where the kernel does not say.
    pub fills: Vec<Fill>,
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
    /// What the way to the kernel took.
    pub door: DoorCounts,
}

/// The list, in the kernel.
pub struct Keeper {
    follower: Follower,
    mirror: Mirror,
    journal: Journal,
    door: Door,
    hits: HitReader,
    objections: Objections,
    endings: Arc<Endings>,
    clock: Clock,
    /// Whether the kernel may hold more than the mirror says: until the feed has spoken for the first time
    /// after the table was taken over.
    ahead: bool,
    audited: Instant,
    /// Held for as long as we keep this network namespace's table.
    #[expect(dead_code, reason = "holding it is its use")]
    lock: UnixListener,
    counts: Counts,
}

impl Keeper {
    /// Takes over the table that is there, or makes it, and brings it to where the journal stands.
    /// Nothing that is blocked stops being blocked by this. With `own`, the table belongs to this process where the
    /// kernel takes that.
    ///
    /// # Errors
    /// What keeps the kernel or the journal from being used, and what to do.
    pub fn start(journal: Journal, remembered: Remembered, own: bool) -> Result<Self, KeeperError> {
        let lock = lock_namespace()?;
        let door = Door::open(own)?;
        let Remembered { mirror, applied, clock } = remembered;
        let mut keeper = Self {
            follower: Follower::new(applied),
            ahead: true,
            mirror,
            journal,
            door,
            hits: HitReader::default(),
            objections: Objections::default(),
            endings: Arc::default(),
            clock: Clock::resume(clock),
            audited: Instant::now(),
            lock,
            counts: Counts::default(),
        };
        keeper.take_over()?;
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
                self.objections.before(changes.iter().copied(), &self.mirror);
                let dropped = at_most(newly_dropped(&self.mirror, changes.iter().copied()));
                let done = self.put_in_force(&changes);
                self.end_half_open(&done, dropped);
                self.counts.deltas += u64::from(done.is_ok());
                self.conclude(done, Some(&changes), (position, digest))
            }
            Effect::Replace { members, position, digest } => {
                let done = Snapshot::of(members, digest).map_err(KeeperError::from).and_then(|wanted| {
                    let dropped = at_most(newly_dropped(&self.mirror, self.mirror.changes_to(&wanted)));
                    let done = self.replace(wanted);
                    self.end_half_open(&done, dropped);
                    done
                });
                self.counts.snapshots += u64::from(done.is_ok());
                self.conclude(done, None, (position, digest))
            }
            Effect::Advance { position } => {
                let digest = self.mirror.digest();
                self.conclude(Ok(()), Some(&[]), (position, digest))
            }
        }
    }

    /// What was hit since the last reading, and what the rules have counted.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_hits(&mut self) -> Result<Reading, KeeperError> {
        let hits = match self.door.hits() {
            Err(KernelError::Missing) => {
                self.put_back()?;
                self.door.hits()?
            }
            read => read?,
        };
        let (counters, fills) = (self.door.counters()?, self.door.nft.fills()?);
        Ok(Reading { hits: self.hits.read(hits), counters, fills })
    }

    /// The next `limit` entries of the blocklist to look for counter-evidence against.
    pub fn listed(&mut self, limit: usize) -> Vec<Prefix> {
        self.objections.next(limit, &self.mirror)
    }

    /// Says against which entries this host has counter-evidence.
    pub fn object(&mut self, found: &[Completed]) {
        self.objections.object(found, &self.mirror);
    }

    /// Where it says which entries have come into force at drop.
    pub fn endings(&self) -> Arc<Endings> {
        self.endings.clone()
    }

    /// What was done since the start.
    pub fn counts(&self) -> Counts {
        Counts { members: self.mirror.len() as u64, door: self.door.counts, ..self.counts }
    }

    /// Takes our table, and all blocks with it, out of the kernel.
    ///
    /// # Errors
    /// The kernel's.
    pub fn flush(&mut self) -> Result<(), KernelError> {
        self.door.nft.remove()
    }

    /// What has come into force at drop may have half-open sockets.
    fn end_half_open(&self, done: &Result<(), KeeperError>, dropped: Vec<Prefix>) {
        if done.is_ok() {
            self.endings.ask(dropped);
        }
    }

    /// Puts `changes` in force as one: mostly in one transaction.
    fn put_in_force(&mut self, changes: &[Change]) -> Result<(), KeeperError> {
        let now = self.clock.now();
        let planned = if self.ahead {
            self.mirror.plan_ahead(changes, now)?
        } else {
            self.mirror.plan(changes, now)?
        };
        let mut fresh = crowded(&planned);
        let mut cure = None;
        if self.ahead {
            // What the kernel holds beyond the mirror in the hash sets is among the changes. The sets of ranges are
            // made anew, since a range can be in the way of others.
            fresh.extend(SetName::INTERVALS);
        } else if fresh.is_empty() {
            match self.door.commit(&planned) {
                Ok(()) => {
                    self.mirror.apply(changes);
                    return Ok(());
                }
                Err(error) => cure = Some(Cure::of(error)?),
            }
        }
        let undo = self.mirror.undo(changes);
        self.mirror.apply(changes);
        let rest = planned.only(|set| !fresh.contains(&set));
        let done = match cure {
            None => self.bring(&fresh, None, rest),
            Some(cure) => self.heal(cure, None),
        };
        if done.is_err() {
            self.mirror.apply(&undo);
        }
        self.ahead &= done.is_err();
        done
    }

    /// Puts just what is `wanted` in force, as one.
    fn replace(&mut self, wanted: Snapshot) -> Result<(), KeeperError> {
        let few = self.mirror.changes_to(&wanted).nth(MAX_LIVE_STEPS).is_none();
        if few && !self.ahead {
            let changes: Vec<Change> = self.mirror.changes_to(&wanted).collect();
            self.objections.before(changes.iter().copied(), &self.mirror);
            return self.put_in_force(&changes);
        }
        // No more than the first of them would be looked at soon anyway.
        self.objections.before(self.mirror.changes_to(&wanted).take(MAX_CANDIDATES), &self.mirror);
        let (fresh, rest) = if self.ahead {
            (SetName::FILLED.to_vec(), Transaction::default())
        } else {
            (SetName::HASHED.to_vec(), self.mirror.plan_ranges(&wanted, self.clock.now()))
        };
        self.bring(&fresh, Some(&wanted), rest)?;
        self.mirror.become_of(wanted);
        self.objections.after(&self.mirror);
        self.ahead = false;
        Ok(())
    }

    /// Makes the sets `fresh` anew, and carries out `rest`: as the snapshot says, or else the mirror.
    fn bring(
        &mut self,
        fresh: &[SetName],
        snapshot: Option<&Snapshot>,
        rest: Transaction,
    ) -> Result<(), KeeperError> {
        let wanted = snapshot.map_or(Wanted::Mirror(&self.mirror), Wanted::Snapshot);
        match self.door.refresh(fresh, wanted, rest, self.clock.now()) {
            Ok(()) => Ok(()),
            Err(error) => self.heal(Cure::of(error)?, snapshot),
        }
    }

    /// Brings all of the table to what it should be, after something was found wrong with it.
    fn heal(&mut self, cure: Cure, snapshot: Option<&Snapshot>) -> Result<(), KeeperError> {
        let now = self.clock.now();
        let wanted = snapshot.map_or(Wanted::Mirror(&self.mirror), Wanted::Snapshot);
        match cure {
            Cure::Smaller => {
                return Ok(self.door.refresh(&SetName::FILLED, wanted, Transaction::default(), now)?);
            }
            Cure::Contents => {
                tracing::error!(
                    "another program has changed the elements of table inet sekisho; bringing it in line"
                );
                self.door.refresh(&SetName::FILLED, wanted, Transaction::default(), now)?;
            }
            Cure::Table => {
                tracing::error!(
                    "table inet sekisho was taken away or edited by another program; putting it back"
                );
                match self.door.look()? {
                    found @ (Found::Absent | Found::Foreign { .. }) => self.door.make(&found, wanted, now)?,
                    found => {
                        self.door.set_right(&found)?;
                        self.door.refresh(&SetName::FILLED, wanted, Transaction::default(), now)?;
                    }
                }
            }
        }
        self.counts.repairs += 1;
        self.door.known()?;
        Ok(())
    }

    /// Our table is gone: somebody flushed it. Makes it again with all that belongs in it.
    fn put_back(&mut self) -> Result<(), KeeperError> {
        self.heal(Cure::Table, None)
    }

    /// Looks whether another program has changed the firewall, and puts right what is ours; now and then also
    /// whether the sets hold what they should.
    ///
    /// # Errors
    /// What could not be put right.
    pub fn check(&mut self) -> Result<(), KeeperError> {
        let disturbed = self.door.disturbed()?;
        let due = self.audited.elapsed() >= AUDIT_INTERVAL;
        if !disturbed && !due {
            return Ok(());
        }
        // What others do cannot be about a table that is ours alone.
        let disturbed = disturbed && !self.door.owns()?;
        if disturbed {
            match self.door.look()? {
                Found::Ours => {}
                found @ Found::Edited { .. } => {
                    tracing::error!(?found, "another program has edited table inet sekisho; putting it back");
                    self.door.set_right(&found)?;
                    self.counts.repairs += 1;
                }
                Found::Absent | Found::Older(_) | Found::Foreign { .. } => return self.put_back(),
            }
        }
        if disturbed {
            return self.verify(DISTURBED_SAMPLES);
        }
        if due {
            return self.audit();
        }
        Ok(self.door.known()?)
    }

    /// Puts right what the sets lack or exceed.
    ///
    /// # Errors
    /// What could not be put right.
    pub fn audit(&mut self) -> Result<(), KeeperError> {
        self.verify(AUDIT_SAMPLES)
    }

    /// The same, by so many `samples` of each set.
    fn verify(&mut self, samples: usize) -> Result<(), KeeperError> {
        let now = self.clock.now();
        self.audited = Instant::now();
        let differ = audit::differences(&mut self.door, &self.mirror, now, samples)?;
        // As long as the kernel may be ahead of the journal, nothing is let go.
        let differ: Vec<SetName> =
            differ.into_iter().filter(|(_, how)| how.lacks || !self.ahead).map(|(set, _)| set).collect();
        if !differ.is_empty() {
            tracing::error!(
                ?differ,
                "sets of table inet sekisho do not hold what they should; putting them right"
            );
            if self.ahead {
                self.complete(&differ)?;
            } else {
                self.bring(&differ, None, Transaction::default())?;
            }
            self.counts.repairs += 1;
        }
        Ok(self.door.known()?)
    }

    fn conclude(
        &mut self,
        done: Result<(), KeeperError>,
        changes: Option<&[Change]>,
        to: (Position, Digest),
    ) -> Verdict {
        if let Err(error) = done {
            self.counts.refusals += 1;
            tracing::error!(%error, position = %to.0, "the kernel did not take a revision; what was in force stays");
            return Verdict::Over(self.follower.kernel_refused(to.0, error.to_string()));
        }
        let written = match changes {
            Some(changes) => self.journal.step(changes, to, self.clock.mark(), &self.mirror),
            None => self.journal.begin_anew(to, self.clock.mark(), &self.mirror),
        };
        self.counts.unwritten = written.is_err();
        if let Err(error) = written {
            // The kernel is right; only a restart would have more to catch up with.
            tracing::warn!(%error, "what is in force could not be written down");
        }
        tracing::debug!(position = %to.0, changes = changes.map(<[Change]>::len), "in force");
        Verdict::Going(Some(self.follower.put_in_force(to.0, to.1)))
    }
}

/// What helps against an error.
#[derive(Clone, Copy, Debug)]
enum Cure {
    /// The table must be made again.
    Table,
    /// The sets must be made anew: they hold something else than we put there.
    Contents,
    /// The same must be done in smaller transactions.
    Smaller,
}

impl Cure {
    fn of(error: KernelError) -> Result<Self, KernelError> {
        match error {
            KernelError::Missing => Ok(Self::Table),
            KernelError::Overlap(_) | KernelError::Full(_) => Ok(Self::Contents),
            KernelError::TooLarge(_) => Ok(Self::Smaller),
            error => Err(error),
        }
    }
}

/// The hash sets on which a transaction has more steps than one that packets see at once may have.
fn crowded(transaction: &Transaction) -> Vec<SetName> {
    let steps = |set: &SetName| transaction.ops().iter().filter(|op| op.set() == *set).count();
    if transaction.len() <= MAX_LIVE_STEPS {
        return Vec::new();
    }
    // All of them together stay below the limit, so that what is left fits into one transaction.
    SetName::HASHED.into_iter().filter(|set| steps(set) > MAX_LIVE_STEPS / SetName::HASHED.len()).collect()
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

/// No more than can be ended, and one by which it shows that there were more.
fn at_most(dropped: impl Iterator<Item = Prefix>) -> Vec<Prefix> {
    dropped.take(MAX_ENDING_PREFIXES + 1).collect()
}
