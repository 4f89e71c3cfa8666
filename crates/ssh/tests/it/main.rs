//! Against a real OpenSSH server, started by each test on a free loopback port.

#![expect(clippy::print_stdout, reason = "a test tells what it measured")]

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod exchanges;
#[cfg(test)]
mod hardened;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod sshd;
#[cfg(test)]
mod vectors;
