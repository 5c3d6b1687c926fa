//! The connection, the deadline of each call, and paging through everything.

use std::{num::NonZeroUsize, time::Duration};

use sekisho_daemon::client;
use sekisho_model::limits::MAX_PAGE_SIZE;
use tonic::{Request, transport::Channel};

use crate::{args::Connection, errors::Failure};

/// Longest that one call may take; following the list has no end.
const DEADLINE: Duration = Duration::from_secs(30);

/// Connects to the aggregator that the flags name.
pub(crate) async fn connect(args: &Connection) -> Result<Channel, Failure> {
    let tls = args.tls.client()?;
    let uri = client::url(&args.aggregator, tls.is_some())?;
    Ok(client::connect(&uri, tls).await?)
}

/// A request with a deadline.
pub(crate) fn ask<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// Which page to ask for.
pub(crate) struct Page {
    pub(crate) size: i32,
    pub(crate) token: String,
}

/// Everything that `fetch` gives page by page, at most `limit`.
pub(crate) async fn pages<T>(
    limit: Option<NonZeroUsize>,
    mut fetch: impl AsyncFnMut(Page) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    let limit = limit.map_or(usize::MAX, NonZeroUsize::get);
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let size = MAX_PAGE_SIZE.min(limit - all.len());
        let page = Page { size: i32::try_from(size).unwrap_or(i32::MAX), token: token.clone() };
        let (items, next) = fetch(page).await?;
        all.extend(items);
        all.truncate(limit);
        if next.is_empty() || all.len() == limit {
            return Ok(all);
        }
        if next == token {
            return Err(Failure::Unsound("a page names itself as the next one".into()));
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(limit: Option<usize>, total: usize) -> (Vec<usize>, Vec<i32>) {
        let mut sizes = Vec::new();
        let fetch = async |page: Page| {
            sizes.push(page.size);
            let from: usize = page.token.parse().unwrap_or(0);
            let to = total.min(from + usize::try_from(page.size).unwrap());
            Ok(((from..to).collect(), if to < total { to.to_string() } else { String::new() }))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let all = runtime.block_on(pages(limit.and_then(NonZeroUsize::new), fetch)).unwrap();
        (all, sizes)
    }

    #[test]
    fn pages_are_followed_to_the_end_or_the_limit() {
        assert_eq!(gathered(None, 0), (vec![], vec![1000]));
        assert_eq!(gathered(None, 2_500), ((0..2_500).collect(), vec![1000; 3]));
        assert_eq!(gathered(Some(1_200), 2_500), ((0..1_200).collect(), vec![1000, 200]));
        assert_eq!(gathered(Some(7), 3).0.len(), 3);
    }

    #[tokio::test]
    async fn a_page_that_names_itself_is_refused() {
        let same = async |_: Page| Ok((vec![1], "again".to_owned()));
        assert!(matches!(pages(None, same).await, Err(Failure::Unsound(_))));
    }
}
