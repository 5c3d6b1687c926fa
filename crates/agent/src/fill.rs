//! How full the kernel's sets are that the rules fill, for the metrics; said in the log once an episode, with what
//! it means.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use sekisho_ruleset::{Fill, Fullness, Kind, SetName};

/// The last reading.
#[derive(Debug, Default)]
pub struct Fills {
    fullness: Mutex<Fullness>,
    /// Sets that are full.
    pub full: AtomicU64,
    /// Units in the sets of recently hit ones.
    pub hits: AtomicU64,
    /// Handshakes that are remembered.
    pub handshakes: AtomicU64,
}

impl Fills {
    /// Takes a reading in.
    pub fn take(&self, fills: &[Fill]) {
        let sum = |kind| {
            let of = fills.iter().filter(|fill| fill.set.kind() == kind);
            of.map(|fill| u64::from(fill.elements)).sum()
        };
        self.hits.store(sum(Kind::Dynamic), Ordering::Relaxed);
        self.handshakes.store(sum(Kind::Handshakes), Ordering::Relaxed);
        let mut fullness = self.fullness.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, ended) = fullness.read(fills);
        self.full.store(fullness.len() as u64, Ordering::Relaxed);
        for set in began {
            tracing::warn!(%set, size = set.size(), "{}", meaning(set));
        }
        for set in ended {
            tracing::info!(%set, "the kernel's set has room again");
        }
    }
}

/// What it means that there is no room.
fn meaning(set: SetName) -> &'static str {
    match set.kind() {
        Kind::Dynamic => {
            "more listed addresses are hit at a time than the kernel's set holds: all of them are still blocked, but \
             the hits of the others are not told, so that their entries may end early"
        }
        Kind::Handshakes => {
            "more handshakes of suppressed addresses are open than the kernel's set holds: the SYN-ACKs of the others \
             are sent again as without a rule; drop the heaviest of them"
        }
        Kind::Hash | Kind::Interval => "the kernel's set is full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_added_up_by_kind() {
        let fills = Fills::default();
        let fill = |set, elements| Fill { set, elements };
        let size = SetName::Answered4.size().unwrap();
        fills.take(&[
            fill(SetName::Hit4, 3),
            fill(SetName::SupHit6, 4),
            fill(SetName::Answered4, size),
            fill(SetName::Answered6, 1),
        ]);
        let read = [&fills.hits, &fills.handshakes, &fills.full].map(|each| each.load(Ordering::Relaxed));
        assert_eq!(read, [7, u64::from(size) + 1, 1]);
        fills.take(&[]);
        assert_eq!(fills.hits.load(Ordering::Relaxed), 0);
    }
}
