//! A machine under power: made from its files alone, as a real one is.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use domain::protocol::GuestConfig;
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    disk::Disk,
    guest::Guest,
    instances::Power,
    outside,
    sshd::{self, Lock},
};

/// Boots. The address is taken at once; connections are answered after the start-up delay.
pub(super) fn power_on(
    shared: &Arc<Shared>,
    name: &str,
    files: &BTreeMap<String, Vec<u8>>,
    address: Ipv4Addr,
    disk: Arc<Disk>,
) -> Power {
    let off = shared.end.child_token();
    if let Some(program) = &shared.options.program {
        let folder = shared.options.folder.join("machines").join(name);
        let address = SocketAddr::from((address, shared.options.ssh_port));
        tokio::spawn(outside::run(program.clone(), folder, files.clone(), address, off.clone()));
        return Power { guest: None, _off: off.drop_guard() };
    }
    let Some((lock, config)) = read(files) else {
        // A machine without our files runs and answers nobody.
        return Power { guest: None, _off: off.drop_guard() };
    };
    let guest = Guest::new(Arc::clone(shared), config, disk, off.clone());
    tokio::spawn(boot(
        Arc::clone(shared),
        SocketAddr::from((address, shared.options.ssh_port)),
        lock,
        Arc::clone(&guest),
        off.clone(),
    ));
    Power { guest: Some(guest), _off: off.drop_guard() }
}

async fn boot(shared: Arc<Shared>, address: SocketAddr, lock: Lock, guest: Arc<Guest>, off: CancellationToken) {
    let run = async {
        tokio::time::sleep(shared.options.delays.boot).await;
        let listener = loop {
            // The machine that had this address before may be on its last breath.
            let bound = TcpSocket::new_v4().and_then(|socket| {
                socket.set_reuseaddr(true)?;
                socket.bind(address)?;
                socket.listen(64)
            });
            match bound {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        };
        guest.up();
        sshd::serve(listener, lock, guest, off.clone()).await;
    };
    tokio::select! {
        () = off.cancelled() => {}
        () = run => {}
    }
}

/// What the six files say; `None` where one is missing or makes no sense.
fn read(files: &BTreeMap<String, Vec<u8>>) -> Option<(Lock, GuestConfig)> {
    let text = |path: &str| std::str::from_utf8(files.get(path)?).ok();
    let lock = Lock::new(
        text("/etc/ssh/ssh_host_ed25519_key")?,
        text("/etc/berth/ssh_ca.pub")?,
        text("/etc/berth/principals")?,
    )?;
    let key = files.get("/etc/berth/machine.key")?;
    let config = serde_json::from_slice(files.get("/etc/berth/guest.json")?).ok()?;
    (key.len() == 32).then_some((lock, config))
}
