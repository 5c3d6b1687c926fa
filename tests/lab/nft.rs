//! What is in force in a host's kernel, read by the real `nft`: an independent witness of our netlink.

use std::{net::IpAddr, str::FromStr, time::Duration};

use anyhow::{Context, Result};
use sekisho_model::{Prefix, Tier, prefix::PrefixError};
use serde_json::Value;

use crate::namespace::Namespace;

/// The table of the agent.
pub const TABLE: &str = "sekisho";

/// Addresses from `first` to `last`: the kernel keeps overlapping prefixes as ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
}

impl Span {
    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && (self.first..=self.last).contains(&address)
    }
}

impl FromStr for Span {
    type Err = PrefixError;

    /// Reads an address, a prefix, or `first-last`, as `nft` prints them.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last): (Prefix, Prefix) = (first.parse()?, last.parse()?);
        Ok(Self { first: first.address(), last: last.last() })
    }
}

/// One element of a set of the agent's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The set that it is in.
    pub set: String,
    /// What it covers.
    pub span: Span,
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

/// The entries of the blocklist, of both tiers.
///
/// # Errors
/// `nft` failed.
pub fn blocks(namespace: &Namespace) -> Result<Vec<Element>> {
    Ok(elements(namespace)?.into_iter().filter(|element| tier_of(&element.set).is_some()).collect())
}

/// At which tier an entry that covers `address` is in force; none if there is no such.
///
/// # Errors
/// `nft` failed.
pub fn tier_at(namespace: &Namespace, address: IpAddr) -> Result<Option<Tier>> {
    let covering = |element: &Element| element.span.contains(address).then(|| tier_of(&element.set))?;
    Ok(blocks(namespace)?.iter().find_map(covering))
}

/// Whether a block (at tier drop) that covers `address` is in force.
///
/// # Errors
/// `nft` failed.
pub fn is_blocked(namespace: &Namespace, address: IpAddr) -> Result<bool> {
    Ok(tier_at(namespace, address)? == Some(Tier::Drop))
}

/// What a named counter of the table says, in packets: "suppressed", "dropped".
///
/// # Errors
/// `nft` failed, or there is no such counter.
pub fn counter(namespace: &Namespace, name: &str) -> Result<u64> {
    let json: Value = serde_json::from_str(&namespace.nft(&format!("-j list counter inet {TABLE} {name}"))?)?;
    let mut objects = json["nftables"].as_array().into_iter().flatten();
    objects.find_map(|object| object["counter"]["packets"].as_u64()).context("nft -j printed no counter")
}

/// Whether `set` holds `address`, by a look-up.
pub fn holds(namespace: &Namespace, set: &str, address: IpAddr) -> bool {
    namespace.nft(&format!("get element inet {TABLE} {set} {{ {address} }}")).is_ok()
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

/// The tier of the entries in a set of this name; none if it holds something else.
pub fn tier_of(set: &str) -> Option<Tier> {
    // A set that was filled aside has another name.
    match set.trim_end_matches("-b").trim_end_matches(['4', '6']) {
        "drop" | "dropnet" => Some(Tier::Drop),
        "suppress" | "suppressnet" => Some(Tier::Suppress),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Vec<Element>> {
    let json: Value = serde_json::from_str(text).context("nft -j printed no JSON")?;
    let mut found = Vec::new();
    for object in json["nftables"].as_array().into_iter().flatten() {
        let set = &object["set"];
        let Some(name) = set["name"].as_str() else { continue };
        // Packet rules fill these: addresses with a statement for each, and handshakes.
        if set.get("stmt").is_some() || set["type"].is_array() {
            continue;
        }
        for element in set["elem"].as_array().into_iter().flatten() {
            let inner = element.get("elem").unwrap_or(element);
            let value = inner.get("val").unwrap_or(inner);
            // An element that packets put there has its set's timeout; what is left of it is shown.
            let timeout = inner["timeout"].as_u64().or(inner["expires"].as_u64()).map(Duration::from_secs);
            let span = span(value).with_context(|| format!("unreadable element {value}"))?;
            found.push(Element { set: name.to_owned(), span, timeout });
        }
    }
    Ok(found)
}

fn span(value: &Value) -> Option<Span> {
    if let Some(text) = value.as_str() {
        return text.parse().ok();
    }
    if let Some(range) = value.get("range") {
        return format!("{}-{}", range[0].as_str()?, range[1].as_str()?).parse().ok();
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
            {"set": {"name": "answered4", "type": ["ipv4_addr", "inet_service"], "elem":
             [{"elem": {"val": {"concat": ["192.0.2.1", 80]}, "expires": 5}}]}},
            {"set": {"name": "hit4", "stmt": [{"counter": null}], "elem": ["192.0.2.1"]}}]}"#;
        let found = parse(text).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].timeout, Some(Duration::from_secs(600)));
        assert_eq!(found[1].span, "2001:db8::/64".parse().unwrap());
        assert!(found[1].span.contains("2001:db8::9".parse().unwrap()));
        assert!(!found[1].span.contains("2001:db8:0:1::".parse().unwrap()));
        let range: Span = "203.0.113.4-203.0.113.6".parse().unwrap();
        assert!(range.contains("203.0.113.5".parse().unwrap()));
        assert_eq!(found[2].timeout, None);
        let tiers =
            ["drop4", "dropnet6", "suppress6", "suppressnet4", "allow4", "hit6", "sup-hit4", "answered4"];
        let (strict, gentle) = (Some(Tier::Drop), Some(Tier::Suppress));
        assert_eq!(tiers.map(tier_of), [strict, strict, gentle, gentle, None, None, None, None]);
    }
}
