//! From the API's messages to the views of them.

use prost_types::Timestamp;
use sekisho_wire::{pb::v1 as pb, readable};

use crate::{
    view::{
        AllowlistEntry, Entry, Host, HostAnswers, HostTotals, Position, Quorums, ReachedLimit, Reason, Stamp,
        Status, Witness,
    },
    words,
};

fn stamp(timestamp: Option<Timestamp>) -> Option<Stamp> {
    timestamp.map(Stamp)
}

/// A position; none for the absent one and for epoch 0.
pub(crate) fn position(message: Option<&pb::Position>) -> Option<Position> {
    let position = readable::position_from(message)?;
    Some(Position { epoch: position.epoch.0, revision: position.revision.0 })
}

impl From<pb::Entry> for Entry {
    fn from(entry: pb::Entry) -> Self {
        let reason = entry.reason.as_ref().and_then(|reason| reason.kind.clone()).map(|kind| match kind {
            pb::reason::Kind::Quorum(by) => Reason::Quorum { hosts: by.hosts, quorum: by.quorum },
            pb::reason::Kind::Prefix(pb::PrefixReason { hosts, quorum, units, least_units }) => {
                Reason::Prefix { hosts, quorum, units, least_units }
            }
            pb::reason::Kind::Order(by) => Reason::Order { operator: by.operator, text: by.text },
        });
        Self {
            tier: entry.tier().as_str_name(),
            reason,
            create_time: stamp(entry.create_time),
            expire_time: stamp(entry.expire_time),
            renewals: entry.renewals,
            repeats: entry.repeats,
            revision: entry.revision,
            prefix: entry.prefix,
        }
    }
}

impl From<pb::Witness> for Witness {
    fn from(witness: pb::Witness) -> Self {
        Self {
            counts: witness.counts().as_str_name(),
            host_id: witness.host_id,
            seen_time: stamp(witness.seen_time),
            retransmits: witness.retransmits,
            hit: witness.hit,
            zone: witness.zone,
            sockets: witness.sockets,
        }
    }
}

impl From<pb::AllowlistEntry> for AllowlistEntry {
    fn from(entry: pb::AllowlistEntry) -> Self {
        Self {
            prefix: entry.prefix,
            operator: entry.operator,
            reason: entry.reason,
            create_time: stamp(entry.create_time),
            expire_time: stamp(entry.expire_time),
            revision: entry.revision,
        }
    }
}

impl From<pb::Host> for Host {
    fn from(host: pb::Host) -> Self {
        Self {
            applied: position(host.applied.as_ref()),
            host_id: host.host_id,
            zone: host.zone,
            connected: host.connected,
            mode: host.mode,
            agent_version: host.agent_version,
            addresses: host.addresses,
            last_report_time: stamp(host.last_report_time),
            observations: host.observations,
            watching: host.watching,
            applied_time: stamp(host.applied_time),
            refusal: host.refusal,
            totals: host.totals.map(HostTotals::from),
            flooded_until_time: stamp(host.flooded_until_time),
            outage_until_time: stamp(host.outage_until_time),
            limited: host.limited,
        }
    }
}

impl From<pb::HostTotals> for HostTotals {
    fn from(totals: pb::HostTotals) -> Self {
        let sensors = totals.sensors().map(|sensor| sensor.as_str_name().to_owned()).collect();
        let truncated_by = totals.truncated_by().map(|why| why.as_str_name().to_owned()).collect();
        Self {
            half_open: totals.half_open,
            cookies_sent_full: totals.cookies_sent_full,
            cookies_sent: totals.cookies_sent,
            truncated: totals.truncated,
            dropped_packets: totals.dropped_packets,
            completed: totals.completed,
            stuck_units: totals.stuck_units,
            established: totals.established,
            cookies_received: totals.cookies_received,
            attempts_failed: totals.attempts_failed,
            tracked: totals.tracked,
            tracked_limit: totals.tracked_limit,
            sensors,
            truncated_by,
            answers: totals.answers.map(HostAnswers::from),
        }
    }
}

impl From<pb::HostAnswers> for HostAnswers {
    fn from(answers: pb::HostAnswers) -> Self {
        Self {
            reflected: answers.reflected,
            withheld: answers.withheld,
            saved: answers.saved,
            retries: answers.retries,
            retries_lowered: answers.retries_lowered,
            bypassed: answers.bypassed,
        }
    }
}

impl From<pb::GetStatusResponse> for Status {
    fn from(status: pb::GetStatusResponse) -> Self {
        Self {
            position: position(status.position.as_ref()),
            digest: status.digest,
            entries: status.entries,
            allowlist_entries: status.allowlist_entries,
            tracked_units: status.tracked_units,
            connected_hosts: status.connected_hosts,
            subscribers: status.subscribers,
            drop_quorum: status.drop_quorum,
            log_writable: status.log_writable,
            log_problem: status.log_problem,
            version: status.version,
            quorums: status.quorums.map(Quorums::from),
            flooded_hosts: status.flooded_hosts,
            outage_hosts: status.outage_hosts,
            prefix_entries: status.prefix_entries,
            limits_reached: status.limits_reached.into_iter().map(ReachedLimit::from).collect(),
            syn_acks_reflected: status.syn_acks_reflected,
            syn_acks_withheld: status.syn_acks_withheld,
            syn_acks_saved: status.syn_acks_saved,
            bypassed_hosts: status.bypassed_hosts,
            unresolved_names: status.unresolved_names,
        }
    }
}

impl From<pb::Quorums> for Quorums {
    fn from(quorums: pb::Quorums) -> Self {
        Self {
            suppress: quorums.suppress,
            drop: quorums.drop,
            policy_suppress: quorums.policy_suppress,
            policy_drop: quorums.policy_drop,
            fraction: quorums.fraction,
            chance: quorums.chance,
            units: quorums.units,
            live_hosts: quorums.live_hosts,
            min_zones: quorums.min_zones,
        }
    }
}

impl From<pb::ReachedLimit> for ReachedLimit {
    fn from(reached: pb::ReachedLimit) -> Self {
        let limit = reached.limit();
        Self { limit: limit.as_str_name(), max: reached.max, held: reached.held, key: words::limit(limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_names_of_protobuf_json() {
        let order = pb::OrderReason { operator: "ana".into(), text: "ticket 7".into() };
        let entry = pb::Entry {
            prefix: "203.0.113.7".into(),
            tier: pb::Tier::Drop as i32,
            reason: Some(pb::Reason { kind: Some(pb::reason::Kind::Order(order)) }),
            create_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 500_000_000 }),
            expire_time: None,
            renewals: 1,
            repeats: 0,
            revision: 9_007_199_254_740_993,
        };
        let json = serde_json::to_value(Entry::from(entry)).unwrap();
        let meant = serde_json::json!({
            "prefix": "203.0.113.7", "tier": "TIER_DROP",
            "reason": {"order": {"operator": "ana", "text": "ticket 7"}},
            "createTime": "2023-11-14T22:13:20.500Z",
            "renewals": 1, "repeats": 0, "revision": 9_007_199_254_740_993i64,
        });
        assert_eq!(json, meant);
    }

    #[test]
    fn fields_stay_though_they_are_empty_and_messages_go() {
        let json = serde_json::to_value(Host::from(pb::Host::default())).unwrap();
        assert_eq!(json["zone"], "");
        assert_eq!(json["observations"], 0);
        assert!(json.get("applied").is_none() && json.get("totals").is_none());
        let strange = Stamp(Timestamp { seconds: i64::MAX, nanos: i32::MIN });
        assert!(!strange.to_string().is_empty(), "a hostile moment is shown, not fatal");
    }
}
