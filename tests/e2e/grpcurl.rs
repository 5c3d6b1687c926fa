//! A real `grpcurl`, as an operator would use it: reflection, comments, readable answers.

use anyhow::{Result, ensure};
use sekisho_lab::{Fleet, programs::PORT, world::AGGREGATOR};
use serde_json::Value;

use crate::support::{SOON, hosts, ip, with_fleet};

#[test]
fn operators_list_describe_and_call_by_grpcurl() {
    with_fleet(&hosts(1), |fleet| {
        let services = grpcurl(fleet, &["list"], &[])?;
        for service in [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "sekisho.v1.BlocklistService",
            "sekisho.v1.FleetService",
            "sekisho.v1.ObservationService",
            "sekisho.v1.OperatorService",
        ] {
            ensure!(services.lines().any(|line| line == service), "{service} is not in {services}");
        }
        let described = grpcurl(fleet, &["describe", "sekisho.v1.BlocklistService"], &[])?;
        ensure!(described.contains("// Lists the entries, sorted by prefix"), "no comments in {described}");
        ensure!(described.contains("// Callers: operators."), "{described}");

        let order = r#"{"prefix": "203.0.113.101", "reason": "told by its owner", "ttl": "600s"}"#;
        grpcurl(fleet, &["sekisho.v1.OperatorService/Block"], &["-d", order])?;
        fleet.blocked_everywhere(ip("203.0.113.101"), SOON)?;
        let page = grpcurl(fleet, &["sekisho.v1.BlocklistService/ListEntries"], &[])?;
        let page: Value = serde_json::from_str(&page)?;
        let entry = &page["entries"][0];
        ensure!(entry["prefix"] == "203.0.113.101" && entry["tier"] == "TIER_DROP", "{page}");
        let ends = entry["expireTime"].as_str().unwrap_or_default();
        ensure!(ends.starts_with("20") && ends.ends_with('Z'), "{page}");
        ensure!(entry["reason"]["order"]["operator"] == "ana", "{page}");

        let health = grpcurl(fleet, &["grpc.health.v1.Health/Check"], &[])?;
        ensure!(health.contains("SERVING"), "{health}");
        let refused =
            grpcurl(fleet, &["sekisho.v1.BlocklistService/GetEntry"], &["-d", r#"{"prefix": "x"}"#]);
        let Err(refused) = refused else { anyhow::bail!("\"x\" is taken for a prefix") };
        ensure!(format!("{refused:#}").contains("InvalidArgument"), "{refused:#}");
        Ok(())
    });
}

fn grpcurl(fleet: &Fleet, call: &[&str], flags: &[&str]) -> Result<String> {
    let tls = &fleet.operator;
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let (ca, cert, key) = (path(&tls.ca), path(&tls.cert), path(&tls.key));
    let at = format!("{AGGREGATOR}:{PORT}");
    let mut arguments = vec!["-cacert", &ca, "-cert", &cert, "-key", &key];
    arguments.extend(flags);
    arguments.push(&at);
    arguments.extend(call);
    fleet.world.aggregator.command("grpcurl", &arguments)
}
