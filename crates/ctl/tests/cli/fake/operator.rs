//! The fake's way with orders: each is written down, and carried out once for each request id.

use sekisho_wire::{
    Reason,
    pb::v1::{self as pb, operator_service_server::OperatorService},
};
use tonic::{Request, Response, Status};

use crate::fake::{Service, World};

/// The revision of a request that was carried out before.
const DONE: i64 = 12;

impl World {
    /// Takes an order; the revision at which the same request was carried out before, or 0.
    fn order(&self, id: &str, order: &impl std::fmt::Debug) -> Result<i64, Status> {
        let order = format!("{order:?}");
        self.orders.lock().unwrap().push(order.clone());
        self.allowed()?;
        if id.is_empty() {
            return Ok(0);
        }
        let before = self.done.lock().unwrap().entry(id.to_owned()).or_insert_with(|| order.clone()).clone();
        if before != order {
            return Err(Reason::RequestReused.status(format!("{id} was another order")));
        }
        let mut lost = self.lost.lock().unwrap();
        if *lost > 0 {
            *lost -= 1;
            return Err(Reason::Stopping.status("the aggregator is stopping"));
        }
        let orders = self.orders.lock().unwrap();
        Ok(if orders.iter().filter(|other| **other == order).count() > 1 { DONE } else { 0 })
    }
}

#[tonic::async_trait]
impl OperatorService for Service {
    async fn block(&self, request: Request<pb::BlockRequest>) -> Result<Response<pb::BlockResponse>, Status> {
        let done_revision = self.0.order(&request.get_ref().request_id, request.get_ref())?;
        let mut entry = self.0.entries.first().cloned();
        if let Some(entry) = &mut entry {
            entry.tier = request.get_ref().tier;
        }
        Ok(Response::new(pb::BlockResponse { entry, done_revision, removed: vec!["203.0.113.9".into()] }))
    }

    async fn unblock(
        &self,
        request: Request<pb::UnblockRequest>,
    ) -> Result<Response<pb::UnblockResponse>, Status> {
        let done_revision = self.0.order(&request.get_ref().request_id, request.get_ref())?;
        let revision = if request.get_ref().dry_run { 0 } else { 12 };
        Ok(Response::new(pb::UnblockResponse { revision, done_revision }))
    }

    async fn allow(&self, request: Request<pb::AllowRequest>) -> Result<Response<pb::AllowResponse>, Status> {
        let done_revision = self.0.order(&request.get_ref().request_id, request.get_ref())?;
        let (entry, removed) = (self.0.allowlist.first().cloned(), vec!["203.0.113.7".into()]);
        Ok(Response::new(pb::AllowResponse { entry, removed, done_revision }))
    }

    async fn disallow(
        &self,
        request: Request<pb::DisallowRequest>,
    ) -> Result<Response<pb::DisallowResponse>, Status> {
        let done_revision = self.0.order(&request.get_ref().request_id, request.get_ref())?;
        let revision = if request.get_ref().dry_run { 0 } else { 13 };
        Ok(Response::new(pb::DisallowResponse { revision, done_revision }))
    }

    async fn set_policy(
        &self,
        request: Request<pb::SetPolicyRequest>,
    ) -> Result<Response<pb::SetPolicyResponse>, Status> {
        let done_revision = self.0.order(&request.get_ref().request_id, request.get_ref())?;
        let (policy_yaml, removed) = (self.0.policy.clone(), vec!["203.0.113.7".into()]);
        let revision = if request.get_ref().dry_run { 0 } else { 14 };
        Ok(Response::new(pb::SetPolicyResponse { revision, policy_yaml, removed, done_revision }))
    }

    async fn get_policy(
        &self,
        _: Request<pb::GetPolicyRequest>,
    ) -> Result<Response<pb::GetPolicyResponse>, Status> {
        self.0.allowed()?;
        Ok(Response::new(pb::GetPolicyResponse { policy_yaml: self.0.policy.clone() }))
    }
}
