//! Waiting for a condition, with a deadline, instead of sleeping and hoping.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Time between two looks.
const PACE: Duration = Duration::from_millis(20);

/// Looks until `look` finds something; `what` names it in the error.
///
/// # Errors
/// `look` failed, or found nothing before the deadline.
pub fn until<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() >= deadline {
            bail!("not within {deadline:?}: {what}");
        }
        sleep(PACE);
    }
}

/// Looks until `look` says true; a failed look counts as false and its error is told at the deadline.
///
/// # Errors
/// It was not true before the deadline.
pub fn until_true(deadline: Duration, what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    loop {
        let seen = look();
        if matches!(seen, Ok(true)) {
            return Ok(());
        }
        if start.elapsed() >= deadline {
            let why = seen.err().map(|error| format!(" ({error:#})")).unwrap_or_default();
            bail!("not within {deadline:?}: {what}{why}");
        }
        sleep(PACE);
    }
}

/// Checks that `look` stays true for the whole of `span`.
///
/// # Errors
/// `look` failed, or said false once.
pub fn holds(span: Duration, what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < span {
        if !look()? {
            bail!("no longer true after {:?}: {what}", start.elapsed());
        }
        sleep(PACE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_name_what_was_waited_for() {
        let error = until::<()>(Duration::from_millis(30), "rain", || Ok(None)).unwrap_err();
        assert!(error.to_string().contains("rain"));
        let error = until_true(Duration::from_millis(30), "sun", || bail!("clouds")).unwrap_err();
        assert!(error.to_string().contains("sun (clouds)"));
        assert_eq!(until(Duration::ZERO, "now", || Ok(Some(7))).unwrap(), 7);
        assert!(holds(Duration::from_millis(30), "peace", || Ok(false)).is_err());
    }
}
