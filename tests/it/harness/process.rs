//! Processes that never outlive the tests: on drop they are killed by their id, and when the whole test run dies (a pipe
//! to a guarding shell closes then) the shell kills them.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::wait::{until, within};

/// Starts the program in the background, says its id, and kills it when standard input ends.
const GUARD: &str = r#"out=$1; err=$2; shift 2; "$@" >"$out" 2>"$err" </dev/null & echo $!; cat >/dev/null; kill -KILL $! 2>/dev/null"#;

/// A process that runs in the background.
#[derive(Debug)]
pub struct Process {
    guard: Child,
    pid: u32,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts `program` with its outputs in `dir/NAME.out` and `dir/NAME.err`.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = A>,
        environment: &[(&str, &str)],
        dir: &Path,
        name: &str,
    ) -> Self {
        let (out, err) = (
            dir.join(format!("{name}.out")),
            dir.join(format!("{name}.err")),
        );
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .args([&out, &err])
            .arg(program)
            .args(args)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let pid = line.trim().parse().unwrap();
        Self {
            guard,
            pid,
            out,
            err,
        }
    }

    /// Sends a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.pid.to_string()])
            .stderr(Stdio::null())
            .status();
        assert!(status.is_ok());
    }

    /// Makes it stand still, and waits until it does: the kernel gives the signal to one of the threads, and the others run on
    /// until that one has got a processor.
    pub fn stand_still(&self) {
        self.signal("STOP");
        until("every thread stands still", || {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?;
            let still = |task: fs::DirEntry| {
                let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                let state = stat.rsplit(')').next().map(str::trim_start);
                state.is_some_and(|state| state.starts_with('T'))
            };
            tasks.flatten().all(still).then_some(())
        });
    }

    /// Whether it still runs (a zombie does not).
    pub fn runs(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .ok()
            .and_then(|stat| {
                stat.rsplit(')')
                    .next()
                    .map(|rest| !rest.trim_start().starts_with('Z'))
            })
            .unwrap_or(false)
    }

    /// What it has written to standard error.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// What it has written to standard output.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        fs::read_to_string(format!("/proc/{}/status", self.pid))
            .unwrap_or_default()
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .and_then(|l| l.trim().trim_end_matches("kB").trim().parse().ok())
            .unwrap_or(0)
    }

    /// Asks it to stop with SIGTERM and says whether it did within the limit.
    pub fn stop_within(&self, limit: std::time::Duration) -> bool {
        self.signal("TERM");
        within(limit, || (!self.runs()).then_some(())).is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard kills it, by the id it has itself, and ends.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// What a command that has ended said.
#[derive(Debug)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Output {
    /// Both outputs together.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Runs a command to its end, with at most 60 seconds; `input` goes to its standard input.
pub fn run<A: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = A>,
    environment: &[(&str, &str)],
    input: &[u8],
) -> Output {
    let mut child = Command::new("timeout")
        .args(["-k", "2", "60", program])
        .args(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || {
        // A command that does not read its input ends early; that is its answer.
        let _ = std::io::Write::write_all(&mut stdin, &input);
    });
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `triseal` to its end.
pub fn triseal<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    run(env!("CARGO_BIN_EXE_triseal"), args, &[], b"")
}
