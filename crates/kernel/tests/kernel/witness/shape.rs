//! What a table is made of, reduced to what any version of `nft` lists alike, so that a listing can be
//! compared with a declaration.

use std::collections::BTreeMap;

use serde_json::Value;

/// A line of text for each counter, set, chain and rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape(BTreeMap<String, String>);

impl Shape {
    /// The shape of table `table` in a document of libnftables, be it a listing or commands.
    pub(super) fn of(document: &Value, table: &str) -> Self {
        let mut shape = Self::default();
        let objects = document["nftables"].as_array().into_iter().flatten();
        for (kind, body) in objects.filter_map(object) {
            let ours = if kind == "table" { &body["name"] } else { &body["table"] };
            if ours == table {
                shape.add(kind, body);
            }
        }
        shape
    }

    /// The first difference to `wanted`, in words.
    pub(super) fn difference(&self, wanted: &Self) -> Option<String> {
        let missing = wanted.0.iter().find_map(|(key, want)| match self.0.get(key) {
            Some(found) if found == want => None,
            Some(found) => Some(format!("{key} is \"{found}\" and should be \"{want}\"")),
            None => Some(format!("{key} is missing")),
        });
        let extra =
            || self.0.keys().find(|key| !wanted.0.contains_key(*key)).map(|key| format!("{key} is not ours"));
        missing.or_else(extra)
    }

    fn add(&mut self, kind: &str, body: &Value) {
        let name = |field: &str| body[field].as_str().unwrap_or("?").to_owned();
        let (key, text) = match kind {
            "rule" => {
                let chain = name("chain");
                let place = (1..).find(|place| !self.0.contains_key(&rule_key(&chain, *place))).unwrap_or(0);
                (rule_key(&chain, place), words(&body["expr"]))
            }
            "set" => (format!("set {}", name("name")), set(body)),
            "chain" => (format!("chain {}", name("name")), fields(body, &["type", "hook", "prio", "policy"])),
            // Whether the table sleeps ("dormant") or has an owner shows in its flags.
            "table" => ("table".to_owned(), flags(body)),
            other => (format!("{other} {}", name("name")), String::new()),
        };
        self.0.insert(key, text);
    }
}

fn rule_key(chain: &str, place: u32) -> String {
    format!("rule {place} of chain {chain}")
}

/// The kind and body of an object in a listing, or of one that is added or created.
fn object(value: &Value) -> Option<(&str, &Value)> {
    let (kind, body) = value.as_object()?.iter().next()?;
    match kind.as_str() {
        "add" | "create" => object(body),
        "metainfo" => None,
        kind => Some((kind, body)),
    }
}

fn fields(body: &Value, names: &[&str]) -> String {
    let present = names.iter().filter(|name| !body[**name].is_null());
    present.map(|name| format!("{name} {} ", plain(&body[*name]))).collect::<String>().trim_end().to_owned()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn set(body: &Value) -> String {
    format!("{} flags {}", fields(body, &["type", "size", "timeout"]), flags(body))
}

/// The flags in order. `dynamic` is listed by newer versions only.
fn flags(body: &Value) -> String {
    let mut flags: Vec<&str> = match &body["flags"] {
        Value::String(one) => vec![one],
        many => many.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    flags.retain(|flag| *flag != "dynamic");
    flags.sort_unstable();
    flags.join(",")
}

/// All words of a rule, sorted: what it matches, counts and decides. Versions differ in how they nest
/// and order them, and in what they say of a counter's value.
fn words(expression: &Value) -> String {
    let mut all = Vec::new();
    collect(expression, &mut all);
    all.sort_unstable();
    all.join(" ")
}

fn collect(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Value::Object(fields) => {
            for (name, inner) in
                fields.iter().filter(|(name, _)| !matches!(name.as_str(), "packets" | "bytes"))
            {
                match name.as_str() {
                    "payload" => {
                        words.push(format!("{} {}", plain(&inner["protocol"]), plain(&inner["field"])));
                    }
                    "concat" => words.push(together(inner)),
                    "|" => collect(inner, words),
                    _ => {
                        words.push(name.clone());
                        collect(inner, words);
                    }
                }
            }
        }
        Value::Null => {}
        plain_value => words.push(plain(plain_value)),
    }
}

/// What is looked at as one thing, in its order, as one word: both ends of a packet have the same fields.
fn together(parts: &Value) -> String {
    let mut words = Vec::new();
    collect(parts, &mut words);
    words.join(" . ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape(objects: &Value) -> Shape {
        Shape::of(&json!({ "nftables": objects }), "t")
    }

    #[test]
    fn versions_of_nft_are_read_alike() {
        let old = json!([{"set": {"table": "t", "name": "s", "type": "ipv4_addr", "handle": 3, "flags": ["timeout"]}}]);
        let new = json!([{"set": {"table": "t", "name": "s", "type": "ipv4_addr", "flags": ["timeout", "dynamic"]}}]);
        let newest =
            json!([{"add": {"set": {"table": "t", "name": "s", "type": "ipv4_addr", "flags": "timeout"}}}]);
        assert_eq!(shape(&old), shape(&new));
        assert_eq!(shape(&new), shape(&newest));
    }

    #[test]
    fn differences_are_told() {
        let rule = |verdict: &str| json!([{"rule": {"table": "t", "chain": "c", "expr": [{verdict: null}]}}]);
        let accept = shape(&rule("accept"));
        assert_eq!(accept.difference(&shape(&rule("accept"))), None);
        let what = accept.difference(&shape(&rule("drop"))).unwrap();
        assert_eq!(what, "rule 1 of chain c is \"accept\" and should be \"drop\"");
        assert_eq!(accept.difference(&shape(&json!([]))).unwrap(), "rule 1 of chain c is not ours");
        assert_eq!(shape(&json!([])).difference(&accept).unwrap(), "rule 1 of chain c is missing");
    }

    #[test]
    fn the_order_of_what_belongs_together_matters() {
        let port = |field: &str| json!({"payload": {"protocol": "tcp", "field": field}});
        let rule = |first: &str, second: &str| {
            shape(
                &json!([{"rule": {"table": "t", "chain": "c", "expr": [{"concat": [port(first), port(second)]}]}}]),
            )
        };
        let what = rule("sport", "dport").difference(&rule("dport", "sport")).unwrap();
        let wanted = "rule 1 of chain c is \"tcp sport . tcp dport\" and should be \"tcp dport . tcp sport\"";
        assert_eq!(what, wanted);
    }

    #[test]
    fn other_tables_do_not_matter() {
        assert!(shape(&json!([{"metainfo": {}}, {"chain": {"table": "x", "name": "c"}}])).0.is_empty());
    }
}
