//! Hosts: their names, sequences and addresses, and whether they are flooded.

use alloc::vec::Vec;
use core::{net::IpAddr, time::Duration};

use sekisho_model::{Batch, HostId, Moment, Observation, Sensor, Totals, Zone};

use super::{Naive, outage::Meter};
use crate::{Event, Flood, Owner};

#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) id: HostId,
    pub(super) zone: Option<Zone>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) is_connected: bool,
    session: u64,
    sequence: u64,
    /// The totals of this and of the last batch; none before the second of a session.
    pub(super) totals: Option<(Totals, Totals)>,
    last: Totals,
    pub(super) is_limited: bool,
    /// What of it was held back: while flooded, in outage, limited.
    pub(super) held: [u64; 3],
    minute: i64,
    minute_units: u64,
    flooded_until: Option<Moment>,
    pub(super) outage_until: Option<Moment>,
    pub(super) meter: Meter,
}

impl Naive {
    /// The number of a host, which becomes known if it is not; none when too many are.
    pub(super) fn host_or_new(&mut self, id: &HostId) -> Option<usize> {
        if let Some(at) = self.hosts.iter().position(|one| one.id == *id) {
            return Some(at);
        }
        if self.hosts.len() >= self.bounds.hosts {
            return None;
        }
        self.hosts.push(Host {
            id: id.clone(),
            zone: None,
            addresses: Vec::new(),
            is_connected: false,
            session: 0,
            sequence: 0,
            totals: None,
            last: Totals::default(),
            is_limited: false,
            held: [0; 3],
            minute: 0,
            minute_units: 0,
            flooded_until: None,
            outage_until: None,
            meter: Meter::default(),
        });
        Some(self.hosts.len() - 1)
    }

    pub(super) fn take_join(&mut self, id: &HostId, zone: Option<&Zone>, addresses: &[IpAddr]) {
        let Some(host) = self.host_or_new(id) else {
            self.events.push(Event::HostRefused { host: id.clone() });
            return;
        };
        let host = &mut self.hosts[host];
        host.zone = zone.cloned();
        let mut own: Vec<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
        own.sort();
        own.dedup();
        let before = core::mem::replace(&mut host.addresses, own.clone());
        host.is_connected = true;
        self.events.push(Event::HostJoined { host: id.clone() });
        let added: Vec<IpAddr> = own.iter().filter(|one| !before.contains(one)).copied().collect();
        let gone: Vec<IpAddr> = before.into_iter().filter(|one| !own.contains(one)).collect();
        if added.len() + gone.len() > 0 {
            self.events.push(Event::AddressesChanged { host: id.clone(), added, gone });
        }
        self.clear_never(Some(&Owner::Host(id.clone())));
    }

    pub(super) fn take_leave(&mut self, id: &HostId) {
        if let Some(host) = self.hosts.iter_mut().find(|one| one.id == *id) {
            host.is_connected = false;
            self.events.push(Event::HostLeft { host: id.clone() });
        }
    }

    /// Whether the batch is new: one that the log holds already is ignored.
    pub(super) fn advance(&mut self, host: usize, batch: &Batch) -> bool {
        let host = &mut self.hosts[host];
        let is_same = host.session == batch.session && host.sequence > 0;
        if batch.sequence <= if is_same { host.sequence } else { 0 } {
            return false;
        }
        (host.session, host.sequence) = (batch.session, batch.sequence);
        host.totals = is_same.then_some((host.last, batch.totals));
        host.last = batch.totals;
        true
    }

    /// More units in this minute than the policy allows, or more SYN cookies of which no sensor knows: flooded for a
    /// minute.
    pub(super) fn judge_flood(&mut self, host: usize, rows: &[Observation], seen: Moment) {
        let (now, limit) = (self.now, u64::from(self.policy.host_units_per_minute));
        let minute = seen.as_millis().div_euclid(60_000);
        let one = &mut self.hosts[host];
        if one.minute < minute {
            (one.minute, one.minute_units) = (minute, 0);
        }
        let rows = rows.iter().filter(|row| row.sockets > 0).count() as u64;
        let (before, after) = one.totals.unwrap_or_default();
        one.minute_units += rows.max(after.stuck_units.saturating_sub(before.stuck_units));
        let hidden = !after.sensors.has(Sensor::Conntrack);
        let cookies = hidden && after.cookies_sent > before.cookies_sent;
        let why = match () {
            () if one.minute_units > limit => Flood::Units,
            () if cookies => Flood::Cookies,
            () if one.flooded_until.is_some_and(|until| until <= now) => {
                one.flooded_until = None;
                let uncounted = core::mem::take(&mut one.held[0]);
                self.events.push(Event::HostCalm { host: one.id.clone(), uncounted });
                return;
            }
            () => return,
        };
        if one.flooded_until.is_none_or(|until| until <= now) {
            let (host, units) = (one.id.clone(), one.minute_units);
            self.events.push(Event::HostFlooded { host, why, units });
        }
        self.hosts[host].flooded_until = Some(now + Duration::from_secs(60));
    }

    pub(super) fn is_flooded(&self, host: usize) -> bool {
        self.hosts[host].flooded_until.is_some_and(|until| until > self.now)
    }

    pub(super) fn is_in_outage(&self, host: usize) -> bool {
        self.hosts[host].outage_until.is_some_and(|until| until > self.now)
    }
}
