//! Pages: sizes within limits, and tokens that name the last item of the page before.

use sekisho_model::limits::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE};
use sekisho_wire::Malformed;

/// The size that a page has.
///
/// # Errors
/// `page_size` when it is negative or over [`MAX_PAGE_SIZE`].
pub fn size(asked: i32) -> Result<usize, Malformed> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT_PAGE_SIZE),
        Ok(size) if size <= MAX_PAGE_SIZE => Ok(size),
        _ => Err(Malformed::field("page_size", format!("must be from 0 to {MAX_PAGE_SIZE}"))),
    }
}

/// What a token names; none for the first page.
///
/// # Errors
/// `page_token` when it was not given by an answer before.
pub fn after<T: std::str::FromStr>(token: &str) -> Result<Option<T>, Malformed> {
    let wrong =
        |_| Malformed::field("page_token", "use next_page_token of the answer before, or leave it out");
    if token.is_empty() { Ok(None) } else { token.parse().map(Some).map_err(wrong) }
}

/// The first `size` of `items`, and the token for what follows them.
pub fn page<T>(
    items: impl Iterator<Item = T>,
    size: usize,
    token: impl Fn(&T) -> String,
) -> (Vec<T>, String) {
    let mut page: Vec<T> = items.take(size + 1).collect();
    let more = page.len() > size;
    page.truncate(size);
    let token = page.last().filter(|_| more).map(token).unwrap_or_default();
    (page, token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gaps() {
        let (mut got, mut token) = (Vec::new(), String::new());
        loop {
            let after: Option<u32> = after(&token).unwrap();
            let (items, next) =
                page((0..7u32).skip_while(|n| after.is_some_and(|after| *n <= after)), 3, u32::to_string);
            got.push(items);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(got, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(page(0..3u32, 3, u32::to_string).1, "");
    }

    #[test]
    fn sizes_and_tokens_are_checked() {
        assert_eq!(size(0).unwrap(), DEFAULT_PAGE_SIZE);
        assert_eq!(size(1_001).unwrap_err().field, "page_size");
        assert_eq!(size(-1).unwrap_err().field, "page_size");
        assert_eq!(after::<u32>("x").unwrap_err().field, "page_token");
    }
}
