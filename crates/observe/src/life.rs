//! The life of one handshake as several sensors tell of it: it counts once, whoever proves first that it is stuck.
//!
//! A life begins with the first sign of a handshake between two ends. It is open while a socket or a tracked
//! connection is there, or its SYN-ACK was sent again lately. Another cookie between the same ends is another
//! handshake. Another tracked entry is one too, unless there is a socket to go by: conntrack may give an entry
//! up before the socket goes.

use core::time::Duration;

use sekisho_model::{
    Moment, Sensor, Sign,
    limits::{RESENT_LIFE, RESENT_MEMORY},
};

/// The kernel's first SYN-ACK timeout is 1 s (`TCP_TIMEOUT_INIT`, RFC 6298) and doubles with each. A
/// socket whose timer is further off than that has had a timeout; if nothing was sent again by it, the
/// peer has answered and the listener waits for data (`TCP_DEFER_ACCEPT`): no victim of spoofing.
pub(crate) const FIRST_TIMEOUT: Duration = Duration::from_millis(1_100);

/// sock_diag told of it in the current pass.
const SOCKET_NOW: u8 = 1;
/// sock_diag told of it in the last whole pass, or since.
const SOCKET: u8 = 2;
/// The same for conntrack.
const TRACKED_NOW: u8 = 4;
/// The same for conntrack.
const TRACKED: u8 = 8;
/// The peer has answered, and the listener waits for data.
const DEFERRED: u8 = 16;

/// One handshake. There may be a million of them, so that moments are kept as the low bits of their
/// milliseconds: differences of up to 49 days are right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// Both words of the cookie in one; 0 while there was no socket.
    cookie: u32,
    /// 0 while there was no tracked entry.
    id: u32,
    begun: u32,
    /// When anybody last told of it.
    seen: u32,
    /// When the tracepoint last did.
    heard: u32,
    /// How often the tracepoint did.
    resent: u8,
    /// The most retransmits that were told of; 0 while it is not proven stuck.
    told: u8,
    /// The most retransmits that somebody saw being sent; 0 while it was none.
    sent: u8,
    flags: u8,
}

/// What a sign proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Whether it was not proven stuck before.
    pub(crate) is_first: bool,
    /// The retransmits of its SYN-ACK.
    pub(crate) retransmits: u8,
}

impl Life {
    /// One that begins now.
    pub(crate) fn begun(now: Moment) -> Self {
        let now = low(now);
        Self { cookie: 0, id: 0, begun: now, seen: now, heard: now, resent: 0, told: 0, sent: 0, flags: 0 }
    }

    /// Takes a sign of it in; tells what is new by it.
    pub(crate) fn take(&mut self, sign: &Sign, now: Moment) -> Option<Told> {
        if self.is_another(sign, now) {
            *self = Self::begun(now);
        }
        self.seen = low(now);
        let retransmits = match *sign {
            Sign::Socket { cookie, retransmits, expires } => {
                self.cookie = short(cookie);
                self.flags |= SOCKET | SOCKET_NOW;
                if retransmits == 0 && expires > FIRST_TIMEOUT {
                    self.flags |= DEFERRED;
                }
                self.unless_deferred(retransmits)
            }
            Sign::Tracked { id } => {
                self.id = id;
                self.flags |= TRACKED | TRACKED_NOW;
                by_age(since(self.begun, now))
            }
            Sign::Resent => {
                self.resent = self.resent.saturating_add(1);
                self.heard = low(now);
                self.unless_deferred(self.resent)
            }
        };
        if retransmits <= self.told {
            return None;
        }
        let is_first = core::mem::replace(&mut self.told, retransmits) == 0;
        Some(Told { is_first, retransmits })
    }

    /// Whether the sign is one of a later handshake between the same ends.
    fn is_another(&self, sign: &Sign, now: Moment) -> bool {
        match *sign {
            Sign::Socket { cookie, .. } => self.cookie != 0 && self.cookie != short(cookie),
            Sign::Tracked { id } => self.id != 0 && self.id != id && !self.has(SOCKET),
            Sign::Resent => !self.has(SOCKET | TRACKED) && since(self.begun, now) >= RESENT_LIFE,
        }
    }

    /// How many SYN-ACKs a sign, which was taken, tells of that were sent to a handshake proven stuck, beyond those
    /// that were told of before: its first one, and what was sent again. A tracked entry tells of none.
    pub(crate) fn sent_since(&mut self, sign: &Sign) -> u64 {
        let sent = match *sign {
            Sign::Socket { retransmits, .. } => self.unless_deferred(retransmits),
            Sign::Resent => self.unless_deferred(self.resent),
            Sign::Tracked { .. } => 0,
        };
        let before = self.sent;
        self.sent = before.max(sent);
        u64::from(self.sent - before) + u64::from(before == 0 && self.sent > 0)
    }

    /// A sensor's pass has ended. Tells how many retransmits were sent if the socket of a stuck handshake is gone.
    pub(crate) fn end_pass(&mut self, sensor: Sensor, whole: bool) -> Option<u8> {
        let (in_pass, open) = match sensor {
            Sensor::SockDiag => (SOCKET_NOW, SOCKET),
            Sensor::Conntrack => (TRACKED_NOW, TRACKED),
            Sensor::Tracepoint => return None,
        };
        let is_gone = whole && !self.has(in_pass) && self.has(open);
        if is_gone {
            self.flags &= !open;
        }
        self.flags &= !in_pass;
        (is_gone && sensor == Sensor::SockDiag && self.sent > 0).then_some(self.sent)
    }

    /// Whether it goes on; or was told of no longer than `memory` ago, so that a sensor that is late may tell of
    /// it again.
    pub(crate) fn is_remembered(&self, memory: Duration, now: Moment) -> bool {
        self.has(SOCKET | TRACKED)
            || (self.resent > 0 && since(self.heard, now) < RESENT_MEMORY)
            || (self.told > 0 && since(self.seen, now) < memory)
    }

    fn has(&self, any: u8) -> bool {
        self.flags & any != 0
    }

    fn unless_deferred(&self, retransmits: u8) -> u8 {
        if self.has(DEFERRED) { 0 } else { retransmits }
    }
}

/// How often the kernel has sent the SYN-ACK of a handshake of this age again, if it is let: at 1, 3, 7, 15 s
/// and so on.
fn by_age(age: Duration) -> u8 {
    let doublings = age.as_secs().saturating_add(1).ilog2();
    u8::try_from(doublings).unwrap_or(u8::MAX)
}

/// The low bits of a moment's milliseconds.
fn low(moment: Moment) -> u32 {
    let [a, b, c, d, ..] = moment.as_millis().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn since(earlier: u32, now: Moment) -> Duration {
    Duration::from_millis(low(now).wrapping_sub(earlier).into())
}

/// A cookie is a counter with the number of a processor: both words in one tell those of one place in the table
/// apart. Never 0.
fn short(cookie: u64) -> u32 {
    let [a, b, c, d, e, f, g, h] = cookie.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h]).rotate_left(16)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Moment {
        Moment::from_millis(millis)
    }

    fn told(is_first: bool, retransmits: u8) -> Option<Told> {
        Some(Told { is_first, retransmits })
    }

    fn socket(cookie: u64, retransmits: u8) -> Sign {
        Sign::Socket { cookie, retransmits, expires: Duration::ZERO }
    }

    #[test]
    fn a_tracked_entry_counts_by_its_age() {
        let mut life = Life::begun(at(0));
        let mut take = |millis| life.take(&Sign::Tracked { id: 9 }, at(millis));
        assert_eq!([0, 500, 999].map(&mut take), [None; 3]);
        assert_eq!(take(1_000), told(true, 1));
        assert_eq!(take(2_999), None);
        assert_eq!([3_000, 7_000, 59_000].map(take), [told(false, 2), told(false, 3), told(false, 5)]);
    }

    #[test]
    fn several_sensors_prove_one_handshake_once() {
        let mut life = Life::begun(at(0));
        assert_eq!(life.take(&socket(5, 0), at(0)), None);
        assert_eq!(life.take(&Sign::Resent, at(1_010)), told(true, 1));
        assert_eq!(life.take(&socket(5, 1), at(1_100)), None);
        assert_eq!(life.take(&Sign::Tracked { id: 1 }, at(1_200)), None);
        assert_eq!(life.take(&socket(5, 2), at(3_100)), told(false, 2));
        assert_eq!(life.take(&Sign::Resent, at(3_100)), None);
        assert_eq!(life.take(&Sign::Resent, at(7_100)), told(false, 3));
    }

    #[test]
    fn another_cookie_or_entry_between_the_same_ends_is_another_handshake() {
        let mut life = Life::begun(at(0));
        assert_eq!(life.take(&socket(5, 1), at(1_000)), told(true, 1));
        assert_eq!(life.take(&socket(6, 1), at(9_000)), told(true, 1));
        assert_eq!(life.take(&Sign::Tracked { id: 1 }, at(9_100)), None);
        assert_eq!(life.take(&Sign::Tracked { id: 2 }, at(9_200)), None, "the socket is the same");
        life.end_pass(Sensor::SockDiag, true);
        life.end_pass(Sensor::SockDiag, true);
        assert_eq!(life.take(&Sign::Tracked { id: 3 }, at(20_000)), None, "a young one");
        assert_eq!(life.take(&Sign::Tracked { id: 3 }, at(21_000)), told(true, 1));
        assert_eq!(life.take(&socket(7, 1), at(21_500)), None, "its socket, found late");
    }

    #[test]
    fn a_deferred_accept_never_counts_by_its_retransmits() {
        let mut life = Life::begun(at(0));
        let waiting = Sign::Socket { cookie: 5, retransmits: 0, expires: Duration::from_millis(1_900) };
        assert_eq!(life.take(&waiting, at(1_100)), None);
        assert_eq!(life.take(&Sign::Resent, at(7_000)), None);
        assert_eq!(life.take(&socket(5, 1), at(7_100)), None);
        assert_eq!(life.take(&Sign::Tracked { id: 1 }, at(8_200)), told(true, 3), "it was not answered");
    }

    #[test]
    fn retransmits_that_never_end_are_those_of_new_handshakes() {
        let mut life = Life::begun(at(0));
        let firsts = (0..600).filter(|n| {
            let told = life.take(&Sign::Resent, at(n * 1_000));
            told.is_some_and(|told| told.is_first)
        });
        assert_eq!(firsts.collect::<alloc::vec::Vec<_>>(), [0, 130, 260, 390, 520]);
    }

    #[test]
    fn it_is_remembered_as_long_as_somebody_may_tell_of_it() {
        let memory = Duration::from_secs(85);
        let mut life = Life::begun(at(0));
        life.take(&Sign::Resent, at(0));
        assert!(life.is_remembered(Duration::ZERO, at(39_999)));
        assert!(!life.is_remembered(Duration::ZERO, at(40_000)));
        assert!(life.is_remembered(memory, at(84_999)) && !life.is_remembered(memory, at(85_000)));
        life.take(&socket(1, 0), at(90_000));
        life.end_pass(Sensor::SockDiag, true);
        assert!(life.is_remembered(Duration::ZERO, at(900_000)), "nobody said that it is gone");
        life.end_pass(Sensor::SockDiag, false);
        assert!(life.is_remembered(Duration::ZERO, at(900_000)));
        life.end_pass(Sensor::SockDiag, true);
        assert!(!life.is_remembered(memory, at(900_000)));
    }
}
