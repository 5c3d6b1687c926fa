//! One TCP SYN as bytes, IP header included, with correct checksums (RFC 791, RFC 8200, RFC 9293).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const HOP_LIMIT: u8 = 58;
/// Maximum segment size 1460, as most clients send it.
const OPTIONS: [u8; 4] = [2, 4, 0x05, 0xb4];
const TCP_LENGTH: u16 = 24;
/// The same in 32-bit words, in the upper half of its byte.
const DATA_OFFSET: u8 = 6 << 4;

/// A SYN from `from` to `to` with this sequence number; none if the families differ.
pub fn syn(from: SocketAddr, to: SocketAddr, sequence: u32) -> Option<Vec<u8>> {
    let mut tcp = Vec::with_capacity(usize::from(TCP_LENGTH));
    tcp.extend(from.port().to_be_bytes());
    tcp.extend(to.port().to_be_bytes());
    tcp.extend(sequence.to_be_bytes());
    tcp.extend([0; 4]);
    tcp.extend([DATA_OFFSET, SYN]);
    tcp.extend(64_240_u16.to_be_bytes());
    tcp.extend([0; 4]);
    tcp.extend(OPTIONS);
    let (mut packet, pseudo) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (header_v4(from, to), pseudo_v4(from, to)),
        (IpAddr::V6(from), IpAddr::V6(to)) => (header_v6(from, to), pseudo_v6(from, to)),
        _ => return None,
    };
    let sum = checksum(&[&pseudo, &tcp]);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    packet.extend(tcp);
    Some(packet)
}

fn header_v4(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + TCP_LENGTH).to_be_bytes());
    header.extend([0, 0, 0x40, 0, HOP_LIMIT, TCP, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

fn header_v6(from: Ipv6Addr, to: Ipv6Addr) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(TCP_LENGTH.to_be_bytes());
    header.extend([TCP, HOP_LIMIT]);
    header.extend(from.octets());
    header.extend(to.octets());
    header
}

fn pseudo_v4(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut pseudo = Vec::from(from.octets());
    pseudo.extend(to.octets());
    pseudo.extend([0, TCP]);
    pseudo.extend(TCP_LENGTH.to_be_bytes());
    pseudo
}

fn pseudo_v6(from: Ipv6Addr, to: Ipv6Addr) -> Vec<u8> {
    let mut pseudo = Vec::from(from.octets());
    pseudo.extend(to.octets());
    pseudo.extend(u32::from(TCP_LENGTH).to_be_bytes());
    pseudo.extend([0, 0, 0, TCP]);
    pseudo
}

/// The internet checksum (RFC 1071) over parts of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let words = words.map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    !words.fold(0, |sum: u16, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_verify() {
        // A correct checksum makes the sum over everything, itself included, come out as zero.
        let packet =
            syn("203.0.113.7:1024".parse().unwrap(), "198.51.100.11:80".parse().unwrap(), 7).unwrap();
        assert_eq!(packet.len(), 44);
        assert_eq!(checksum(&[&packet[..20]]), 0);
        let pseudo = pseudo_v4("203.0.113.7".parse().unwrap(), "198.51.100.11".parse().unwrap());
        assert_eq!(checksum(&[&pseudo, &packet[20..]]), 0);

        let (from, to) = ("2001:db8:bad::7".parse().unwrap(), "2001:db8:51::11".parse().unwrap());
        let packet = syn((from, 1024).into(), (to, 80).into(), 7).unwrap();
        assert_eq!(packet.len(), 64);
        let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) else { unreachable!() };
        assert_eq!(checksum(&[&pseudo_v6(from, to), &packet[40..]]), 0);
    }

    #[test]
    fn families_must_agree() {
        assert_eq!(syn("203.0.113.7:1".parse().unwrap(), "[2001:db8::1]:80".parse().unwrap(), 1), None);
    }
}
