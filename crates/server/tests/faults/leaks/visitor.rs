//! Whoever asks Berth and keeps every answer, as it came, in a folder.

use std::{
    cell::Cell,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use http::Method;
use serde_json::Value;
use testkit::http_call::{Answer, Call, Page, browse, call};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A visitor of one Berth.
pub(super) struct Visitor {
    base: String,
    token: String,
    folder: PathBuf,
    count: Cell<usize>,
}

impl Visitor {
    pub(super) const fn new(base: String, token: String, folder: PathBuf) -> Self {
        Self { base, token, folder, count: Cell::new(0) }
    }

    /// Asks with the personal token; the answer is kept below this name.
    pub(super) async fn ask(&self, name: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let bearer = self.token.clone();
        self.ask_as(&bearer, name, (method, path), body).await
    }

    /// The same with another token.
    pub(super) async fn ask_as(
        &self,
        bearer: &str,
        name: &str,
        (method, path): (Method, &str),
        body: Option<Value>,
    ) -> Answer {
        let headers = vec![("authorization", format!("Bearer {bearer}"))];
        let url = format!("{}{path}", self.base);
        let answer = call(Call { method, url, headers, body, patience: Duration::from_secs(90) }).await.unwrap();
        self.keep(name, &format!("{}\n{}", answer.status, answer.body));
        answer
    }

    /// Asks as a browser. The cookies that are set are given back and not kept: they carry what a browser is to hold.
    pub(super) async fn browse(&self, name: &str, path: &str, cookies: &str, form: Option<String>) -> Page {
        let page = browse(&format!("{}{path}", self.base), cookies, form).await.unwrap();
        self.keep(name, &format!("{}\n{}\n{}", page.status, page.location.clone().unwrap_or_default(), page.body));
        page
    }

    /// Sends these very bytes; what comes back until the connection ends or nothing more comes.
    pub(super) async fn raw(&self, name: &str, request: &[u8]) {
        let address = self.base.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("it ends").unwrap();
        self.keep(name, &String::from_utf8_lossy(&answer));
    }

    /// Asks until the answer is as it should be.
    pub(super) async fn until(&self, name: &str, path: &str, is_good: impl Fn(&Answer) -> bool) {
        let began = Instant::now();
        while !is_good(&self.ask(name, Method::GET, path, None).await) {
            assert!(began.elapsed() < Duration::from_secs(30), "{path} never was as it should be");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn keep(&self, name: &str, text: &str) {
        self.count.set(self.count.get() + 1);
        fs::write(self.folder.join(format!("{name}-{}", self.count.get())), text).unwrap();
    }
}

/// The value of a cookie that was set.
pub(super) fn cookie(page: &Page, starts: &str) -> String {
    let values = page.set_cookies.iter().filter_map(|cookie| cookie.split(';').next()?.split_once('='));
    let mut values = values.map(|(_, value)| value).filter(|value| value.starts_with(starts));
    values.next().unwrap_or_else(|| panic!("no cookie holds {starts}…: {}\n{}", page.status, page.body)).to_owned()
}

/// What a browser sends back.
pub(super) fn cookies(page: &Page) -> String {
    page.set_cookies.iter().filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
}

/// A word that begins so, wherever it stands in a text.
pub(super) fn word(text: &str, starts: &str) -> String {
    let at = text.find(starts).unwrap_or_else(|| panic!("{starts}… is not in it:\n{text}"));
    let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text[at..].chars().take_while(is_part).collect()
}
