//! Pinned connections to a machine, one request and one answer
