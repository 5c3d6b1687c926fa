//! What of a batch is news: the log need not hold what it already implies.

use sekisho_model::{Batch, Hit, Moment, Observation, Unit};

use crate::{
    engine::Engine,
    listing::Decision,
    witness::{Sighting, since},
};

/// A sighting is still fresh for one part in this many of the window.
const FRESH_SHARE: u32 = 8;

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
    /// What goes is: what would be ignored; and, unless it would list or renew something, what a
    /// host saw that counts as a fresh witness anyway, or that a quorum of fresh witnesses saw.
    /// "Fresh" is within an eighth of the window, so that a listing or a renewal can come to lack at
    /// most an eighth of the window in the age of its witnesses, and nothing else. The batch may end
    /// up empty: then it need not be logged.
    pub fn strip_known(&self, batch: &mut Batch, now: Moment) -> usize {
        let now = self.now.max(now);
        let before = batch.observations.len() + batch.hits.len();
        if self.is_recent(batch, now) {
            let fresh = now - batch.age - self.policy.window / FRESH_SHARE;
            let host = self.hosts.number(&batch.host);
            let asked = Asked { host, now, fresh: fresh.max(self.horizon_at(now)) };
            batch.observations.retain(|row| self.is_news(row, &asked));
            batch.hits.retain(|row| self.is_hit_news(row, &asked));
        } else {
            batch.observations.clear();
            batch.hits.clear();
        }
        before - batch.observations.len() - batch.hits.len()
    }

    fn is_news(&self, row: &Observation, asked: &Asked) -> bool {
        let seen = since(self.evidence.of(row.unit), asked.fresh);
        row.retransmits >= self.policy.min_retransmits
            && (!(asked.is_among(seen) || seen.len() >= self.quorum()) || self.would_act(row.unit, asked))
    }

    fn is_hit_news(&self, row: &Hit, asked: &Asked) -> bool {
        let hit = since(self.hits.of(row.unit), asked.fresh);
        self.hits.is_open(row.unit)
            && (!(asked.is_among(hit) || hit.len() >= self.quorum()) || self.would_act(row.unit, asked))
    }

    fn would_act(&self, unit: Unit, asked: &Asked) -> bool {
        matches!(self.decide(unit, asked.now), Decision::List | Decision::Renew(_))
    }
}

impl Asked {
    fn is_among(&self, fresh: &[Sighting]) -> bool {
        fresh.iter().any(|sighting| Some(sighting.host) == self.host)
    }
}
