//! Every mark in every place of a request where none belongs.

use serde_json::Value;
use testkit::marks::{Class, Hit};

use super::{house::Marked, visitor::Visitor};

/// The class that stands in the path of an address, too: one row of the list says why that is found in the log.
const IN_A_PATH: Class = Class::CompatibleKey;

/// Sends them, in bodies that are none, fields that are none, queries, headers and cookies.
pub(super) async fn send(house: &Marked, visitor: &Visitor) {
    let host = house.fleet.api.base.strip_prefix("http://").unwrap().to_owned();
    let bearer = house.fleet.api.token.as_str();
    for class in Class::EVERY {
        let value = house.marks.value(*class);
        let escaped: Vec<String> = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let escaped = escaped.concat();
        let text = Value::from(value).to_string();
        let header: String = value.chars().filter(char::is_ascii).collect();
        let credentials = "/api/v1/credentials".to_owned();
        let me = "/api/v1/me".to_owned();
        let cookies = format!("cookie: berth_refresh={header}; berth_session={header}\r\n");
        let mut requests = vec![
            ("POST", credentials.clone(), bearer, String::new(), format!("{{\"kind\": {text}")),
            ("POST", credentials.clone(), bearer, String::new(), format!("{{\"kind\": {text}, \"value\": {text}}}")),
            ("POST", credentials.clone(), bearer, String::new(), format!("{{{text}: {text}}}")),
            ("PUT", format!("{credentials}?value={escaped}"), bearer, String::new(), text.clone()),
            ("GET", format!("/login?link={escaped}"), bearer, String::new(), String::new()),
            ("GET", "/dashboard".to_owned(), bearer, cookies, String::new()),
            ("GET", me.clone(), bearer, format!("x-api-key: {header}\r\nx-secret: {header}\r\n"), String::new()),
            ("GET", me, header.as_str(), String::new(), String::new()),
        ];
        if *class == IN_A_PATH {
            requests.push(("GET", format!("/{escaped}"), bearer, String::new(), String::new()));
        }
        for (method, path, bearer, more, body) in requests {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {bearer}\r\nconnection: close\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n{more}\r\n",
                body.len()
            );
            visitor.raw(&name(*class), format!("{head}{body}").as_bytes()).await;
        }
    }
}

/// Whether this is what somebody sent themselves, in the answer to them: a sentence says which word does not fit, and
/// the page of a link carries the link on. That of one in the answer to another is found all the same.
pub(super) fn is_told_back(hit: &Hit) -> bool {
    hit.place.starts_with(&format!("answers/{}-", name(hit.class)))
}

fn name(class: Class) -> String {
    format!("misuse-{}", class.name())
}
