//! The machine: which cores to use, pinning, and processor time and memory as the kernel counts them (`/proc`).

use std::{fs, process::Command};

/// Ticks of `/proc/PID/stat` in a second (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;
/// Sockets of both ends of a thousand connections, with room.
const OPEN_FILES: u32 = 4_096;

/// The two cores of the bench.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// Every server under test, and the bare cryptography.
    pub server: u32,
    /// The load generator and the upstream.
    pub load: u32,
}

impl Cores {
    /// The first two cores this process may run on.
    pub fn choose() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
        let list = field(&status, "Cpus_allowed_list").expect("the kernel tells");
        let mut cores = list.split(',').flat_map(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            from.parse::<u32>().unwrap()..=to.parse::<u32>().unwrap()
        });
        match (cores.next(), cores.next()) {
            (Some(server), Some(load)) => Self { server, load },
            _ => panic!("the bench needs two cores: one for the servers, one for the load"),
        }
    }
}

/// Pins this process, before it has threads, and lets it open enough sockets.
pub fn settle(core: u32) {
    let pid = std::process::id().to_string();
    tool("taskset", &["-a", "-c", "-p", &core.to_string(), &pid]);
    let files = format!("--nofile={OPEN_FILES}:");
    tool("prlimit", &["--pid", &pid, &files]);
}

fn tool(name: &str, arguments: &[&str]) {
    let out = Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{name} (package util-linux) cannot be run: {e}"));
    assert!(out.status.success(), "{name} {arguments:?}: {out:?}");
}

/// A process and all its descendants.
pub fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(c, _)| c));
        at += 1;
    }
    found
}

/// User and system time of these processes since they started, in seconds.
pub fn cpu_s(pids: &[u32]) -> f64 {
    let ticks = |pid: &u32| -> f64 {
        let stat = stat(*pid).unwrap_or_else(|| panic!("process {pid} is gone"));
        stat[11].parse::<f64>().unwrap() + stat[12].parse::<f64>().unwrap()
    };
    pids.iter().map(ticks).sum::<f64>() / TICKS_PER_S
}

/// Resident memory of these processes, in MiB.
pub fn rss_mib(pids: &[u32]) -> f64 {
    let kib = |pid: &u32| -> f64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let rss = field(&status, "VmRSS").expect("a live process has memory");
        rss.trim_end_matches(" kB").parse().unwrap()
    };
    pids.iter().map(kib).sum::<f64>() / 1024.0
}

/// The fields of `/proc/PID/stat` from `state` on (the name before them may hold anything).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// What a core has done since the machine started, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct CoreTime {
    pub idle: f64,
    pub stolen: f64,
    pub total: f64,
}

impl CoreTime {
    pub fn now(core: u32) -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap();
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(&format!("cpu{core} ")))
            .expect("the core is there");
        // user nice system idle iowait irq softirq steal; guest time is inside user time
        let ticks: Vec<f64> = line
            .split_whitespace()
            .take(8)
            .map(|t| t.parse::<f64>().unwrap() / TICKS_PER_S)
            .collect();
        Self {
            idle: ticks[3] + ticks[4],
            stolen: ticks[7],
            total: ticks.iter().sum(),
        }
    }

    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            idle: self.idle - earlier.idle,
            stolen: self.stolen - earlier.stolen,
            total: (self.total - earlier.total).max(f64::MIN_POSITIVE),
        }
    }

    pub fn idle_share(&self) -> f64 {
        self.idle / self.total
    }

    /// What the hypervisor gave to others.
    pub fn stolen_share(&self) -> f64 {
        self.stolen / self.total
    }
}

impl std::iter::Sum for CoreTime {
    fn sum<I: Iterator<Item = Self>>(times: I) -> Self {
        let nothing = Self {
            idle: 0.0,
            stolen: 0.0,
            total: 0.0,
        };
        times.fold(nothing, |a, b| Self {
            idle: a.idle + b.idle,
            stolen: a.stolen + b.stolen,
            total: a.total + b.total,
        })
    }
}

/// Processor model and kernel.
pub fn describe() -> (String, String) {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let model = field(&cpus, "model name").unwrap_or("unknown");
    (model.to_owned(), kernel.trim().to_owned())
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}
