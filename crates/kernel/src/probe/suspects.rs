//! What may take packets around nf_tables: programs and links, by rtnetlink, that are known to.

use crate::{
    KernelError,
    attributes::Attributes,
    link::Link,
    message::{DUMP, Message},
};

/// `NETLINK_ROUTE`.
const PROTOCOL: isize = 0;
/// `RTM_NEWLINK`.
const NEW_LINK: u16 = 16;
/// `RTM_GETLINK`.
const GET_LINK: u16 = 18;
/// Bytes of `struct ifinfomsg`.
const HEADER: usize = 16;
/// `IFLA_IFNAME`.
const NAME: u16 = 3;
/// `IFLA_LINKINFO`.
const INFO: u16 = 18;
/// `IFLA_INFO_KIND`.
const KIND: u16 = 1;
/// `IFLA_XDP`.
const XDP: u16 = 43;
/// `IFLA_XDP_ATTACHED`: 0 for none.
const XDP_ATTACHED: u16 = 2;
/// Beginnings of the names of links that belong to eBPF data planes: Cilium's and Calico's.
const PLANES: [(&str, &str); 3] = [("cilium_", "Cilium"), ("lxc", "Cilium"), ("bpfin.cali", "Calico's eBPF")];

/// Something that may take packets around our rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suspect {
    /// A program runs on this link before the kernel's own way.
    Xdp(String),
    /// This link is netkit, whose programs hand packets on to pods.
    Netkit(String),
    /// A link of an eBPF data plane.
    Plane {
        /// The link.
        link: String,
        /// Whose it is.
        plane: &'static str,
    },
}

/// What there is in this thread's network namespace, sorted.
///
/// # Errors
/// When the kernel refuses the dump.
pub fn suspects() -> Result<Vec<Suspect>, KernelError> {
    let mut all = Vec::new();
    Link::open(PROTOCOL)?.ask(
        |writer, sequence| {
            writer.message(GET_LINK, DUMP, sequence, |body| body.bytes.extend([0; HEADER]));
        },
        |errno| KernelError::os("listing the host's links", errno),
        |message| all.extend(parse(&message)),
    )?;
    all.sort_unstable();
    Ok(all)
}

fn parse(message: &Message<'_>) -> Vec<Suspect> {
    let Some(attributes) = message.payload.get(HEADER..).map(Attributes) else { return Vec::new() };
    let Some(link) = attributes.text(NAME).filter(|_| message.kind == NEW_LINK) else { return Vec::new() };
    let attached = attributes.nested(XDP).find(XDP_ATTACHED).is_some_and(|mode| mode != [0]);
    let netkit = attributes.nested(INFO).text(KIND) == Some("netkit");
    let plane = PLANES.iter().find(|(prefix, _)| link.starts_with(prefix));
    let own = || link.to_owned();
    let found = [
        attached.then(|| Suspect::Xdp(own())),
        netkit.then(|| Suspect::Netkit(own())),
        plane.map(|(_, plane)| Suspect::Plane { link: own(), plane }),
    ];
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Messages, Writer};

    fn found(name: &str, xdp: u8, kind: &str) -> Vec<Suspect> {
        let mut writer = Writer::default();
        writer.message(NEW_LINK, 0, 1, |body| {
            body.bytes.extend([0; HEADER]);
            body.text(NAME, name);
            body.nest(XDP, |inner| inner.attribute(XDP_ATTACHED, &[&[xdp]]));
            body.nest(INFO, |inner| inner.text(KIND, kind));
        });
        parse(&Messages(&writer.bytes).next().unwrap())
    }

    #[test]
    fn what_takes_packets_around_is_told() {
        assert_eq!(found("eth0", 0, "veth"), []);
        assert_eq!(found("eth0", 1, "veth"), [Suspect::Xdp("eth0".into())]);
        assert_eq!(found("pod7", 0, "netkit"), [Suspect::Netkit("pod7".into())]);
        assert_eq!(
            found("cilium_host", 0, "veth"),
            [Suspect::Plane { link: "cilium_host".into(), plane: "Cilium" }]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(payload: Vec<u8>) {
            parse(&Message { kind: NEW_LINK, flags: 0, sequence: 1, payload: &payload });
        }
    }
}
