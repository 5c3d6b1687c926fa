//! What is in force in a host's kernel, read by the real `nft`: an independent witness of our netlink.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result};
use sekisho_model::Prefix;
use serde_json::Value;

use crate::namespace::Namespace;

/// The table of the agent.
pub const TABLE: &str = "sekisho";

/// One element of a set of the agent's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The set that it is in.
    pub set: String,
    /// What it says.
    pub prefix: Prefix,
    /// How long it lives; none would be a broken promise.
    pub timeout: Option<Duration>,
}

/// Everything in the table, as `nft` prints it for people; empty when there is no table.
///
/// # Errors
/// `nft` failed.
pub fn text(namespace: &Namespace) -> Result<String> {
    if tables(namespace)?.is_empty() {
        return Ok(String::new());
    }
    namespace.nft(&format!("list table inet {TABLE}"))
}

/// The agent's tables: one, or none.
///
/// # Errors
/// `nft` failed.
pub fn tables(namespace: &Namespace) -> Result<Vec<String>> {
    let tables = namespace.nft("list tables")?;
    Ok(tables.lines().filter(|line| line.ends_with(TABLE)).map(str::to_owned).collect())
}

/// The elements that block, in every set.
///
/// # Errors
/// `nft` failed.
pub fn blocks(namespace: &Namespace) -> Result<Vec<Element>> {
    Ok(elements(namespace)?.into_iter().filter(|element| is_block_set(&element.set)).collect())
}

/// Whether a block that covers `address` is in force.
///
/// # Errors
/// `nft` failed.
pub fn is_blocked(namespace: &Namespace, address: IpAddr) -> Result<bool> {
    Ok(blocks(namespace)?.iter().any(|element| element.prefix.contains(address)))
}

/// The elements of every static set: those that packets fill (recently hit) are left out.
///
/// # Errors
/// `nft` failed.
pub fn elements(namespace: &Namespace) -> Result<Vec<Element>> {
    if tables(namespace)?.is_empty() {
        return Ok(Vec::new());
    }
    parse(&namespace.nft(&format!("-j list table inet {TABLE}"))?)
}

/// Whether a set of this name blocks: neither the allowlist nor the recently hit ones.
pub fn is_block_set(name: &str) -> bool {
    !name.contains("allow") && !name.contains("hit")
}

fn parse(text: &str) -> Result<Vec<Element>> {
    let json: Value = serde_json::from_str(text).context("nft -j printed no JSON")?;
    let mut found = Vec::new();
    for object in json["nftables"].as_array().into_iter().flatten() {
        let set = &object["set"];
        let Some(name) = set["name"].as_str() else { continue };
        // Packet rules fill this one: it has a statement for each element.
        if set.get("stmt").is_some() {
            continue;
        }
        for element in set["elem"].as_array().into_iter().flatten() {
            let inner = element.get("elem").unwrap_or(element);
            let value = inner.get("val").unwrap_or(inner);
            let timeout = inner["timeout"].as_u64().map(Duration::from_secs);
            let prefix = prefix(value).with_context(|| format!("unreadable element {value}"))?;
            found.push(Element { set: name.to_owned(), prefix, timeout });
        }
    }
    Ok(found)
}

fn prefix(value: &Value) -> Option<Prefix> {
    if let Some(text) = value.as_str() {
        return text.parse().ok();
    }
    let inner = value.get("prefix")?;
    format!("{}/{}", inner["addr"].as_str()?, inner["len"].as_u64()?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_from_json() {
        let text = r#"{"nftables": [
            {"set": {"name": "drop4", "elem": [{"elem": {"val": "203.0.113.7", "timeout": 600, "expires": 599}}]}},
            {"set": {"name": "net6", "elem": [{"elem": {"val": {"prefix": {"addr": "2001:db8::", "len": 64}},
             "timeout": 5}}, "2001:db8:1::1"]}},
            {"set": {"name": "hit4", "stmt": [{"counter": null}], "elem": ["192.0.2.1"]}}]}"#;
        let found = parse(text).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].timeout, Some(Duration::from_secs(600)));
        assert_eq!(found[1].prefix.to_string(), "2001:db8::/64");
        assert_eq!(found[2].timeout, None);
        assert!(is_block_set("drop4") && !is_block_set("allow4") && !is_block_set("hit6"));
    }
}
