//! The guest as a whole: service and shim over a folder of their own, beside a gateway that speaks as the real one
//! was seen to speak (`docs/decisions/0020-guest-protocol.md`). The real gateway is asked by the end-to-end test.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may fail loudly, as tests do")]

mod applying;
mod asking;
mod channels;
mod cut;
mod dying;
mod fake_gateway;
mod proxy;
mod rekeying;
#[expect(dead_code, reason = "the tests of ssh use all of it")]
#[path = "../../../ssh/tests/it/setup.rs"]
mod setup;
#[expect(dead_code, reason = "the tests of ssh use all of it")]
#[path = "../../../ssh/tests/it/sshd.rs"]
mod sshd;
mod world;
