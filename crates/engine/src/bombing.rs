//! Carpet bombing: many units of one prefix that are stuck at once, each perhaps only once. The narrowest
//! prefix that shows it is listed, in place of what is listed inside it.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use sekisho_model::{Entry, Moment, Prefix, Reason, Tier, Unit, limits::PREFIX_UNITS_BASE};

use crate::{
    blocks::{block_length, block_of},
    chance::prefix_bound,
    engine::{Engine, Recent},
    outcome::{End, Event},
    standing::is_unit,
    step::Step,
    units::units_within,
    witness::{Sighting, Witnesses, since},
};

/// Units that may be looked up for each row of a log entry.
const UNITS_PER_ROW: usize = 16;
/// Hosts of which any two could be one that lies and one with a few strays.
const FEW_HOSTS: usize = 3;
/// The most units that chance can ask for: all that the widest prefix has.
const MOST_UNITS: u32 = 65_536;

/// What is seen in a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Units that are stuck, in order.
    pub(crate) units: Vec<Unit>,
    /// The hosts that saw them, each with the newest moment.
    pub(crate) hosts: BTreeMap<u32, Moment>,
    /// Units that would be left without the host that alone saw the most.
    pub(crate) without_one: usize,
    /// Units that were looked up, tracked or not.
    looked: usize,
}

impl Engine {
    /// Looks at the blocks in line, as far as the rows of this log entry pay for it.
    pub(crate) fn look_at_blocks(&mut self, step: &mut Step) {
        let mut budget = PREFIX_UNITS_BASE + UNITS_PER_ROW * step.rows;
        let (mut bars, mut done) = (None, BTreeSet::new());
        while budget > 0 {
            let Some(block) = self.blocks.next() else { return };
            let bars: &Vec<u32> = bars.get_or_insert_with(|| self.bars());
            let looked = match self.standings.wide_over_block(&block) {
                // What was decided about it holds for all of its blocks.
                Some(listed) if !done.insert(listed) => 0,
                Some(listed) => self.look_at_listed(&listed, step),
                None => self.look_at(&block, bars, step),
            };
            budget = budget.saturating_sub(1 + looked);
        }
    }

    /// Something new was seen of `unit`: its block is to be looked at, if there can be anything to see. What
    /// chance asks for only grows until the blocks are looked at, so that it may be reckoned once.
    pub(crate) fn watch_block(&mut self, unit: Unit, step: &mut Step) {
        if self.policy.prefix_tier.is_none() {
            return;
        }
        let is_ipv4 = matches!(unit, Unit::V4(_));
        let (base, widest) = (block_length(is_ipv4), self.widest(is_ipv4));
        let asked = self.policy.prefix_min_units;
        if !self.blocks.is_full(unit, widest, asked) {
            return;
        }
        let bars: &[u32] = if is_ipv4 { step.bars.get_or_insert_with(|| self.bars()) } else { &[] };
        let least = |length: u8| asked.max(bars.get(usize::from(base - length)).copied().unwrap_or(0));
        if (widest..=base).any(|length| self.blocks.is_full(unit, length, least(length))) {
            self.blocks.enqueue(block_of(unit));
        }
    }

    /// Units that must be left without the most talkative host, when `hosts` saw something: more where two of many
    /// did, so that nobody lists a prefix with the help of another host's few ordinary ones.
    pub(crate) fn least_without_one(&self, hosts: usize) -> usize {
        let asked = self.policy.prefix_min_units;
        if hosts < FEW_HOSTS && self.hosts.connected() as usize >= FEW_HOSTS {
            asked as usize
        } else {
            asked.div_ceil(2) as usize
        }
    }

    /// The fewest units that make a prefix of an IPv4 length bombed, from a block's to the widest; for IPv6
    /// the policy's number alone.
    pub(crate) fn least_units(&self, prefix: &Prefix) -> u32 {
        let asked = self.policy.prefix_min_units;
        if !prefix.is_ipv4() {
            return asked;
        }
        asked.max(prefix_bound(self.seen_rate.since(self.horizon), prefix.length(), MOST_UNITS))
    }

    /// What is seen in `prefix` at `now`, but for what a narrower prefix covers that evidence listed.
    pub(crate) fn picture(&self, prefix: &Prefix, now: Moment) -> Picture {
        let horizon = self.horizon_at(now);
        let narrower: Vec<Prefix> = self
            .standings
            .wide_overlapping(prefix)
            .filter(|one| one != prefix && prefix.covers(one))
            .collect();
        let mut picture = Picture::default();
        let mut alone = BTreeMap::<u32, usize>::new();
        for block in self.inhabited(prefix).filter(|block| !narrower.iter().any(|one| one.covers(block))) {
            for unit in units_within(&block).into_iter().flatten() {
                picture.looked += 1;
                let Some((all, _)) = self.evidence.look(unit) else { continue };
                let seen = since(all, horizon).iter();
                let seen: Vec<&Sighting> =
                    seen.filter(|one| !self.hosts.is_in_outage(one.host(), now)).collect();
                for one in &seen {
                    let newest = picture.hosts.entry(one.host()).or_insert(one.seen());
                    *newest = one.seen().max(*newest);
                }
                match seen[..] {
                    [] => continue,
                    [only] => *alone.entry(only.host()).or_default() += 1,
                    _ => {}
                }
                picture.units.push(unit);
            }
        }
        picture.without_one = picture.units.len() - alone.values().copied().max().unwrap_or(0);
        picture
    }

    /// Whether a prefix is bombed by hosts enough for `tier`.
    pub(crate) fn is_bombed(&self, picture: &Picture, least: u32, tier: Tier) -> bool {
        let hosts: Vec<u32> = picture.hosts.keys().copied().collect();
        picture.units.len() >= least as usize
            && picture.without_one >= self.least_without_one(hosts.len())
            && self.is_quorum(&hosts, self.asked(tier))
    }

    /// The tier at which a bombed prefix is listed.
    pub(crate) fn prefix_tier(&self, prefix: &Prefix, picture: &Picture, least: u32) -> Option<Tier> {
        let strictest = self.policy.prefix_tier?;
        let is_capped = self.counter.has_in(prefix, self.horizon);
        let strictest = if is_capped { Tier::Suppress } else { strictest };
        let tiers = [Tier::Drop, Tier::Suppress];
        tiers.into_iter().filter(|tier| *tier <= strictest).find(|tier| self.is_bombed(picture, least, *tier))
    }

    /// The blocks of `prefix`, a block or wider, that have a tracked unit.
    fn inhabited(&self, prefix: &Prefix) -> impl Iterator<Item = Prefix> + use<'_> {
        let length = block_length(prefix.is_ipv4());
        let step = 256;
        let count = 1u64 << length.saturating_sub(prefix.length()).min(16);
        let first = Unit::of(prefix.address());
        let block = move |n: u64| match first {
            Unit::V4(bits) => Unit::V4(bits.saturating_add(u32::try_from(n * step).unwrap_or(u32::MAX))),
            Unit::V6(bits) => Unit::V6(bits.saturating_add(n * step)),
        };
        let blocks = (0..count).map(move |n| block(n).prefix().widened(length));
        blocks.filter(|block| self.blocks.at_least(block, 1))
    }

    /// The length of the widest prefix that may be listed.
    pub(crate) fn widest(&self, is_ipv4: bool) -> u8 {
        if is_ipv4 { self.policy.widest_ipv4 } else { self.policy.widest_ipv6 }
    }

    /// The fewest units by how many bits wider than a block an IPv4 prefix is.
    fn bars(&self) -> Vec<u32> {
        let lengths = (self.policy.widest_ipv4..=block_length(true)).rev();
        let units = self.seen_rate.since(self.horizon);
        lengths.map(|length| prefix_bound(units, length, MOST_UNITS)).collect()
    }

    /// Looks at one block that no entry covers, and does what there is to do. Returns how many units were looked up.
    fn look_at(&mut self, block: &Prefix, bars: &[u32], step: &mut Step) -> usize {
        if self.policy.prefix_tier.is_none() {
            return 0;
        }
        let mut looked = 0;
        for length in (self.widest(block.is_ipv4())..=block.length()).rev() {
            let prefix = block.widened(length);
            let chance = if block.is_ipv4() { bars.get(usize::from(block.length() - length)) } else { None };
            let least = self.policy.prefix_min_units.max(chance.copied().unwrap_or(0));
            if !self.blocks.at_least(&prefix, least) {
                continue;
            }
            let picture = self.picture(&prefix, self.now);
            looked += picture.looked;
            if let Some(tier) = self.prefix_tier(&prefix, &picture, least) {
                match self.cause(&prefix, self.now) {
                    None => self.list_prefix(prefix, tier, &picture, least, step),
                    Some(cause) => self.withhold(prefix, cause, step),
                }
                break;
            }
        }
        looked
    }

    fn list_prefix(&mut self, prefix: Prefix, tier: Tier, picture: &Picture, least: u32, step: &mut Step) {
        let witnesses = self.take_place(&prefix, step);
        let reason = self.prefix_reason(picture, least, tier);
        self.recent.push_back(Recent { at: self.now, prefix, is_new: true });
        let hosts = self.names_of(self.witnesses_of(picture).as_slice());
        self.list(prefix, tier, reason, hosts, witnesses, step);
        self.merge_halves(prefix, step);
    }

    fn prefix_reason(&self, picture: &Picture, least: u32, tier: Tier) -> Reason {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Reason::Prefix {
            hosts: number(picture.hosts.len()),
            quorum: number(self.asked(tier)),
            units: number(picture.units.len()),
            least,
        }
    }

    /// Who has a fresh sighting of something in `prefix`, in outage or not.
    fn witnesses_in(&self, prefix: &Prefix) -> Witnesses {
        let mut hosts = BTreeMap::<u32, Moment>::new();
        for unit in self.inhabited(prefix).filter_map(|block| units_within(&block)).flatten() {
            for one in since(self.evidence.of(unit), self.horizon) {
                let newest = hosts.entry(one.host()).or_insert(one.seen());
                *newest = one.seen().max(*newest);
            }
        }
        let (mut witnesses, keep) = (Witnesses::default(), self.keep().in_zones(self.hosts.zone_of()));
        for (host, seen) in hosts {
            witnesses.note(Sighting::new(host, seen, 0, 0, true), keep);
        }
        witnesses
    }

    fn witnesses_of(&self, picture: &Picture) -> Witnesses {
        let (mut witnesses, keep) = (Witnesses::default(), self.keep().in_zones(self.hosts.zone_of()));
        for (host, seen) in &picture.hosts {
            witnesses.note(Sighting::new(*host, *seen, 0, 0, true), keep);
        }
        witnesses
    }

    /// Takes what is listed inside `prefix` off the list. Returns who has seen or hit something inside it.
    fn take_place(&mut self, prefix: &Prefix, step: &mut Step) -> Witnesses {
        let mut witnesses = self.witnesses_in(prefix);
        let inside: Vec<Prefix> = self
            .entries
            .overlapping(prefix, Moment::from_millis(i64::MIN))
            .map(|entry| entry.prefix)
            .collect();
        for one in inside {
            let keep = self.keep().in_zones(self.hosts.zone_of());
            let standing = self.standings.get(&one).map_or(&[][..], |one| one.witnesses.as_slice());
            for witness in since(standing, self.horizon) {
                witnesses.note(*witness, keep);
            }
            self.drop_entry(&one, End::Covered, step);
        }
        witnesses
    }

    /// While both halves of a wider prefix are listed alike, it takes their place.
    fn merge_halves(&mut self, mut half: Prefix, step: &mut Step) {
        while half.length() > self.widest(half.is_ipv4()) {
            let whole = half.widened(half.length() - 1);
            let halves: Vec<_> = self.entries.overlapping(&whole, self.now).cloned().collect();
            let [one, other] = &halves[..] else { return };
            let alike = |entry: &Entry| {
                entry.prefix.length() == half.length() && entry.reason.is_evidence() && entry.tier == one.tier
            };
            if !(alike(one) && alike(other)) || self.forbidden(&whole, self.now).is_some() {
                return;
            }
            let witnesses = self.take_place(&whole, step);
            let (picture, least) = (self.picture(&whole, self.now), self.least_units(&whole));
            let entry = Entry {
                prefix: whole,
                reason: self.prefix_reason(&picture, least, one.tier),
                expires: one.expires.max(other.expires),
                created: self.now,
                renewals: 0,
                repeats: one.repeats.max(other.repeats),
                revision: self.index,
                tier: one.tier,
            };
            let hosts = self.names_of(self.witnesses_of(&picture).as_slice());
            step.events.push(Event::Listed { entry: entry.clone(), hosts });
            self.put_entry(entry, step);
            self.stand(whole, witnesses);
            half = whole;
        }
    }

    /// Looks at a prefix that is listed: whether it is to be moved up, withdrawn or renewed.
    fn look_at_listed(&mut self, prefix: &Prefix, step: &mut Step) -> usize {
        let Some(entry) = self.entries.get(prefix).cloned() else { return 0 };
        let is_old = self.now.since(entry.created) >= self.policy.window;
        let may_rise = self.policy.prefix_tier.is_some_and(|tier| tier > entry.tier);
        if !(is_old || may_rise || self.is_half_over(&entry, self.now)) || is_unit(prefix) {
            return 0;
        }
        let picture = self.picture(prefix, self.now);
        let mut looked = picture.looked;
        let least = self.least_units(prefix);
        let shown = self.prefix_tier(prefix, &picture, least);
        let is_narrow = entry.tier == Tier::Suppress && picture.units.len() < least.div_ceil(2) as usize;
        if let Some(tier) = shown.filter(|tier| *tier > entry.tier) {
            self.raise(prefix, tier, step);
        } else if is_narrow && is_old {
            self.withdraw(prefix, &picture.units, step);
        } else if !is_narrow && self.is_half_over(&entry, self.now) {
            let narrower = is_old.then(|| self.narrower(prefix, &picture, &mut looked)).flatten();
            match narrower {
                Some((inner, tier)) => self.narrow(prefix, inner, tier, step),
                None => self.renew_prefix(&entry, shown, &picture, step),
            }
        }
        looked
    }

    /// Renews a prefix that is upheld. One at `drop` that does not show itself bombed now goes on at `suppress`, where
    /// what is bombed does.
    fn renew_prefix(&mut self, entry: &Entry, shown: Option<Tier>, picture: &Picture, step: &mut Step) {
        let standing = self.standings.get(&entry.prefix).map_or(&[][..], |one| one.witnesses.as_slice());
        let units = u32::try_from(picture.units.len()).ok();
        if let Some(tier) = self.upheld(entry.tier, standing, self.now) {
            self.renew(&entry.prefix, tier.min(shown.unwrap_or(Tier::Suppress)), units, step);
        }
    }

    /// The narrowest prefix that holds all that is seen in `prefix`, if it is bombed by itself.
    fn narrower(&self, prefix: &Prefix, picture: &Picture, looked: &mut usize) -> Option<(Prefix, Tier)> {
        let (first, last) = (picture.units.first()?.prefix(), picture.units.last()?.prefix());
        let lengths = (prefix.length() + 1..=block_length(prefix.is_ipv4())).rev();
        let inner = lengths.map(|length| first.widened(length)).find(|inner| inner.covers(&last))?;
        let picture = self.picture(&inner, self.now);
        *looked += picture.looked;
        let tier = self.prefix_tier(&inner, &picture, self.least_units(&inner))?;
        self.forbidden(&inner, self.now).is_none().then_some((inner, tier))
    }

    /// The attack narrowed to `inner`, which takes the place of `prefix`.
    fn narrow(&mut self, prefix: &Prefix, inner: Prefix, tier: Tier, step: &mut Step) {
        let (picture, least) = (self.picture(&inner, self.now), self.least_units(&inner));
        let witnesses = self.witnesses_in(&inner);
        self.drop_entry(prefix, End::Narrowed, step);
        let reason = self.prefix_reason(&picture, least, tier);
        let hosts = self.names_of(self.witnesses_of(&picture).as_slice());
        self.list(inner, tier, reason, hosts, witnesses, step);
    }

    /// The attack narrowed: lists those of `units` that have a quorum of their own instead, if there are any.
    fn withdraw(&mut self, prefix: &Prefix, units: &[Unit], step: &mut Step) {
        let seen = |unit: Unit| since(self.evidence.of(unit), self.horizon);
        let is_wanted = |unit: &&Unit| self.wanted(**unit, seen(**unit), self.now).is_some();
        let wanted: Vec<Unit> = units.iter().filter(is_wanted).copied().collect();
        // They take the place of the prefix: one of them needs no room.
        let has_room = self.entries.len() - 1 + wanted.len() <= self.policy.max_entries as usize;
        if wanted.is_empty() || !(has_room || wanted.len() == 1) {
            return;
        }
        self.drop_entry(prefix, End::Narrowed, step);
        for unit in wanted {
            if let Some(tier) = self.wanted(unit, since(self.evidence.of(unit), self.horizon), self.now) {
                self.list_unit(unit, tier, step);
            }
        }
    }
}
