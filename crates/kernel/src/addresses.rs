//! The addresses of this host, by rtnetlink(7): what must never be listed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    KernelError,
    attributes::Attributes,
    link::Link,
    message::{DUMP, Message},
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
    let bytes = attributes.find(LOCAL).or_else(|| attributes.find(ADDRESS))?;
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| IpAddr::V6(Ipv6Addr::from(sixteen)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_taken(payload: Vec<u8>) {
            parse(&Message { kind: NEW_ADDRESS, flags: 0, sequence: 0, payload: &payload });
        }
    }
}
