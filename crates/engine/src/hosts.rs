//! The hosts that report: who they are, where their sequences stand, and their numbers.

use alloc::{collections::BTreeMap, vec::Vec};
use core::net::IpAddr;

use sekisho_model::{Batch, HostId, Moment, Prefix, Sensor, Totals, Zone};

/// What the engine knows about one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRecord {
    /// Who, by certificate.
    pub id: HostId,
    /// Its failure domain, by its configuration.
    pub zone: Option<Zone>,
    /// Its own addresses, sorted; never listed, whether it is connected or not.
    pub addresses: Vec<IpAddr>,
    /// Whether its report stream is up.
    pub connected: bool,
    /// The session of its last batch; 0 before the first.
    pub session: u64,
    /// The last sequence of that session that is in the log; 0 before the first.
    pub sequence: u64,
    /// When it last joined, left or reported, by the log's time.
    pub last_seen: Moment,
    /// The host as a whole, by its last batch.
    pub totals: Totals,
    /// Observations that were taken from it.
    pub observations: u64,
    /// Until when its single sightings do not count.
    pub flooded_until: Moment,
    /// Until when its evidence does not count at all.
    pub outage_until: Moment,
    /// Whether it was said that it is limited: it brought more single units than it may.
    pub is_limited: bool,
    /// What of it guards held back.
    pub held: Held,
    /// The minute that `minute_units` is about; it never goes back.
    pub minute: i64,
    /// Units that it saw stuck in that minute.
    pub minute_units: u64,
    /// What it usually completes, and what it completes now.
    pub meter: Meter,
}

/// What guards held back of a host, each since it began to act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Observations of no more than one socket, while it was flooded.
    pub uncounted: u64,
    /// Observations and hits, while its path was broken.
    pub ignored: u64,
    /// Observations of units that were not tracked, since it had brought too many.
    pub untracked: u64,
}

/// How many handshakes a host completes: by it, a broken path is told from an attack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// When its last totals were seen; none before the first of a session.
    pub taken: Option<Moment>,
    /// Completed handshakes a second, in thousandths, as learnt; none before anything was.
    pub usual: Option<u64>,
    /// Milliseconds that are not judged yet.
    pub millis: u64,
    /// Handshakes that were completed in those.
    pub completed: u64,
    /// Networks of the units that got stuck in those, sorted; no more than it takes.
    pub networks: Vec<Prefix>,
}

impl HostRecord {
    fn new(id: HostId) -> Self {
        Self {
            id,
            zone: None,
            addresses: Vec::new(),
            connected: false,
            session: 0,
            sequence: 0,
            last_seen: Moment::EPOCH,
            totals: Totals::default(),
            observations: 0,
            flooded_until: Moment::EPOCH,
            outage_until: Moment::EPOCH,
            is_limited: false,
            held: Held::default(),
            minute: 0,
            minute_units: 0,
            meter: Meter::default(),
        }
    }

    /// The last sequence of `session` that is in the log; 0 if none is.
    pub fn durable_sequence(&self, session: u64) -> u64 {
        if self.session == session { self.sequence } else { 0 }
    }

    /// Takes the head of a batch in. Returns what it tells beyond the batch before of the same session;
    /// `None` for a batch that the log holds already.
    pub(crate) fn advance(&mut self, batch: &Batch, now: Moment) -> Option<Grown> {
        if batch.sequence <= self.durable_sequence(batch.session) {
            return None;
        }
        let (before, goes_on) = (self.totals, self.session == batch.session);
        (self.session, self.sequence) = (batch.session, batch.sequence);
        (self.totals, self.last_seen) = (batch.totals, now);
        let more = |new: u64, old: u64| if goes_on { new.saturating_sub(old) } else { 0 };
        Some(Grown {
            completed: goes_on.then(|| batch.totals.completed.saturating_sub(before.completed)),
            cookies: if batch.totals.sensors.has(Sensor::Conntrack) {
                0
            } else {
                more(batch.totals.cookies_sent, before.cookies_sent)
            },
            stuck_units: more(batch.totals.stuck_units, before.stuck_units),
        })
    }

    /// Counts `units` more that it saw stuck by `at`; returns how many those are in that minute.
    pub(crate) fn count_units(&mut self, units: u64, at: Moment) -> u64 {
        let minute = at.as_millis().div_euclid(60_000).max(self.minute);
        if core::mem::replace(&mut self.minute, minute) != minute {
            self.minute_units = 0;
        }
        self.minute_units = self.minute_units.saturating_add(units);
        self.minute_units
    }

    /// Whether its single sightings count at `now`.
    pub(crate) fn is_flooded(&self, now: Moment) -> bool {
        self.flooded_until > now
    }

    /// Whether its path is broken at `now`.
    pub(crate) fn is_in_outage(&self, now: Moment) -> bool {
        self.outage_until > now
    }
}

/// What a batch's totals tell beyond those of the batch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grown {
    /// Completed handshakes; none for the first batch of a session.
    pub(crate) completed: Option<u64>,
    /// SYN cookies that answered handshakes which no sensor sees.
    pub(crate) cookies: u64,
    /// Units that got stuck.
    pub(crate) stuck_units: u64,
}

/// All hosts ever seen, each with a number for short.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    records: Vec<HostRecord>,
    numbers: BTreeMap<HostId, u32>,
    /// The zone of each host as a number, by the host's number; 0 for none.
    zone_of: Vec<u32>,
    /// The numbers of the zones that hosts are in, and of how many each.
    zones: BTreeMap<Zone, (u32, u32)>,
    last_zone: u32,
    connected: u32,
    /// Until when some host is in outage.
    outage_until: Moment,
}

impl Hosts {
    /// The number of `id`, which becomes known if it is not; `None` when `bound` hosts are.
    pub(crate) fn number_or_add(&mut self, id: &HostId, bound: usize) -> Option<u32> {
        if let Some(number) = self.number(id) {
            return Some(number);
        }
        let number = u32::try_from(self.records.len()).ok().filter(|_| self.records.len() < bound)?;
        self.add(HostRecord::new(id.clone()), number);
        Some(number)
    }

    /// The hosts of a checkpoint, in the order of their numbers.
    pub(crate) fn restored(records: Vec<HostRecord>) -> Self {
        let mut hosts = Self::default();
        for (record, number) in records.into_iter().zip(0..) {
            hosts.add(record, number);
        }
        hosts
    }

    pub(crate) fn number(&self, id: &HostId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    pub(crate) fn by_number(&self, number: u32) -> Option<&HostRecord> {
        self.records.get(number as usize)
    }

    pub(crate) fn by_number_mut(&mut self, number: u32) -> Option<&mut HostRecord> {
        self.records.get_mut(number as usize)
    }

    pub(crate) fn get(&self, id: &HostId) -> Option<&HostRecord> {
        self.by_number(self.number(id)?)
    }

    /// Sorted by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &HostRecord> {
        self.numbers.values().filter_map(|number| self.by_number(*number))
    }

    /// In the order of their numbers.
    pub(crate) fn records(&self) -> &[HostRecord] {
        &self.records
    }

    /// Hosts that are connected.
    pub(crate) fn connected(&self) -> u32 {
        self.connected
    }

    /// The zone of each host as a number, by the host's number; 0 for none.
    pub(crate) fn zone_of(&self) -> &[u32] {
        &self.zone_of
    }

    /// A host is here, in this zone, or not here any more.
    pub(crate) fn set_presence(&mut self, number: u32, connected: bool, zone: Option<Option<&Zone>>) {
        if let Some(zone) = zone {
            self.move_to(number, zone);
        }
        let Some(record) = self.records.get_mut(number as usize) else { return };
        match (record.connected, connected) {
            (false, true) => self.connected += 1,
            (true, false) => self.connected -= 1,
            _ => {}
        }
        record.connected = connected;
    }

    /// A zone is known while a host is in it: there are no more of them than hosts, whatever names hosts give.
    fn move_to(&mut self, number: u32, zone: Option<&Zone>) {
        let at = number as usize;
        let entered = zone.map_or(0, |zone| self.enter(zone));
        let (Some(record), Some(zone_of)) = (self.records.get_mut(at), self.zone_of.get_mut(at)) else {
            return;
        };
        *zone_of = entered;
        let Some(left) = core::mem::replace(&mut record.zone, zone.cloned()) else { return };
        if let Some((_, hosts)) = self.zones.get_mut(&left) {
            *hosts -= 1;
            if *hosts == 0 {
                self.zones.remove(&left);
            }
        }
    }

    /// One more host is in `zone`, which has this number.
    fn enter(&mut self, zone: &Zone) -> u32 {
        if !self.zones.contains_key(zone) {
            self.last_zone = self.last_zone.wrapping_add(1).max(1);
        }
        let (number, hosts) = self.zones.entry(zone.clone()).or_insert((self.last_zone, 0));
        *hosts += 1;
        *number
    }

    /// The path of a host is broken, until then.
    pub(crate) fn set_outage(&mut self, number: u32, until: Moment) {
        self.outage_until = self.outage_until.max(until);
        if let Some(record) = self.by_number_mut(number) {
            record.outage_until = until;
        }
    }

    /// Whether the path of a host is broken at `now`.
    pub(crate) fn is_in_outage(&self, number: u32, now: Moment) -> bool {
        self.outage_until > now && self.by_number(number).is_some_and(|record| record.is_in_outage(now))
    }

    fn add(&mut self, record: HostRecord, number: u32) {
        let zone = record.zone.as_ref().map_or(0, |zone| self.enter(zone));
        self.zone_of.push(zone);
        self.connected += u32::from(record.connected);
        self.outage_until = self.outage_until.max(record.outage_until);
        self.numbers.insert(record.id.clone(), number);
        self.records.push(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_by_arrival_and_reading_is_by_name() {
        let id = |name: &str| name.parse::<HostId>().unwrap();
        let mut hosts = Hosts::default();
        let number = |hosts: &mut Hosts, name| hosts.number_or_add(&id(name), 2);
        assert_eq!(number(&mut hosts, "b"), Some(0));
        assert_eq!(number(&mut hosts, "a"), Some(1));
        assert_eq!(number(&mut hosts, "c"), None, "there is room for two");
        assert_eq!(number(&mut hosts, "b"), Some(0));
        let names: Vec<&str> = hosts.iter().map(|host| host.id.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let restored = Hosts::restored(hosts.records().to_vec());
        assert_eq!(restored.records(), hosts.records());
        assert_eq!((restored.number(&id("a")), restored.number(&id("c"))), (Some(1), None));
        assert!(restored.get(&id("b")).is_some() && restored.by_number(2).is_none());
    }
}
