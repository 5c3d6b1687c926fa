//! `OperatorService`: an order is judged, made durable, carried out, and then answered.

use std::time::Duration;

use sekisho_engine::{OrderPreview, Refusal};
use sekisho_model::{
    Change, Input, List, Member, Moment, OperatorId, Order, OrderKind, Policy, Prefix, Revision, Tier,
    limits::{MAX_ALLOW_TTL, MAX_POLICY_BYTES},
};
use sekisho_wire::{
    Reason,
    pb::v1::{
        AllowRequest, AllowResponse, AllowlistEntry, BlockRequest, BlockResponse, DisallowRequest,
        DisallowResponse, Entry, GetPolicyRequest, GetPolicyResponse, SetPolicyRequest, SetPolicyResponse,
        UnblockRequest, UnblockResponse, operator_service_server::OperatorService,
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
        let BlockRequest { prefix, reason, ttl, dry_run, request_id, tier } = request.into_inner();
        let ttl = readable::duration("ttl", ttl, DEFAULT_SPAN)?;
        let (prefix, tier) = (readable::prefix(&prefix)?, readable::tier_from("tier", tier)?);
        let order = order(operator, &reason, &request_id, OrderKind::Block { prefix, tier, ttl })?;
        let done = self.carry_out(order.clone(), dry_run).await?;
        let entry = self.0.shared.engine().entry(&prefix).filter(|_| !dry_run).map(readable::entry);
        let entry =
            entry.unwrap_or_else(|| planned_entry(&order, (prefix, tier), &done, self.0.shared.now()));
        let (removed, done_revision) = (done.removed(), done.before());
        Ok(Response::new(BlockResponse { entry: Some(entry), done_revision, removed }))
    }

    async fn unblock(&self, request: Request<UnblockRequest>) -> Result<Response<UnblockResponse>, Status> {
        let operator = auth::operator(&request)?;
        let UnblockRequest { prefix, reason, hold, dry_run, request_id } = request.into_inner();
        let hold = readable::duration("hold", hold, DEFAULT_SPAN)?;
        let kind = OrderKind::Unblock { prefix: readable::prefix(&prefix)?, hold };
        let done = self.carry_out(order(operator, &reason, &request_id, kind)?, dry_run).await?;
        Ok(Response::new(UnblockResponse { revision: done.revision.0, done_revision: done.before() }))
    }

    async fn allow(&self, request: Request<AllowRequest>) -> Result<Response<AllowResponse>, Status> {
        let operator = auth::operator(&request)?;
        let AllowRequest { prefix, reason, ttl, dry_run, request_id } = request.into_inner();
        let ttl = readable::duration("ttl", ttl, MAX_ALLOW_TTL)?;
        let prefix = readable::prefix(&prefix)?;
        let order = order(operator, &reason, &request_id, OrderKind::Allow { prefix, ttl })?;
        let done = self.carry_out(order.clone(), dry_run).await?;
        let entry = Some(allowlist_entry(order, prefix, ttl, &done));
        let (removed, done_revision) = (done.removed(), done.before());
        Ok(Response::new(AllowResponse { entry, removed, done_revision }))
    }

    async fn disallow(
        &self,
        request: Request<DisallowRequest>,
    ) -> Result<Response<DisallowResponse>, Status> {
        let operator = auth::operator(&request)?;
        let DisallowRequest { prefix, reason, dry_run, request_id } = request.into_inner();
        let kind = OrderKind::Disallow { prefix: readable::prefix(&prefix)? };
        let done = self.carry_out(order(operator, &reason, &request_id, kind)?, dry_run).await?;
        Ok(Response::new(DisallowResponse { revision: done.revision.0, done_revision: done.before() }))
    }

    async fn set_policy(
        &self,
        request: Request<SetPolicyRequest>,
    ) -> Result<Response<SetPolicyResponse>, Status> {
        let operator = auth::operator(&request)?;
        let SetPolicyRequest { policy_yaml, reason, request_id, dry_run } = request.into_inner();
        let policy = policy(&policy_yaml)?;
        let policy_yaml = sekisho_policy::to_yaml(&policy);
        let kind = OrderKind::SetPolicy(Box::new(policy));
        let done = self.carry_out(order(operator, &reason, &request_id, kind)?, dry_run).await?;
        let (revision, removed, done_revision) = (done.revision.0, done.removed(), done.before());
        Ok(Response::new(SetPolicyResponse { revision, policy_yaml, removed, done_revision }))
    }

    async fn get_policy(
        &self,
        request: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        auth::operator(&request)?;
        let policy = self.0.shared.engine().policy().clone();
        Ok(Response::new(GetPolicyResponse { policy_yaml: sekisho_policy::to_yaml(&policy) }))
    }
}

/// What an order did.
struct Done {
    /// Where; 0 in a dry run.
    revision: Revision,
    preview: OrderPreview,
}

impl Done {
    /// Where the same request was carried out before; 0 when it was not.
    fn before(&self) -> i64 {
        self.preview.done.map_or(0, |done| done.0)
    }

    /// What left the blocklist by it.
    fn removed(&self) -> Vec<String> {
        let removed = |change: &Change| match change {
            Change::Remove(key) if !key.allow => Some(key.prefix.to_string()),
            _ => None,
        };
        self.preview.changes.iter().filter_map(removed).collect()
    }

    /// The member that it put on a list.
    fn put(&self, prefix: &Prefix) -> Option<Member> {
        self.preview.changes.iter().find_map(|change| match change {
            Change::Put(member) if member.prefix == *prefix => Some(*member),
            _ => None,
        })
    }
}

impl Operators {
    /// Judges `order`; unless it is a dry run, or was carried out before, makes it durable and carries it
    /// out.
    async fn carry_out(&self, order: Order, dry_run: bool) -> Result<Done, Status> {
        // Judged before it is logged, so that what is refused leaves no trace; and again by the engine when
        // its turn comes, since things may have changed.
        let preview = self
            .0
            .shared
            .engine()
            .check_order(&order, self.0.shared.now())
            .map_err(|refusal| refused(&refusal))?;
        if dry_run || preview.done.is_some() {
            return Ok(Done { revision: preview.done.unwrap_or_default(), preview });
        }
        let (sender, receiver) = oneshot::channel();
        let submission = Submission { input: Input::Order(order), reply: Reply::Order(sender) };
        self.0.sequencer.send(Message::Submit(Box::new(submission))).await.map_err(|_| stopping())?;
        match receiver.await.map_err(|_| stopping())? {
            Ok((revision, Ok(preview))) => Ok(Done { revision: preview.done.unwrap_or(revision), preview }),
            Ok((_, Err(refusal))) => Err(refused(&refusal)),
            Err(problem) => Err(log_unavailable(&format!(
                "{problem}. Whether this order was kept is unknown: look before you repeat it"
            ))),
        }
    }
}

fn order(operator: OperatorId, reason: &str, request_id: &str, kind: OrderKind) -> Result<Order, Status> {
    let (text, request) = (readable::reason_text(reason)?, readable::request_id(request_id)?);
    Ok(Order { operator, text, request, kind })
}

/// A policy from the text of a policy file.
///
/// # Errors
/// `POLICY_INVALID` with the line and what is allowed there.
pub fn policy(yaml: &str) -> Result<Policy, Status> {
    let invalid = |problem: String, line: u64| {
        let line = [("line", line.to_string())];
        Reason::PolicyInvalid.status_about(problem, Some("policy_yaml"), line)
    };
    if yaml.len() > MAX_POLICY_BYTES {
        let problem = format!(
            "the policy has {} bytes; an order's has at most {MAX_POLICY_BYTES}, a file's more",
            yaml.len()
        );
        return Err(invalid(problem, 1));
    }
    sekisho_policy::parse(yaml).map_err(|wrong| invalid(wrong.to_string(), wrong.line))
}

/// The entry that a block makes, where there is none to read: in a dry run, or when it ended meanwhile.
fn planned_entry(order: &Order, (prefix, tier): (Prefix, Tier), done: &Done, created: Moment) -> Entry {
    readable::entry(&sekisho_model::Entry {
        prefix,
        tier,
        reason: sekisho_model::Reason::Order { operator: order.operator.clone(), text: order.text.clone() },
        created,
        expires: done
            .put(&prefix)
            .filter(|member| member.list != List::Allow)
            .map_or(created, |member| member.expires),
        renewals: 0,
        repeats: 0,
        revision: done.revision,
    })
}

fn allowlist_entry(order: Order, prefix: Prefix, ttl: Duration, done: &Done) -> AllowlistEntry {
    let expires = done.put(&prefix).map_or(Moment::EPOCH, |member| member.expires);
    readable::allowed(&sekisho_model::Allowed {
        prefix,
        operator: order.operator,
        text: order.text,
        created: expires - ttl,
        expires,
        revision: done.revision,
    })
}

fn refused(refusal: &Refusal) -> Status {
    let (reason, field) = match refusal {
        Refusal::NoReason | Refusal::LongReason { .. } => (Reason::MalformedField, "reason"),
        Refusal::RequestReused { .. } => (Reason::RequestReused, "request_id"),
        Refusal::Policy { .. } => (Reason::PolicyInvalid, "policy_yaml"),
        Refusal::Time { .. } => (Reason::MalformedField, "ttl"),
        Refusal::TooWide { .. } => (Reason::MalformedField, "prefix"),
        Refusal::Unlistable { .. }
        | Refusal::Private { .. }
        | Refusal::Never { .. }
        | Refusal::NeverName { .. }
        | Refusal::OwnHost { .. } => (Reason::NeverListed, "prefix"),
        Refusal::Allowlisted { .. } => (Reason::Allowlisted, "prefix"),
        Refusal::Covered { .. } => (Reason::AlreadyCovered, "prefix"),
        Refusal::CoveredGentler { .. } => (Reason::CoveredGentler, "prefix"),
        Refusal::SamePolicy => (Reason::Unchanged, "policy_yaml"),
        Refusal::BlocklistFull { .. } | Refusal::AllowlistFull { .. } | Refusal::HoldsFull { .. } => {
            (Reason::LimitReached, "prefix")
        }
        Refusal::NotListed { .. } | Refusal::NotAllowed { .. } => (Reason::NotFound, "prefix"),
    };
    reason.status_about(refusal.to_string(), Some(field), [])
}
