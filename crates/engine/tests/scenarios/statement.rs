//! What happens in one line of a story.

use std::{net::IpAddr, time::Duration};

use sekisho_model::{HostId, OrderKind, Tier, Zone};

use crate::{
    expect::{self, Expectation},
    targets::{self, Targets},
    words::{self, Wrong},
};

/// One line, without its time.
#[derive(Clone, Debug)]
pub enum Statement {
    Join {
        hosts: Vec<HostId>,
        zone: Option<Zone>,
        addresses: Vec<IpAddr>,
    },
    Leave {
        hosts: Vec<HostId>,
    },
    Report(Report),
    Order {
        operator: String,
        request: Option<String>,
        what: Ordered,
    },
    Policy(Vec<(String, String)>),
    Name {
        name: String,
        addresses: Vec<IpAddr>,
    },
    Expect(Expectation),
    /// The statement again and again, until a time.
    Every {
        step: Duration,
        until: Duration,
        what: Box<Statement>,
    },
}

/// What an operator orders: all but a policy is known without looking at the one in force.
#[derive(Clone, Debug)]
pub enum Ordered {
    Kind(OrderKind),
    Policy(String, String),
}

/// What hosts report.
#[derive(Clone, Debug)]
pub struct Report {
    pub hosts: Vec<HostId>,
    pub what: What,
    pub age: Duration,
    /// What the totals of each host grow by.
    pub completes: u64,
    pub stuck: u64,
    pub cookies: u64,
    /// Whether each host's kernel tracks connections, and a sensor looks at them.
    pub tracked: bool,
}

/// The rows of a report.
#[derive(Clone, Debug)]
pub enum What {
    Nothing,
    Sees { targets: Targets, sockets: u32, retransmits: u8 },
    Hits { targets: Targets, tier: Tier, packets: u64 },
    Serves { targets: Targets, connections: u32 },
}

/// Reads one line, without its time.
pub fn read(text: &str) -> Result<Statement, Wrong> {
    if let Some(rest) = text.strip_prefix("expect ") {
        return expect::read(rest.trim()).map(Statement::Expect);
    }
    if let Some(rest) = text.strip_prefix("every ") {
        return read_every(rest);
    }
    let mut clauses = text.split(", ").map(str::trim);
    let words: Vec<&str> = clauses.next().unwrap_or_default().split_whitespace().collect();
    let clauses: Vec<&str> = clauses.collect();
    match &words[..] {
        ["policy", pairs @ ..] => read_policy(pairs),
        ["name", name, "is", addresses @ ..] => {
            let addresses = addresses.iter().map(|one| words::address(one)).collect::<Result<_, _>>()?;
            Ok(Statement::Name { name: (*name).to_owned(), addresses })
        }
        [who, verb, rest @ ..] => read_deed(who, verb, rest, &clauses),
        _ => Err("a verb is missing".to_owned()),
    }
}

fn read_every(rest: &str) -> Result<Statement, Wrong> {
    let wrong = || format!("\"every {rest}\" is not understood; write every 10s until 05:00: …");
    let (when, what) = rest.split_once(": ").ok_or_else(wrong)?;
    let [step, "until", until] = when.split_whitespace().collect::<Vec<_>>()[..] else { return Err(wrong()) };
    let what = Box::new(read(what.trim())?);
    Ok(Statement::Every { step: words::span(step)?, until: words::time(until)?, what })
}

fn read_policy(pairs: &[&str]) -> Result<Statement, Wrong> {
    let pair = |pair: &[&str]| match pair {
        [key, value] => Ok(((*key).to_owned(), (*value).to_owned())),
        _ => Err("a value is missing".to_owned()),
    };
    pairs.chunks(2).map(pair).collect::<Result<_, _>>().map(Statement::Policy)
}

fn read_deed(who: &str, verb: &str, rest: &[&str], clauses: &[&str]) -> Result<Statement, Wrong> {
    match verb {
        "joins" | "join" => read_join(words::hosts(who)?, rest),
        "leaves" | "leave" => Ok(Statement::Leave { hosts: words::hosts(who)? }),
        "sees" | "see" | "hits" | "hit" | "serves" | "serve" | "completes" | "complete" => {
            read_report(words::hosts(who)?, verb, rest, clauses)
        }
        "blocks" | "unblocks" | "allows" | "disallows" | "sets" => read_order(who, verb, rest, clauses),
        _ => Err(format!("\"{verb}\" is not a verb of these stories")),
    }
}

fn read_join(hosts: Vec<HostId>, rest: &[&str]) -> Result<Statement, Wrong> {
    let (zone, rest) = match rest {
        ["in", zone, rest @ ..] => (Some(zone.parse().map_err(|error| format!("{error}"))?), rest),
        rest => (None, rest),
    };
    let addresses = match rest {
        [] => Vec::new(),
        ["with", addresses @ ..] => {
            addresses.iter().map(|one| words::address(one)).collect::<Result<_, _>>()?
        }
        _ => return Err(format!("\"{}\" is not understood", rest.join(" "))),
    };
    Ok(Statement::Join { hosts, zone, addresses })
}

fn read_report(hosts: Vec<HostId>, verb: &str, rest: &[&str], clauses: &[&str]) -> Result<Statement, Wrong> {
    let what = match (verb, rest) {
        ("completes" | "complete", _) => What::Nothing,
        ("sees" | "see", rest) => What::Sees { targets: targets::read(rest)?, sockets: 1, retransmits: 1 },
        ("hits" | "hit", [rest @ .., "at", tier]) => {
            What::Hits { targets: targets::read(rest)?, tier: words::tier(tier)?, packets: 1 }
        }
        ("serves" | "serve", rest) => What::Serves { targets: targets::read(rest)?, connections: 1 },
        _ => return Err("at which tier? write hits 203.0.113.7 at drop".to_owned()),
    };
    let mut report =
        Report { hosts, what, age: Duration::ZERO, completes: 0, stuck: 0, cookies: 0, tracked: false };
    if let ("completes" | "complete", [count]) = (verb, rest) {
        report.completes = words::number(count)?;
    }
    for clause in clauses {
        read_clause(&mut report, clause)?;
    }
    Ok(Statement::Report(report))
}

fn read_clause(report: &mut Report, clause: &str) -> Result<(), Wrong> {
    let words: Vec<&str> = clause.split_whitespace().collect();
    match (&words[..], &mut report.what) {
        (["age", span], _) => report.age = words::span(span)?,
        (["completes", count], _) => report.completes = words::number(count)?,
        (["stuck", count], _) => report.stuck = words::number(count)?,
        (["cookies", count], _) => report.cookies = words::number(count)?,
        (["tracked"], _) => report.tracked = true,
        ([count, "socket" | "sockets"], What::Sees { sockets, .. }) => *sockets = words::number(count)?,
        ([count, "retransmit" | "retransmits"], What::Sees { retransmits, .. }) => {
            *retransmits = words::number(count)?;
        }
        ([count, "packet" | "packets"], What::Hits { packets, .. }) => *packets = words::number(count)?,
        ([count, "connection" | "connections"], What::Serves { connections, .. }) => {
            *connections = words::number(count)?;
        }
        _ => return Err(format!("\"{clause}\" is not understood")),
    }
    Ok(())
}

fn read_order(who: &str, verb: &str, rest: &[&str], clauses: &[&str]) -> Result<Statement, Wrong> {
    let kind = match (verb, rest) {
        ("blocks", [what, "at", tier, "for", ttl]) => {
            let (prefix, tier, ttl) = (words::prefix(what)?, words::tier(tier)?, words::span(ttl)?);
            Ordered::Kind(OrderKind::Block { prefix, tier, ttl })
        }
        ("unblocks", [what, "holding", hold]) => {
            Ordered::Kind(OrderKind::Unblock { prefix: words::prefix(what)?, hold: words::span(hold)? })
        }
        ("unblocks", [what]) => {
            Ordered::Kind(OrderKind::Unblock { prefix: words::prefix(what)?, hold: Duration::ZERO })
        }
        ("allows", [what, "for", ttl]) => {
            Ordered::Kind(OrderKind::Allow { prefix: words::prefix(what)?, ttl: words::span(ttl)? })
        }
        ("disallows", [what]) => Ordered::Kind(OrderKind::Disallow { prefix: words::prefix(what)? }),
        ("sets", [key, "to", value]) => Ordered::Policy((*key).to_owned(), (*value).to_owned()),
        _ => return Err(format!("\"{verb} {}\" is not understood", rest.join(" "))),
    };
    let request = match clauses {
        [] => None,
        [clause] => match clause.strip_prefix("request ") {
            Some(request) => Some(request.to_owned()),
            None => return Err(format!("\"{clause}\" is not understood")),
        },
        _ => return Err("one request is enough".to_owned()),
    };
    Ok(Statement::Order { operator: who.to_owned(), request, what: kind })
}
