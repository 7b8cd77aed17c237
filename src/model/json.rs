use std::collections::BTreeMap;

use serde_json::Value;

/// JSON in one spelling: keys sorted, no white space; `None` for what is no JSON. The
/// order of lists stays, and what may be written as one thing or as a list of one.
pub fn canonical_json(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(text.len());
    write(&value, &mut out)?;
    Some(out)
}

fn write(value: &Value, out: &mut String) -> Option<()> {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            // Sorted here: how a map of serde_json's is ordered depends on who else uses it.
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            out.push('{');
            for (n, (key, member)) in sorted.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(key).ok()?);
                out.push(':');
                write(member, out)?;
            }
            out.push('}');
        }
        scalar => out.push_str(&serde_json::to_string(scalar).ok()?),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_whatever_the_order_and_the_white_space() {
        let one = r#"{ "b": [2, {"z": null, "y": "é\n"}], "a": true }"#;
        let text = r#"{"a":true,"b":[2,{"y":"é\n","z":null}]}"#;
        assert_eq!(canonical_json(one).as_deref(), Some(text));
        assert_eq!(canonical_json(text).as_deref(), Some(text));
        assert_ne!(canonical_json("[1,2]"), canonical_json("[2,1]"));
        assert_eq!(canonical_json("{"), None);
    }
}
