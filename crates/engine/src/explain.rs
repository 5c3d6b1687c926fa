//! Why an address is listed or not, and what it would take: everything that the decision looks at, as one
//! plain value.

use alloc::{string::String, vec::Vec};

use sekisho_model::{Allowed, Entry, HostId, Moment, Prefix, Tier, Zone};

use crate::{checkpoint::PastListing, outcome::Cause};

/// The picture of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The unit that evidence about it is counted by.
    pub unit: Prefix,
    /// The log's time of the picture.
    pub now: Moment,
    /// The entry that covers it.
    pub entry: Option<Entry>,
    /// Why it is never listed, for people; none if it may be.
    pub protection: Option<String>,
    /// The allowances that overlap it.
    pub allowed: Vec<Allowed>,
    /// What holds it off after an unblock, and until when.
    pub hold: Option<(Prefix, Moment)>,
    /// How the entry stands, if evidence listed it: it may be wider than the unit.
    pub standing: Option<StandingPicture>,
    /// Who sees it stuck or hits it, fresh ones only; the most recent first.
    pub witnesses: Vec<Witness>,
    /// Who has connections with it, fresh ones only; the most recent first.
    pub counter: Vec<CounterWitness>,
    /// Distinct hosts whose sightings count.
    pub hosts: u32,
    /// Distinct zones of those.
    pub zones: u32,
    /// The quorums as they are.
    pub quorums: Quorums,
    /// Its prefixes, the narrowest first.
    pub prefixes: Vec<PrefixPicture>,
    /// The memory of its listings before.
    pub past: Option<PastListing>,
    /// The memory of the listings of its prefixes, the narrowest first.
    pub prefixes_past: Vec<PastListing>,
    /// What would keep it off if its quorum was met.
    pub forbidden: Option<Cause>,
    /// What forbids it, if it is not so by nature or by a limit.
    pub forbidden_by: Option<Prefix>,
    /// The tier that evidence asks for now; none if no quorum is met.
    pub wanted: Option<Tier>,
}

/// Who keeps an entry up, and when it would end early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingPicture {
    /// When something inside it was last seen or hit.
    pub active: Moment,
    /// When it ends if nothing is until then; none where a quiet entry does not end early. While a host is away
    /// that keeps it up, it is only looked at again then.
    pub quiet: Option<Moment>,
    /// Who has seen or hit something inside it, the most recent first.
    pub keepers: Vec<Keeper>,
}

/// One host that has seen or hit something inside an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    /// Who.
    pub host: HostId,
    /// Its failure domain.
    pub zone: Option<Zone>,
    /// When last, by the log's time.
    pub seen: Moment,
    /// Whether it counts for a renewal: it is fresh, and its host not in outage.
    pub renews: bool,
    /// Whether its host is not connected: the entry does not end early, since that one cannot tell.
    pub is_away: bool,
}

/// One host that saw a unit stuck, or whose kernel drops its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Who.
    pub host: HostId,
    /// Its failure domain.
    pub zone: Option<Zone>,
    /// When last, by the log's time.
    pub seen: Moment,
    /// The most retransmits that it reported; 0 for a hit.
    pub retransmits: u8,
    /// Stuck sockets that it reported, up to 255; 0 for a hit.
    pub sockets: u8,
    /// Whether it is a hit: its kernel drops packets of the unit, which is listed.
    pub is_hit: bool,
    /// Whether it counts towards a quorum.
    pub counts: Counts,
}

/// Whether a sighting counts towards a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counts {
    /// It does.
    Yes,
    /// Its host was flooded and saw a single socket.
    Flooded,
    /// Its host is in outage.
    Outage,
    /// It only keeps up what is listed.
    Hit,
}

/// One host that has connections with a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterWitness {
    /// Who.
    pub host: HostId,
    /// When last, by the log's time.
    pub seen: Moment,
    /// How many connections.
    pub connections: u32,
}

/// The quorums as they are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quorums {
    /// Hosts that list an IPv4 unit at suppress.
    pub suppress: u32,
    /// Hosts that list an IPv4 unit at drop.
    pub drop: u32,
    /// The policy's, for suppress.
    pub policy_suppress: u32,
    /// The policy's, for drop.
    pub policy_drop: u32,
    /// What the fraction of the connected hosts asks for; 0 without one.
    pub fraction: u32,
    /// What chance asks for.
    pub chance: u32,
    /// IPv4 units that were first seen within the window: what chance is reckoned from.
    pub units: u64,
    /// Connected hosts.
    pub live_hosts: u32,
    /// Zones that are asked for.
    pub zones: u32,
}

/// A prefix of an address and what is seen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixPicture {
    /// The prefix.
    pub prefix: Prefix,
    /// Its units that are stuck.
    pub units: u32,
    /// The fewest that make it bombed.
    pub least_units: u32,
    /// Units that would be left without the most talkative host.
    pub without_one: u32,
    /// The fewest of those that make it bombed.
    pub least_without_one: u32,
    /// Hosts that saw them.
    pub hosts: u32,
    /// The fewest hosts that make it bombed.
    pub least_hosts: u32,
    /// Zones of those.
    pub zones: u32,
    /// Whether one of its units has counter-evidence.
    pub has_counter: bool,
    /// Whether it is bombed.
    pub is_bombed: bool,
    /// What keeps it off, limits apart, or would if it was bombed.
    pub forbidden: Option<Cause>,
    /// What forbids it, if it is not so by nature.
    pub forbidden_by: Option<Prefix>,
}
