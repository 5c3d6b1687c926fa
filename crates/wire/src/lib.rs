//! Translation only: protobuf to model and back, and errors to `google.rpc.Status`.
//!
//! Nothing is decided here. What cannot be translated comes back as a [`Malformed`] that names the
//! field.

pub mod answers;
pub mod error;
pub mod feed;
pub mod identity;
pub mod log;
pub mod observation;
pub mod order;
pub mod packed;
pub mod policy;
pub mod readable;
pub mod totals;

pub use error::{Malformed, Reason};

/// The messages and services of `proto/`, as generated.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    reason = "generated code; the comments are in proto/"
)]
pub mod pb {
    pub mod v1 {
        tonic::include_proto!("sekisho.v1");
    }
    pub mod state {
        pub mod v1 {
            tonic::include_proto!("sekisho.state.v1");
        }
    }
    pub mod log {
        pub mod v1 {
            tonic::include_proto!("sekisho.log.v1");
        }
    }
}

/// The descriptors of the services, comments included, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sekisho_v1.bin"));
