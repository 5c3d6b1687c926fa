//! How a host answers SYNs, and what Sekisho makes of that: told with each batch, for operators.

/// Counts are since the agent began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// SYN-ACKs that were sent to handshakes proven stuck: reflected ones, nearly all of them.
    pub reflected: u64,
    /// SYN-ACKs that were held back, or never made since their SYN was dropped.
    pub withheld: u64,
    /// SYN-ACKs that were not sent again since `tcp_synack_retries` was lowered.
    pub saved: u64,
    /// `tcp_synack_retries` as it is in force; 0 if it is not known.
    pub retries: u8,
    /// Whether the agent has lowered it.
    pub lowered: bool,
    /// Whether packets go around the agent's rules, so that they do nothing.
    pub bypassed: bool,
}
