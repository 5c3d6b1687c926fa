//! A filter by the peer's prefix, as the bytecode that inet_diag runs over each socket
//! (`struct inet_diag_bc_op` of `linux/inet_diag.h`).
//!
//! A socket is accepted when the run ends exactly at the end of the code, and refused when it jumps over it.
//! A condition names two distances: one if it holds, in 8 bits, and one if not, in 16; a jump has the
//! latter. Prefixes are laid out as a tree, so that a socket whose peer is in none of them, as nearly all are,
//! costs a few conditions and not one for each prefix:
//!
//! ```text
//! several prefixes:  peer in what holds them all?   no: over this
//!                    those of its first half, those of its second half
//! one prefix:        peer in it?                    no: over this
//!                    jump to the end
//! at the end:        jump over the end
//! ```

use std::net::IpAddr;

use sekisho_model::Prefix;

use crate::message::Writer;

/// `INET_DIAG_BC_JMP`: goes by its second distance; the first one only leads the kernel's check through the
/// code.
const JUMP: u8 = 1;
/// `INET_DIAG_BC_D_COND`: the peer's address and port.
const PEER: u8 = 8;
/// Bytes of `struct inet_diag_bc_op`.
const STEP: usize = 4;
/// Bytes of `struct inet_diag_hostcond` before the address: family, length, two of padding, port.
const HOST: usize = 8;
/// Any port.
const ANY_PORT: i32 = -1;

/// The code that accepts sockets whose peer is in one of `prefixes`. None of it for none: no code accepts
/// everything.
///
/// A condition about IPv4 also holds for the IPv4-mapped peers of IPv6 sockets: the kernel sees to that.
pub(super) fn by_peer(prefixes: &[Prefix]) -> Vec<u8> {
    let widest = disjoint(prefixes);
    let (v4, v6) = widest.split_at(widest.partition_point(Prefix::is_ipv4));
    if widest.is_empty() {
        return Vec::new();
    }
    let mut code = Writer::default();
    let end = bytes(v4) + bytes(v6) + STEP;
    any_of(&mut code, v4, end);
    any_of(&mut code, v6, end);
    step(&mut code, JUMP, STEP, 2 * STEP);
    code.bytes
}

/// The prefixes in their order, without those that lie in another one.
pub(super) fn disjoint(prefixes: &[Prefix]) -> Vec<Prefix> {
    let mut sorted = prefixes.to_vec();
    sorted.sort_unstable();
    let mut widest: Vec<Prefix> = Vec::with_capacity(sorted.len());
    for prefix in sorted {
        if !widest.last().is_some_and(|before| before.covers(&prefix)) {
            widest.push(prefix);
        }
    }
    widest
}

/// Writes the code that goes to `end` if the peer is in one of `prefixes`, which are of one family, in order and
/// disjoint; and on behind itself if not.
fn any_of(code: &mut Writer, prefixes: &[Prefix], end: usize) {
    match prefixes {
        [] => {}
        [prefix] => {
            condition(code, prefix, bytes(prefixes));
            let here = code.bytes.len();
            step(code, JUMP, STEP, end - here);
        }
        [first, .., last] => {
            let around = around(first, last);
            condition(code, &around, bytes(prefixes));
            let in_first_half =
                |prefix: &Prefix| prefix.widened(around.length() + 1).address() == around.address();
            let (low, high) = prefixes.split_at(prefixes.partition_point(in_first_half));
            any_of(code, low, end);
            any_of(code, high, end);
        }
    }
}

/// The narrowest prefix that holds both.
fn around(first: &Prefix, last: &Prefix) -> Prefix {
    let bits = match (first.address(), last.address()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    };
    first.widened(u8::try_from(bits).unwrap_or(u8::MAX))
}

/// How long the code for `prefixes` of one family is: a tree has one fork less than leaves.
fn bytes(prefixes: &[Prefix]) -> usize {
    let leaves = prefixes.len();
    prefixes
        .first()
        .map_or(0, |first| leaves * (condition_bytes(first) + STEP) + (leaves - 1) * condition_bytes(first))
}

fn condition_bytes(prefix: &Prefix) -> usize {
    STEP + HOST + if prefix.is_ipv4() { 4 } else { 16 }
}

/// Writes a step: its code and its distances, from its own beginning.
fn step(code: &mut Writer, kind: u8, yes: usize, no: usize) {
    code.bytes.push(kind);
    // Neither is ever more: one is a condition's size, the other the size of the whole code.
    code.bytes.push(u8::try_from(yes).unwrap_or(u8::MAX));
    code.bytes.extend(u16::try_from(no).unwrap_or(u16::MAX).to_ne_bytes());
}

/// Writes a condition that goes on behind itself if it holds, and `otherwise` bytes on if not.
fn condition(code: &mut Writer, prefix: &Prefix, otherwise: usize) {
    step(code, PEER, condition_bytes(prefix), otherwise);
    let family = if prefix.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    code.bytes.extend([u8::try_from(family).unwrap_or(0), prefix.length(), 0, 0]);
    code.bytes.extend(ANY_PORT.to_ne_bytes());
    match prefix.address() {
        IpAddr::V4(four) => code.bytes.extend(four.octets()),
        IpAddr::V6(six) => code.bytes.extend(six.octets()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// What the kernel's `inet_diag_bc_run` makes of the code for a peer.
    fn run(code: &[u8], peer: IpAddr) -> bool {
        let mut at = 0;
        while at < code.len() {
            let (kind, yes) = (code[at], usize::from(code[at + 1]));
            let no = usize::from(u16::from_ne_bytes([code[at + 2], code[at + 3]]));
            let holds = match kind {
                JUMP => false,
                PEER => {
                    let (family, length) = (i32::from(code[at + 4]), code[at + 5]);
                    let address = &code[at + STEP + HOST..at + yes];
                    let prefix = if family == libc::AF_INET {
                        IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address).unwrap()))
                    } else {
                        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).unwrap()))
                    };
                    Prefix::new(prefix, length).unwrap().contains(peer)
                }
                other => panic!("step {other}"),
            };
            at += if holds { yes } else { no };
        }
        at == code.len()
    }

    /// What `inet_diag_bc_audit` asks of the code.
    fn audited(code: &[u8]) -> bool {
        let mut starts = vec![0];
        while let Some(at) = starts.last().copied().filter(|at| *at < code.len()) {
            starts.push(at + usize::from(code[at + 1]));
        }
        let jumps_well = |at: &usize| {
            let no = usize::from(u16::from_ne_bytes([code[at + 2], code[at + 3]]));
            let target = at + no;
            no >= STEP
                && no % 4 == 0
                && target <= code.len() + 4
                && (target > code.len() || starts.contains(&target))
        };
        starts.last() == Some(&code.len()) && starts[..starts.len() - 1].iter().all(jumps_well)
    }

    fn prefix() -> impl Strategy<Value = Prefix> {
        (any::<bool>(), 0u8..16, 0u8..=3, any::<bool>()).prop_map(|(six, low, wider, far)| {
            let address = if six {
                IpAddr::V6(Ipv6Addr::from_bits(u128::from(low) | u128::from(far) << 127))
            } else {
                IpAddr::from([if far { 203 } else { 9 }, 0, 113, low])
            };
            let host = Prefix::host(address);
            host.widened(host.length() - wider)
        })
    }

    proptest! {
        #[test]
        fn just_the_peers_of_the_prefixes_are_accepted(prefixes in vec(prefix(), 1..40), peer in prefix()) {
            let code = by_peer(&prefixes);
            prop_assert!(audited(&code));
            let peer = peer.address();
            prop_assert_eq!(run(&code, peer), prefixes.iter().any(|prefix| prefix.contains(peer)));
        }
    }

    #[test]
    fn as_many_as_may_be_asked_for_fit_into_the_distances() {
        let most = sekisho_model::limits::MAX_COMPLETED_PREFIXES;
        let prefixes: Vec<Prefix> =
            (0..most as u128).map(|low| Prefix::host(IpAddr::V6((low | 1 << 127).into()))).collect();
        let code = by_peer(&prefixes);
        assert!(code.len() < usize::from(u16::MAX) && audited(&code));
        assert!(run(&code, prefixes[most - 1].address()) && run(&code, prefixes[0].address()));
        assert!(by_peer(&[]).is_empty());
    }
}
