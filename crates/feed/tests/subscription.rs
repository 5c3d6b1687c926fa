//! Both halves against each other: whatever happens on the way, what the follower has in force is a
//! state that the publisher had, never goes back, and ends equal.

#![expect(clippy::panic, reason = "a test that cannot go on must say so")]

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use sekisho_feed::{Effect, Follower, Frame, Publisher, Rejection, Start, Step};
use sekisho_model::{
    Change, Delta, Digest, Epoch, Key, List, Member, Moment, Position, Prefix, Revision, Tier,
    feed::{Announcement, RefusalReason, Response},
};

type Members = BTreeMap<Key, Member>;

fn member(n: u8, expires: i64) -> Member {
    let prefix = Prefix::host(std::net::IpAddr::from([203, 0, 113, n]));
    let list = if n.is_multiple_of(5) { List::Allow } else { List::Block(Tier::Drop) };
    Member { prefix, list, expires: Moment::from_millis(expires) }
}

fn apply(members: &mut Members, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(member) => drop(members.insert(member.key(), *member)),
            Change::Remove(key) => drop(members.remove(key)),
        }
    }
}

/// An aggregator reduced to its feed: the list, its history, and the publisher.
struct Server {
    members: Members,
    publisher: Publisher<Delta>,
    history: Vec<(Revision, Members)>,
}

impl Server {
    fn new(epoch: i64) -> Self {
        let position = Position { epoch: Epoch(epoch), revision: Revision(0) };
        let history = vec![(Revision(0), Members::new())];
        Self { members: Members::new(), publisher: Publisher::new(position, Digest::EMPTY), history }
    }

    fn change(&mut self, step: i64, raw: &[(u8, Option<i64>)]) {
        let previous = self.publisher.position().revision;
        let states: BTreeMap<Key, Change> = raw
            .iter()
            .map(|(n, expires)| match expires {
                Some(expires) => Change::Put(member(*n, *expires)),
                None => Change::Remove(member(*n, 0).key()),
            })
            .map(|change| (change.key(), change))
            .collect();
        let changes: Vec<Change> = states.into_values().collect();
        apply(&mut self.members, &changes);
        let (revision, digest) = (Revision(previous.0 + step), Digest::of(self.members.values()));
        let body = Delta { previous, revision, changes, digest };
        self.publisher.publish(Frame { previous, revision, body }, 1, digest);
        self.history.push((revision, self.members.clone()));
    }

    fn welcome(&self) -> Announcement {
        Announcement::Welcome { now: Moment::EPOCH, position: self.publisher.position() }
    }

    fn snapshot(&self) -> Vec<Announcement> {
        let all: Vec<Member> = self.members.values().copied().collect();
        let begin = Announcement::SnapshotBegin {
            position: self.publisher.position(),
            members: all.len() as u64,
            digest: self.publisher.digest(),
        };
        let chunks = all.chunks(3).map(|chunk| Announcement::SnapshotChunk(chunk.to_vec()));
        std::iter::once(begin).chain(chunks).chain([Announcement::SnapshotEnd]).collect()
    }
}

/// An agent reduced to its feed.
struct Client {
    members: Members,
    follower: Follower,
}

impl Client {
    fn new() -> Self {
        Self { members: Members::new(), follower: Follower::new(None) }
    }

    fn hear(&mut self, message: Announcement) -> Result<(), Rejection> {
        let members = &self.members;
        let effect = self.follower.handle(message, Moment::EPOCH, |key| members.get(key).copied())?;
        match effect {
            Effect::None | Effect::Confirm { .. } => {}
            Effect::Advance { position } => {
                let digest = Digest::of(self.members.values());
                self.follower.put_in_force(position, digest);
            }
            Effect::Apply { changes, position, digest } => {
                apply(&mut self.members, &changes);
                self.follower.put_in_force(position, digest);
            }
            Effect::Replace { members, position, digest } => {
                self.members = members.into_iter().map(|member| (member.key(), member)).collect();
                self.follower.put_in_force(position, digest);
            }
        }
        Ok(())
    }

    /// A whole session up to the server's head.
    fn catch_up(&mut self, server: &Server) -> Result<(), Rejection> {
        let Response::Start { applied } = self.follower.start() else { panic!("the first word is Start") };
        self.hear(server.welcome())?;
        let mut cursor = match server.publisher.start(applied) {
            Start::Resume(cursor) => cursor,
            Start::Snapshot => {
                server.snapshot().into_iter().try_for_each(|message| self.hear(message))?;
                server.publisher.position().revision
            }
            Start::Behind => panic!("this server is never behind"),
        };
        loop {
            match server.publisher.next(cursor) {
                Step::Frame(frame) => {
                    cursor = frame.revision;
                    self.hear(Announcement::Delta(frame.body))?;
                }
                Step::Wait => return Ok(()),
                Step::Stored => panic!("the ring is large enough here"),
            }
        }
    }
}

fn any_change() -> impl Strategy<Value = (i64, Vec<(u8, Option<i64>)>)> {
    (1i64..4, vec((0u8..12, proptest::option::of(0i64..5)), 0..6))
}

proptest! {
    #[test]
    fn the_follower_ends_equal_whenever_it_looks(
        changes in vec((any_change(), any::<bool>()), 1..30), restart in 0usize..40,
    ) {
        let (mut server, mut client) = (Server::new(1), Client::new());
        for (n, ((step, raw), look)) in changes.into_iter().enumerate() {
            if n == restart {
                let before = server;
                server = Server::new(2);
                let raw: Vec<_> = before.members.keys().map(|key| match key.prefix.address() {
                    std::net::IpAddr::V4(v4) => (v4.octets()[3], Some(9)),
                    std::net::IpAddr::V6(_) => (0, None),
                }).collect();
                server.change(1, &raw);
            }
            server.change(step, &raw);
            if look {
                prop_assert_eq!(client.catch_up(&server), Ok(()));
                prop_assert_eq!(&client.members, &server.members);
            }
        }
    }

    /// Merging the steps equals constructing the whole, and a follower takes the merged delta from any
    /// position that it covers.
    #[test]
    fn merged_deltas_lead_to_the_same_list(changes in vec(any_change(), 2..20), from in 0usize..20) {
        let mut server = Server::new(1);
        let mut deltas: Vec<Delta> = Vec::new();
        for (step, raw) in changes {
            let cursor = server.publisher.position().revision;
            server.change(step, &raw);
            let Step::Frame(frame) = server.publisher.next(cursor) else { panic!("just published") };
            deltas.push(frame.body);
        }
        let merged = deltas.iter().skip(1).try_fold(deltas[0].clone(), |sum, next| sum.merge(next)).unwrap();
        let (revision, start) = server.history[from % (server.history.len() - 1)].clone();
        let position = Position { epoch: Epoch(1), revision };
        let digest = Digest::of(start.values());
        let mut client = Client { members: start, follower: Follower::new(Some((position, digest))) };
        prop_assert_eq!(client.hear(server.welcome()), Ok(()));
        prop_assert_eq!(client.hear(Announcement::Delta(merged)), Ok(()));
        prop_assert_eq!(client.members, server.members);
    }

    /// Lost, repeated and reordered messages are noticed: the list is one that the server had, and no
    /// older than before.
    #[test]
    fn a_bad_stream_never_changes_the_list_to_something_that_never_was(
        changes in vec(any_change(), 1..12), order in vec(0usize..40, 0..25),
    ) {
        let mut server = Server::new(1);
        let mut said = vec![server.welcome()];
        said.extend(server.snapshot());
        for (step, raw) in changes {
            let cursor = server.publisher.position().revision;
            server.change(step, &raw);
            let Step::Frame(frame) = server.publisher.next(cursor) else { panic!("just published") };
            said.push(Announcement::Delta(frame.body));
            said.extend(server.snapshot());
            said.push(Announcement::Bookmark { position: server.publisher.position(), digest: server.publisher.digest() });
        }
        let mut client = Client::new();
        for n in order {
            let before = client.follower.applied().map(|(at, _)| at.revision);
            if let Err(rejection) = client.hear(said[n % said.len()].clone()) {
                client.follower.rejected(rejection);
                prop_assert_eq!(client.follower.start(), Response::Start { applied: None });
                prop_assert_eq!(client.hear(said[0].clone()), Ok(()));
            }
            let Some((at, digest)) = client.follower.applied() else { continue };
            prop_assert!(before.is_none_or(|before| before <= at.revision), "went back");
            prop_assert_eq!(Digest::of(client.members.values()), digest);
            let state = server.history.iter().rev().find(|(revision, _)| *revision <= at.revision);
            prop_assert_eq!(&state.unwrap().1, &client.members);
        }
    }
}

#[test]
fn a_lost_member_is_noticed_by_the_next_delta_and_healed_by_a_snapshot() {
    let (mut server, mut client) = (Server::new(1), Client::new());
    server.change(1, &[(1, Some(5)), (2, Some(5))]);
    client.catch_up(&server).unwrap();
    server.change(1, &[(1, Some(6))]);
    client.members.clear();
    let rejection = client.catch_up(&server).unwrap_err();
    let Response::Refused { reason, .. } = client.follower.rejected(rejection) else { panic!("a refusal") };
    assert_eq!(reason, RefusalReason::DigestMismatch);
    client.catch_up(&server).unwrap();
    assert_eq!(client.members, server.members);
}

#[test]
fn silence_ends_a_stream() {
    let mut follower = Follower::new(None);
    assert_eq!(follower.poll_timeout(), None);
    let welcome = Announcement::Welcome { now: Moment::EPOCH, position: Position::default() };
    follower.handle(welcome, Moment::from_millis(1_000), |_| None).unwrap();
    assert_eq!(follower.poll_timeout(), Some(Moment::from_millis(46_000)));
    follower.start();
    assert_eq!(follower.poll_timeout(), None);
}

#[test]
fn a_kernel_refusal_keeps_the_position() {
    let (mut server, mut client) = (Server::new(1), Client::new());
    server.change(1, &[(1, Some(5))]);
    client.catch_up(&server).unwrap();
    let applied = client.follower.applied();
    client.follower.kernel_refused(server.publisher.position(), "set full".into());
    assert_eq!(client.follower.start(), Response::Start { applied });
}
