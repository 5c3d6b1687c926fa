//! Times, spans, hosts and addresses, as a story writes them.

use std::{net::IpAddr, time::Duration};

use sekisho_model::{HostId, Prefix, Tier};

/// What is wrong with a line.
pub type Wrong = String;

/// `MM:SS` or `H:MM:SS`, from the beginning of the story.
pub fn time(text: &str) -> Result<Duration, Wrong> {
    let wrong = || format!("\"{text}\" is not a time; write MM:SS or H:MM:SS");
    let parts: Vec<u64> =
        text.split(':').map(|part| part.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    let seconds = match parts[..] {
        [minutes, seconds] if seconds < 60 => minutes * 60 + seconds,
        [hours, minutes, seconds] if minutes < 60 && seconds < 60 => (hours * 60 + minutes) * 60 + seconds,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(seconds))
}

/// A time as [`time`] reads it.
pub fn written(span: Duration) -> String {
    let seconds = span.as_secs();
    let rest = match span.subsec_millis() {
        0 => String::new(),
        millis => format!(".{millis:03}"),
    };
    match seconds / 3_600 {
        0 => format!("{:02}:{:02}{rest}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}{rest}", seconds / 60 % 60, seconds % 60),
    }
}

/// `10s`, `5m`, `24h`, `30d`.
pub fn span(text: &str) -> Result<Duration, Wrong> {
    let wrong = || format!("\"{text}\" is not a span of time; write 10s, 5m, 24h or 30d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(count * unit))
}

/// `edge-1`, `edge-1,edge-4`, `edge-1..edge-5`.
pub fn hosts(text: &str) -> Result<Vec<HostId>, Wrong> {
    let mut hosts = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            None => hosts.push(part.parse().map_err(|error| format!("{error}"))?),
            Some((first, last)) => hosts.extend(range(first, last)?),
        }
    }
    Ok(hosts)
}

fn range(first: &str, last: &str) -> Result<Vec<HostId>, Wrong> {
    let wrong = || format!("\"{first}..{last}\" is not a range of hosts; write edge-1..edge-5");
    let (stem, low) = first.rsplit_once('-').ok_or_else(wrong)?;
    let (other, high) = last.rsplit_once('-').ok_or_else(wrong)?;
    let (low, high): (u32, u32) = (low.parse().map_err(|_| wrong())?, high.parse().map_err(|_| wrong())?);
    if stem != other || low >= high {
        return Err(wrong());
    }
    (low..=high).map(|number| format!("{stem}-{number}").parse().map_err(|_| wrong())).collect()
}

pub fn address(text: &str) -> Result<IpAddr, Wrong> {
    text.parse().map_err(|_| format!("\"{text}\" is not an address"))
}

pub fn prefix(text: &str) -> Result<Prefix, Wrong> {
    text.parse().map_err(|error| format!("{error}"))
}

pub fn tier(text: &str) -> Result<Tier, Wrong> {
    match text {
        "suppress" => Ok(Tier::Suppress),
        "drop" => Ok(Tier::Drop),
        _ => Err(format!("\"{text}\" is not a tier; write suppress or drop")),
    }
}

/// `0`, `0.6`, `0.375`, `1`, in thousandths.
pub fn per_mille(text: &str) -> Result<u32, Wrong> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let padded = format!("{part:0<3}");
    if padded.len() > 3 {
        return Err(format!("\"{text}\" is not a fraction; write 0.6 or 0.375"));
    }
    Ok(number::<u32>(whole)? * 1_000 + number::<u32>(&padded)?)
}

pub fn number<T: std::str::FromStr>(text: &str) -> Result<T, Wrong> {
    text.parse().map_err(|_| format!("\"{text}\" is not a number, or too large"))
}
