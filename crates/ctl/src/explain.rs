//! `sekishoctl explain`: all about one address, listed or not.

use sekisho_model::{Moment, Prefix};
use sekisho_wire::pb::v1::{
    self as pb, ExplainRequest, ExplainResponse, blocklist_service_client::BlocklistServiceClient,
};
use serde::{Serialize, Serializer};
use tonic::transport::Channel;

use crate::{
    client::ask,
    errors::Failure,
    event::Event,
    prose,
    table::{Printer, Show},
    view::{AllowlistEntry, Entry, Quorums, Stamp, Witness},
};

/// Prints all about `address`.
pub(crate) async fn run(channel: Channel, address: Prefix, printer: &mut Printer<'_>) -> Result<(), Failure> {
    let request = ExplainRequest { address: address.to_string() };
    let answer = BlocklistServiceClient::new(channel).explain(ask(request)).await?.into_inner();
    Ok(printer.print(&Explained { address, answer })?)
}

/// What the aggregator says of an address: prose for people, fields for programs.
struct Explained {
    address: Prefix,
    answer: ExplainResponse,
}

impl Show for Explained {
    fn show(&self, wide: bool, now: Moment) -> String {
        prose::explanation(&self.address, &self.answer, wide, now)
    }
}

impl Serialize for Explained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Explanation::from(self.answer.clone()).serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    unit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Entry>,
    protection: String,
    allowlist: Vec<AllowlistEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
    witnesses: Vec<Witness>,
    counter_witnesses: Vec<CounterWitness>,
    hosts: i32,
    zones: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    quorums: Option<Quorums>,
    prefixes: Vec<PrefixPicture>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<PastListings>,
    prefixes_past: Vec<PastListings>,
    forbidden: &'static str,
    forbidden_by: String,
    wanted: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<Standing>,
    history: Vec<Event>,
}

/// Who keeps an entry up.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    #[serde(skip_serializing_if = "Option::is_none")]
    active_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_time: Option<Stamp>,
    pub(crate) keepers: Vec<Keeper>,
}

/// A host that saw or hit something in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Keeper {
    pub(crate) host_id: String,
    pub(crate) zone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen_time: Option<Stamp>,
    pub(crate) renews: bool,
    pub(crate) away: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hold {
    prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<Stamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CounterWitness {
    host_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_time: Option<Stamp>,
    connections: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrefixPicture {
    prefix: String,
    units: i32,
    least_units: i32,
    without_one: i32,
    least_without_one: i32,
    hosts: i32,
    least_hosts: i32,
    zones: i32,
    has_counter: bool,
    bombed: bool,
    forbidden: &'static str,
    forbidden_by: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PastListings {
    prefix: String,
    listings: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Stamp>,
}

impl From<ExplainResponse> for Explanation {
    fn from(of: ExplainResponse) -> Self {
        Self {
            forbidden: of.forbidden().as_str_name(),
            wanted: of.wanted().as_str_name(),
            forbidden_by: of.forbidden_by,
            unit: of.unit,
            time: of.time.map(Stamp),
            entry: of.entry.map(Entry::from),
            protection: of.protection,
            allowlist: of.allowlist.into_iter().map(AllowlistEntry::from).collect(),
            hold: of.hold.map(|hold| Hold { prefix: hold.prefix, expire_time: hold.expire_time.map(Stamp) }),
            witnesses: of.witnesses.into_iter().map(Witness::from).collect(),
            counter_witnesses: of.counter_witnesses.into_iter().map(CounterWitness::from).collect(),
            hosts: of.hosts,
            zones: of.zones,
            quorums: of.quorums.map(Quorums::from),
            prefixes: of.prefixes.into_iter().map(PrefixPicture::from).collect(),
            past: of.past.map(PastListings::from),
            prefixes_past: of.prefixes_past.into_iter().map(PastListings::from).collect(),
            standing: of.standing.map(Standing::from),
            history: of.history.into_iter().map(Event::from).collect(),
        }
    }
}

impl From<pb::Standing> for Standing {
    fn from(of: pb::Standing) -> Self {
        Self {
            active_time: of.active_time.map(Stamp),
            quiet_time: of.quiet_time.map(Stamp),
            keepers: of.keepers.into_iter().map(Keeper::from).collect(),
        }
    }
}

impl From<pb::Keeper> for Keeper {
    fn from(of: pb::Keeper) -> Self {
        let pb::Keeper { host_id, zone, seen_time, renews, away } = of;
        Self { host_id, zone, seen_time: seen_time.map(Stamp), renews, away }
    }
}

impl From<pb::CounterWitness> for CounterWitness {
    fn from(of: pb::CounterWitness) -> Self {
        Self { host_id: of.host_id, seen_time: of.seen_time.map(Stamp), connections: of.connections }
    }
}

impl From<pb::PrefixPicture> for PrefixPicture {
    fn from(of: pb::PrefixPicture) -> Self {
        Self {
            forbidden: of.forbidden().as_str_name(),
            forbidden_by: of.forbidden_by,
            prefix: of.prefix,
            units: of.units,
            least_units: of.least_units,
            without_one: of.without_one,
            least_without_one: of.least_without_one,
            hosts: of.hosts,
            least_hosts: of.least_hosts,
            zones: of.zones,
            has_counter: of.has_counter,
            bombed: of.bombed,
        }
    }
}

impl From<pb::PastListings> for PastListings {
    fn from(of: pb::PastListings) -> Self {
        Self { prefix: of.prefix, listings: of.listings, end_time: of.end_time.map(Stamp) }
    }
}
