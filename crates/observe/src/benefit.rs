//! What is computed, not counted, of the SYN-ACKs that were not sent.

/// What lowering `tcp_synack_retries` from `operator` to `ours` has saved, by stuck sockets that are gone: the
/// place of each is the number of its retransmits. One that came to ours or further ended there, and would have
/// gone on to the operator's.
pub fn saved(given_up: &[u64], operator: u8, ours: u8) -> u64 {
    let places = given_up.iter().zip(0u8..).filter(|(_, retransmits)| (ours..operator).contains(retransmits));
    places.map(|(sockets, retransmits)| sockets.saturating_mul(u64::from(operator - retransmits))).sum()
}

/// The SYN-ACKs that dropped SYNs would have brought: one each, and as many again as the operator's
/// `tcp_synack_retries`, since of what is at drop nobody answers.
pub fn never_made(dropped: u64, operator: u8) -> u64 {
    dropped.saturating_mul(1 + u64::from(operator))
}

/// The SYN-ACKs that handshakes would have got after the one that was held back on output, which ends them. What is
/// held back on its way from a pod ends nothing there and is counted each time: where a host `forwards`, nothing is
/// added.
pub fn no_longer_sent(suppressed: u64, operator: u8, forwards: bool) -> u64 {
    if forwards { 0 } else { suppressed.saturating_mul(u64::from(operator.saturating_sub(1))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ended_at_our_value_is_saved() {
        assert_eq!(saved(&[9, 9, 1, 1, 1, 9, 9], 5, 2), 3 + 2 + 1);
        assert_eq!(saved(&[9; 9], 5, 5), 0);
        assert_eq!(saved(&[9; 9], 0, 0), 0);
        assert_eq!(never_made(10, 5), 60);
        assert_eq!((no_longer_sent(10, 5, false), no_longer_sent(10, 5, true)), (40, 0));
        assert_eq!(no_longer_sent(10, 0, false), 0);
        assert_eq!(never_made(u64::MAX, 5), u64::MAX);
    }
}
