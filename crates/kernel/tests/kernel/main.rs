//! The room against a real kernel, in network namespaces that the tests make themselves. Needs root.

mod lab;
mod nft;
mod sockets;
mod table;
