//! The key families, one file each: a key's and a value's bytes, and nothing else.
//!
//! Numbers are big-endian, so that the order of the bytes is the order of the numbers. Each value
//! ends in a CRC-32C over its key and itself, which also catches a value that sits under a wrong key.

pub(crate) mod about;
mod bytes;
pub(crate) mod chunk;
pub(crate) mod delta;
pub(crate) mod epoch;
pub(crate) mod event;
pub(crate) mod floor;
pub(crate) mod header;
pub(crate) mod record;

/// A column family of RocksDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// What the store is: its epoch, and where its log begins.
    Meta,
    /// The log's records.
    Log,
    /// What completes a checkpoint.
    Headers,
    /// The checkpoints' bytes.
    Chunks,
    /// Deltas behind the ring in memory.
    Deltas,
    /// What happened, for operators.
    Events,
    /// Which events are about a prefix.
    About,
}

impl Family {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Meta, Self::Log, Self::Headers, Self::Chunks, Self::Deltas, Self::Events, Self::About];

    /// Its name on the disk. RocksDB insists on a `default`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "default",
            Self::Log => "log",
            Self::Headers => "checkpoints",
            Self::Chunks => "checkpoint_chunks",
            Self::Deltas => "deltas",
            Self::Events => "events",
            Self::About => "events_about",
        }
    }
}

/// The value is not what was written.
pub(crate) type Decoded<T> = Result<T, &'static str>;
