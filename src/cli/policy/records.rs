//! Recorded exchanges, as far as rules need them: one JSON object a line in `records/*.jsonl` of the evidence's folder.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::policy::Facts;

/// The longest line that is read.
const LINE_MAX: u64 = 4 << 20;

/// What is read of a record.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(default)]
    pub(super) correlation_id: String,
    #[serde(default)]
    pub(super) route: Option<String>,
    #[serde(default)]
    pub(super) method: Option<String>,
    #[serde(default)]
    pub(super) caller: Option<Caller>,
    /// There in records of what the gateway did of its own accord: rules do not decide about that.
    #[serde(default)]
    pub(super) errand: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    pub(super) facts: Option<Facts>,
    #[serde(default)]
    pub(super) verdict: Option<String>,
    #[serde(default)]
    pub(super) code: Option<String>,
}

/// Who called.
#[derive(Debug, Deserialize)]
pub(super) struct Caller {
    pub(super) id: String,
}

/// Calls `each` with every record, in order; gives the places that could not be read.
pub(super) fn every(folder: &Path, mut each: impl FnMut(Record)) -> Result<Vec<String>, String> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|e| {
            format!(
                "{}: {e}. Say where the records are: --evidence FOLDER.",
                folder.display()
            )
        })?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    files.sort();
    let mut unread = Vec::new();
    for file in files {
        let open = File::open(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let mut reader = BufReader::new(open);
        let mut number: u64 = 0;
        loop {
            let mut line = Vec::new();
            let read = (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line);
            if read.map_err(|e| format!("{}: {e}", file.display()))? == 0 {
                break;
            }
            number = number.saturating_add(1);
            match (line.last(), serde_json::from_slice(&line)) {
                // A line that is still being written has no end yet.
                (Some(b'\n'), Ok(record)) => each(record),
                (Some(b'\n'), Err(e)) => {
                    unread.push(format!("{}:{number}: no record: {e}", file.display()));
                }
                _ => {
                    unread.push(format!(
                        "{}:{number}: the line has no end; the rest of the file is not read",
                        file.display()
                    ));
                    break;
                }
            }
        }
    }
    Ok(unread)
}
