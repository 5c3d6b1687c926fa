//! What the follower of the list believes: its members, where it stands, and which announcements do
//! not fit. Pure: what came in and what changed by it, no stream and no clock.

use std::collections::BTreeMap;

use sekisho_model::{
    Change, Delta, Digest, Key, List, Member, Position, Tier,
    feed::{Announcement, Response},
};

/// One member that came, changed or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Whether it is there now.
    pub(crate) put: bool,
    /// As it is, or as it was before it went.
    pub(crate) member: Member,
}

impl Noted {
    /// The word for the list and the tier.
    pub(crate) fn list(&self) -> &'static str {
        match self.member.list {
            List::Allow => "allow",
            List::Block(Tier::Suppress) => "suppress",
            List::Block(Tier::Drop) => "drop",
        }
    }
}

/// What an announcement meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// The stream is up.
    Welcome,
    /// A part of something.
    Part,
    /// The follower stands at this position now, and these are the differences.
    At(Position, Vec<Noted>),
}

/// An announcement does not fit what came before; only a snapshot helps.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(&'static str);

#[derive(Debug)]
struct Filling {
    position: Position,
    count: u64,
    digest: Digest,
    members: BTreeMap<Key, Member>,
}

/// Follows both lists. Members are kept over a broken stream and over a snapshot, so that a change is
/// told once, however it came.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    members: BTreeMap<Key, Member>,
    digest: Digest,
    at: Option<Position>,
    filling: Option<Filling>,
}

impl Follower {
    /// What to say first on a new stream.
    pub(crate) fn start(&mut self) -> Response {
        self.filling = None;
        Response::Start { applied: self.at.map(|at| (at, self.digest)) }
    }

    /// Where it stands; none before the first snapshot.
    pub(crate) fn at(&self) -> Option<Position> {
        self.at
    }

    /// Takes an announcement. After [`Broken`] the next start asks for a snapshot.
    pub(crate) fn take(&mut self, announcement: Announcement) -> Result<Meant, Broken> {
        let taken = match announcement {
            Announcement::Welcome { .. } => Ok(Meant::Welcome),
            Announcement::Delta(delta) => self.delta(&delta),
            Announcement::SnapshotBegin { position, members: count, digest } => {
                self.filling = Some(Filling { position, count, digest, members: BTreeMap::new() });
                Ok(Meant::Part)
            }
            Announcement::SnapshotChunk(members) => self.chunk(members),
            Announcement::SnapshotEnd => self.end(),
            Announcement::Bookmark { position, digest } => self.bookmark(position, digest),
        };
        if taken.is_err() {
            self.at = None;
            self.filling = None;
        }
        taken
    }

    fn delta(&mut self, delta: &Delta) -> Result<Meant, Broken> {
        let at = self.at.filter(|at| delta.previous <= at.revision && at.revision < delta.revision);
        let Some(at) = at.filter(|_| self.filling.is_none()) else {
            return Err(Broken("a delta does not follow on what came before"));
        };
        let noted: Vec<Noted> = delta.changes.iter().filter_map(|change| self.note(change)).collect();
        let digest = noted.iter().fold(self.digest, |digest, noted| self.after(digest, noted));
        if digest != delta.digest {
            return Err(Broken("the digest after a delta differs"));
        }
        for noted in &noted {
            self.apply(noted);
        }
        self.digest = digest;
        let at = Position { revision: delta.revision, ..at };
        self.at = Some(at);
        Ok(Meant::At(at, noted))
    }

    /// What `change` changes here; none when it is so already.
    fn note(&self, change: &Change) -> Option<Noted> {
        let was = self.members.get(&change.key());
        match change {
            Change::Put(member) => (was != Some(member)).then_some(Noted { put: true, member: *member }),
            Change::Remove(_) => was.map(|member| Noted { put: false, member: *member }),
        }
    }

    fn after(&self, digest: Digest, noted: &Noted) -> Digest {
        let was = self.members.get(&noted.member.key());
        let without = was.map_or(digest, |was| digest.without(was));
        if noted.put { without.with(&noted.member) } else { without }
    }

    fn apply(&mut self, noted: &Noted) {
        if noted.put {
            self.members.insert(noted.member.key(), noted.member);
        } else {
            self.members.remove(&noted.member.key());
        }
    }

    fn chunk(&mut self, members: Vec<Member>) -> Result<Meant, Broken> {
        let filling = self.filling.as_mut().ok_or(Broken("a part of a snapshot came before its start"))?;
        filling.members.extend(members.into_iter().map(|member| (member.key(), member)));
        Ok(Meant::Part)
    }

    fn end(&mut self) -> Result<Meant, Broken> {
        let new = self.filling.take().ok_or(Broken("the end of a snapshot came before its start"))?;
        let whole = usize::try_from(new.count) == Ok(new.members.len());
        if !whole || Digest::of(new.members.values()) != new.digest {
            return Err(Broken("a snapshot's digest differs"));
        }
        let gone = self.members.iter().filter(|(key, _)| !new.members.contains_key(key));
        let gone = gone.map(|(_, member)| Noted { put: false, member: *member });
        let put = new.members.values().filter_map(|member| self.note(&Change::Put(*member)));
        let noted = gone.chain(put).collect();
        self.members = new.members;
        self.digest = new.digest;
        self.at = Some(new.position);
        Ok(Meant::At(new.position, noted))
    }

    fn bookmark(&mut self, position: Position, digest: Digest) -> Result<Meant, Broken> {
        let fits = |at: &Position| at.epoch == position.epoch && at.revision <= position.revision;
        if self.filling.is_some() || !self.at.as_ref().is_some_and(fits) {
            return Err(Broken("a bookmark does not follow on what came before"));
        }
        if digest != self.digest {
            return Err(Broken("the digest of a bookmark differs"));
        }
        self.at = Some(position);
        Ok(Meant::At(position, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sekisho_model::{Epoch, Moment, Revision};

    use super::*;

    fn member(prefix: &str, expires: i64) -> Member {
        let list = List::Block(Tier::Drop);
        Member { prefix: prefix.parse().unwrap(), list, expires: Moment::from_millis(expires) }
    }

    fn at(epoch: i64, revision: i64) -> Position {
        Position { epoch: Epoch(epoch), revision: Revision(revision) }
    }

    fn snapshot(follower: &mut Follower, position: Position, members: &[Member]) -> Result<Meant, Broken> {
        let (count, digest) = (members.len() as u64, Digest::of(members));
        follower.take(Announcement::SnapshotBegin { position, members: count, digest })?;
        follower.take(Announcement::SnapshotChunk(members.to_vec()))?;
        follower.take(Announcement::SnapshotEnd)
    }

    fn delta(previous: i64, revision: i64, changes: &[Change], digest: Digest) -> Announcement {
        let (previous, revision) = (Revision(previous), Revision(revision));
        Announcement::Delta(Delta { previous, revision, changes: changes.to_vec(), digest })
    }

    fn put(member: Member) -> Noted {
        Noted { put: true, member }
    }

    fn gone(member: Member) -> Noted {
        Noted { put: false, member }
    }

    #[test]
    fn changes_are_told_once_and_the_position_moves() {
        let (a, b) = (member("203.0.113.7", 1), member("2001:db8::/64", 2));
        let mut follower = Follower::default();
        assert_eq!(follower.start(), Response::Start { applied: None });
        assert_eq!(snapshot(&mut follower, at(9, 5), &[a]), Ok(Meant::At(at(9, 5), vec![put(a)])));
        let both = Digest::of(&[a, b]);
        // Merged: it starts before where the follower stands, and repeats what is there.
        let merged = delta(3, 7, &[Change::Put(a), Change::Put(b)], both);
        assert_eq!(follower.take(merged), Ok(Meant::At(at(9, 7), vec![put(b)])));
        let mark = Announcement::Bookmark { position: at(9, 8), digest: both };
        assert_eq!(follower.take(mark), Ok(Meant::At(at(9, 8), vec![])));
        assert_eq!(follower.start(), Response::Start { applied: Some((at(9, 8), both)) });
        let remove = delta(8, 9, &[Change::Remove(a.key())], Digest::of(&[b]));
        assert_eq!(follower.take(remove), Ok(Meant::At(at(9, 9), vec![gone(a)])));
    }

    #[test]
    fn a_later_snapshot_tells_the_differences_only() {
        let (a, b, later) = (member("203.0.113.7", 1), member("203.0.113.8", 1), member("203.0.113.7", 9));
        let mut follower = Follower::default();
        snapshot(&mut follower, at(9, 5), &[a, b]).unwrap();
        let noted = snapshot(&mut follower, at(10, 1), &[later]);
        assert_eq!(noted, Ok(Meant::At(at(10, 1), vec![gone(b), put(later)])));
    }

    #[test]
    fn what_does_not_fit_leads_to_a_snapshot() {
        let a = member("203.0.113.7", 1);
        let one = Digest::of(&[a]);
        for wrong in [
            delta(6, 7, &[], one),
            delta(4, 5, &[], one),
            delta(5, 6, &[], Digest(1)),
            Announcement::SnapshotChunk(vec![a]),
            Announcement::SnapshotEnd,
            Announcement::Bookmark { position: at(9, 6), digest: Digest(1) },
            Announcement::Bookmark { position: at(8, 6), digest: one },
            Announcement::Bookmark { position: at(9, 4), digest: one },
        ] {
            let mut follower = Follower::default();
            snapshot(&mut follower, at(9, 5), &[a]).unwrap();
            assert!(follower.take(wrong.clone()).is_err(), "{wrong:?}");
            assert_eq!(follower.start(), Response::Start { applied: None });
            // The members are still known: the snapshot brings nothing new.
            assert_eq!(snapshot(&mut follower, at(9, 5), &[a]), Ok(Meant::At(at(9, 5), vec![])));
        }
    }

    #[test]
    fn a_snapshot_must_be_whole() {
        let a = member("203.0.113.7", 1);
        let mut follower = Follower::default();
        let digest = Digest::of(&[a]);
        let begin = Announcement::SnapshotBegin { position: at(9, 5), members: 2, digest };
        follower.take(begin).unwrap();
        follower.take(Announcement::SnapshotChunk(vec![a])).unwrap();
        assert_eq!(follower.take(Announcement::SnapshotEnd), Err(Broken("a snapshot's digest differs")));
        assert_eq!(follower.at(), None);
    }

    /// States of the lists by revision; each state is a set of (last octet, expiry).
    fn states() -> impl Strategy<Value = Vec<(BTreeMap<u8, i64>, bool)>> {
        let state = proptest::collection::btree_map(0u8..6, 0i64..3, 0..6);
        proptest::collection::vec((state, any::<bool>()), 1..12)
    }

    fn members(state: &BTreeMap<u8, i64>) -> Vec<Member> {
        state.iter().map(|(octet, expires)| member(&format!("203.0.113.{octet}"), *expires)).collect()
    }

    proptest! {
        #[test]
        fn what_is_told_adds_up_to_the_list(states in states()) {
            let (mut follower, mut told) = (Follower::default(), BTreeMap::new());
            let mut before: Vec<Member> = Vec::new();
            for (revision, (state, by_delta)) in (1..).zip(&states) {
                let now = members(state);
                let meant = if *by_delta && revision > 1 {
                    let gone = before.iter().filter(|was| now.iter().all(|is| is.key() != was.key()));
                    let puts = now.iter().map(|member| Change::Put(*member));
                    let changes: Vec<_> = gone.map(|was| Change::Remove(was.key())).chain(puts).collect();
                    follower.take(delta(revision - 1, revision, &changes, Digest::of(&now)))
                } else {
                    snapshot(&mut follower, at(9, revision), &now)
                };
                let Ok(Meant::At(place, noted)) = meant else { panic!("{meant:?}") };
                prop_assert_eq!(place, at(9, revision));
                for noted in noted {
                    let was = told.remove(&noted.member.key());
                    prop_assert_ne!(was.as_ref(), Some(&noted.member).filter(|_| noted.put), "told twice");
                    if noted.put {
                        told.insert(noted.member.key(), noted.member);
                    }
                }
                prop_assert_eq!(told.values().copied().collect::<Vec<_>>(), now.clone());
                before = now;
            }
        }
    }
}
