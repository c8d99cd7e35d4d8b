//! Quotas counted in this process. The day's counts outlive a restart: a file holds numbers at or above them.
//!
//! As with the replay mark, the file is written ahead in steps of a hundredth of the day's number, so that it costs little. After a
//! kill a partner has lost at most one step of its day, and never gets any of it back; after a clean stop nothing is lost.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::quota::{Counted, Quota, Used, Verdict};
use crate::clock::Moment;

const NAME: &str = "quota-days";
const NEW: &str = "quota-days.new";
/// Bytes of the file.
const FILE_MAX: u64 = 64 << 20;

/// What each partner has used of each route.
#[derive(Debug)]
pub(super) struct Counters {
    folder: PathBuf,
    cells: Mutex<BTreeMap<String, BTreeMap<String, Cell>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    used: Used,
    /// The number in the file.
    reserved: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    partner: String,
    route: String,
    day: i64,
    count: i64,
}

impl Counters {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut cells: BTreeMap<String, BTreeMap<String, Cell>> = BTreeMap::new();
        for line in read(&folder.join(NAME))? {
            let used = Used {
                tat_us: 0,
                day: line.day,
                count: line.count,
            };
            let reserved = line.count;
            (cells.entry(line.partner).or_default()).insert(line.route, Cell { used, reserved });
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            cells: Mutex::new(cells),
        })
    }

    /// Counts one request.
    pub(super) fn count(
        &self,
        partner: &str,
        route: &str,
        quota: &Quota,
        now: Moment,
    ) -> io::Result<Counted> {
        let now_us = now.ms().saturating_mul(1000);
        let mut cells = self.cells();
        // Names are copied at the first request alone.
        if (cells.get(partner)).is_none_or(|routes| !routes.contains_key(route)) {
            (cells.entry(partner.to_owned()).or_default())
                .insert(route.to_owned(), Cell::default());
        }
        let cell = cells.get_mut(partner).and_then(|r| r.get_mut(route));
        let Some(cell) = cell else {
            return Err(io::Error::other("a counter is gone"));
        };
        let (verdict, used) = quota.step(&cell.used, now_us);
        if verdict != Verdict::Passed {
            return Ok(quota.tell(&used, verdict, now_us));
        }
        let new_day = used.day != cell.used.day;
        let before = *cell;
        cell.used = used;
        if quota.is_daily() && (new_day || used.count > cell.reserved) {
            let step = (quota.per_day / 100).max(1);
            let ahead = used.count.saturating_add(step).min(quota.per_day);
            cell.reserved = ahead.max(used.count);
            if let Err(error) = self.write(&cells, |cell| cell.reserved) {
                if let Some(cell) = cells.get_mut(partner).and_then(|r| r.get_mut(route)) {
                    *cell = before;
                }
                return Err(error);
            }
        }
        Ok(quota.tell(&used, verdict, now_us))
    }

    /// Writes the exact counts.
    pub(super) fn close(&self) -> io::Result<()> {
        let cells = self.cells();
        if cells
            .values()
            .flat_map(BTreeMap::values)
            .any(|c| c.reserved > 0)
        {
            self.write(&cells, |cell| cell.used.count)?;
        }
        Ok(())
    }

    fn write(
        &self,
        cells: &BTreeMap<String, BTreeMap<String, Cell>>,
        count: impl Fn(&Cell) -> i64,
    ) -> io::Result<()> {
        let new = self.folder.join(NEW);
        let mut text = Vec::new();
        for (partner, routes) in cells {
            for (route, cell) in routes.iter().filter(|(_, cell)| cell.reserved > 0) {
                let line = Line {
                    partner: partner.clone(),
                    route: route.clone(),
                    day: cell.used.day,
                    count: count(cell),
                };
                serde_json::to_writer(&mut text, &line)?;
                text.push(b'\n');
            }
        }
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&new, self.folder.join(NAME))?;
        File::open(&self.folder)?.sync_all()
    }

    /// A holder that panicked left whole numbers.
    fn cells(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, Cell>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> io::Result<Vec<Line>> {
    let about = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        about => about?,
    };
    if about.len() > FILE_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file of the day's quotas is too large",
        ));
    }
    let wrong = |_| {
        let what = "the file of the day's quotas is not ours: remove it, and the day begins anew";
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    let text = fs::read_to_string(path)?;
    (text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>())
    .map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_s(1_700_000_000);

    fn daily(per_day: i64) -> Quota {
        Quota {
            interval_us: 0,
            burst: 1,
            per_day,
        }
    }

    fn passes(counters: &Counters, quota: &Quota, now: Moment) -> bool {
        let counted = counters.count("p", "r", quota, now).unwrap();
        counted.verdict == Verdict::Passed
    }

    #[test]
    fn a_day_outlives_a_clean_stop_exactly_and_a_kill_within_one_step() {
        let folder = tempfile::tempdir().unwrap();
        let quota = daily(1_000);
        let first = Counters::open(folder.path()).unwrap();
        for _ in 0..5 {
            assert!(passes(&first, &quota, NOW));
        }
        first.close().unwrap();
        let second = Counters::open(folder.path()).unwrap();
        let counted = second.count("p", "r", &quota, NOW).unwrap();
        assert_eq!(counted.day.unwrap().remaining, 994);
        // Killed: not closed.
        drop(second);
        let third = Counters::open(folder.path()).unwrap();
        let counted = third.count("p", "r", &quota, NOW).unwrap();
        let remaining = counted.day.unwrap().remaining;
        assert!((983..=993).contains(&remaining), "{remaining}");
        // The next day is whole.
        let tomorrow = NOW.plus_ms(86_400_000);
        let counted = third.count("p", "r", &quota, tomorrow).unwrap();
        assert_eq!(counted.day.unwrap().remaining, 999);
    }

    #[test]
    fn partners_and_routes_are_counted_apart() {
        let folder = tempfile::tempdir().unwrap();
        let counters = Counters::open(folder.path()).unwrap();
        let quota = daily(1);
        assert!(passes(&counters, &quota, NOW));
        assert!(!passes(&counters, &quota, NOW));
        for (partner, route) in [("p", "other"), ("other", "r")] {
            let counted = counters.count(partner, route, &quota, NOW).unwrap();
            assert_eq!(counted.verdict, Verdict::Passed);
        }
    }

    #[test]
    fn what_cannot_be_written_is_not_counted_and_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let counters = Counters::open(folder.path()).unwrap();
        drop(folder);
        assert!(counters.count("p", "r", &daily(9), NOW).is_err());
    }

    #[test]
    fn a_file_that_is_not_ours_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "{\"partner\":1}\n").unwrap();
        assert!(Counters::open(folder.path()).is_err());
    }
}
