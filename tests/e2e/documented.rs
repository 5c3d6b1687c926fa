//! The pages of metrics and limits list what there is: neither more nor less.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use sekisho_lab::{
    http,
    namespace::Namespace,
    programs::{AGENT_METRICS, AGGREGATOR_METRICS},
};

use crate::support::{hosts, with_fleet};

const PAGE: &str = include_str!("../../docs/metrics.md");

const LIMITS_PAGE: &str = include_str!("../../docs/limits.md");
const LIMITS: &str = include_str!("../../crates/model/src/limits.rs");

/// The names, with their kinds, in the section of the page that is called so.
fn documented(section: &str) -> BTreeSet<(String, String)> {
    let (_, rest) = PAGE.split_once(&format!("\n## {section}\n")).unwrap();
    let rows = rest.lines().take_while(|line| !line.starts_with("## ")).filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let name = cells.next()?.strip_prefix("`sekisho_")?.strip_suffix('`')?;
        Some((format!("sekisho_{name}"), cells.next()?.to_owned()))
    });
    rows.collect()
}

/// The names, with their kinds, in an exposition, each of which has a series.
fn shown(namespace: &Namespace, server: std::net::SocketAddr) -> Result<BTreeSet<(String, String)>> {
    let exposition = http::get(namespace, server, "/metrics")?.body;
    let kinds = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE sekisho_")?.split_once(' '));
    let names: BTreeSet<_> = kinds.map(|(name, kind)| (format!("sekisho_{name}"), kind.to_owned())).collect();
    for (name, _) in &names {
        ensure!(http::metric(&exposition, name).is_some(), "{name} has no series from the start");
    }
    Ok(names)
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    with_fleet(&hosts(1), |fleet| {
        for (section, namespace, server) in [
            ("The aggregator", &fleet.world.aggregator, AGGREGATOR_METRICS),
            ("The agent", &fleet.world.hosts[0].namespace, AGENT_METRICS),
        ] {
            let (page, program) = (documented(section), shown(namespace, server)?);
            let only = |these: &BTreeSet<_>, those: &BTreeSet<(String, String)>| -> Vec<(String, String)> {
                these.difference(those).cloned().collect()
            };
            let (undocumented, gone) = (only(&program, &page), only(&page, &program));
            ensure!(page.len() > 10, "the page has no table under {section}");
            ensure!(
                undocumented.is_empty() && gone.is_empty(),
                "{section}: not on the page: {undocumented:?}; only on the page: {gone:?}"
            );
        }
        Ok(())
    });
}

#[test]
fn every_limit_is_documented_and_every_documented_one_is_there() {
    let constants = LIMITS.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let constants: BTreeSet<&str> = constants.collect();
    let rows = LIMITS_PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    // Limits that stand elsewhere are listed by file.
    let documented: BTreeSet<&str> = rows.filter(|name| !name.contains('/')).collect();
    assert!(constants.len() > 50, "{constants:?}");
    assert_eq!(documented, constants);
}
