//! Parameters as Stripe takes them: `metadata[tenant]=x`, `line_items[0][price]=y`, `expand[]=z`.

use serde_json::{Map, Value};

/// Reads them into nested objects and lists. All that is no object or list is text.
pub(super) fn read(text: &[u8]) -> Map<String, Value> {
    let mut root = Map::new();
    for (name, value) in url::form_urlencoded::parse(text) {
        let mut parts = name.split('[');
        let first = parts.next().unwrap_or_default().to_owned();
        let path: Vec<&str> = parts.map(|part| part.trim_end_matches(']')).collect();
        put(&mut root, first, &path, value.into_owned());
    }
    root.into_iter().map(|(name, value)| (name, listed(value))).collect()
}

fn put(into: &mut Map<String, Value>, name: String, path: &[&str], value: String) {
    let name = if name.is_empty() { into.len().to_string() } else { name };
    match path.split_first() {
        None => {
            into.insert(name, Value::String(value));
        }
        Some((next, rest)) => {
            let place = into.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = place {
                put(map, (*next).to_owned(), rest, value);
            }
        }
    }
}

/// Objects whose names count up from nought are lists.
fn listed(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let is_list = !map.is_empty() && (0..map.len()).all(|at| map.contains_key(&at.to_string()));
    if is_list {
        let mut map = map;
        let taken = (0..map.len()).filter_map(|at| map.remove(&at.to_string())).collect::<Vec<_>>();
        return Value::Array(taken.into_iter().map(listed).collect());
    }
    Value::Object(map.into_iter().map(|(name, value)| (name, listed(value))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_names_become_objects_and_lists() {
        let read = read(b"mode=subscription&line_items%5B0%5D%5Bprice%5D=price_1&line_items[0][quantity]=1&expand[]=a&expand[]=b&metadata[tenant]=ten_1&created[gte]=5");
        assert_eq!(
            Value::Object(read),
            json!({
                "mode": "subscription", "line_items": [ { "price": "price_1", "quantity": "1" } ],
                "expand": ["a", "b"], "metadata": { "tenant": "ten_1" }, "created": { "gte": "5" }
            })
        );
    }
}
