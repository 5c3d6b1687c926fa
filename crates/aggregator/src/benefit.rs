//! What the fleet has answered and what it was spared, added up from what each host tells of its agent's life.

use sekisho_model::Answers;

/// SYN-ACKs, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Sent to handshakes proven stuck.
    pub reflected: u64,
    /// Held back or never made.
    pub withheld: u64,
    /// Not sent again since retries were lowered.
    pub saved: u64,
}

impl Sums {
    fn map(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            reflected: with(self.reflected, other.reflected),
            withheld: with(self.withheld, other.withheld),
            saved: with(self.saved, other.saved),
        }
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        self.map(other, u64::saturating_add)
    }
}

/// One host's, over the lives of its agent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Benefit {
    session: u64,
    told: Sums,
    sums: Sums,
}

impl Benefit {
    /// Takes in what an agent of this session tells. A batch that is sent again tells less than a later one did:
    /// it adds nothing.
    pub fn told(&mut self, session: u64, answers: &Answers) {
        let Answers { reflected, withheld, saved, .. } = *answers;
        let now = Sums { reflected, withheld, saved };
        if session != self.session {
            (self.session, self.told) = (session, Sums::default());
        }
        self.sums = self.sums.plus(now.map(self.told, u64::saturating_sub));
        self.told = self.told.map(now, u64::max);
    }

    /// All of it.
    pub fn sums(&self) -> Sums {
        self.sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_added_up_and_repeats_are_not() {
        let mut benefit = Benefit::default();
        let mut told = |session, reflected, withheld| {
            benefit.told(session, &Answers { reflected, withheld, ..Answers::default() });
            (benefit.sums().reflected, benefit.sums().withheld)
        };
        assert_eq!(told(1, 10, 100), (10, 100));
        assert_eq!(told(1, 15, 100), (15, 100));
        assert_eq!(told(1, 10, 100), (15, 100), "sent again");
        assert_eq!(told(1, 16, 101), (16, 101));
        assert_eq!(told(2, 3, 4), (19, 105), "another life");
    }
}
