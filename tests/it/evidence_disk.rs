//! Evidence on a real disk in real trouble: a small file system of its own in a private mount namespace that fills up and is mounted
//! read-only. The writer's lib tests have a disk that fails as it is told; here the kernel says no.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use triseal::evidence::Hash;

use crate::{
    evidence::{leaf_of, verified},
    harness::{Answer, Output, Process, Reloaded, Site, run, until},
};

/// A tmpfs over the folder of the MISP's evidence, that only its holder, and who enters through it, can see.
struct Disk {
    holder: Process,
    pid: String,
    folder: PathBuf,
    /// How to get in.
    enter: Vec<String>,
}

impl Disk {
    /// `None`, and loudly, where the kernel lets nobody make mount namespaces.
    fn under(site: &mut Site, kib: u32) -> Option<Self> {
        let folder = site.path("misp/state/evidence");
        std::fs::create_dir_all(&folder).unwrap();
        let shown = folder.display().to_string();
        for (unshare, enter) in [
            ("-Urm", &["-U", "-m", "--preserve-credentials"][..]),
            ("-m", &["-m"][..]),
        ] {
            if run("unshare", [unshare, "mount", "--version"], &[], b"").code != 0 {
                continue;
            }
            let script = format!(
                "mount -t tmpfs -o size={kib}k tmpfs \"$1\" && echo mounted && echo $$ && exec sleep 900"
            );
            let args = [unshare, "sh", "-c", &script, "disk", &shown];
            let holder = Process::start(
                Path::new("unshare"),
                args,
                &[],
                &site.path("."),
                &format!("disk{unshare}"),
            );
            let pid = until("the file system is mounted, or cannot be", || {
                let out = holder.out();
                match out.strip_prefix("mounted\n") {
                    Some(pid) if pid.ends_with('\n') => Some(pid.trim().to_owned()),
                    Some(_) => None,
                    None if holder.runs() => None,
                    None => Some(String::new()),
                }
            });
            if pid.is_empty() {
                continue;
            }
            let mut command = vec!["nsenter".to_owned(), "-t".to_owned(), pid.clone()];
            command.extend(enter.iter().map(|&arg| arg.to_owned()));
            site.start_through(command.clone());
            return Some(Self {
                holder,
                pid,
                folder,
                enter: command,
            });
        }
        eprintln!(
            "NOT TESTED: this kernel lets nobody make a mount namespace (unshare -Urm, unshare -m); run it as root, or allow user namespaces"
        );
        None
    }

    /// A command on this disk; `FOLDER` stands for its folder.
    fn command(&self, line: &str) -> Output {
        assert!(self.holder.runs(), "the disk is gone");
        let line = line.replace("FOLDER", &self.folder.display().to_string());
        let args = self.enter.iter().map(String::as_str).skip(1);
        run("nsenter", args.chain(["sh", "-c", &line]), &[], b"")
    }

    #[track_caller]
    fn does(&self, line: &str) {
        let done = self.command(line);
        assert_eq!(done.code, 0, "{line}: {}", done.all());
    }

    /// The folder as it is seen from outside.
    fn seen(&self) -> PathBuf {
        Path::new("/proc")
            .join(&self.pid)
            .join("root")
            .join(self.folder.strip_prefix("/").unwrap())
    }
}

fn lost(answer: &Answer) -> bool {
    ["EVD-002", "EVD-004"].contains(&answer.code().as_str())
}

/// Asks until `holds`, and keeps the receipts of what was answered on the way.
#[track_caller]
fn asked_until(
    site: &Site,
    receipts: &mut Vec<Hash>,
    what: &str,
    holds: impl Fn(&Answer) -> bool,
) -> Answer {
    until(what, || {
        let answer = site.ask(&site.auth());
        if answer.says_yes() {
            receipts.extend(leaf_of(&answer));
        }
        holds(&answer).then_some(answer)
    })
}

#[test]
fn a_disk_that_is_full_refuses_what_is_required_counts_what_is_not_and_goes_on_when_there_is_room()
{
    let mut site = Site::new("evidence-enospc");
    site.replace(
        "misp/gateway.toml",
        "level = \"required\"",
        "level = \"required\"\nreserve_mib = 0",
    );
    let Some(disk) = Disk::under(&mut site, 1024) else {
        return;
    };
    site.start_misp();
    let mut receipts = Vec::new();
    asked_until(&site, &mut receipts, "an exchange", Answer::says_yes);
    assert_eq!(receipts.len(), 1, "the first was recorded");

    // Everything but what a few records take is used up by somebody else.
    let fill =
        disk.command("dd if=/dev/zero of=FOLDER/ballast bs=4k; truncate -s -16k FOLDER/ballast");
    assert!(fill.all().contains("No space left"), "{}", fill.all());
    let refused = asked_until(&site, &mut receipts, "the disk is full", lost);
    assert_eq!(
        leaf_of(&refused),
        None,
        "a refusal for want of a record names none"
    );
    let refused = asked_until(&site, &mut receipts, "refused at once", |answer| {
        answer.code() == "EVD-004"
    });
    assert_eq!(refused.header("retry-after"), Some("1"));
    let line = site.misp().line(refused.correlation_id());
    assert_eq!(line["upstream_status"], serde_json::Value::Null);
    let gateway = site.misp();
    assert_eq!(gateway.metric("triseal_evidence_broken", &[]), 1.0);
    until("the metric says that no time is left", || {
        let left = gateway.metric("triseal_evidence_seconds_left", &[]);
        (left < 60.0).then_some(())
    });
    let health = gateway.healthz().text();
    assert!(health.contains("records cannot be written"), "{health}");
    assert!(health.contains("\"secondsLeft\":0"), "{health}");

    // Best effort: answered, without a receipt, and counted.
    site.replace("misp/gateway.toml", "\"required\"", "\"best_effort\"");
    assert_eq!(site.misp().reload(), Reloaded::Published);
    let before = site.misp().metric("triseal_evidence_lost_total", &[]);
    let answer = asked_until(&site, &mut receipts, "it goes on", Answer::says_yes);
    assert_eq!(leaf_of(&answer), None);
    assert!(site.misp().metric("triseal_evidence_lost_total", &[]) > before);
    site.replace("misp/gateway.toml", "\"best_effort\"", "\"required\"");
    assert_eq!(site.misp().reload(), Reloaded::Published);
    assert!(lost(&site.ask(&site.auth())));

    // Room again, and nobody restarts anything.
    disk.does("rm FOLDER/ballast");
    asked_until(
        &site,
        &mut receipts,
        "it goes on by itself",
        Answer::says_yes,
    );
    assert_eq!(site.misp().metric("triseal_evidence_broken", &[]), 0.0);
    let answer = site.ask(&site.auth());
    assert!(answer.says_yes(), "{}", answer.text());
    receipts.extend(leaf_of(&answer));
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
    let leaves = verified(&disk.seen());
    for receipt in &receipts {
        assert!(leaves.contains(receipt), "an answer without its record");
    }
}

#[test]
fn a_read_only_disk_is_said_at_the_start_and_the_log_goes_on_when_it_can_be_written() {
    let mut site = Site::new("evidence-read-only");
    let Some(disk) = Disk::under(&mut site, 1024) else {
        return;
    };
    site.replace(
        "misp/gateway.toml",
        "level = \"required\"",
        "level = \"required\"\nreserve_mib = 0",
    );
    site.limits("freshness_forward_ms = 1");
    site.start_misp();
    let mut receipts = Vec::new();
    asked_until(&site, &mut receipts, "an exchange", Answer::says_yes);
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
    site.kill_misp();

    disk.does("mount -o remount,ro FOLDER");
    let process = site.launch_misp("read-only");
    until("it does not start", || (!process.runs()).then_some(()));
    let said = format!("{}{}", process.out(), process.err());
    assert!(said.contains("EVD-010"), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert_eq!(verified(&disk.seen()), receipts, "nothing was changed");

    disk.does("mount -o remount,rw FOLDER");
    site.start_misp();
    let answer = asked_until(&site, &mut receipts, "it goes on", Answer::says_yes);
    assert!(leaf_of(&answer).is_some());
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
    assert_eq!(verified(&disk.seen()), receipts);
}
