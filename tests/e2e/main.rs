//! The whole product, end to end: the real programs in the laboratory, against real spoofed SYNs.
//!
//! Each test lays a world of its own, so that tests run side by side. They need root and network
//! namespaces, and fail without: nothing is skipped.

#[cfg(test)]
mod laboratory;
#[cfg(test)]
mod support;
