//! Messages recorded from programs of each protocol version must stay readable and mean the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use std::{fs, path::Path};

use foreman_protocol::{Command, EventRecord, Reports, Sample};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Reads every line of a recording; written again, it says exactly what was recorded.
fn still_means_the_same<T: Serialize + DeserializeOwned>(recording: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(recording);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = 0;
    for line in text.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let read: T =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{recording}: {error}: {line}"));
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written, without_rounding(recorded, &written), "{recording}");
        lines += 1;
    }
    assert!(lines > 0, "{recording} is empty");
}

/// A fraction recorded from an `f32` may be written with other digits for the same number.
fn without_rounding(recorded: Value, written: &Value) -> Value {
    match (recorded, written) {
        (Value::Number(a), Value::Number(b)) if same(a.as_f64(), b.as_f64()) => Value::Number(b.clone()),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.into_iter().zip(b).map(|(a, b)| without_rounding(a, b)).collect()
        }
        (Value::Object(a), Value::Object(b)) => a
            .into_iter()
            .map(|(name, a)| {
                let b = b.get(&name).unwrap_or(&Value::Null);
                let value = without_rounding(a, b);
                (name, value)
            })
            .collect(),
        (other, _) => other,
    }
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a as f32 == b as f32 && a.fract() != 0.0)
}

#[test]
fn version_1() {
    still_means_the_same::<EventRecord>("v1/events.jsonl");
    still_means_the_same::<Command>("v1/commands.jsonl");
    still_means_the_same::<Sample>("v1/samples.jsonl");
    still_means_the_same::<Reports>("v1/reports.jsonl");
}
