//! The envelope against strangers and against whoever can write to the database.

#![expect(clippy::print_stdout, reason = "a test tells what it counted")]

#[cfg(test)]
mod dice;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod tamper;
