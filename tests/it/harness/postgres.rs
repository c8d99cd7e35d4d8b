//! A PostgreSQL of our own: in a folder of this run, on a free port of the loopback, with SCRAM passwords; to be killed and
//! started again. As root it runs as the user `postgres`, since it refuses to run as root.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{
    process::{Process, run},
    wait::within,
    world::{free_ports, fresh_dir},
};

/// The password of `triseal`, and of the superuser.
pub const PASSWORD: &str = "a password of this run";
const SUPERUSER: &str = "postgres";

/// A server.
#[derive(Debug)]
pub struct Postgres {
    dir: PathBuf,
    port: u16,
    more: Vec<String>,
    process: Option<Process>,
}

/// A database on a server, with a user `triseal` who owns it.
#[derive(Clone, Debug)]
pub struct Database {
    pub name: String,
    pub port: u16,
}

impl Database {
    /// Its URL, in the clear over the loopback.
    pub fn url(&self) -> String {
        format!(
            "postgres://triseal@127.0.0.1:{}/{}?sslmode=disable",
            self.port, self.name
        )
    }
}

impl Postgres {
    /// The one that tests share which do not kill it. It ends with the run.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start("postgres", &[], |_| {}))
    }

    /// One of its own, with settings; `prepare` may put files into its folder first.
    pub fn start(name: &str, settings: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let dir = fresh_dir(name);
        let data = dir.join("data");
        let passwords = dir.join("password");
        fs::write(&passwords, PASSWORD).unwrap();
        give(&dir);
        give(&passwords);
        let made = as_postgres(&binary("initdb"))
            .args([
                "--no-sync",
                "-A",
                "scram-sha-256",
                "-U",
                SUPERUSER,
                "-E",
                "UTF8",
                "--locale=C",
            ])
            .arg("--pwfile")
            .arg(&passwords)
            .arg("-D")
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        prepare(&data);
        let mut server = Self {
            dir,
            port: free_ports(1),
            more: settings.iter().map(|s| (*s).to_owned()).collect(),
            process: None,
        };
        server.run();
        server.sql(
            "postgres",
            &format!("CREATE ROLE triseal LOGIN PASSWORD '{PASSWORD}'"),
        );
        server
    }

    /// Starts it, and waits until it answers.
    pub fn run(&mut self) {
        let (data, port) = (self.dir.join("data"), self.port.to_string());
        // One that was killed may leave children for a moment, and what they share.
        let up = within(Duration::from_secs(60), || {
            let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
            for setting in [
                "listen_addresses=127.0.0.1",
                &format!("port={port}"),
                &format!("unix_socket_directories={}", self.socket_folder().display()),
                "max_connections=60",
                "shared_buffers=16MB",
                "log_min_messages=warning",
                "lc_messages=C",
            ]
            .into_iter()
            .chain(self.more.iter().map(String::as_str))
            {
                arguments.extend(["-c".to_owned(), setting.to_owned()]);
            }
            let (program, before) = prefix(&binary("postgres"));
            let process = Process::start(
                Path::new(&program),
                before.into_iter().chain(arguments),
                &[],
                &self.dir,
                "postgres",
            );
            let answers = within(Duration::from_secs(10), || {
                if self.try_sql("postgres", "SELECT 1").code == 0 {
                    return Some(true);
                }
                (!process.runs()).then_some(false)
            });
            (answers == Some(true)).then_some(process)
        });
        let said = fs::read_to_string(self.dir.join("postgres.err")).unwrap_or_default();
        self.process = Some(up.unwrap_or_else(|| panic!("PostgreSQL does not start: {said}")));
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal("KILL");
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    /// A new database of its own.
    pub fn database(&self) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("d{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER triseal"));
        Database {
            name,
            port: self.port,
        }
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its Unix socket. Short: such a path has at most 107 bytes.
    pub fn socket_folder(&self) -> PathBuf {
        PathBuf::from("/tmp")
    }

    /// What a statement gives, as the superuser; rows are lines, columns are parted by `|`.
    #[track_caller]
    pub fn sql(&self, database: &str, text: &str) -> String {
        let output = self.try_sql(database, text);
        assert_eq!(output.code, 0, "{text}: {}", output.all());
        output.out.trim_end().to_owned()
    }

    fn try_sql(&self, database: &str, text: &str) -> super::Output {
        run(
            "psql",
            [
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                SUPERUSER,
                "-d",
                database,
                "-c",
                text,
            ],
            &[("PGPASSWORD", PASSWORD), ("PGCONNECT_TIMEOUT", "5")],
            b"",
        )
    }
}

/// Lets the server's user have a file or folder.
pub fn give(path: &Path) {
    if is_root() {
        let given = Command::new("chown")
            .arg("postgres")
            .arg(path)
            .status()
            .unwrap();
        assert!(given.success());
        // The folders above must let it pass.
        for folder in path.ancestors().skip(1) {
            let Ok(about) = fs::metadata(folder) else {
                continue;
            };
            let mode = about.permissions().mode();
            if mode & 0o001 == 0 && folder.starts_with(super::run_dir().parent().unwrap()) {
                fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o011)).unwrap();
            }
        }
    }
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let id = Command::new("id").arg("-u").output().unwrap();
        id.stdout.trim_ascii() == b"0"
    })
}

/// A program of PostgreSQL's own folder, of the newest version there is.
fn binary(name: &str) -> String {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    found.sort();
    let (_, path) = found
        .pop()
        .expect("PostgreSQL is there; tests/setup-system installs it");
    path.display().to_string()
}

fn prefix(program: &str) -> (String, Vec<String>) {
    if is_root() {
        let arguments = [
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
            program,
        ];
        (
            "/usr/bin/setpriv".to_owned(),
            arguments.map(str::to_owned).to_vec(),
        )
    } else {
        (program.to_owned(), Vec::new())
    }
}

fn as_postgres(program: &str) -> Command {
    let (program, arguments) = prefix(program);
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
