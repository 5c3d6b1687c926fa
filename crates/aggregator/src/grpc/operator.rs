//! `OperatorService`: an order is judged, made durable, carried out, and then answered.

use std::time::Duration;

use sekisho_engine::{OrderPreview, Refusal};
use sekisho_model::{
    Change, Input, List, Member, Moment, OperatorId, Order, OrderKind, Prefix, Revision, Tier,
    limits::MAX_ALLOW_TTL,
};
use sekisho_wire::{
    Reason,
    pb::v1::{
        AllowRequest, AllowResponse, AllowlistEntry, BlockRequest, BlockResponse, DisallowRequest,
        DisallowResponse, Entry, UnblockRequest, UnblockResponse, operator_service_server::OperatorService,
    },
    readable,
};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::{
    grpc::{Context, auth, log_unavailable, stopping},
    sequencer::{Message, Reply, Submission},
};

/// What a block lasts, and an unblock holds, when the operator does not say.
const DEFAULT_SPAN: Duration = Duration::from_secs(3_600);

/// The service.
pub struct Operators(pub Context);

#[tonic::async_trait]
impl OperatorService for Operators {
    async fn block(&self, request: Request<BlockRequest>) -> Result<Response<BlockResponse>, Status> {
        let operator = auth::operator(&request)?;
        let BlockRequest { prefix, reason, ttl, dry_run } = request.into_inner();
        let kind = OrderKind::Block { ttl: readable::duration("ttl", ttl, DEFAULT_SPAN)? };
        let order = order(operator, &prefix, &reason, kind)?;
        let (revision, preview) = self.carry_out(order.clone(), dry_run).await?;
        let entry = self.0.shared.engine().entry(&order.prefix).filter(|_| !dry_run).map(readable::entry);
        let entry = entry.unwrap_or_else(|| planned_entry(&order, &preview, revision, self.0.shared.now()));
        Ok(Response::new(BlockResponse { entry: Some(entry) }))
    }

    async fn unblock(&self, request: Request<UnblockRequest>) -> Result<Response<UnblockResponse>, Status> {
        let operator = auth::operator(&request)?;
        let UnblockRequest { prefix, reason, hold, dry_run } = request.into_inner();
        let kind = OrderKind::Unblock { hold: readable::duration("hold", hold, DEFAULT_SPAN)? };
        let (revision, _) = self.carry_out(order(operator, &prefix, &reason, kind)?, dry_run).await?;
        Ok(Response::new(UnblockResponse { revision: revision.0 }))
    }

    async fn allow(&self, request: Request<AllowRequest>) -> Result<Response<AllowResponse>, Status> {
        let operator = auth::operator(&request)?;
        let AllowRequest { prefix, reason, ttl, dry_run } = request.into_inner();
        let kind = OrderKind::Allow { ttl: readable::duration("ttl", ttl, MAX_ALLOW_TTL)? };
        let order = order(operator, &prefix, &reason, kind)?;
        let (revision, preview) = self.carry_out(order.clone(), dry_run).await?;
        let removed = preview.changes.iter().filter_map(|change| match change {
            Change::Remove(key) if !key.allow => Some(key.prefix.to_string()),
            _ => None,
        });
        let entry = Some(allowlist_entry(&order, &preview, revision));
        Ok(Response::new(AllowResponse { entry, removed: removed.collect() }))
    }

    async fn disallow(
        &self,
        request: Request<DisallowRequest>,
    ) -> Result<Response<DisallowResponse>, Status> {
        let operator = auth::operator(&request)?;
        let DisallowRequest { prefix, reason, dry_run } = request.into_inner();
        let order = order(operator, &prefix, &reason, OrderKind::Disallow)?;
        let (revision, _) = self.carry_out(order, dry_run).await?;
        Ok(Response::new(DisallowResponse { revision: revision.0 }))
    }
}

impl Operators {
    /// Judges `order`; unless it is a dry run, makes it durable and carries it out. The revision of a dry
    /// run is 0.
    async fn carry_out(&self, order: Order, dry_run: bool) -> Result<(Revision, OrderPreview), Status> {
        // Judged before it is logged, so that what is refused leaves no trace; and again by the engine when
        // its turn comes, since things may have changed.
        let preview = self
            .0
            .shared
            .engine()
            .check_order(&order, self.0.shared.now())
            .map_err(|refusal| refused(&refusal))?;
        if dry_run {
            return Ok((Revision::default(), preview));
        }
        let (sender, receiver) = oneshot::channel();
        let submission = Submission { input: Input::Order(order), reply: Reply::Order(sender) };
        self.0.sequencer.send(Message::Submit(submission)).await.map_err(|_| stopping())?;
        match receiver.await.map_err(|_| stopping())? {
            Ok((revision, Ok(preview))) => Ok((revision, preview)),
            Ok((_, Err(refusal))) => Err(refused(&refusal)),
            Err(problem) => Err(log_unavailable(&format!(
                "{problem}. Whether this order was kept is unknown: look before you repeat it"
            ))),
        }
    }
}

fn order(operator: OperatorId, prefix: &str, reason: &str, kind: OrderKind) -> Result<Order, Status> {
    Ok(Order { operator, text: readable::reason_text(reason)?, prefix: readable::prefix(prefix)?, kind })
}

/// The member that an order puts on a list.
fn put(preview: &OrderPreview, prefix: &Prefix) -> Option<Member> {
    preview.changes.iter().find_map(|change| match change {
        Change::Put(member) if member.prefix == *prefix => Some(*member),
        _ => None,
    })
}

/// The entry that a block makes, where there is none to read: in a dry run, or when it ended meanwhile.
fn planned_entry(order: &Order, preview: &OrderPreview, revision: Revision, created: Moment) -> Entry {
    readable::entry(&sekisho_model::Entry {
        prefix: order.prefix,
        tier: Tier::Drop,
        reason: sekisho_model::Reason::Order { operator: order.operator.clone(), text: order.text.clone() },
        created,
        expires: put(preview, &order.prefix)
            .filter(|member| member.list != List::Allow)
            .map_or(created, |member| member.expires),
        renewals: 0,
        repeats: 0,
        revision,
    })
}

fn allowlist_entry(order: &Order, preview: &OrderPreview, revision: Revision) -> AllowlistEntry {
    let ttl = if let OrderKind::Allow { ttl } = order.kind { ttl } else { Duration::ZERO };
    let expires = put(preview, &order.prefix).map_or(Moment::EPOCH, |member| member.expires);
    readable::allowed(&sekisho_model::Allowed {
        prefix: order.prefix,
        operator: order.operator.clone(),
        text: order.text.clone(),
        created: expires - ttl,
        expires,
        revision,
    })
}

fn refused(refusal: &Refusal) -> Status {
    let (reason, field) = match refusal {
        Refusal::NoReason | Refusal::LongReason { .. } => (Reason::MalformedField, "reason"),
        Refusal::Time { .. } => (Reason::MalformedField, "ttl"),
        Refusal::TooWide { .. } => (Reason::MalformedField, "prefix"),
        Refusal::Unlistable { .. }
        | Refusal::Private { .. }
        | Refusal::Never { .. }
        | Refusal::NeverName { .. }
        | Refusal::OwnHost { .. } => (Reason::NeverListed, "prefix"),
        Refusal::Allowlisted { .. } => (Reason::Allowlisted, "prefix"),
        Refusal::Covered { .. } => (Reason::AlreadyCovered, "prefix"),
        Refusal::BlocklistFull { .. } | Refusal::AllowlistFull { .. } | Refusal::HoldsFull { .. } => {
            (Reason::LimitReached, "prefix")
        }
        _ => (Reason::NotFound, "prefix"),
    };
    reason.status_about(refusal.to_string(), Some(field), [])
}
