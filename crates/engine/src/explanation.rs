//! The picture of one address, put together from everything that the decision looks at.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::net::IpAddr;

use sekisho_model::{Moment, Prefix, Tier, Unit};

use crate::{
    blocks::block_of,
    checkpoint::PastListing,
    engine::Engine,
    explain::{CounterWitness, Counts, Explanation, Keeper, PrefixPicture, StandingPicture, Witness},
    protected::Protection,
    witness::{Sighting, since},
};

impl Engine {
    /// Why `address` is listed at `now`, or why it is not, and what it would take.
    pub fn explain(&self, address: IpAddr, now: Moment) -> Explanation {
        let now = self.now.max(now);
        let unit = Unit::of(address);
        let (prefix, horizon) = (unit.prefix(), self.horizon_at(now));
        let seen = since(self.evidence.of(unit), horizon);
        let counting: Vec<u32> =
            seen.iter().filter(|one| self.counts(one, now)).map(|one| one.host()).collect();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let entry = self.entries.covering(&Prefix::host(address), now).next();
        let forbidden = if entry.is_some() { None } else { self.cause(&prefix, now) };
        Explanation {
            unit: prefix,
            now,
            entry: entry.cloned(),
            protection: self
                .protected
                .why(&prefix)
                .map(|protection| self.protection_text(prefix, protection)),
            allowed: self.allowlist.overlapping(&prefix, now).cloned().collect(),
            hold: self.holds.overlapping(&prefix, now).next().map(|hold| (hold.prefix, hold.until)),
            standing: entry.and_then(|entry| self.explain_standing(&entry.prefix, now)),
            witnesses: self.explain_witnesses(unit, seen, now),
            counter: self.explain_counter(unit, horizon),
            hosts: count(counting.len()),
            zones: count(self.zones(&counting)),
            quorums: self.quorums(),
            prefixes: self.explain_prefixes(unit, now),
            past: self.past.get(&prefix).copied(),
            prefixes_past: self.past_of_prefixes(unit),
            forbidden,
            forbidden_by: forbidden.and_then(|cause| self.forbidding(&prefix, cause, now)),
            wanted: self.wanted(unit, seen, now),
        }
    }

    fn protection_text(&self, prefix: Prefix, protection: Protection) -> String {
        match protection {
            Protection::Host(_) | Protection::Name(_) | Protection::Prefix(_) => {
                // Without what to do about an order, which stands behind it.
                let refusal = self.protected_refusal(prefix, protection).to_string();
                refusal.split("; ").next().unwrap_or_default().to_owned()
            }
            Protection::Private => format!("{prefix} is private, and never.private of the policy is true"),
            Protection::Unlistable => {
                format!("{prefix} is loopback, link-local, multicast, reserved or translated")
            }
        }
    }

    /// Who keeps up the entry at `prefix` at `now`, and when it ends early; none for an order.
    pub fn explain_standing(&self, prefix: &Prefix, now: Moment) -> Option<StandingPicture> {
        let (standing, horizon) = (self.standings.get(prefix)?, self.horizon_at(now));
        let keeper = |one: &Sighting| {
            let record = self.hosts.by_number(one.host())?;
            Some(Keeper {
                host: record.id.clone(),
                zone: record.zone.clone(),
                seen: one.seen(),
                renews: one.seen() >= horizon && !record.is_in_outage(now),
                is_away: !record.connected,
            })
        };
        // The look that is set may be from before it was seen last, or later since a host is away.
        let quiet = self.quiet_time(prefix).map(|quiet| standing.active + quiet);
        Some(StandingPicture {
            active: standing.active,
            quiet: quiet.map(|quiet| standing.check.map_or(quiet, |check| check.max(quiet))),
            keepers: standing.witnesses.as_slice().iter().filter_map(keeper).collect(),
        })
    }

    fn past_of_prefixes(&self, unit: Unit) -> Vec<PastListing> {
        let block = block_of(unit);
        let lengths = (self.widest(block.is_ipv4())..=block.length()).rev();
        lengths.filter_map(|length| self.past.get(&block.widened(length)).copied()).collect()
    }

    fn explain_witnesses(&self, unit: Unit, seen: &[Sighting], now: Moment) -> Vec<Witness> {
        let standing = self.standings.get(&unit.prefix()).map_or(&[][..], |one| one.witnesses.as_slice());
        let standing = since(standing, self.horizon_at(now));
        let is_seen = |one: &&Sighting| seen.iter().any(|other| other.host() == one.host());
        let hits = standing.iter().filter(|one| !is_seen(one)).map(|one| (one, true));
        let all = seen.iter().map(|one| (one, false)).chain(hits);
        all.filter_map(|(one, is_hit)| self.explain_witness(one, is_hit, now)).collect()
    }

    fn explain_witness(&self, one: &Sighting, is_hit: bool, now: Moment) -> Option<Witness> {
        let record = self.hosts.by_number(one.host())?;
        let counts = match (is_hit, record.is_in_outage(now), one.counts()) {
            (_, true, _) => Counts::Outage,
            (true, ..) => Counts::Hit,
            (_, _, false) => Counts::Flooded,
            _ => Counts::Yes,
        };
        Some(Witness {
            host: record.id.clone(),
            zone: record.zone.clone(),
            seen: one.seen(),
            retransmits: one.retransmits(),
            sockets: one.sockets(),
            is_hit,
            counts,
        })
    }

    fn explain_counter(&self, unit: Unit, horizon: Moment) -> Vec<CounterWitness> {
        let witness = |one: &crate::checkpoint::CounterSighting| {
            let host = self.hosts.by_number(one.host)?.id.clone();
            Some(CounterWitness { host, seen: one.seen, connections: one.connections })
        };
        self.counter.of(unit, horizon).iter().filter_map(witness).collect()
    }

    fn explain_prefixes(&self, unit: Unit, now: Moment) -> Vec<PrefixPicture> {
        let block = block_of(unit);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let picture = |length: u8| {
            let prefix = block.widened(length);
            let (picture, least) = (self.picture(&prefix, now), self.least_units(&prefix));
            let hosts: Vec<u32> = picture.hosts.keys().copied().collect();
            let forbidden = self.forbidden(&prefix, now);
            PrefixPicture {
                prefix,
                units: count(picture.units.len()),
                least_units: least,
                without_one: count(picture.without_one),
                least_without_one: count(self.least_without_one(hosts.len())),
                hosts: count(hosts.len()),
                least_hosts: count(self.asked(Tier::Suppress)),
                zones: count(self.zones(&hosts)),
                has_counter: self.counter.has_in(&prefix, self.horizon_at(now)),
                is_bombed: self.policy.prefix_tier.is_some()
                    && self.is_bombed(&picture, least, Tier::Suppress),
                forbidden,
                forbidden_by: forbidden.and_then(|cause| self.forbidding(&prefix, cause, now)),
            }
        };
        (self.widest(block.is_ipv4())..=block.length()).rev().map(picture).collect()
    }
}
