//! What of a batch is news: the log need not hold what it already implies.

use alloc::vec::Vec;

use sekisho_model::{
    Batch, Completed, Hit, Moment, Observation, Prefix, Tier, Unit,
    limits::{COUNTER_WITNESSES, LOGGED_WITNESSES},
};

use crate::{
    engine::Engine,
    listing::Decision,
    meter::note_network,
    witness::{Sighting, since},
};

/// A sighting is still fresh for one part in this many of the window.
pub(crate) const FRESH_SHARE: u32 = 8;

/// The batch as a whole, as it would be taken.
struct Asked {
    host: Option<u32>,
    now: Moment,
    /// Sightings since then are as good as new.
    fresh: Moment,
}

impl Engine {
    /// Takes the rows out of `batch` that would tell the log nothing if it were handled next, at
    /// `now`; returns how many.
    ///
    /// What goes is: what would be ignored; and, unless it would list, move or renew something, what a
    /// host saw that counts as a fresh witness anyway, or what as many fresh witnesses saw as any
    /// replay may ask for. "Fresh" is within an eighth of the window, so that a listing or a renewal can
    /// come to lack at most an eighth of the window in the age of its witnesses, and nothing else. The
    /// batch may end up without rows: then it need not be logged, but for its totals.
    pub fn strip_known(&self, batch: &mut Batch, now: Moment) -> usize {
        let now = self.now.max(now);
        let before = batch.observations.len() + batch.hits.len() + batch.completed.len();
        if self.is_recent(batch, now) {
            let fresh = now - batch.age - self.policy.window / FRESH_SHARE;
            let host = self.hosts.number(&batch.host);
            let asked = Asked { host, now, fresh: fresh.max(self.horizon_at(now)) };
            let mut networks = self.networks_of_a_suspect(batch, now);
            batch.observations.retain(|row| {
                let is_network = row.sockets > 0
                    && networks.as_mut().is_some_and(|networks| note_network(networks, row.unit));
                is_network || self.is_news(row, &asked)
            });
            batch.hits.retain(|row| self.is_hit_news(row, &asked));
            batch.completed.retain(|row| self.is_counter_news(row, &asked));
        } else {
            batch.observations.clear();
            batch.hits.clear();
            batch.completed.clear();
        }
        before - batch.observations.len() - batch.hits.len() - batch.completed.len()
    }

    fn is_news(&self, row: &Observation, asked: &Asked) -> bool {
        if row.retransmits < self.policy.min_retransmits {
            return false;
        }
        let seen = since(self.evidence.of(row.unit), asked.fresh);
        let own = seen.iter().find(|one| Some(one.host()) == asked.host);
        match own {
            // A second socket may make it count.
            Some(own) if !own.counts() && row.sockets > 0 => return true,
            None if !self.is_enough(row.unit, seen, asked) => return true,
            _ => {}
        }
        self.would_act(row.unit, asked) || self.would_look(row.unit, asked)
    }

    fn is_hit_news(&self, row: &Hit, asked: &Asked) -> bool {
        if row.tier == Tier::Suppress && self.policy.min_retransmits == 1 {
            let sockets = u32::try_from(row.packets).unwrap_or(u32::MAX);
            return self.is_news(&Observation { unit: row.unit, sockets, retransmits: 1 }, asked);
        }
        let unit = row.unit.prefix();
        let listed = if self.is_listed(row.unit) { Some(unit) } else { self.standings.wide_over(row.unit) };
        let Some(standing) = listed.and_then(|listed| self.standings.get(&listed)) else { return false };
        let hit = since(standing.witnesses.as_slice(), asked.fresh);
        !(asked.is_among(hit) || self.is_enough(row.unit, hit, asked))
            || self.would_act(row.unit, asked)
            || self.would_look(row.unit, asked)
    }

    fn is_counter_news(&self, row: &Completed, asked: &Asked) -> bool {
        let entry = self.entries.covering(&row.unit.prefix(), asked.now).next();
        let since = entry.map_or(asked.fresh, |entry| entry.created.max(asked.fresh));
        let known = self.counter.of(row.unit, since);
        let may_move = entry.is_some_and(|entry| entry.reason.is_evidence() && entry.tier > Tier::Suppress);
        may_move || known.len() < COUNTER_WITNESSES && known.iter().all(|one| Some(one.host) != asked.host)
    }

    /// Whether there are so many fresh witnesses that one more tells nothing, under this policy or in a replay;
    /// where zones are asked for, unless it is in one more zone.
    fn is_enough(&self, unit: Unit, fresh: &[Sighting], asked: &Asked) -> bool {
        let least = self.effective(unit, Tier::Drop).max(LOGGED_WITNESSES);
        if fresh.len() < least {
            return false;
        }
        let counting = fresh.iter().filter(|one| self.counts(one, asked.now)).map(|one| one.host());
        let mut hosts: Vec<u32> = counting.collect();
        let is_quorum = hosts.len() >= least;
        let zones = self.zones(&hosts);
        hosts.extend(asked.host);
        let adds_zone = asked.host.is_none() || self.zones(&hosts) > zones;
        is_quorum && (zones >= self.policy.min_zones as usize || !adds_zone)
    }

    /// The networks that are noted of the host of `batch`, if its path may be broken.
    fn networks_of_a_suspect(&self, batch: &Batch, now: Moment) -> Option<Vec<Prefix>> {
        let record = self.hosts.get(&batch.host).filter(|record| record.session == batch.session)?;
        let completed = batch.totals.completed.saturating_sub(record.totals.completed);
        record.meter.suspects(completed, now - batch.age)
    }

    fn would_act(&self, unit: Unit, asked: &Asked) -> bool {
        matches!(self.decide(unit, asked.now), Decision::List(_) | Decision::Raise(_) | Decision::Renew(_))
    }

    /// Whether a prefix that covers `unit` may be renewed or withdrawn, or lacks a sign of life.
    fn would_look(&self, unit: Unit, asked: &Asked) -> bool {
        let Some(prefix) = self.standings.wide_over(unit) else { return false };
        self.is_due(&prefix, asked)
    }

    fn is_due(&self, prefix: &Prefix, asked: &Asked) -> bool {
        let (Some(entry), Some(standing)) = (self.entries.get(prefix), self.standings.get(prefix)) else {
            return false;
        };
        self.is_half_over(entry, asked.now) || standing.active < asked.fresh
    }
}

impl Asked {
    fn is_among(&self, fresh: &[Sighting]) -> bool {
        fresh.iter().any(|sighting| Some(sighting.host()) == self.host)
    }
}
