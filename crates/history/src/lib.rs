//! What the log says: its checkpoints and records as the engine's state and inputs, and replays of it under
//! another policy.

pub mod checkpoint;
pub mod records;
pub mod replay;
