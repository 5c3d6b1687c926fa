//! One page of a trace buffer, as `trace_pipe_raw` gives it: records one after the other, each after a word that
//! says how long it is (the kernel's `linux/ring_buffer.h`).

use super::format::Head;
use crate::message::u32_at;

/// The part of the commit word that says how much is filled.
const FILLED: u64 = (1 << 27) - 1;
/// `RB_MISSED_EVENTS`: records before this page were overwritten.
const MISSED: u64 = 1 << 31;
/// `RB_MISSED_STORED`: how many stands behind the last record.
const MISSED_STORED: u64 = 1 << 30;
/// `RINGBUF_TYPE_DATA_TYPE_LEN_MAX`: up to here it is the length in words.
const LONGEST: u32 = 28;
/// `RINGBUF_TYPE_PADDING`.
const PADDING: u32 = 29;

/// Gives each record of the page; tells how many before it were lost, if some were: 0 if the kernel did not say
/// how many.
pub(super) fn walk(page: &[u8], head: Head, mut each: impl FnMut(&[u8])) -> Option<u64> {
    let commit = head.commit.number(page).unwrap_or(0);
    let filled = usize::try_from(commit & FILLED).unwrap_or(0);
    let all = page.get(head.data..).unwrap_or(&[]);
    let mut rest = all.get(..filled).unwrap_or(all);
    while let Some((record, length)) = next(rest) {
        if let Some(record) = record {
            each(record);
        }
        rest = rest.get(length..).unwrap_or(&[]);
    }
    let behind = || all.get(filled..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    let stored = if commit & MISSED_STORED != 0 { behind() } else { None };
    (commit & MISSED != 0).then(|| stored.unwrap_or(0))
}

/// The record at the head of `rest`, if what is there is one, and the bytes that it takes with its word.
fn next(rest: &[u8]) -> Option<(Option<&[u8]>, usize)> {
    let word = u32_at(rest, 0)?;
    let kind = if cfg!(target_endian = "little") { word & 31 } else { word >> 27 };
    let second = || u32_at(rest, 4).and_then(|length| usize::try_from(length).ok());
    match kind {
        // The length with its own word stands before the record.
        0 => {
            let end = second().filter(|length| *length >= 4)?.checked_add(4)?;
            Some((rest.get(8..end), end))
        }
        1..=LONGEST => {
            let end = 4 + 4 * usize::try_from(kind).ok()?;
            Some((rest.get(4..end), end))
        }
        PADDING => Some((None, second()?.checked_add(4)?)),
        // Time that passed, or a time.
        _ => Some((None, 8)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{super::format, *};

    fn head() -> Head {
        Head::parse(format::tests::PAGE).unwrap()
    }

    fn page(records: &[Vec<u8>], flags: u64) -> Vec<u8> {
        let mut data = Vec::new();
        for (number, record) in records.iter().enumerate() {
            if number % 3 == 0 {
                data.extend([30u32.to_ne_bytes(), 7u32.to_ne_bytes()].concat());
            }
            let padded = record.len().next_multiple_of(4);
            if padded == 0 || padded > 4 * 28 {
                data.extend([0u32.to_ne_bytes(), u32::try_from(padded + 4).unwrap().to_ne_bytes()].concat());
            } else {
                data.extend(u32::try_from(padded / 4).unwrap().to_ne_bytes());
            }
            data.extend(record);
            data.resize(data.len() + padded - record.len(), 0);
        }
        let mut page = vec![0; 8];
        page.extend((data.len() as u64 | flags).to_ne_bytes());
        page.extend(data);
        page.extend(77u64.to_ne_bytes());
        page.resize(page.len().max(4096), 0);
        page
    }

    fn read(page: &[u8]) -> (Vec<Vec<u8>>, Option<u64>) {
        let mut records = Vec::new();
        let missed = walk(page, head(), |record| records.push(record.to_vec()));
        (records, missed)
    }

    #[test]
    fn lost_records_are_told() {
        assert_eq!(read(&page(&[], 0)).1, None);
        assert_eq!(read(&page(&[], MISSED)).1, Some(0));
        assert_eq!(read(&page(&[vec![1; 4]], MISSED | MISSED_STORED)), (vec![vec![1; 4]], Some(77)));
    }

    proptest! {
        #[test]
        fn every_record_is_found(records in vec(vec(any::<u8>(), 0..200), 0..15)) {
            let (read, missed) = read(&page(&records, 0));
            prop_assert_eq!(missed, None);
            prop_assert_eq!(read.len(), records.len());
            for (read, record) in read.iter().zip(&records) {
                prop_assert_eq!(read.get(..record.len()), Some(&record[..]));
            }
        }

        #[test]
        fn any_bytes_are_taken(mut bytes in vec(any::<u8>(), 0..300), filled in 0u64..300) {
            read(&bytes);
            if let Some(commit) = bytes.get_mut(8..16) {
                commit.copy_from_slice(&filled.to_ne_bytes());
            }
            read(&bytes);
        }
    }
}
