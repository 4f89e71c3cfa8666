//! Other people's HTTP: Incus and LXD
