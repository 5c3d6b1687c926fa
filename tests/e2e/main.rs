//! The whole product, end to end: the real programs in the laboratory, against real spoofed SYNs.
//!
//! Each test lays a world of its own, so that tests run side by side. They need root and network
//! namespaces, and fail without: nothing is skipped.

#[cfg(test)]
mod atomic;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod carpet;
#[cfg(test)]
mod counter_evidence;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod families;
#[cfg(test)]
mod firewall;
#[cfg(test)]
mod grpcurl;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod laboratory;
#[cfg(test)]
mod main_job;
#[cfg(test)]
mod manners;
#[cfg(test)]
mod modes;
#[cfg(test)]
mod names;
#[cfg(test)]
mod once;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod startup;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod support;
#[cfg(test)]
mod takeover;
