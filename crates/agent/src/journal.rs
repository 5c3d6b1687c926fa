//! What is in force, over a restart: a journal of the steps that led there, in the state directory.
//!
//! A step is written after the kernel took it. A kill between the two leaves the kernel one step ahead,
//! which the feed's next delta, a net effect, brings in line. Nothing is synced to the disk: a crash of
//! the whole machine takes the kernel's table with it, and an older journal is then filled in and
//! followed up. A record that is not whole ends the journal.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use prost::Message;
use rustix::fs::{FlockOperation, flock};
use sekisho_model::{Change, Digest, Member, Moment, Position, limits::SNAPSHOT_MEMBERS};
use sekisho_ruleset::{Mirror, Snapshot};
use sekisho_wire::{packed, pb::state::v1::Step, readable};

/// The journal's file in the state directory.
const FILE: &str = "feed.journal";
/// Its lock.
const LOCK: &str = "agent.lock";
/// Bytes of a record before its payload: length and CRC-32C, both little-endian.
const HEAD: usize = 8;
/// Largest journal that is read; a whole list of the largest size is far below.
const MAX_BYTES: u64 = 1 << 30;
/// Growth over the last whole list after which the journal is begun anew.
const SLACK: u64 = 1 << 20;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another agent uses it.
    #[error("{} is in use by another agent; stop that one, or give this one a --state-dir of its own", .0.display())]
    InUse(PathBuf),
    /// The disk or the file system.
    #[error("the state directory {} cannot be used ({error}); make it writable, or give another --state-dir", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
}

/// What a journal told.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The list that was in force.
    pub mirror: Mirror,
    /// Where it stood; none when nothing is remembered.
    pub applied: Option<(Position, Digest)>,
    /// What the aggregator's clock showed.
    pub clock: ClockMark,
}

/// The aggregator's clock at one moment, so that a restart, which has no steady clock, can go on with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockMark {
    /// How far it was ahead of this host's wall clock, in milliseconds.
    pub ahead: i64,
    /// What it showed.
    pub showed: Moment,
}

/// The journal of one agent, for writing.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    file: File,
    bytes: u64,
    whole_bytes: u64,
    /// Whether a step could not be written, so that the next must be the whole list.
    lags: bool,
    _lock: File,
}

impl Journal {
    /// Opens the journal in `dir`, or begins one, and tells what it remembers.
    ///
    /// # Errors
    /// [`JournalError`]. A damaged journal is none: what is whole of it counts.
    pub fn open(dir: &Path) -> Result<(Self, Remembered), JournalError> {
        let failed = |error| JournalError::Io { path: dir.into(), error };
        fs::create_dir_all(dir).map_err(failed)?;
        let lock = OpenOptions::new().create(true).append(true).open(dir.join(LOCK)).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(JournalError::InUse(dir.into())),
            Err(error) => return Err(failed(error.into())),
        }
        let path = dir.join(FILE);
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(failed)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        let (remembered, whole) = replay(&bytes);
        if whole < bytes.len() {
            tracing::warn!(
                lost = bytes.len() - whole,
                "the end of the journal is damaged; going on from before it"
            );
            file.set_len(whole as u64).map_err(failed)?;
        }
        let journal =
            Self { dir: dir.into(), file, bytes: whole as u64, whole_bytes: 0, lags: false, _lock: lock };
        Ok((journal, remembered))
    }

    /// Writes that `changes` are in force, which led to `applied`; `mirror` is the list after them.
    ///
    /// # Errors
    /// [`JournalError::Io`]; the journal then may lag behind, which costs a longer catching up.
    pub fn step(
        &mut self,
        changes: &[Change],
        applied: (Position, Digest),
        clock: ClockMark,
        mirror: &Mirror,
    ) -> Result<(), JournalError> {
        if self.lags || self.bytes > 2 * self.whole_bytes + SLACK {
            return self.begin_anew(applied, clock, mirror);
        }
        let record = record(&step(applied, clock, false, packed::encode(changes)));
        if let Err(error) = self.file.write_all(&record) {
            // A part of the record may be there, and a step is missing: only the whole list helps now.
            self.lags = true;
            return Err(self.failed(error));
        }
        self.bytes += record.len() as u64;
        Ok(())
    }

    /// Replaces the journal by the whole list.
    ///
    /// # Errors
    /// [`JournalError::Io`]; the old journal is then still there.
    pub fn begin_anew(
        &mut self,
        applied: (Position, Digest),
        clock: ClockMark,
        mirror: &Mirror,
    ) -> Result<(), JournalError> {
        let (new, path) = (self.dir.join("feed.journal.new"), self.dir.join(FILE));
        let mut bytes = 0;
        let replaced = File::create(&new).and_then(|mut file| {
            bytes = write_whole(&mut file, applied, clock, mirror)?;
            // Synced, so that a crash cannot leave an empty file under the old one's name.
            file.sync_all()?;
            fs::rename(&new, &path)?;
            OpenOptions::new().append(true).open(&path)
        });
        self.lags = true;
        self.file = replaced.map_err(|error| self.failed(error))?;
        self.lags = false;
        (self.bytes, self.whole_bytes) = (bytes, bytes);
        Ok(())
    }

    fn failed(&self, error: io::Error) -> JournalError {
        JournalError::Io { path: self.dir.clone(), error }
    }
}

/// Writes the whole list, a part at a time, so that there is never a second copy of it; gives the bytes.
fn write_whole(
    file: &mut File,
    applied: (Position, Digest),
    clock: ClockMark,
    mirror: &Mirror,
) -> io::Result<u64> {
    let (mut members, mut bytes) = (mirror.members().peekable(), 0);
    let mut room: Vec<Member> = Vec::with_capacity(mirror.len().min(SNAPSHOT_MEMBERS));
    loop {
        room.clear();
        room.extend(members.by_ref().take(SNAPSHOT_MEMBERS));
        let goes_on = members.peek().is_some();
        let record = record(&Step { goes_on, ..step(applied, clock, true, packed::encode_members(&room)) });
        file.write_all(&record)?;
        bytes += record.len() as u64;
        if !goes_on {
            return Ok(bytes);
        }
    }
}

fn step((position, digest): (Position, Digest), clock: ClockMark, whole: bool, packed: bytes::Bytes) -> Step {
    let (position, digest) = (Some(readable::position(position)), readable::digest(digest));
    Step {
        position,
        digest,
        clock_ahead_ms: clock.ahead,
        whole,
        packed,
        written_ms: clock.showed.as_millis(),
        goes_on: false,
    }
}

fn record(step: &Step) -> Vec<u8> {
    let payload = step.encode_to_vec();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut record = Vec::with_capacity(HEAD + payload.len());
    record.extend(length.to_le_bytes());
    record.extend(crc32c::crc32c(&payload).to_le_bytes());
    record.extend(payload);
    record
}

/// What the whole records say, and how many bytes they have.
fn replay(bytes: &[u8]) -> (Remembered, usize) {
    let (mut remembered, mut parts) = (Remembered::default(), Vec::new());
    let (mut at, mut whole) = (0, 0);
    while let Some((payload, next)) = payload(bytes, at) {
        let Some(goes_on) = take(&mut remembered, &mut parts, payload) else { break };
        at = next;
        // A list of which the end is missing is no list.
        if !goes_on {
            whole = at;
        }
    }
    (remembered, whole)
}

fn payload(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (head, rest) = bytes.get(at..)?.split_first_chunk::<HEAD>()?;
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
    let payload = rest.get(..length)?;
    (crc32c::crc32c(payload) == u32::from_le_bytes([c0, c1, c2, c3])).then_some((payload, at + HEAD + length))
}

/// Takes one step in; none, and nothing changed, when it does not lead to the digest that it names. True if a list
/// goes on in the next one: `parts` are what it has had until now.
fn take(remembered: &mut Remembered, parts: &mut Vec<Member>, payload: &[u8]) -> Option<bool> {
    let step = Step::decode(payload).ok()?;
    let position = readable::position_from(step.position.as_ref())?;
    let digest = readable::digest_from("digest", &step.digest).ok()?;
    let changes = packed::decode(&step.packed).ok()?;
    let mirror = if step.whole {
        parts.extend(changes.into_iter().filter_map(|change| match change {
            Change::Put(member) => Some(member),
            Change::Remove(_) => None,
        }));
        if step.goes_on {
            return Some(true);
        }
        whole(std::mem::take(parts))
    } else {
        let mut mirror = std::mem::take(&mut remembered.mirror);
        mirror.apply(&changes);
        mirror
    };
    if mirror.digest() != digest {
        // Nothing of the journal can be trusted when a whole record does not add up.
        *remembered = Remembered::default();
        return None;
    }
    let clock = ClockMark { ahead: step.clock_ahead_ms, showed: Moment::from_millis(step.written_ms) };
    *remembered = Remembered { mirror, applied: Some((position, digest)), clock };
    Some(false)
}

/// A mirror of these members; an empty one, whose digest tells, if they are no list.
fn whole(members: Vec<Member>) -> Mirror {
    let digest = Digest::of(&members);
    let mut mirror = Mirror::new();
    if let Ok(snapshot) = Snapshot::of(members, digest) {
        mirror.become_of(snapshot);
    }
    mirror
}

#[cfg(test)]
mod tests {
    use sekisho_model::{Epoch, List, Prefix, Revision, Tier};

    use super::*;

    const CLOCK: ClockMark = ClockMark { ahead: 250, showed: Moment::from_millis(9) };

    fn put(n: u8) -> Change {
        let prefix = Prefix::host(std::net::IpAddr::from([203, 0, 113, n]));
        Change::Put(Member {
            prefix,
            list: List::Block(Tier::Drop),
            expires: Moment::from_millis(i64::from(n)),
        })
    }

    fn at(revision: i64, mirror: &Mirror) -> (Position, Digest) {
        (Position { epoch: Epoch(7), revision: Revision(revision) }, mirror.digest())
    }

    /// Writes `steps` steps and returns the list after them.
    fn written(dir: &Path, steps: u8) -> Mirror {
        let (mut journal, mut remembered) = Journal::open(dir).unwrap();
        for n in 0..steps {
            let change = [put(n)];
            remembered.mirror.apply(&change);
            journal
                .step(&change, at(i64::from(n) + 1, &remembered.mirror), CLOCK, &remembered.mirror)
                .unwrap();
        }
        remembered.mirror
    }

    #[test]
    fn what_was_in_force_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let mirror = written(dir.path(), 20);
        let (_, remembered) = Journal::open(dir.path()).unwrap();
        assert_eq!(remembered.applied, Some(at(20, &mirror)));
        assert_eq!(remembered.clock, CLOCK);
        assert!(remembered.mirror.members().eq(mirror.members()));
    }

    #[test]
    fn any_cut_and_any_flipped_bit_leave_an_earlier_step() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 4);
        let whole = fs::read(dir.path().join(FILE)).unwrap();
        for place in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[place] ^= 1;
            for bytes in [&whole[..place], &flipped[..]] {
                let (remembered, good) = replay(bytes);
                let revision = remembered.applied.map_or(0, |(at, _)| at.revision.0);
                assert!(good < whole.len() && revision < 4, "at {place}");
                assert_eq!(remembered.mirror.len(), usize::try_from(revision).unwrap());
            }
        }
    }

    #[test]
    fn a_damaged_end_is_cut_off_and_written_over() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 4);
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let (mut journal, mut remembered) = Journal::open(dir.path()).unwrap();
        assert_eq!(remembered.applied.unwrap().0.revision, Revision(3));
        remembered.mirror.apply(&[put(9)]);
        journal.step(&[put(9)], at(4, &remembered.mirror), CLOCK, &remembered.mirror).unwrap();
        drop(journal);
        let (_, again) = Journal::open(dir.path()).unwrap();
        assert_eq!(again.applied.unwrap().0.revision, Revision(4));
    }

    #[test]
    fn a_long_journal_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, mut remembered) = Journal::open(dir.path()).unwrap();
        let mut largest = 0;
        for n in 0..60_000i64 {
            let change = [put(u8::try_from(n % 7).unwrap())];
            remembered.mirror.apply(&change);
            journal.step(&change, at(n + 1, &remembered.mirror), CLOCK, &remembered.mirror).unwrap();
            largest = largest.max(journal.bytes);
        }
        assert!(largest > SLACK && largest < 2 * SLACK, "{largest}");
        drop(journal);
        let (_, again) = Journal::open(dir.path()).unwrap();
        assert_eq!(again.applied, Some(at(60_000, &remembered.mirror)));
    }

    #[test]
    fn a_list_of_many_parts_is_remembered_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, mut remembered) = Journal::open(dir.path()).unwrap();
        let count = u32::try_from(2 * SNAPSHOT_MEMBERS + 5).unwrap();
        let member = |n: u32| Member {
            prefix: Prefix::host(std::net::Ipv4Addr::from_bits(n).into()),
            list: List::Block(Tier::Suppress),
            expires: Moment::from_millis(i64::from(n)),
        };
        remembered.mirror.apply(&(0..count).map(|n| Change::Put(member(n))).collect::<Vec<_>>());
        journal.begin_anew(at(1, &remembered.mirror), CLOCK, &remembered.mirror).unwrap();
        remembered.mirror.apply(&[put(1)]);
        journal.step(&[put(1)], at(2, &remembered.mirror), CLOCK, &remembered.mirror).unwrap();
        drop(journal);
        let bytes = fs::read(dir.path().join(FILE)).unwrap();
        let (again, good) = replay(&bytes);
        assert_eq!((again.applied, good), (Some(at(2, &remembered.mirror)), bytes.len()));
        assert!(again.mirror.members().eq(remembered.mirror.members()));
        let (mut ends, mut from) = (Vec::new(), 0);
        while let Some((_, next)) = payload(&bytes, from) {
            ends.push(next);
            from = next;
        }
        assert_eq!(ends.len(), 4);
        for end in &ends[..2] {
            let (none, good) = replay(&bytes[..*end]);
            assert_eq!((none.applied, none.mirror.len(), good), (None, 0, 0));
        }
        assert_eq!(replay(&bytes[..ends[2]]).0.applied.map(|(at, _)| at.revision), Some(Revision(1)));
    }

    #[test]
    fn one_agent_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Journal::open(dir.path()).unwrap();
        assert!(matches!(Journal::open(dir.path()), Err(JournalError::InUse(_))));
    }
}
