//! Which half-open sockets of a new entry may be ended.

use sekisho_model::{Row, Sign};

use crate::life::FIRST_TIMEOUT;

/// Whether a half-open socket still has SYN-ACKs to send. One that has had a timeout and sent nothing by it
/// waits for data (`TCP_DEFER_ACCEPT`): its client has answered, and lives on as what is established does.
pub fn is_leftover(row: &Row) -> bool {
    match row.sign {
        Sign::Socket { retransmits, expires, .. } => retransmits > 0 || expires <= FIRST_TIMEOUT,
        Sign::Tracked { .. } | Sign::Resent => false,
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use sekisho_model::Handshake;

    use super::*;

    #[test]
    fn whoever_has_answered_is_left_alone() {
        let (peer, local) = ("203.0.113.7:9".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
        let row = |retransmits, expires| Row {
            victim: "203.0.113.7".parse().unwrap(),
            handshake: Handshake::new(peer, local),
            sign: Sign::Socket { cookie: 1, retransmits, expires: Duration::from_millis(expires) },
        };
        assert!(is_leftover(&row(0, 900)) && is_leftover(&row(1, 1_900)) && is_leftover(&row(5, 100)));
        assert!(!is_leftover(&row(0, 1_900)));
    }
}
