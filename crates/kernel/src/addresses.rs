//! The addresses of this host and its default gateways, by rtnetlink(7): what must never be listed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    KernelError,
    attributes::Attributes,
    link::Link,
    message::{DUMP, Message, u16_at},
};

/// `NETLINK_ROUTE`.
const PROTOCOL: isize = 0;
/// `RTM_NEWADDR`.
const NEW_ADDRESS: u16 = 20;
/// `RTM_GETADDR`.
const GET_ADDRESS: u16 = 22;
/// Bytes of `struct ifaddrmsg`.
const HEADER: usize = 8;
/// `IFA_ADDRESS`: the other end on point-to-point links, ours elsewhere.
const ADDRESS: u16 = 1;
/// `IFA_LOCAL`: ours, where it is given.
const LOCAL: u16 = 2;

/// `RTM_NEWROUTE`.
const NEW_ROUTE: u16 = 24;
/// `RTM_GETROUTE`.
const GET_ROUTE: u16 = 26;
/// Bytes of `struct rtmsg`.
const ROUTE_HEADER: usize = 12;
/// `RTA_GATEWAY`.
const GATEWAY: u16 = 5;
/// `RTA_MULTIPATH`: several next hops, each a `struct rtnexthop` and attributes.
const MULTIPATH: u16 = 9;
/// `RTA_VIA`: a gateway of another family, after that family in 16 bits.
const VIA: u16 = 18;
/// Bytes of `struct rtnexthop`.
const HOP_HEADER: usize = 8;

/// All addresses of all interfaces in this thread's network namespace, loopback as well, sorted and
/// each once.
///
/// # Errors
/// When the kernel refuses the dump, or addresses changed meanwhile ([`KernelError::Inconsistent`]).
pub fn own_addresses() -> Result<Vec<IpAddr>, KernelError> {
    let mut all = Vec::new();
    let interrupted = Link::open(PROTOCOL)?.ask(
        |writer, sequence| {
            // A zero `struct ifaddrmsg`: any family, any interface.
            writer.message(GET_ADDRESS, DUMP, sequence, |body| body.bytes.extend([0; HEADER]));
        },
        |errno| KernelError::os("listing the host's addresses", errno),
        |message| all.extend(parse(&message)),
    )?;
    if interrupted {
        return Err(KernelError::Inconsistent);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn parse(message: &Message<'_>) -> Option<IpAddr> {
    if message.kind != NEW_ADDRESS {
        return None;
    }
    let attributes = Attributes(message.payload.get(HEADER..)?);
    address(attributes.find(LOCAL).or_else(|| attributes.find(ADDRESS))?)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| IpAddr::V6(Ipv6Addr::from(sixteen)))
}

/// The gateways of all default routes in this thread's network namespace, of any table, sorted and each
/// once.
///
/// While routes change, one may be missing: where a whole internet's routes are held, they always do.
///
/// # Errors
/// When the kernel refuses the dump.
pub fn gateways() -> Result<Vec<IpAddr>, KernelError> {
    let mut all = Vec::new();
    let mut link = Link::open(PROTOCOL)?;
    for family in [libc::AF_INET, libc::AF_INET6] {
        link.ask(
            |writer, sequence| {
                writer.message(GET_ROUTE, DUMP, sequence, |body| {
                    body.bytes.push(u8::try_from(family).unwrap_or(0));
                    body.bytes.extend([0; ROUTE_HEADER - 1]);
                });
            },
            |errno| KernelError::os("listing the host's routes", errno),
            |message| default_route(&message, &mut all),
        )?;
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Adds the gateways of a route to everywhere; of another one nothing.
fn default_route(message: &Message<'_>, all: &mut Vec<IpAddr>) {
    let Some((header, rest)) = message.payload.split_first_chunk::<ROUTE_HEADER>() else { return };
    let [_family, destination_length, ..] = *header;
    if message.kind != NEW_ROUTE || destination_length != 0 {
        return;
    }
    let attributes = Attributes(rest);
    all.extend(gateway(&attributes));
    let mut hops = attributes.find(MULTIPATH).unwrap_or(&[]);
    while let Some(hop) = u16_at(hops, 0).and_then(|length| hops.get(HOP_HEADER..usize::from(length))) {
        all.extend(gateway(&Attributes(hop)));
        hops = hops.get((HOP_HEADER + hop.len()).next_multiple_of(4)..).unwrap_or(&[]);
    }
}

fn gateway(attributes: &Attributes<'_>) -> Option<IpAddr> {
    address(attributes.find(GATEWAY).or_else(|| attributes.find(VIA)?.get(2..))?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_route_is_taken(payload: Vec<u8>, mut hops: Vec<u8>, length: u8) {
            let mut all = Vec::new();
            default_route(&Message { kind: NEW_ROUTE, flags: 0, sequence: 0, payload: &payload }, &mut all);
            if let Some(first) = hops.first_mut() {
                *first = length;
            }
            let mut writer = crate::message::Writer::default();
            writer.bytes.extend([0; ROUTE_HEADER]);
            writer.attribute(MULTIPATH, &[&hops]);
            default_route(&Message { kind: NEW_ROUTE, flags: 0, sequence: 0, payload: &writer.bytes }, &mut all);
        }

        #[test]
        fn any_bytes_are_taken(payload: Vec<u8>) {
            parse(&Message { kind: NEW_ADDRESS, flags: 0, sequence: 0, payload: &payload });
        }
    }
}
