//! The berth-guest program.
fn main() {}
