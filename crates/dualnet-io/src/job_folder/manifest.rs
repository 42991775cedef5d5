//! `job.json`: what a job is. Whoever works on it must mean the same.

use super::record::Key;
use super::{JSON, TILES, is_free};
use crate::atomic;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

/// Most bytes of a description.
const MAX_JSON: u64 = 64 << 20;

/// Begins the job in a new or empty folder, or checks that the one there is the same; returns the hash of its description.
pub(super) fn begin_or_check(path: &Path, manifest: &Value) -> Result<Key> {
    if !manifest.is_object() {
        let hint = "put the value under a key";
        return Err(Error::malformed(path, JSON, "an object", "another JSON value", hint));
    }
    // As it will be read, so that the forms of numbers are the same.
    let text = manifest.to_string();
    let ours: Value = serde_json::from_str(&text).unwrap_or_else(|_| manifest.clone());
    let file = path.join(JSON);
    if !file.is_file() {
        begin(path, &ours)?;
    }
    // Even where it was just begun: another process may have been faster.
    let theirs = read(&file)?;
    if let Some((at, expected, found)) = difference("", &theirs, &ours) {
        let hint = "the folder holds another job: choose another folder";
        let (at, found) = (format!("key {at}"), format!("{found} now"));
        return Err(Error::malformed(&file, at, expected, found, hint));
    }
    create(&path.join(TILES))?;
    Ok(blake3::hash(ours.to_string().as_bytes()).into())
}

fn begin(path: &Path, manifest: &Value) -> Result<()> {
    let other = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let ours = name == TILES && is_free(&entry.path());
        !ours && !name.to_string_lossy().starts_with(".dualnet-") && name != JSON
    };
    if let Ok(mut entries) = fs::read_dir(path)
        && let Some(entry) = entries.find_map(|e| e.ok().filter(other))
        // Not even meanwhile, by another process.
        && !path.join(JSON).is_file()
    {
        let found = format!("{} and no {JSON}", entry.file_name().to_string_lossy());
        let hint = "choose another folder";
        return Err(Error::malformed(path, "the folder", "a new or empty one, or that of a job", found, hint));
    }
    create(path)?;
    let written = atomic::create(&path.join(JSON), |file| {
        serde_json::to_writer_pretty(&mut *file, manifest)?;
        file.write_all(b"\n")
    });
    match written {
        Err(_) if path.join(JSON).is_file() => Ok(()),
        other => other,
    }
}

fn create(folder: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => {
            Err(Error::write(folder, "create", &e))
        }
        _ => Ok(()),
    }
}

fn read(file: &Path) -> Result<Value> {
    let mut text = Vec::new();
    let open = fs::File::open(file).map_err(|e| Error::read(file, "open", &e))?;
    open.take(MAX_JSON).read_to_end(&mut text).map_err(|e| Error::read(file, "read", &e))?;
    serde_json::from_slice(&text).map_err(|e| {
        let at = format!("line {}, column {}", e.line(), e.column());
        let hint = "the file is damaged: restore it from a copy, or begin the job anew elsewhere";
        Error::malformed(file, at, "the description of a job", e.to_string(), hint)
    })
}

/// The first place where two values differ, with both; what is absent is "nothing".
fn difference(at: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => in_objects(at, a, b),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(i, (a, b))| difference(&format!("{at}[{i}]"), a, b))
        }
        _ if a == b => None,
        _ => Some((at.into(), shorten(a), shorten(b))),
    }
}

fn in_objects(at: &str, a: &Map<String, Value>, b: &Map<String, Value>) -> Option<(String, String, String)> {
    let mut keys: Vec<&String> = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).collect();
    keys.sort();
    keys.into_iter().find_map(|key| {
        let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        match (a.get(key), b.get(key)) {
            (Some(a), Some(b)) => difference(&at, a, b),
            (a, b) => {
                let say = |v: Option<&Value>| v.map_or("nothing".into(), shorten);
                Some((at, say(a), say(b)))
            }
        }
    })
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 { text } else { text.chars().take(80).chain("…".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::difference;
    use serde_json::json;

    #[test]
    fn differences_are_named_by_their_path() {
        let find = |a, b| difference("", &a, &b);
        assert_eq!(find(json!({"a": [1, {"b": 2.5}]}), json!({"a": [1, {"b": 2.5}]})), None);
        let expected = Some(("a[1].b".into(), "2.5".into(), "3".into()));
        assert_eq!(find(json!({"a": [1, {"b": 2.5}]}), json!({"a": [1, {"b": 3}]})), expected);
        assert_eq!(find(json!({"z": 1}), json!({"b": 2, "z": 1})), Some(("b".into(), "nothing".into(), "2".into())));
        assert_eq!(find(json!([1]), json!([1, 2])), Some((String::new(), "[1]".into(), "[1,2]".into())));
    }
}
