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
                Answer::Addresses(addresses) => *known = lowest(&addresses, MAX_NAME_ADDRESSES / 2),
                Answer::Nothing if has_some => known.clear(),
                Answer::Nothing | Answer::Failed => {}
            }
        }
        !has_none
    }

    /// All of them, as the engine holds them: sorted, each once.
    pub fn addresses(&self) -> Vec<IpAddr> {
        lowest(&self.0.concat(), MAX_NAME_ADDRESSES)
    }
}

/// The lowest `most` of them, whatever order they came in: a resolver turns them around with each answer.
fn lowest(addresses: &[IpAddr], most: usize) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
    all.sort_unstable();
    all.dedup();
    all.truncate(most);
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
            assert_eq!(known.addresses(), ips(left), "{answers:?}");
        }
    }

    #[test]
    fn the_lowest_are_kept_in_whatever_order_they_come() {
        let all: Vec<IpAddr> =
            (0u8..=255).flat_map(|last| [[192, 0, 2, last].into(), [198, 51, 100, last].into()]).collect();
        let mut known = Known::default();
        known.learn([Answer::Addresses(all.iter().rev().copied().collect()), Answer::Nothing]);
        let first = known.addresses();
        assert_eq!(first, (0..128).map(|last| [192, 0, 2, last].into()).collect::<Vec<IpAddr>>());
        known.learn([Answer::Addresses(all), Answer::Nothing]);
        assert_eq!(known.addresses(), first);
    }

    #[test]
    fn a_mapped_address_is_known_as_the_engine_holds_it() {
        let mut known = Known::default();
        known.learn([some(&["192.0.2.1"]), some(&["::ffff:192.0.2.1"])]);
        assert_eq!(known.addresses(), ips(&["192.0.2.1"]));
    }
}
