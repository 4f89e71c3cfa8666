//! The document and the table, both ways.

use web::{ROUTES, openapi};

use crate::support::House;

#[tokio::test]
async fn the_document_holds_every_route_and_nothing_else() {
    let house = House::new().await;
    let document = house.get("", "/openapi.json").await.json();
    assert_eq!(document, openapi::document("http://127.0.0.1:8080"));
    let mut listed: Vec<(String, String)> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        listed.extend(operations.as_object().unwrap().keys().map(|verb| (path.clone(), verb.to_uppercase())));
    }
    let mut table: Vec<_> = ROUTES.iter().map(|r| (r.path.to_owned(), r.verb.method().to_string())).collect();
    listed.sort();
    table.sort();
    assert_eq!(listed, table);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = openapi::document("https://berth.example");
    let text = document.to_string();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
    let mut ids: Vec<_> =
        text.split("\"operationId\":\"").skip(1).map(|part| part.split('"').next().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "operation ids are unique");
}
