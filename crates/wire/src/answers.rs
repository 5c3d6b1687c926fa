//! How a host answers SYNs, as a message.

use sekisho_model::Answers;

use crate::pb::v1 as pb;

/// As a message.
pub fn encode(answers: &Answers) -> pb::HostAnswers {
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    pb::HostAnswers {
        reflected: count(answers.reflected),
        withheld: count(answers.withheld),
        saved: count(answers.saved),
        retries: answers.retries.into(),
        retries_lowered: answers.lowered,
        bypassed: answers.bypassed,
    }
}

/// Of a message; a negative count is 0, and so is a number of retries that no kernel has.
pub fn decode(answers: &pb::HostAnswers) -> Answers {
    let count = |value: i64| u64::try_from(value).unwrap_or(0);
    Answers {
        reflected: count(answers.reflected),
        withheld: count(answers.withheld),
        saved: count(answers.saved),
        retries: u8::try_from(answers.retries).unwrap_or(0),
        lowered: answers.retries_lowered,
        bypassed: answers.bypassed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_told_is_read(counts: [u32; 3], retries: u8, lowered: bool, bypassed: bool) {
            let [reflected, withheld, saved] = counts.map(u64::from);
            let answers = Answers { reflected, withheld, saved, retries, lowered, bypassed };
            prop_assert_eq!(decode(&encode(&answers)), answers);
        }

        #[test]
        fn any_numbers_are_taken(reflected: i64, retries: i32) {
            let read = decode(&pb::HostAnswers { reflected, retries, ..Default::default() });
            prop_assert!(read.reflected <= i64::MAX.unsigned_abs());
        }
    }
}
