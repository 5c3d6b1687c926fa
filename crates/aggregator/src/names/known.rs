//! What is known of a protected name: its addresses, and what a look-up of both families changes about them.

use std::net::IpAddr;

use sekisho_model::limits::MAX_NAME_ADDRESSES;

/// The addresses of a name, IPv4 and IPv6 apart, since each family is looked up by itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Known([Vec<IpAddr>; 2]);

/// What the look-up of one family came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// The name has none of this family, or there is no such name.
    Nothing,
    /// No answer.
    Failed,
}

impl Known {
    /// What the engine protects for the name.
    pub fn of(addresses: &[IpAddr]) -> Self {
        let (v4, v6) = addresses.iter().partition(|address| address.is_ipv4());
        Self([v4, v6])
    }

    /// Takes a look-up in. A family is forgotten only when the other one answered: a zone that was emptied by
    /// mistake, or a resolver that knows no such name, takes nobody's protection away. False if both have
    /// nothing, so that what was known is kept.
    pub fn learn(&mut self, answers: [Answer; 2]) -> bool {
        let has_some = answers.iter().any(|answer| matches!(answer, Answer::Addresses(_)));
        let has_none = answers.iter().all(|answer| *answer == Answer::Nothing);
        for (known, answer) in self.0.iter_mut().zip(answers) {
            match answer {
                Answer::Addresses(addresses) => *known = sorted(&addresses),
                Answer::Nothing if has_some => known.clear(),
                Answer::Nothing | Answer::Failed => {}
            }
        }
        !has_none
    }

    /// All of them, sorted, each once; how many are left out where there are more than may be protected. Those that
    /// are `protected` stay, so that a name which turns its addresses around does not let go of them in turn.
    pub fn addresses(&self, protected: &[IpAddr]) -> (Vec<IpAddr>, usize) {
        let all = sorted(&self.0.concat());
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = all.iter().partition(|one| one.is_ipv4());
        // Each family has half of the room for sure, and what the other one leaves.
        let half = MAX_NAME_ADDRESSES / 2;
        let room = [&v6, &v4].map(|other| MAX_NAME_ADDRESSES - other.len().min(half));
        let mut kept: Vec<IpAddr> =
            [v4, v6].into_iter().zip(room).flat_map(|(all, room)| chosen(all, protected, room)).collect();
        kept.sort_unstable();
        let left_out = all.len() - kept.len();
        (kept, left_out)
    }
}

/// The first `room` of them: those that are protected, then the lowest.
fn chosen(mut all: Vec<IpAddr>, protected: &[IpAddr], room: usize) -> Vec<IpAddr> {
    if all.len() > room {
        all.sort_by_key(|one| protected.binary_search(one).is_err());
        all.truncate(room);
    }
    all
}

/// Sorted, each once: a resolver turns them around with each answer.
fn sorted(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn some(all: &[&str]) -> Answer {
        Answer::Addresses(ips(all))
    }

    #[test]
    fn only_an_answer_takes_an_address_away() {
        use Answer::{Failed, Nothing};
        let both = ["192.0.2.1", "2001:db8::1"];
        let cases = [
            ([Failed, Failed], &both[..], true),
            ([Nothing, Nothing], &both, false),
            ([Nothing, Failed], &both, true),
            ([Failed, Nothing], &both, true),
            ([Nothing, some(&["2001:db8::1"])], &["2001:db8::1"], true),
            ([some(&["192.0.2.1"]), Nothing], &["192.0.2.1"], true),
            ([some(&["192.0.2.9"]), Failed], &["192.0.2.9", "2001:db8::1"], true),
            ([Failed, some(&["2001:db8::9"])], &["192.0.2.1", "2001:db8::9"], true),
        ];
        for (answers, left, is_answered) in cases {
            let mut known = Known::of(&ips(&both));
            assert_eq!(known.learn(answers.clone()), is_answered, "{answers:?}");
            assert_eq!(known.addresses(&[]), (ips(left), 0), "{answers:?}");
        }
    }

    fn many(third: u8, count: u16) -> Vec<IpAddr> {
        (0..count)
            .map(|n| [192, 0, third + u8::try_from(n / 256).unwrap(), (n % 256).to_le_bytes()[0]].into())
            .collect()
    }

    #[test]
    fn as_many_as_there_is_room_for_are_kept_in_whatever_order_they_come() {
        let all = many(2, 300);
        let mut known = Known::default();
        known.learn([Answer::Addresses(all.iter().rev().copied().collect()), Answer::Nothing]);
        let (first, left_out) = known.addresses(&[]);
        assert_eq!((&first[..], left_out), (&all[..256], 44));
        known.learn([Answer::Addresses(all), some(&["2001:db8::1"])]);
        let (with_ipv6, left_out) = known.addresses(&first);
        assert_eq!((with_ipv6.len(), left_out), (256, 45));
        assert!(with_ipv6.contains(&"2001:db8::1".parse().unwrap()), "each family has room");
    }

    #[test]
    fn what_is_protected_stays_while_the_name_has_it() {
        let protected = many(9, 256);
        let mut known = Known::default();
        known.learn([Answer::Addresses([many(2, 100), protected.clone()].concat()), Answer::Nothing]);
        assert_eq!(known.addresses(&protected), (protected.clone(), 100));
        known.learn([Answer::Addresses([many(2, 100), protected[..200].to_vec()].concat()), Answer::Nothing]);
        let expected = [&many(2, 56)[..], &protected[..200]].concat();
        assert_eq!(known.addresses(&protected), (expected, 44));
    }

    #[test]
    fn a_mapped_address_is_known_as_the_engine_holds_it() {
        let mut known = Known::default();
        known.learn([some(&["192.0.2.1"]), some(&["::ffff:192.0.2.1"])]);
        assert_eq!(known.addresses(&[]), (ips(&["192.0.2.1"]), 0));
    }
}
