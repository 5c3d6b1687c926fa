//! Operators' commands as the log keeps them, and as the audit trail shows them.

use sekisho_model::{Order, OrderKind, Prefix, limits::MAX_ALLOW_TTL};

use crate::{
    Malformed,
    log::{millis, name, span},
    pb::{
        log::v1::{self as pb, operator_order::Kind},
        v1::{self as shown, order::Kind as Shown},
    },
    policy, readable,
};

/// A command as a message: for the log and for checkpoints.
pub fn encode(order: &Order) -> pb::OperatorOrder {
    let kind = match &order.kind {
        OrderKind::Block { ttl, .. } => Kind::BlockTtlMs(millis(*ttl)),
        OrderKind::Unblock { hold, .. } => Kind::UnblockHoldMs(millis(*hold)),
        OrderKind::Allow { ttl, .. } => Kind::AllowTtlMs(millis(*ttl)),
        OrderKind::Disallow { .. } => Kind::Disallow(true),
        OrderKind::SetPolicy(policy) => Kind::SetPolicy(policy::encode(policy)),
    };
    let tier = if let OrderKind::Block { tier, .. } = order.kind { readable::tier(tier) as i32 } else { 0 };
    pb::OperatorOrder {
        operator: order.operator.to_string(),
        reason: order.text.clone(),
        prefix: order.kind.prefix().map(ToString::to_string).unwrap_or_default(),
        block_tier: tier,
        request_id: order.request.as_ref().map(ToString::to_string).unwrap_or_default(),
        kind: Some(kind),
    }
}

/// A command from a message.
///
/// # Errors
/// The field that this version cannot read.
pub fn decode(order: &pb::OperatorOrder) -> Result<Order, Malformed> {
    let kind = order.kind.as_ref().ok_or_else(|| {
        Malformed::field("order.kind", "unknown: a newer version wrote this log; run that version")
    })?;
    let prefix = || readable::prefix(&order.prefix);
    Ok(Order {
        operator: name("order.operator", &order.operator)?,
        text: order.reason.clone(),
        request: readable::request_id(&order.request_id)?,
        kind: match kind {
            Kind::BlockTtlMs(ttl) => OrderKind::Block {
                prefix: prefix()?,
                tier: readable::tier_from("order.block_tier", order.block_tier)?,
                ttl: span("order.block_ttl_ms", *ttl)?,
            },
            Kind::UnblockHoldMs(hold) => {
                OrderKind::Unblock { prefix: prefix()?, hold: span("order.unblock_hold_ms", *hold)? }
            }
            Kind::AllowTtlMs(ttl) => {
                OrderKind::Allow { prefix: prefix()?, ttl: span("order.allow_ttl_ms", *ttl)? }
            }
            Kind::Disallow(_) => OrderKind::Disallow { prefix: prefix()? },
            Kind::SetPolicy(set) => OrderKind::SetPolicy(Box::new(policy::decode(set)?)),
        },
    })
}

/// A command for people to read. Of a policy's never-list only the sizes are told.
pub fn readable(order: &Order) -> shown::Order {
    let text = |prefix: &Prefix| prefix.to_string();
    let kind = match &order.kind {
        OrderKind::Block { prefix, tier, ttl } => Shown::Block(shown::BlockOrder {
            prefix: text(prefix),
            tier: readable::tier(*tier) as i32,
            ttl: (*ttl).try_into().ok(),
        }),
        OrderKind::Unblock { prefix, hold } => {
            Shown::Unblock(shown::UnblockOrder { prefix: text(prefix), hold: (*hold).try_into().ok() })
        }
        OrderKind::Allow { prefix, ttl } => {
            let ttl = (*ttl < MAX_ALLOW_TTL).then_some(*ttl);
            let ttl = ttl.and_then(|ttl| ttl.try_into().ok());
            Shown::Allow(shown::AllowOrder { prefix: text(prefix), ttl })
        }
        OrderKind::Disallow { prefix } => Shown::Disallow(shown::DisallowOrder { prefix: text(prefix) }),
        OrderKind::SetPolicy(policy) => Shown::SetPolicy(policy::shortened(policy)),
    };
    shown::Order {
        operator: order.operator.to_string(),
        reason: order.text.clone(),
        request_id: order.request.as_ref().map(ToString::to_string).unwrap_or_default(),
        kind: Some(kind),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sekisho_model::{Policy, Tier};

    use super::*;

    fn order(kind: OrderKind) -> Order {
        let (operator, request) = ("ana".parse().unwrap(), "deploy-7".parse().ok());
        Order { operator, text: "drill".into(), request, kind }
    }

    fn block(tier: Tier) -> Order {
        let (prefix, ttl) = ("203.0.113.7".parse().unwrap(), Duration::from_secs(90));
        order(OrderKind::Block { prefix, tier, ttl })
    }

    #[test]
    fn a_tier_of_a_newer_version_is_refused() {
        let mut kept = encode(&block(Tier::Suppress));
        assert_eq!(decode(&kept), Ok(block(Tier::Suppress)));
        kept.block_tier = 9;
        assert_eq!(decode(&kept).unwrap_err().field, "order.block_tier");
        kept.block_tier = 0;
        assert_eq!(decode(&kept), Ok(block(Tier::Drop)));
    }

    #[test]
    fn an_order_about_a_prefix_needs_one_and_a_policy_does_not() {
        let mut kept = encode(&block(Tier::Drop));
        kept.prefix.clear();
        assert_eq!(decode(&kept).unwrap_err().field, "prefix");
        let policy = order(OrderKind::SetPolicy(Box::default()));
        assert_eq!(encode(&policy).prefix, "");
        assert_eq!(decode(&encode(&policy)), Ok(policy));
    }

    #[test]
    fn people_read_who_why_and_what() {
        let shown = readable(&block(Tier::Suppress));
        assert_eq!((shown.operator.as_str(), shown.reason.as_str()), ("ana", "drill"));
        assert_eq!(shown.request_id, "deploy-7");
        let Some(Shown::Block(block)) = shown.kind else { panic!("{shown:?}") };
        assert_eq!((block.prefix.as_str(), block.tier()), ("203.0.113.7", shown::Tier::Suppress));
        assert_eq!(block.ttl.map(|ttl| ttl.seconds), Some(90));
        let prefix = "203.0.113.0/24".parse().unwrap();
        let allow = |ttl| match readable(&order(OrderKind::Allow { prefix, ttl })).kind {
            Some(Shown::Allow(allow)) => allow.ttl,
            other => panic!("{other:?}"),
        };
        assert_eq!(allow(MAX_ALLOW_TTL), None, "for ever has no end");
        assert!(allow(Duration::from_secs(1)).is_some());
        let never = vec![prefix; 10_000];
        let mut policy = Policy::default();
        policy.never.prefixes = never;
        let Some(Shown::SetPolicy(set)) = readable(&order(OrderKind::SetPolicy(Box::new(policy)))).kind
        else {
            panic!("no policy")
        };
        assert_eq!((set.never_prefixes, set.never_names), (10_000, 0));
        assert!(set.policy_yaml.len() < 1_000, "an event stays small: {}", set.policy_yaml);
    }
}
