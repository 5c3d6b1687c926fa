//! `sekishoctl status`: where the aggregator stands and how it is.

use sekisho_model::Moment;
use sekisho_wire::pb::v1::{GetStatusRequest, blocklist_service_client::BlocklistServiceClient};
use tonic::transport::Channel;

use crate::{
    client::ask,
    errors::Failure,
    table::{Printer, Show, pairs},
    view::{Quorums, ReachedLimit, Status},
    words::{counted, some},
};

/// Prints the aggregator's status.
pub(crate) async fn run(channel: Channel, printer: &mut Printer<'_>) -> Result<(), Failure> {
    let answer = BlocklistServiceClient::new(channel).get_status(ask(GetStatusRequest {})).await?;
    Ok(printer.print(&Status::from(answer.into_inner()))?)
}

impl Show for Status {
    fn show(&self, _wide: bool, _now: Moment) -> String {
        let log = match (self.log_writable, self.log_problem.is_empty()) {
            (true, _) => "writable".to_owned(),
            (false, true) => "NOT WRITABLE".to_owned(),
            (false, false) => format!("NOT WRITABLE: {}", self.log_problem),
        };
        let position = self.position;
        let [suppress, drop] = quorums(self);
        pairs([
            ("Version", self.version.clone()),
            ("Log", log),
            ("Epoch", position.map(|at| format!("{:016x}", at.epoch)).unwrap_or_default()),
            ("Revision", position.map(|at| at.revision.to_string()).unwrap_or_default()),
            ("Digest", self.digest.clone()),
            ("Entries", self.entries.to_string()),
            ("Allowlist", self.allowlist_entries.to_string()),
            ("Prefixes", self.prefix_entries.to_string()),
            ("Suppress quorum", suppress),
            ("Drop quorum", drop),
            ("Limits reached", reached(&self.limits_reached)),
            ("Unresolved", unresolved(&self.unresolved_names)),
            ("Tracked units", self.tracked_units.to_string()),
            ("Connected hosts", self.connected_hosts.to_string()),
            ("Flooded hosts", self.flooded_hosts.to_string()),
            ("Hosts in outage", self.outage_hosts.to_string()),
            ("Hosts bypassed", self.bypassed_hosts.to_string()),
            ("Subscribers", self.subscribers.to_string()),
            ("SYN-ACKs sent", self.syn_acks_reflected.to_string()),
            ("Withheld", self.syn_acks_withheld.to_string()),
            ("SYN-ACKs saved", self.syn_acks_saved.to_string()),
        ])
    }
}

/// Both quorums with what each is by; by its number alone where the aggregator tells no more.
fn quorums(status: &Status) -> [String; 2] {
    let Some(of) = &status.quorums else { return [String::new(), status.drop_quorum.to_string()] };
    [(of.suppress, of.policy_suppress), (of.drop, of.policy_drop)]
        .map(|(quorum, policy)| format!("{quorum}{}: {}", in_zones(of), quorum_by(of, quorum, policy)))
}

/// The zones that a quorum must be in, where one is not enough.
fn in_zones(of: &Quorums) -> String {
    if of.min_zones > 1 { format!(" in {} zones", of.min_zones) } else { String::new() }
}

/// Names that protect nothing.
fn unresolved(names: &[String]) -> String {
    let is = |names: &[String]| format!("{}: names without an address protect nothing", names.join(", "));
    if names.is_empty() { "none".to_owned() } else { is(names) }
}

/// What makes the quorum for IPv4 `quorum`, where the policy asks for `policy`.
pub(crate) fn quorum_by(of: &Quorums, quorum: i32, policy: i32) -> String {
    if quorum <= policy {
        "by the policy".to_owned()
    } else if quorum <= of.fraction {
        format!("a fraction of {}", some(of.live_hosts.into(), "connected host"))
    } else {
        format!("chance, {} in the window", some(of.units, "unit"))
    }
}

fn reached(limits: &[ReachedLimit]) -> String {
    let one = |limit: &ReachedLimit| {
        let (key, max, held) = (limit.key, counted(limit.max.into()), counted(limit.held));
        format!("{key} ({max}): nothing is added, {held} held back")
    };
    if limits.is_empty() { "none".to_owned() } else { limits.iter().map(one).collect::<Vec<_>>().join("; ") }
}
