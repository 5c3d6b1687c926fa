//! (program)
fn main() {}
