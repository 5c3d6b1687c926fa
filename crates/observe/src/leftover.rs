//! Which half-open sockets of a new entry may be ended.

use sekisho_model::Row;

use crate::observer::FIRST_TIMEOUT;

/// Whether a half-open socket still has SYN-ACKs to send. One that has had a timeout and sent nothing by it
/// waits for data (`TCP_DEFER_ACCEPT`): its client has answered, and lives on as what is established does.
pub fn is_leftover(row: &Row) -> bool {
    row.retransmits > 0 || row.expires <= FIRST_TIMEOUT
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn whoever_has_answered_is_left_alone() {
        let row = |retransmits, expires| Row {
            peer: "203.0.113.7".parse().unwrap(),
            cookie: 1,
            retransmits,
            expires: Duration::from_millis(expires),
        };
        assert!(is_leftover(&row(0, 900)) && is_leftover(&row(1, 1_900)) && is_leftover(&row(5, 100)));
        assert!(!is_leftover(&row(0, 1_900)));
    }
}
