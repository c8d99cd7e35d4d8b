//! The shape of a file, checked against the schema that is derived from the raw structs.
//!
//! Serde stops at the first mistake; an operator wants them all. The walker here knows the part of JSON Schema that our
//! own structs produce, and nothing more.

use schemars::{Schema, schema_for};
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::spelling;

/// A mistake of shape, at a byte offset of the text.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) offset: usize,
    pub(super) at: String,
    pub(super) what: String,
    pub(super) remedy: String,
}

/// The schema of a gateway's configuration.
pub fn config_schema() -> Schema {
    schema_for!(super::Config)
}

/// The schema of a partner file.
pub fn partner_schema() -> Schema {
    schema_for!(super::Partner)
}

/// Every mistake of shape in `tree`.
pub(super) fn check(schema: &Schema, tree: &Spanned<DeTable<'_>>) -> Vec<Finding> {
    let root = schema.as_value();
    let mut walk = Walk {
        root,
        findings: Vec::new(),
    };
    walk.table(root, tree.get_ref(), tree.span().start, "");
    walk.findings
}

struct Walk<'s> {
    root: &'s Value,
    findings: Vec<Finding>,
}

impl<'s> Walk<'s> {
    fn add(&mut self, offset: usize, at: &str, what: String, remedy: String) {
        self.findings.push(Finding {
            offset,
            at: at.to_owned(),
            what,
            remedy,
        });
    }

    /// Follows `$ref`, and takes the alternative that is not `null` of an `anyOf`.
    fn resolve(&self, mut schema: &'s Value) -> &'s Value {
        for _ in 0..8 {
            if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
                let Some(target) = name
                    .strip_prefix('#')
                    .and_then(|pointer| self.root.pointer(pointer))
                else {
                    return schema;
                };
                schema = target;
            } else if let Some(some) =
                schema
                    .get("anyOf")
                    .and_then(Value::as_array)
                    .and_then(|all| {
                        all.iter()
                            .find(|s| s.get("type") != Some(&Value::from("null")))
                    })
            {
                schema = some;
            } else {
                return schema;
            }
        }
        schema
    }

    fn table(&mut self, schema: &'s Value, table: &DeTable<'_>, offset: usize, at: &str) {
        let schema = self.resolve(schema);
        let Some(known) = schema.get("properties").and_then(Value::as_object) else {
            return;
        };
        for (key, value) in table {
            let name: &str = key.get_ref();
            let place = if at.is_empty() {
                name.to_owned()
            } else {
                format!("{at}.{name}")
            };
            match known.get(name) {
                Some(inner) => self.value(inner, value, &place),
                None => {
                    let names: Vec<&str> = known.keys().map(String::as_str).collect();
                    let remedy = spelling::remedy(name, &names);
                    self.add(
                        key.span().start,
                        &place,
                        format!("unknown name `{name}`"),
                        remedy,
                    );
                }
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !table.iter().any(|(k, _)| k.get_ref() == name) {
                let about = known
                    .get(name)
                    .and_then(|s| {
                        s.get("description")
                            .or_else(|| self.resolve(s).get("description"))
                    })
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let remedy = format!("Add it: {}", about.lines().collect::<Vec<_>>().join(" "));
                self.add(offset, at, format!("`{name}` is missing"), remedy);
            }
        }
    }

    fn value(&mut self, schema: &'s Value, value: &Spanned<DeValue<'_>>, at: &str) {
        let schema = self.resolve(schema);
        let offset = value.span().start;
        let words = words(schema);
        match value.get_ref() {
            DeValue::Table(table) if is(schema, "object") => self.table(schema, table, offset, at),
            DeValue::Array(items) if is(schema, "array") => {
                if let Some(inner) = schema.get("items") {
                    for (i, item) in items.iter().enumerate() {
                        self.value(inner, item, &format!("{at}[{i}]"));
                    }
                }
            }
            DeValue::String(text) if !words.is_empty() => {
                if !words.iter().any(|w| w == text) {
                    let remedy = format!("Use one of: {}.", words.join(", "));
                    self.add(offset, at, format!("`{text}` is not known here"), remedy);
                }
            }
            DeValue::String(_) if is(schema, "string") => {}
            DeValue::Boolean(_) if is(schema, "boolean") => {}
            DeValue::Integer(number) if is(schema, "integer") => {
                let minimum = schema.get("minimum").and_then(Value::as_f64);
                let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
                if parsed.is_none_or(|n| minimum.is_some_and(|m| (n as f64) < m)) {
                    self.add(
                        offset,
                        at,
                        "the number is out of range".to_owned(),
                        "Use a number from 0 on.".to_owned(),
                    );
                }
            }
            other => {
                let remedy = format!("It must be {}.", wanted(schema, &words));
                self.add(offset, at, format!("this is {}", kind(other)), remedy);
            }
        }
    }
}

/// Whether the schema takes JSON type `name`.
fn is(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(t)) => t == name,
        Some(Value::Array(all)) => all.iter().any(|t| t == name),
        _ => false,
    }
}

/// The words of an enumeration.
fn words(schema: &Value) -> Vec<String> {
    let mut words = Vec::new();
    let texts = |v: &Value| {
        v.as_array()
            .into_iter()
            .flatten()
            .filter_map(|w| w.as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    if let Some(all) = schema.get("enum") {
        words.extend(texts(all));
    }
    for one in schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        words.extend(one.get("const").and_then(Value::as_str).map(str::to_owned));
        if let Some(all) = one.get("enum") {
            words.extend(texts(all));
        }
    }
    words
}

fn wanted(schema: &Value, words: &[String]) -> String {
    if !words.is_empty() {
        return format!("one of: {}", words.join(", "));
    }
    for (json, word) in [
        ("object", "a table"),
        ("array", "a list"),
        ("string", "a text"),
        ("integer", "a whole number"),
        ("boolean", "true or false"),
    ] {
        if is(schema, json) {
            return word.to_owned();
        }
    }
    "something else".to_owned()
}

const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
