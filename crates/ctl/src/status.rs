//! `sekishoctl status`: where the aggregator stands and how it is.

use sekisho_model::Moment;
use sekisho_wire::pb::v1::{GetStatusRequest, blocklist_service_client::BlocklistServiceClient};
use tonic::transport::Channel;

use crate::{
    client::ask,
    errors::Failure,
    table::{Printer, Show, pairs},
    view::Status,
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
        pairs([
            ("Version", self.version.clone()),
            ("Log", log),
            ("Epoch", position.map(|at| format!("{:016x}", at.epoch)).unwrap_or_default()),
            ("Revision", position.map(|at| at.revision.to_string()).unwrap_or_default()),
            ("Digest", self.digest.clone()),
            ("Entries", self.entries.to_string()),
            ("Allowlist", self.allowlist_entries.to_string()),
            ("Drop quorum", self.drop_quorum.to_string()),
            ("Tracked units", self.tracked_units.to_string()),
            ("Connected hosts", self.connected_hosts.to_string()),
            ("Subscribers", self.subscribers.to_string()),
        ])
    }
}
