//! The API's document says what the API does: every operation is called, and every answer is what the document promises.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::harness::{Reply, backend, client_at, exchange, get, homing};

const A: &str = "/api/v1/pools/{pool}/backends/{backend}";
const SESSIONS: &str = "/api/v1/pools/{pool}/sessions";

/// Every operation, how it is called, and what it answers with: method, path in the document, query, body, status.
/// An operation may be called in several ways.
fn calls() -> Vec<(&'static str, String, &'static str, &'static str, u16)> {
    let of = |method, path: &str, query, body, status| (method, path.to_owned(), query, body, status);
    let at = |method, part: &str, query, body, status| of(method, &format!("{A}{part}"), query, body, status);
    let sessions = |part: &str, body| of("post", &format!("{SESSIONS}{part}"), "", body, 404);
    vec![
        of("get", "/", "", "", 200),
        of("get", "/healthz", "", "", 200),
        of("get", "/readyz", "", "", 200),
        of("get", "/metrics", "", "", 200),
        of("get", "/api/v1/openapi.json", "", "", 200),
        of("get", "/api/v1/pools", "", "", 200),
        of("get", "/api/v1/state", "", "", 200),
        of("get", "/api/v1/events", "", "", 200),
        // This homing was started without a file.
        of("post", "/api/v1/reload", "?dry_run=1", "", 409),
        at("get", "", "", "", 200),
        at("post", "/weight", "", r#"{"weight": "x"}"#, 400),
        at("post", "/weight", "", r#"{"weight": 3}"#, 409),
        at("get", "/safe-to-stop", "?scope=all", "", 400),
        at("get", "/safe-to-stop", "", "", 409),
        at("post", "/state", "", r#"{"state": 1}"#, 400),
        at(
            "post",
            "/state",
            "",
            r#"{"state": "drain", "mode": "idle", "idle": "1m", "deadline": "10m"}"#,
            200,
        ),
        of("get", "/api/v1/state", "", "", 200),
        at("post", "/state", "", r#"{"state": "maint"}"#, 200),
        at("get", "/safe-to-stop", "?scope=node", "", 200),
        of("get", SESSIONS, "?limit=10", "", 404),
        sessions("/find", r#"{"id": "x"}"#),
        sessions("/move", r#"{"id": "x", "to": "a"}"#),
        sessions("/end", r#"{"name": "x"}"#),
    ]
}

#[test]
fn every_operation_answers_as_the_document_says() {
    // One that is checked and one that is down; a session and something that happened.
    let (a, mut b) = (backend("a"), backend("b"));
    b.crash();
    let health = "\n[pool.health]\npath = \"/\"\ninterval = \"50ms\"\nfall = 1\nrise = 1\n";
    let homing = homing(&[&a, &b]).cookie().with(health).run();
    homing.until("/api/v1/pools", |text| text.contains("\"down\""));
    drop(client_at(&homing, "a"));
    let document = homing.told("/api/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<_> = paths.iter().flat_map(|(path, item)| operations(path, item)).collect();

    let mut called = BTreeSet::new();
    for (method, template, query, body, status) in calls() {
        let path = template.replace("{pool}", "app").replace("{backend}", "a") + query;
        let reply = match (method, template.as_str()) {
            (_, "/api/v1/events") => {
                // It does not end: its head is enough.
                let head = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                exchange(homing.admin, head.as_bytes())
            }
            ("get", _) => get(homing.admin, &path),
            _ => homing.post(&path, body),
        };
        assert_eq!(reply.status, status, "{method} {path} {body}: {}", reply.text());
        let operation = &paths[template.as_str()][method];
        check(&document, operation, &reply).unwrap_or_else(|wrong| panic!("{method} {path} {body}: {wrong}"));
        if status < 300 && !body.is_empty() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            valid(&document, schema, &serde_json::from_str(body).unwrap(), "the body").unwrap();
        }
        called.insert((method.to_owned(), template));
    }
    assert_eq!(called, documented);
}

#[test]
fn the_document_names_nothing_that_it_does_not_define() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let document = homing.told("/api/v1/openapi.json");
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    let defined = document["components"]["schemas"].as_object().unwrap().keys();
    let defined: BTreeSet<_> = defined.map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(used, defined);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let named: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
            let of_path = named.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str());
            let in_path = path.split(['{', '}']).skip(1).step_by(2);
            assert_eq!(of_path.collect::<Vec<_>>(), in_path.collect::<Vec<_>>(), "{method} {path}");
        }
    }
}

#[test]
fn the_validator_finds_what_is_wrong() {
    let schema = serde_json::json!({
        "type": "object", "required": ["n"],
        "properties": { "n": { "type": ["integer", "null"], "minimum": 1 }, "w": { "enum": ["a", "b"] },
            "l": { "type": "array", "items": { "anyOf": [{ "type": "string" }, { "type": "null" }] } } }
    });
    for (text, expected) in [
        (r#"{"n": 1, "w": "a", "l": ["x", null]}"#, None),
        (r#"{"n": null}"#, None),
        (r#"{"w": "a"}"#, Some("it: n is missing")),
        (r#"{"n": 1.5}"#, Some("it.n: 1.5 is no integer or null")),
        (r#"{"n": 0}"#, Some("it.n: 0 is below 1")),
        (r#"{"n": 1, "w": "c"}"#, Some("it.w: \"c\" is none of")),
        (r#"{"n": 1, "l": [1]}"#, Some("it.l[0]: 1 is nothing of")),
        (r#"{"n": 1, "x": 1}"#, Some("it.x: the document does not know it")),
        ("[]", Some("it: [] is no object")),
    ] {
        let said = valid(&Value::Null, &schema, &serde_json::from_str(text).unwrap(), "it").err();
        match expected {
            None => assert_eq!(said, None, "{text}"),
            Some(part) => assert!(said.as_deref().unwrap_or_default().starts_with(part), "{text}: {said:?}"),
        }
    }
}

fn operations(path: &str, item: &Value) -> Vec<(String, String)> {
    item.as_object().unwrap().keys().map(|method| (method.clone(), path.to_owned())).collect()
}

fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| match value.as_str() {
            Some(reference) if key == "$ref" => {
                into.insert(reference.to_owned());
            }
            _ => references(value, into),
        }),
        Value::Array(list) => list.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

/// Whether the answer is one that the operation may give.
fn check(document: &Value, operation: &Value, reply: &Reply) -> Result<(), String> {
    let response = &operation["responses"][reply.status.to_string()];
    let content = response["content"].as_object().ok_or_else(|| format!("no response {}", reply.status))?;
    let given = reply.field("content-type").unwrap_or_default();
    let media = given.split(';').next().unwrap_or_default();
    let schema = &content.get(media).ok_or_else(|| format!("no {media} in {}", reply.status))?["schema"];
    if media == "application/json" { valid(document, schema, &reply.json(), "the answer") } else { Ok(()) }
}

/// Whether a value is what a schema says; only with the words that the document uses. A key that the schema does not
/// name is wrong, so that none is added without being described.
fn valid(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let words = schema.as_object().unwrap_or_else(|| panic!("{place}: no schema"));
    for (word, says) in words {
        match word.as_str() {
            "$ref" => {
                let pointer = says.as_str().unwrap().trim_start_matches('#');
                valid(document, document.pointer(pointer).unwrap(), value, place)?;
            }
            "anyOf" => {
                let any = says.as_array().unwrap().iter();
                let errors: Vec<_> = any.map(|s| valid(document, s, value, place)).collect();
                if errors.iter().all(Result::is_err) {
                    return Err(format!("{place}: {value} is nothing of {errors:?}"));
                }
            }
            "type" => {
                let types = says.as_array().cloned().unwrap_or_else(|| vec![says.clone()]);
                let types: Vec<_> = types.iter().filter_map(Value::as_str).collect();
                if !types.iter().any(|kind| is_of(kind, value)) {
                    return Err(format!("{place}: {value} is no {}", types.join(" or ")));
                }
            }
            "enum" if !says.as_array().unwrap().contains(value) => {
                return Err(format!("{place}: {value} is none of {says}"));
            }
            "minimum" if value.as_f64().is_some_and(|n| n < says.as_f64().unwrap()) => {
                return Err(format!("{place}: {value} is below {says}"));
            }
            "maximum" if value.as_f64().is_some_and(|n| n > says.as_f64().unwrap()) => {
                return Err(format!("{place}: {value} is above {says}"));
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    valid(document, says, item, &format!("{place}[{i}]"))?;
                }
            }
            "required" => {
                let object = value.as_object();
                let missing = says.as_array().unwrap().iter().filter_map(Value::as_str);
                let mut missing = missing.filter(|key| object.is_some_and(|o| !o.contains_key(*key)));
                if let Some(key) = missing.next() {
                    return Err(format!("{place}: {key} is missing"));
                }
            }
            "properties" => properties(document, says.as_object().unwrap(), value, place)?,
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    valid(document, says, value, &format!("{place}.{key}"))?;
                }
            }
            "enum" | "minimum" | "maximum" | "description" => {}
            other => panic!("{place}: the validator does not know {other}"),
        }
    }
    Ok(())
}

fn properties(
    document: &Value,
    known: &Map<String, Value>,
    value: &Value,
    place: &str,
) -> Result<(), String> {
    for (key, value) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{key}");
        let schema = known.get(key).ok_or_else(|| format!("{place}: the document does not know it"))?;
        valid(document, schema, value, &place)?;
    }
    Ok(())
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the validator does not know the type {other}"),
    }
}
