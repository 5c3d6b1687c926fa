//! Every limit of every queue, loop, message and table, in one file. A limit that is reached is
//! reported and counted by whoever holds the queue; nothing is dropped in silence.

use core::time::Duration;

/// Longest name of a host, zone or operator, in bytes (a DNS name's length, RFC 1035).
pub const MAX_NAME_BYTES: usize = 253;
/// Longest reason that an operator may give, in bytes.
pub const MAX_REASON_BYTES: usize = 512;

/// Longest policy in a request, in bytes.
pub const MAX_POLICY_BYTES: usize = 512 << 10;

/// Largest gRPC message either side takes, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Most observations, hits and counter-evidence, together, in one batch.
pub const MAX_BATCH_ROWS: usize = 10_000;
/// Most addresses of its own that an agent may name.
pub const MAX_HOST_ADDRESSES: usize = 256;
/// Time between two looks of an agent at what its host must never see listed.
pub const ADDRESSES_INTERVAL: Duration = Duration::from_secs(60);
/// How long such an address stays after it was seen last.
pub const ADDRESS_MEMORY: Duration = Duration::from_secs(3_600);
/// Most hosts that the engine knows; further ones are refused.
pub const MAX_HOSTS: usize = 100_000;
/// Oldest observation that is still taken.
pub const MAX_OBSERVATION_AGE: Duration = Duration::from_secs(10 * 60);

/// Batches that one stream may have under way to the sequencer.
pub const STREAM_BATCHES_IN_FLIGHT: usize = 16;
/// Submissions waiting for the sequencer, over all streams.
pub const SEQUENCER_QUEUE: usize = 4_096;
/// Bytes of encoded input after which the sequencer writes what it has.
pub const GROUP_COMMIT_BYTES: usize = 256 << 10;
/// Shortest time between two ticks in the log.
pub const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// Hosts kept per unit beyond the quorum: the Kth most recent distinct ones are exact.
pub const SPARE_WITNESSES: usize = 2;
/// Fresh witnesses of a unit up to which further ones are logged, whatever the policy's quorum: a replay
/// under another policy is exact up to that quorum.
pub const LOGGED_WITNESSES: usize = 8;
/// Units that are tracked at the same time; of those that one host alone saw the oldest go first.
pub const MAX_UNITS: usize = 10_000_000;
/// The part of the tracked units that one host alone may have brought: 1 in this many.
pub const HOST_UNITS_SHARE: usize = 4;
/// Units of which counter-evidence is kept; the oldest go first.
pub const MAX_COUNTER_UNITS: usize = 1_000_000;
/// Hosts kept per unit that have counter-evidence about it.
pub const COUNTER_WITNESSES: usize = 4;
/// Units that are looked up for prefixes in one log entry, over those that its rows pay for: some milliseconds.
pub const PREFIX_UNITS_BASE: usize = 100_000;
/// Widest prefixes in which something is withheld that are remembered, so that it is said once a window.
pub const MAX_WITHHELD: usize = 1_000;
/// Request ids of orders that are remembered; the oldest go first.
pub const MAX_REQUESTS: usize = 10_000;
/// How long the request id of an order is remembered.
pub const REQUEST_MEMORY: Duration = Duration::from_secs(86_400);
/// Past listings that are remembered, to double the time of repeats; the oldest go first.
pub const MAX_PAST_LISTINGS: usize = 1_000_000;
/// Prefixes on the allowlist.
pub const MAX_ALLOWLIST: usize = 10_000;
/// Prefixes and names on the policy's never-list, each.
pub const MAX_NEVER: usize = 10_000;
/// Highest quorum that a policy may ask for.
pub const MAX_QUORUM: u32 = 64;
/// Most zones that a policy may ask for.
pub const MAX_ZONES: u32 = 16;
/// Most units of a prefix that a policy may ask for.
pub const MAX_PREFIX_UNITS: u32 = 4_096;
/// Most new entries a minute that a policy may allow.
pub const MAX_NEW_PER_MINUTE: u32 = 1_000_000;
/// Most new units a minute that a policy may allow a host.
pub const MAX_HOST_UNITS: u32 = 10_000_000;
/// Most entries that a policy may allow.
pub const MAX_ENTRIES: u32 = 10_000_000;
/// Longest that an operator's block may last.
pub const MAX_BLOCK_TTL: Duration = Duration::from_secs(30 * 86_400);
/// Widest IPv4 prefix that an operator may block, as a length.
pub const WIDEST_BLOCK_V4: u8 = 16;
/// Widest IPv6 prefix that an operator may block, as a length.
pub const WIDEST_BLOCK_V6: u8 = 32;
/// Holds that unblocked prefixes may have at the same time.
pub const MAX_HOLDS: usize = 1_000_000;
/// Addresses that are kept for one DNS name on the never-list: first those that are kept already.
pub const MAX_NAME_ADDRESSES: usize = 256;
/// Longest that an allowance may last; what "for ever" is written as, since every element in the
/// kernel has a timeout.
pub const MAX_ALLOW_TTL: Duration = Duration::from_secs(3_650 * 86_400);

/// Deltas that the publisher keeps in memory.
pub const RING_DELTAS: usize = 4_096;
/// Bytes of deltas that the publisher keeps in memory.
pub const RING_BYTES: usize = 64 << 20;
/// Deltas that the store keeps behind the ring; an older position gets a snapshot.
pub const STORED_DELTAS: u64 = 1_000_000;
/// Members in one chunk of a snapshot: about 256 KiB of IPv4 addresses.
pub const SNAPSHOT_MEMBERS: usize = 65_536;
/// Largest message that a subscriber takes, in bytes: one revision may touch every entry, and is never
/// split.
pub const MAX_WATCH_BYTES: usize = 128 << 20;
/// Snapshots that are sent at the same time; further subscribers wait.
pub const SNAPSHOT_SENDERS: usize = 8;
/// Longest time between two messages to a subscriber.
pub const BOOKMARK_INTERVAL: Duration = Duration::from_secs(15);
/// Frames waiting in one subscriber's stream; the cursor waits, nobody else does.
pub const SUBSCRIBER_FRAMES: usize = 4;
/// Subscribers that one aggregator takes.
pub const MAX_SUBSCRIBERS: usize = 20_000;
/// Readers that one aggregator lets follow the events.
pub const EVENT_WATCHERS: usize = 64;

/// Log entries after which a checkpoint is written.
pub const CHECKPOINT_EVERY: u64 = 50_000;
/// Checkpoints that are kept for a restart.
pub const CHECKPOINTS_KEPT: usize = 2;
/// Time between the older checkpoints that are kept, as far back as the log is, for replays.
pub const CHECKPOINT_SPACING: Duration = Duration::from_secs(86_400);
/// Longest time between two records of a host's totals in the log.
pub const TOTALS_INTERVAL: Duration = Duration::from_secs(30);
/// How long events are kept for operators.
pub const EVENT_RETENTION: Duration = Duration::from_secs(30 * 86_400);
/// Events that are kept at most; the oldest go first.
pub const STORED_EVENTS: u64 = 10_000_000;
/// How long the log is kept behind the oldest kept checkpoint.
pub const LOG_RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// Largest page of a list, in items.
pub const MAX_PAGE_SIZE: usize = 1_000;
/// Page size when the caller names none.
pub const DEFAULT_PAGE_SIZE: usize = 100;

/// Bytes of batches that an agent keeps for an aggregator that is away; the oldest go first.
pub const REPORT_BUFFER_BYTES: usize = 32 << 20;
/// Shortest time between two passes over the sockets.
pub const MIN_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Longest time between two passes over the sockets, however costly one is.
pub const MAX_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// The share of one core that passes over the sockets may take: 1 in this many.
pub const POLL_CORE_SHARE: u32 = 100;
/// Shortest time between two dumps of the tracked connections.
pub const MIN_TRACKED_INTERVAL: Duration = Duration::from_millis(500);
/// Longest time between two such dumps, however costly one is: a third of the time that the kernel keeps a
/// half-open entry.
pub const MAX_TRACKED_INTERVAL: Duration = Duration::from_secs(20);
/// Time between two readings of the retransmits that were traced.
pub const TRACE_INTERVAL: Duration = Duration::from_millis(250);
/// KiB of each processor's buffer of traced retransmits: about 3,000 of them. The oldest go first.
pub const TRACE_BUFFER_KIB: usize = 256;
/// Bytes that one reading takes out of each such buffer.
pub const TRACE_READ_BYTES: usize = 512 << 10;
/// Time between two attempts to use a sensor that could not be used.
pub const SENSOR_AGAIN: Duration = Duration::from_secs(10);
/// Half-open handshakes that the agent follows; further rows are counted as truncated.
pub const MAX_HANDSHAKES: usize = 1_000_000;
/// How long a handshake that was told of is remembered after the last sign of it, where there are several
/// sensors: conntrack keeps its entry for 60 s, and may be looked at late.
pub const HANDSHAKE_MEMORY: Duration = Duration::from_secs(85);
/// How long a handshake is taken to go on after its SYN-ACK was sent again: more than the longest time between
/// two retransmits, 32 s at `tcp_synack_retries` = 6.
pub const RESENT_MEMORY: Duration = Duration::from_secs(40);
/// Longest life of a handshake that only retransmits tell of: 127 s at `tcp_synack_retries` = 6. What is sent
/// later belongs to another one between the same ends.
pub const RESENT_LIFE: Duration = Duration::from_secs(130);
/// Prefixes of which connections are looked for in one pass of the agent for counter-evidence.
pub const MAX_COMPLETED_PREFIXES: usize = 256;
/// Units with counter-evidence that one such pass takes up; further ones are counted as truncated.
pub const MAX_COMPLETED_UNITS: usize = 4_096;
/// Units that the agent remembers having told of as counter-evidence; further ones are counted as truncated.
pub const MAX_COMPLETED_TOLD: usize = 65_536;
/// Shortest time between two such passes.
pub const MIN_COMPLETED_INTERVAL: Duration = Duration::from_secs(2);
/// Longest time between two such passes, however costly one is.
pub const MAX_COMPLETED_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest time between two reports of counter-evidence about the same unit.
pub const COMPLETED_AGAIN: Duration = Duration::from_secs(60);
/// Units that the agent has reported lately, and listed entries that are new, each; the oldest go first.
pub const MAX_CANDIDATES: usize = 4_096;
/// How long a unit that the agent has reported stays a candidate for counter-evidence.
pub const CANDIDATE_TIME: Duration = Duration::from_secs(10 * 60);
/// Half-open sockets that one request to the kernel ends: its answers fit into the default receive buffer.
pub const SOCKETS_A_SEND: usize = 64;
/// Half-open sockets of new entries that one pass of the agent ends; further ones wait for the next pass.
pub const MAX_ENDED_SOCKETS: usize = 16_384;
/// New entries whose half-open sockets wait to be ended; those of further ones are left to the rule on output.
pub const MAX_ENDING_PREFIXES: usize = 65_536;
/// Over how long stuck handshakes are counted to tell whether an attack is on.
pub const ATTACK_WINDOW: Duration = Duration::from_secs(10);
/// Newly stuck handshakes in such a window that are an attack.
pub const ATTACK_STUCK: u64 = 50;
/// Completed handshakes for each stuck one above which it is none: some clients of a busy host lose their way.
pub const ATTACK_SHARE: u64 = 10;
/// What is left of an attack counts as calm when there is less than one part in this many of what makes one.
pub const CALM_SHARE: u64 = 4;
/// How long it must be calm before an attack is over.
pub const ATTACK_CALM: Duration = Duration::from_secs(5 * 60);
/// `tcp_synack_retries` while an attack is on, where it is adaptive: a stuck handshake then lives 7 s and shows its
/// retransmits for 6 s of them.
pub const ADAPTIVE_RETRIES: u8 = 2;
/// Highest `tcp_synack_retries` that the agent sets: the kernel waits at most 120 s for the next retransmit.
pub const MAX_SYNACK_RETRIES: u8 = 7;
/// Network namespaces besides the host's in which the agent sets it.
pub const MAX_NAMESPACES: usize = 256;
/// Processes that are looked at for their network namespaces.
pub const MAX_PROCESSES: usize = 65_536;
/// Handshakes that must have been taken up before it is judged whether our rules see the packets.
pub const PATH_EVIDENCE: u64 = 50;
/// They are bypassed if one in this many of the handshakes had no SYN that came to them.
pub const PATH_MISSING: u64 = 4;
/// How long after the table was made, or the agent began, nothing is judged: longer than a half-open handshake
/// lives.
pub const PATH_GRACE: Duration = Duration::from_secs(70);
/// Time between two looks at whether another program has changed the firewall, where none has: 5 µs each.
pub const GUARD_INTERVAL: Duration = Duration::from_millis(100);
/// The same where a look took long, since another program is at work all the time: then 20 times what the look took, up
/// to this.
pub const GUARD_REST: Duration = Duration::from_millis(500);
/// Time between two readings of the hit sets.
pub const HITS_INTERVAL: Duration = Duration::from_secs(10);
/// First wait before a reconnect; doubled each time, with full jitter.
pub const RECONNECT_BASE: Duration = Duration::from_millis(250);
/// Longest wait before a reconnect.
pub const RECONNECT_MAX: Duration = Duration::from_secs(15);
/// Entries in the kernel's set of recently hit addresses.
pub const HIT_SET_SIZE: u32 = 65_535;
/// How long an address stays in the set of recently hit ones after its last hit.
pub const HIT_SET_TIMEOUT: Duration = Duration::from_secs(60);
/// Handshakes of suppressed addresses that the kernel remembers, each family. Where there are more, their
/// retransmits pass, and are counted.
pub const ANSWERED_SET_SIZE: u32 = 524_288;
/// How long a handshake of a suppressed address is remembered after its last SYN-ACK: more than the longest
/// time between two retransmits, 32 s at `tcp_synack_retries` = 6.
pub const ANSWERED_SET_TIMEOUT: Duration = Duration::from_secs(40);
/// Steps that one transaction may have on a hash set that the rules look at; a set that more is to be changed in is
/// filled aside, so that no transaction holds a core for long.
pub const MAX_LIVE_STEPS: usize = 8_192;
/// Elements in one transaction of a filling aside.
pub const FILL_STEPS: usize = 4_096;
/// Tries of a transaction, or of a look at the table, that others' transactions come between.
pub const NFT_TRIES: usize = 64;
/// Time between two checks of the kernel's sets against the list.
pub const AUDIT_INTERVAL: Duration = Duration::from_secs(180);
/// Elements of each set that such a check looks up.
pub const AUDIT_SAMPLES: usize = 64;
/// The same after another program has changed the firewall, 4 µs each: a smaller set is looked up as a whole.
pub const DISTURBED_SAMPLES: usize = 4_096;
/// Entries in one kernel set.
pub const KERNEL_SET_SIZE: u32 = 16_777_216;
