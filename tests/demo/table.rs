//! The live table: redrawn in place on a terminal, a line each second everywhere else.

use std::{
    io::{IsTerminal, stdout},
    time::{Duration, Instant},
};

use anyhow::Result;
use sekisho_lab::{
    Fleet,
    counter::{self, Counts},
    nft,
};

/// What one host does at the moment.
struct Row {
    host: String,
    mode: String,
    rate: u64,
    total: u64,
    blocks: usize,
    applied: i64,
}

/// The table, and what it showed last.
pub(crate) struct Table {
    before: Counts,
    at: Instant,
    started: Instant,
    drawn: usize,
    in_place: bool,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(fleet: &Fleet) -> Result<Self> {
        let now = Instant::now();
        let before = counter::all(&fleet.world.internet)?;
        Ok(Self { before, at: now, started: now, drawn: 0, in_place: stdout().is_terminal() })
    }

    /// Leaves what is drawn where it is; the next drawing starts below.
    pub(crate) fn settle(&mut self) {
        self.drawn = 0;
        println!();
    }

    /// Draws once each second until `done` says so, or `longest` is over.
    pub(crate) fn show_until(
        &mut self,
        fleet: &Fleet,
        longest: Duration,
        mut done: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            let next = self.at + Duration::from_secs(1);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            self.draw(fleet)?;
            if start.elapsed() >= longest || done()? {
                return Ok(());
            }
        }
    }

    fn draw(&mut self, fleet: &Fleet) -> Result<()> {
        let rows = self.read(fleet)?;
        let lines = if self.in_place { tall(&rows) } else { flat(&rows, self.started.elapsed()) };
        if self.in_place && self.drawn > 0 {
            print!("\x1b[{}A", self.drawn);
        }
        for line in &lines {
            let end = if self.in_place { "\x1b[K" } else { "" };
            println!("{line}{end}");
        }
        self.drawn = lines.len();
        Ok(())
    }

    fn read(&mut self, fleet: &Fleet) -> Result<Vec<Row>> {
        let counts = counter::all(&fleet.world.internet)?;
        let now = Instant::now();
        let span = now.duration_since(self.at).as_secs_f64().max(0.001);
        let known = fleet.hosts()?;
        let mut rows = Vec::new();
        for host in &fleet.world.hosts {
            let from = |counts| counter::from_host(counts, host.v4.into(), host.v6.into());
            let total = from(&counts);
            let since = total.saturating_sub(from(&self.before));
            let told = known.iter().find(|told| told.host_id == host.name);
            rows.push(Row {
                host: host.name.clone(),
                mode: told.map(|told| told.mode.clone()).unwrap_or_default(),
                rate: rate(since, span),
                total,
                blocks: nft::blocks(&host.namespace)?.len(),
                applied: told.and_then(|told| told.applied).map_or(0, |position| position.revision),
            });
        }
        (self.before, self.at) = (counts, now);
        Ok(rows)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts of a laboratory are small and positive"
)]
fn rate(count: u64, seconds: f64) -> u64 {
    (count as f64 / seconds).round() as u64
}

fn tall(rows: &[Row]) -> Vec<String> {
    let head = format!(
        "{:<6} {:<8} {:>11} {:>9} {:>8} {:>9}",
        "host", "agent", "SYN-ACKs/s", "in all", "entries", "applied"
    );
    let lines = rows.iter().map(|row| {
        let Row { host, mode, rate, total, blocks, applied } = row;
        format!("{host:<6} {mode:<8} {rate:>11} {total:>9} {blocks:>8} {applied:>9}")
    });
    std::iter::once(head).chain(lines).collect()
}

fn flat(rows: &[Row], since: Duration) -> Vec<String> {
    let list =
        |of: fn(&Row) -> u64| rows.iter().map(|row| format!("{:>4}", of(row))).collect::<Vec<_>>().join(" ");
    vec![format!(
        "{:>4} s  SYN-ACKs/s {}  entries {}  applied {}",
        since.as_secs(),
        list(|row| row.rate),
        list(|row| row.blocks as u64),
        list(|row| row.applied.unsigned_abs()),
    )]
}
