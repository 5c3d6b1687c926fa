//! Elements of a set as the kernel lists them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use sekisho_ruleset::{Element, Kind, Range, SetName, range};

use super::constants::{
    COUNTER_PACKETS, DATA_VALUE, ELEMENT_EXPIRATION, ELEMENT_EXPRESSION, ELEMENT_EXPRESSIONS, ELEMENT_FLAGS,
    ELEMENT_KEY, EXPRESSION_DATA, EXPRESSION_NAME, FLAG_INTERVAL_END, LIST_ELEMENTS, LIST_ITEM,
};
use crate::attributes::Attributes;

/// One element, just as it is listed: an interval is two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its key.
    pub(super) key: IpAddr,
    /// Whether it ends an interval: the first address that is not in it.
    pub(super) end: bool,
    /// How long it still stays; zero if it has no timeout.
    pub(super) remaining: Duration,
    /// What its counter says, in packets; 0 if it has none.
    pub(super) packets: u64,
}

/// The elements in the payload of a `NFT_MSG_NEWSETELEM` message.
pub(super) fn parse(payload: &[u8]) -> impl Iterator<Item = Listed> {
    let attributes = Attributes(payload.get(4..).unwrap_or(&[]));
    let items = attributes.nested(LIST_ELEMENTS).filter(|(kind, _)| *kind == LIST_ITEM);
    items.filter_map(|(_, content)| listed(&Attributes(content)))
}

pub(super) fn listed(item: &Attributes<'_>) -> Option<Listed> {
    let key = item.nested(ELEMENT_KEY).find(DATA_VALUE)?;
    let key = match *key {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(key).ok()?)),
    };
    Some(Listed {
        key,
        end: item.u32(ELEMENT_FLAGS).unwrap_or(0) & FLAG_INTERVAL_END != 0,
        remaining: Duration::from_millis(item.u64(ELEMENT_EXPIRATION).unwrap_or(0)),
        packets: packets(item),
    })
}

/// The counter that an element carries, alone or among others.
fn packets(item: &Attributes<'_>) -> u64 {
    let alone = item.find(ELEMENT_EXPRESSION);
    let among = item.nested(ELEMENT_EXPRESSIONS).map(|(_, content)| content);
    let mut counters = alone.into_iter().chain(among).map(Attributes).filter_map(|expression| {
        let counter = expression.text(EXPRESSION_NAME) == Some("counter");
        counter.then(|| expression.nested(EXPRESSION_DATA).u64(COUNTER_PACKETS).unwrap_or(0))
    });
    counters.next().unwrap_or(0)
}

/// Puts the listed elements of `set` together: starts and ends become ranges.
///
/// An interval that has ended is listed by its end alone until the kernel sweeps it: an end without a
/// start before it says nothing. A start without an end reaches to the last address of its family.
pub(super) fn assemble(set: SetName, mut listed: Vec<Listed>) -> Vec<Element> {
    if set.kind() != Kind::Interval {
        let single =
            |each: &Listed| Element { set, range: Range::single(each.key), remaining: each.remaining };
        return listed.iter().map(single).collect();
    }
    // An interval may begin where another ends: the end first.
    listed.sort_unstable_by_key(|each| (each.key, !each.end));
    let mut elements = Vec::new();
    let mut open: Option<Listed> = None;
    for each in listed {
        if each.end {
            elements.extend(open.take().and_then(|start| closed(set, &start, range::previous(each.key))));
        } else {
            open = Some(each);
        }
    }
    let last = if set.family() == sekisho_ruleset::Family::V4 {
        IpAddr::V4(Ipv4Addr::BROADCAST)
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(u128::MAX))
    };
    elements.extend(open.and_then(|start| closed(set, &start, Some(last))));
    elements
}

fn closed(set: SetName, start: &Listed, last: Option<IpAddr>) -> Option<Element> {
    let range = Range::new(start.key, last?)?;
    Some(Element { set, range, remaining: start.remaining })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn each(key: &str, end: bool) -> Listed {
        Listed { key: key.parse().unwrap(), end, remaining: Duration::from_secs(5), packets: 0 }
    }

    fn text(listed: Vec<Listed>) -> String {
        let elements = assemble(SetName::DropNet4, listed);
        elements.iter().map(|element| format!("{} ", element.range)).collect()
    }

    #[test]
    fn starts_and_ends_become_ranges() {
        let two = vec![each("203.0.114.0", true), each("203.0.113.0", false), each("203.0.114.0", false)];
        assert_eq!(text(two), "203.0.113.0/24 203.0.114.0-255.255.255.255 ");
    }

    #[test]
    fn an_end_left_behind_says_nothing() {
        let swept = vec![each("10.0.1.0", true), each("203.0.113.0", false), each("203.0.114.0", true)];
        assert_eq!(text(swept), "203.0.113.0/24 ");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            parse(&bytes).count();
            listed(&Attributes(&bytes));
            packets(&Attributes(&bytes));
        }

        #[test]
        fn any_list_is_taken(raw: Vec<(u32, bool)>) {
            let listed = raw.iter().map(|(key, end)| {
                Listed { key: IpAddr::V4((*key).into()), end: *end, remaining: Duration::ZERO, packets: 0 }
            });
            assemble(SetName::Allow4, listed.collect());
        }
    }
}
