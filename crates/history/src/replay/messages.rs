//! What came of a replay as messages, for whoever ran it: the aggregator's service or the command line.

use sekisho_wire::{pb::v1 as pb, readable};

use super::{Difference, Kind, Listing, Progress, Summary};

impl From<Progress> for pb::ReplayProgress {
    fn from(of: Progress) -> Self {
        Self { done: large(of.done), total: large(of.total), time: Some(readable::timestamp(of.time)) }
    }
}

impl From<Difference> for pb::ReplayDifference {
    fn from(of: Difference) -> Self {
        let kind = match of.kind {
            Kind::More => pb::ReplayDifferenceKind::More,
            Kind::Fewer => pb::ReplayDifferenceKind::Fewer,
            Kind::Earlier => pb::ReplayDifferenceKind::Earlier,
            Kind::Later => pb::ReplayDifferenceKind::Later,
            Kind::OtherTier => pb::ReplayDifferenceKind::OtherTier,
        };
        Self {
            prefix: of.prefix.to_string(),
            kind: kind.into(),
            happened: of.happened.map(Into::into),
            would_have: of.would_have.map(Into::into),
        }
    }
}

impl From<Listing> for pb::ReplayListing {
    fn from(of: Listing) -> Self {
        Self {
            tier: readable::tier(of.tier).into(),
            start_time: Some(readable::timestamp(of.start)),
            end_time: of.end.map(readable::timestamp),
            listings: readable::count(of.listings),
        }
    }
}

impl From<Summary> for pb::ReplaySummary {
    fn from(of: Summary) -> Self {
        Self {
            start_time: Some(readable::timestamp(of.start)),
            end_time: Some(readable::timestamp(of.end)),
            log_entries: large(of.log_entries),
            observations: large(of.observations),
            happened: large(of.happened),
            would_have: large(of.would_have),
            in_both: large(of.in_both),
            differences: large(of.differences),
            left_out: large(of.left_out),
            elapsed: of.elapsed.try_into().ok(),
            caveats: of.caveats,
        }
    }
}

fn large(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sekisho_model::{Moment, Tier};

    use super::*;

    #[test]
    fn a_difference_is_told_in_full() {
        let at = Moment::from_millis;
        let listing = |end| Listing { tier: Tier::Drop, start: at(1_000), end, listings: 2 };
        let (happened, would_have) = (Some(listing(Some(at(5_000)))), Some(listing(None)));
        let prefix = "203.0.113.7".parse().unwrap();
        let told = pb::ReplayDifference::from(Difference { prefix, kind: Kind::Later, happened, would_have });
        assert_eq!((told.prefix.as_str(), told.kind()), ("203.0.113.7", pb::ReplayDifferenceKind::Later));
        let (happened, would_have) = (told.happened.unwrap(), told.would_have.unwrap());
        assert_eq!((happened.tier(), happened.listings), (pb::Tier::Drop, 2));
        assert_eq!(happened.start_time.unwrap().seconds, 1);
        assert_eq!((happened.end_time.unwrap().seconds, would_have.end_time), (5, None));
    }

    #[test]
    fn each_count_of_a_summary_is_in_its_place() {
        let summary = Summary {
            start: Moment::from_millis(1_000),
            end: Moment::from_millis(2_000),
            log_entries: 3,
            observations: u64::MAX,
            happened: 5,
            would_have: 6,
            in_both: 7,
            differences: 8,
            left_out: 9,
            elapsed: Duration::from_secs(10),
            caveats: vec!["a window".into()],
        };
        let told = pb::ReplaySummary::from(summary);
        let counts = [told.log_entries, told.happened, told.would_have, told.in_both, told.differences];
        assert_eq!(counts, [3, 5, 6, 7, 8]);
        assert_eq!((told.observations, told.left_out), (i64::MAX, 9));
        assert_eq!((told.start_time.unwrap().seconds, told.end_time.unwrap().seconds), (1, 2));
        assert_eq!((told.elapsed.unwrap().seconds, told.caveats.len()), (10, 1));
    }
}
