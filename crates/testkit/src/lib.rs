//! Development only: worlds, harnesses, fakes' ledgers
