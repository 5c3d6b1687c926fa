//! How full the sets are that the rules fill, after real packets.

use crate::{
    lab::{address, wait_for},
    suppress::{commit, half_open, listener, service, spoof, with_server},
};
use sekisho_kernel::Nft;
use sekisho_ruleset::{Fill, SetName};

#[test]
fn what_the_rules_put_is_counted() {
    with_server(|outside| {
        let listener = listener();
        let mut nft = Nft::open().unwrap();
        let sets = [
            SetName::Hit4,
            SetName::Hit6,
            SetName::SupHit4,
            SetName::SupHit6,
            SetName::Answered4,
            SetName::Answered6,
        ];
        let empty = sets.map(|set| Fill { set, elements: 0 });
        assert_eq!(nft.fills().unwrap(), empty);
        commit(
            "add element dropnet4 203.0.113.0/24 timeout 600s\n\
             add element suppressnet4 198.51.100.0/24 timeout 600s\n\
             add element suppressnet6 2001:db8:bad::/48 timeout 600s",
        );
        for low in 1..=5 {
            let victim = address(&format!("203.0.113.{low}"));
            spoof(outside, victim, service(&listener, victim), 2);
        }
        for victim in ["198.51.100.9", "2001:db8:bad:1::9"].map(address) {
            spoof(outside, victim, service(&listener, victim), 7);
        }
        let elements = |nft: &mut Nft, set| {
            nft.fills().unwrap().iter().find(|fill| fill.set == set).map(|fill| fill.elements)
        };
        wait_for("the hits", || (elements(&mut nft, SetName::Hit4) == Some(5)).then_some(()));
        wait_for("both families' handshakes", || {
            let answered = [SetName::Answered4, SetName::Answered6].map(|set| elements(&mut nft, set));
            (answered == [Some(7); 2]).then_some(())
        });
        wait_for("the retransmits", || (half_open() == 0).then_some(()));
        let hits = [SetName::Hit6, SetName::SupHit4, SetName::SupHit6].map(|set| elements(&mut nft, set));
        assert_eq!(hits, [Some(0), Some(1), Some(1)]);
    });
}
