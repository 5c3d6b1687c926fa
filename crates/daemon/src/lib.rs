//! The manners of a process, whatever its trade: configuration, TLS files, the accept loop, signals,
//! readiness, logs and metrics. It knows nothing of blocklists.

pub mod client;
pub mod config;
pub mod exit;
pub mod http;
pub mod listener;
pub mod readiness;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
