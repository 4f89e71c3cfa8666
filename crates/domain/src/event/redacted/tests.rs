use super::*;
use serde_json::json;

/// What a customer's objects at Stripe hold of a person, and what lets in whoever has it.
const HERS: [&str; 16] = [
    "jane.roe@harbour.example",
    "Jane Roe",
    "Harbour Street 7",
    "+49 151 23456789",
    "4242",
    "https://invoice.stripe.com/i/acct_1/live_YWNjdF8x?s=ap",
    "https://pay.stripe.com/receipts/payment/CAcQARoXChVhY2N0",
    "pi_3Mtw_secret_YrKJUKribcBjcG8HVhfZluoGH",
    "DE89370400440532013000",
    "91.65.4.17",
    "Fingerprint Xt5EWLLDS7FJjR1c",
    "Roe & Daughters GmbH",
    "cus_ jane",
    "sub_1\u{202e}roe",
    "gold plan",
    "2026-11-22 jane",
];

/// A seeded generator (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// Something of a person under any field, listed or not, at any depth.
    fn value(&mut self, depth: usize) -> Value {
        let hers = self.one(&HERS).to_owned();
        match self.below(if depth < 8 { 7 } else { 4 }) {
            0 | 1 => json!(hers),
            2 => json!([hers, { "email": hers, "id": hers }]),
            3 => json!({ hers.clone(): hers }),
            4 => json!((0..self.below(4)).map(|_| self.value(depth + 1)).collect::<Vec<_>>()),
            _ => Value::Object((0..self.below(9)).map(|_| (self.field(), self.value(depth + 1))).collect()),
        }
    }

    fn field(&mut self) -> String {
        const LISTED: [&str; 14] = [
            "data",
            "object",
            "items",
            "customer",
            "id",
            "status",
            "currency",
            "amount_due",
            "created",
            "livemode",
            "api_version",
            "client_reference_id",
            "previous_attributes",
            "lines",
        ];
        const OTHERS: [&str; 14] = [
            "email",
            "name",
            "address",
            "phone",
            "last4",
            "receipt_url",
            "hosted_invoice_url",
            "client_secret",
            "metadata",
            "description",
            "ip",
            "idempotency_key",
            "invented_tomorrow",
            "account_name",
        ];
        match self.below(5) {
            0 => self.one(&HERS).to_owned(),
            1 | 2 => self.one(&OTHERS).to_owned(),
            _ => self.one(&LISTED).to_owned(),
        }
    }
}

fn shown(value: &Value) -> Value {
    redacted(value.to_string().as_bytes()).unwrap()
}

#[test]
fn nothing_of_a_person_survives_wherever_it_stands() {
    let mut dice = Dice(7);
    for round in 0..3_000 {
        let object = Value::Object((0..12).map(|_| (dice.field(), dice.value(0))).collect());
        let body =
            json!({ "id": "evt_1", "type": "invoice.paid", "data": { "object": object }, dice.field(): dice.value(0) });
        let text = serde_json::to_string_pretty(&shown(&body)).unwrap();
        for hers in HERS {
            assert!(!text.contains(hers), "{round}: {hers} in {text}\nof {body}");
        }
        assert!(text.len() <= BYTES_MAX, "{round}: {} bytes", text.len());
    }
}

#[test]
fn a_field_that_is_not_listed_tells_its_kind_and_length_only() {
    let body = json!({
        "id": "evt_1Nabc", "object": "event", "api_version": "2025-03-31.basil", "created": 1_790_000_000, "livemode": true,
        "pending_webhooks": 1, "type": "invoice.paid",
        "request": { "id": "req_1", "idempotency_key": "0c1b2a" },
        "data": { "object": {
            "id": "in_1", "object": "invoice", "customer": "cus_1", "customer_email": "jane@harbour.example", "currency": "eur",
            "amount_due": 4900, "amount_overpaid": 0, "total": 4900, "tax": 12.5, "collection_method": "charge_automatically",
            "billing_reason": "subscription_cycle", "paid": true, "auto_advance": false, "custom_fields": null,
            "metadata": { "Jane": "Roe" }, "customer_tax_ids": ["DE1", "DE2"],
            "lines": { "object": "list", "has_more": false, "data": [
                { "id": "il_1", "quantity": 3, "description": "3 × Pro", "period": { "start": 1, "end": 2 } }, "DE3"
            ] },
        } },
    });
    let expected = json!({
        "id": "evt_1Nabc", "object": "event", "api_version": "2025-03-31.basil", "created": 1_790_000_000, "livemode": true,
        "pending_webhooks": 1, "type": "invoice.paid",
        "request": { "id": "req_1", "idempotency_key": "… text, 6 characters" },
        "data": { "object": {
            "id": "in_1", "object": "invoice", "customer": "cus_1", "customer_email": "… text, 20 characters", "currency": "eur",
            "amount_due": 4900, "amount_overpaid": 0, "total": 4900, "tax": "… number", "collection_method": "charge_automatically",
            "billing_reason": "subscription_cycle", "paid": true, "auto_advance": "… yes or no", "custom_fields": null,
            "metadata": "… object, 1 field", "customer_tax_ids": "… list, 2 entries",
            "lines": { "object": "list", "has_more": false, "data": [
                { "id": "il_1", "quantity": 3, "description": "… text, 7 characters", "period": { "start": 1, "end": 2 } },
                "… text, 3 characters"
            ] },
        } },
    });
    assert_eq!(shown(&body), expected);
}

#[test]
fn a_listed_field_shows_what_has_its_shape_only() {
    let good = |field: &str, value: Value| assert_eq!(shown(&json!({ field: value }))[field], value, "{field}");
    let tenant = TenantId::from_uuid(uuid::Uuid::from_u128(7)).to_string();
    good("id", json!("cs_test_a1B2"));
    good("client_reference_id", json!(tenant));
    good("status", json!("past_due"));
    good("amount_total", json!(-4900));
    for (field, value) in [
        ("id", json!("jane_roe")),
        ("id", json!("cus_jane.roe")),
        ("id", json!("gold")),
        ("id", json!(format!("cus_{}", "a".repeat(97)))),
        ("client_reference_id", json!("jane")),
        ("status", json!("Jane")),
        ("status", json!("jane@harbour.example")),
        ("amount_due", json!("+4915123456789")),
        ("created", json!(1.5)),
        ("livemode", json!("true")),
        ("currency", json!("EUR")),
        ("api_version", json!("2026-13-40")),
        ("api_version", json!("2026-11-22.Jane")),
        ("customer", json!(["cus_1"])),
    ] {
        let shown = shown(&json!({ field: value }))[field].to_string();
        assert!(shown.contains('…'), "{field}: {value} is shown as {shown}");
    }
    // What is expanded in the place of an id is looked into like everything else.
    let customer = json!({ "customer": { "id": "cus_1", "email": "jane@harbour.example" } });
    assert_eq!(shown(&customer), json!({ "customer": { "id": "cus_1", "email": "… text, 20 characters" } }));
}

#[test]
fn names_that_are_not_plain_are_counted() {
    let body = json!({ "id": "evt_1", "Jane Roe": 1, "jane@harbour.example": 2, "": 3, "a".repeat(41): 4 });
    assert_eq!(shown(&body), json!({ "id": "evt_1", "…": "4 more fields" }));
}

#[test]
fn what_is_no_object_shows_nothing_and_what_is_no_json_less() {
    assert_eq!(redacted(b"\"jane\""), Some(json!("… text, 4 characters")));
    assert_eq!(redacted(b"[\"jane\"]"), Some(json!("… list, 1 entry")));
    assert_eq!(redacted(b"null"), Some(Value::Null));
    for bad in [&b""[..], b"{", b"{\"id\":\"evt_1\"} jane", b"\xff\xfe", "{\"data\":".repeat(100_000).as_bytes()] {
        assert_eq!(redacted(bad), None);
    }
}

#[test]
fn however_much_there_is_little_is_shown() {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
            Value::Array(entries) => 1 + entries.iter().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    fn nodes(value: &Value) -> usize {
        match value {
            Value::Object(fields) => fields.values().map(|value| 1 + nodes(value)).sum(),
            Value::Array(entries) => entries.iter().map(|value| 1 + nodes(value)).sum(),
            _ => 0,
        }
    }
    let long = "x".repeat(40);
    let id = format!("cus_{}", "a".repeat(96));
    let wide = Value::Object((0..90_000).map(|n| (format!("field_{n}"), json!("x"))).collect());
    let many = json!({ "items": (0..50_000).map(|_| json!({ long.clone(): 1, "id": id })).collect::<Vec<_>>() });
    let mut deep = json!({ "id": id });
    for _ in 0..60 {
        deep = json!({ "data": [deep, { "id": id }], "object": { "id": id } });
    }
    for (what, body) in [("wide", wide), ("many", many), ("deep", deep)] {
        let shown = shown(&body);
        assert!(depth(&shown) <= DEPTH_MAX, "{what}: {} deep", depth(&shown));
        // One more in each thing that says what did not fit.
        assert!(nodes(&shown) <= NODES_MAX + DEPTH_MAX + 1, "{what}: {} nodes", nodes(&shown));
        let bytes = serde_json::to_string_pretty(&shown).unwrap().len();
        assert!(bytes <= BYTES_MAX, "{what}: {bytes} bytes");
    }
    let cut = shown(&json!({ "data": (0..2_000).map(|_| json!(1)).collect::<Vec<_>>() }));
    assert_eq!(
        cut["data"].as_array().unwrap().last().unwrap(),
        &json!(format!("… {} more entries", 2_000 - NODES_MAX + 1))
    );
}
