//! The daemon's REST API over its unix socket, as far as Berth's client uses it.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use uuid::Uuid;

use super::{
    Shared,
    faults::{How, Verb},
    instances::{Instance, Work, work},
    wire::{self, Reply},
};

/// The folders that the image has, besides `/`.
const FOLDERS: [&str; 3] = ["/etc", "/etc/ssh", "/etc/berth"];

/// Serves until the simulator ends. `reserved` keeps its network from other simulators meanwhile.
pub(super) async fn serve(shared: Arc<Shared>, socket: UnixListener, reserved: TcpListener) {
    let accept = async {
        loop {
            match socket.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(converse(Arc::clone(&shared), stream))),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::select! {
        () = shared.end.cancelled() => {}
        () = accept => {}
    }
    shared.instances.all().there.clear();
    drop(reserved);
}

async fn converse(shared: Arc<Shared>, stream: UnixStream) {
    let end = shared.end.clone();
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = end.cancelled() => {}
        _ = connection => {}
    }
}

/// An error closes the connection without an answer.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path().strip_prefix("/1.0").unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let query: HashMap<&str, &str> =
        head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
    let recursive = query.get("recursion").is_some_and(|depth| *depth == "1");
    let reply = match (&head.method, &parts[..]) {
        (&Method::GET, []) => Reply::Sync(wire::server()),
        (&Method::GET, ["storage-pools", wire::POOL]) => Reply::Sync(json!({"name": wire::POOL, "driver": "dir"})),
        (&Method::GET, ["networks", wire::BRIDGE]) => Reply::Sync(wire::network(&shared)),
        (&Method::GET, ["networks", wire::BRIDGE, "leases"]) => {
            if let Some(How::Late(late)) = shared.faults.next(Verb::Leases) {
                tokio::time::sleep(late).await;
            }
            Reply::Sync(leases(&shared))
        }
        (&Method::GET, ["images", "aliases", alias]) if *alias == shared.options.image => {
            Reply::Sync(json!({"name": alias, "target": wire::FINGERPRINT, "type": "container"}))
        }
        (&Method::GET, ["operations"]) => Reply::Sync(shared.operations.listing()),
        (&Method::GET, ["operations", id, "wait"]) => wait(&shared, id, query.get("timeout").copied()).await,
        (&Method::GET, ["instances"]) => Reply::Sync(listing(&shared, recursive)),
        (&Method::POST, ["instances"]) => create(&shared, &body).await?,
        (&Method::GET, ["instances", name]) => match shared.instances.all().there.get(*name) {
            Some(instance) => Reply::Sync(wire::instance(name, instance)),
            None => Reply::absent("Instance"),
        },
        (&Method::PATCH, ["instances", name]) => patch(&shared, name, &body),
        (&Method::DELETE, ["instances", name]) => change(&shared, name, Verb::Delete).await?,
        (&Method::PUT, ["instances", name, "state"]) => {
            let ask: Value = serde_json::from_slice(&body).unwrap_or_default();
            match ask.get("action").and_then(Value::as_str) {
                Some("start") => change(&shared, name, Verb::Start).await?,
                Some("stop") => change(&shared, name, Verb::Stop).await?,
                _ => Reply::Refused(400, "Unknown action".to_owned()),
            }
        }
        (&Method::POST, ["instances", name, "files"]) => put_file(&shared, name, query.get("path").copied(), &body),
        _ => Reply::absent("Path"),
    };
    Ok(reply.into_response())
}

fn listing(shared: &Shared, recursive: bool) -> Value {
    let all = shared.instances.all();
    if recursive {
        return all.there.iter().map(|(name, instance)| wire::instance(name, instance)).collect();
    }
    all.there.keys().map(|name| Value::from(format!("/1.0/instances/{name}"))).collect()
}

/// Reserved addresses count whether the machine runs or not; the host's own is among them.
fn leases(shared: &Shared) -> Value {
    let all = shared.instances.all();
    let of = |(name, instance): (&String, &Instance)| {
        Some(json!({"hostname": name, "address": instance.address()?, "type": "static"}))
    };
    let own = json!({"hostname": wire::BRIDGE, "address": shared.network.home, "type": "gateway"});
    all.there.iter().filter_map(of).chain([own]).collect()
}

async fn wait(shared: &Shared, id: &str, seconds: Option<&str>) -> Reply {
    let operation = id.parse::<Uuid>().ok().and_then(|id| shared.operations.get(id));
    let Some(mut operation) = operation else { return Reply::absent("Operation") };
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(30);
    operation.wait(Duration::from_secs(seconds)).await;
    Reply::Sync(operation.to_json())
}

async fn create(shared: &Arc<Shared>, body: &[u8]) -> io::Result<Reply> {
    let ask: Value = serde_json::from_slice(body).unwrap_or_default();
    let map = |key: &str| ask.get(key).and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    let Some(name) = ask.get("name").and_then(Value::as_str) else {
        return Ok(Reply::Refused(400, "An instance needs a name".to_owned()));
    };
    if ask.pointer("/source/fingerprint").and_then(Value::as_str) != Some(wire::FINGERPRINT) {
        return Ok(Reply::absent("Image"));
    }
    if shared.instances.all().there.contains_key(name) {
        return Ok(Reply::Refused(400, format!("Instance {name:?} already exists")));
    }
    let instance = Instance::new(map("config"), map("devices"));
    begin(shared, name, Verb::Create, Work::Create(Box::new(instance))).await
}

/// Power and deletion.
async fn change(shared: &Arc<Shared>, name: &str, verb: Verb) -> io::Result<Reply> {
    let running = match shared.instances.all().there.get(name) {
        Some(instance) => instance.power.is_some(),
        None => return Ok(Reply::absent("Instance")),
    };
    let how = match verb {
        Verb::Delete if running => return Ok(Reply::Refused(400, "Instance is running".to_owned())),
        Verb::Delete => Work::Delete,
        Verb::Start => Work::Start,
        Verb::Stop | Verb::Leases | Verb::Create | Verb::Ask(_) => Work::Stop,
    };
    begin(shared, name, verb, how).await
}

/// Begins an operation, unless another one is at work or a fault strikes.
async fn begin(shared: &Arc<Shared>, name: &str, verb: Verb, how: Work) -> io::Result<Reply> {
    let fault = shared.faults.next(verb);
    if let Some(How::Late(late)) = fault {
        tokio::time::sleep(late).await;
    }
    if fault == Some(How::Refuse) {
        return Ok(Reply::Refused(400, "the simulator was told to refuse".to_owned()));
    }
    if fault == Some(How::Fail) {
        let failing = async { Err("the simulator was told to fail".to_owned()) };
        return Ok(Reply::Async(shared.operations.begin(name, failing)));
    }
    if !shared.instances.all().occupy(name) {
        return Ok(Reply::Refused(500, "Instance is busy running another operation".to_owned()));
    }
    let operation = shared.operations.begin(name, work(Arc::clone(shared), name.to_owned(), how));
    if fault == Some(How::LoseAnswer) {
        return Err(io::Error::other("the simulator was told to lose the answer"));
    }
    Ok(Reply::Async(operation))
}

fn patch(shared: &Shared, name: &str, body: &[u8]) -> Reply {
    let ask: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut all = shared.instances.all();
    let Some(instance) = all.there.get_mut(name) else { return Reply::absent("Instance") };
    let devices = ask.get("devices").and_then(Value::as_object).cloned().unwrap_or_default();
    instance.devices.extend(devices);
    Reply::Sync(json!({}))
}

fn put_file(shared: &Shared, name: &str, path: Option<&str>, content: &[u8]) -> Reply {
    let mut all = shared.instances.all();
    let Some(instance) = all.there.get_mut(name) else { return Reply::absent("Instance") };
    let folder = path.and_then(|path| path.rsplit_once('/')).map(|(folder, _)| folder);
    match (path, folder) {
        (Some(path), Some(folder)) if FOLDERS.contains(&folder) => {
            instance.files.insert(path.to_owned(), content.to_vec());
            shared.received.add(path, content);
            Reply::Sync(json!({}))
        }
        _ => Reply::absent("Folder"),
    }
}
