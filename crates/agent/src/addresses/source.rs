//! One source of addresses: what it gives now, and what it gave lately.

use std::net::IpAddr;

use sekisho_model::limits::ADDRESS_MEMORY;
use tokio::time::Instant;

/// The addresses of one source. One that is not given any more stays for [`ADDRESS_MEMORY`]: a route that is
/// down for a moment, or a resolver that tells of a few of many addresses at a time, changes nothing.
#[derive(Debug, Default)]
pub struct Source {
    /// With when each was given last; those that are given now first.
    known: Vec<(IpAddr, Instant)>,
    is_failing: bool,
}

impl Source {
    /// Takes in what was read at `now`. What cannot be read has said nothing: all of it stays. Returns the
    /// problem if it is a new one.
    pub fn take<E>(&mut self, read: Result<Vec<IpAddr>, E>, now: Instant) -> Option<E> {
        let was_failing = std::mem::replace(&mut self.is_failing, read.is_err());
        let given = match read {
            Ok(given) => given,
            Err(problem) => return (!was_failing).then_some(problem),
        };
        let known = std::mem::take(&mut self.known);
        let lately = known
            .into_iter()
            .filter(|(address, at)| !given.contains(address) && now.duration_since(*at) < ADDRESS_MEMORY);
        self.known = given.iter().map(|address| (*address, now)).chain(lately).collect();
        None
    }

    /// All of them, those that are given now first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.known.iter().map(|(address, _)| *address)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ips(lasts: &[u8]) -> Vec<IpAddr> {
        lasts.iter().map(|last| [192, 0, 2, *last].into()).collect()
    }

    #[test]
    fn what_cannot_be_read_keeps_what_was_known_and_is_said_once() {
        let (mut source, start) = (Source::default(), Instant::now());
        assert_eq!(source.take(Ok::<_, &str>(ips(&[1, 2])), start), None);
        let later = start + ADDRESS_MEMORY * 9;
        assert_eq!(source.take(Err("interrupted"), later), Some("interrupted"));
        assert_eq!(source.take(Err("interrupted"), later), None);
        assert_eq!(source.addresses().collect::<Vec<_>>(), ips(&[1, 2]));
        assert_eq!(source.take(Ok::<_, &str>(ips(&[2])), later), None);
        assert_eq!(source.addresses().collect::<Vec<_>>(), ips(&[2]), "it answered, and long after");
        assert_eq!(source.take(Err("again"), later), Some("again"));
    }

    #[test]
    fn what_comes_and_goes_stays_and_what_is_gone_goes() {
        let (mut source, start) = (Source::default(), Instant::now());
        let mut after = |seconds, lasts: &[u8]| {
            assert_eq!(source.take(Ok::<_, ()>(ips(lasts)), start + Duration::from_secs(seconds)), None);
            source.addresses().collect::<Vec<_>>()
        };
        assert_eq!(after(0, &[1, 2]), ips(&[1, 2]));
        assert_eq!(after(60, &[3]), ips(&[3, 1, 2]));
        assert_eq!(after(120, &[2]), ips(&[2, 3, 1]), "a resolver that turns its answers round");
        let memory = ADDRESS_MEMORY.as_secs();
        assert_eq!(after(memory + 60, &[2]), ips(&[2]), "the others are gone for as long as is remembered");
    }
}
