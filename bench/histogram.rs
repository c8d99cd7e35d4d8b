//! Latencies in logarithmic buckets: fixed memory, 3 % resolution, nothing lost at the tail.

use std::time::Duration;

/// Buckets for each doubling; the relative width of one is at most 1/32.
const STEPS: u64 = 32;

/// Counted latencies.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub fn record(&mut self, latency: Duration) {
        let bucket = bucket_of(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
    }

    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The latency, in microseconds, that this share of all did not exceed.
    pub fn quantile_us(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_of(bucket as u64);
            }
        }
        0
    }
}

/// Below `STEPS` a bucket is one microsecond; above, each doubling is cut into `STEPS` equal parts.
fn bucket_of(us: u64) -> usize {
    let bucket = if us < STEPS {
        us
    } else {
        let doubling = u64::from(us.ilog2() - STEPS.ilog2());
        doubling * STEPS + (us >> doubling)
    };
    usize::try_from(bucket).expect("there are fewer than 2,000 buckets")
}

/// The largest latency that falls into a bucket.
const fn upper_of(bucket: u64) -> u64 {
    if bucket < 2 * STEPS {
        return bucket;
    }
    let doubling = bucket / STEPS - 1;
    ((bucket - doubling * STEPS + 1) << doubling) - 1
}
