//! A step of the road that is left out does not compile. Each file beside this one leaves one out and says in its first
//! line with which error; `control.rs` goes the right way and compiles.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
    time::SystemTime,
};

use crate::harness::run_dir;

#[test]
fn every_way_around_a_step_fails_to_compile_and_the_road_itself_compiles() {
    let library = library();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/skipped_steps");
    let files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert!(files.len() > 20, "{files:?}");
    let (next, wrong) = (Mutex::new(files.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(file) = next.lock().unwrap().next() else {
                        return;
                    };
                    if let Err(why) = check(file, &library) {
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{}: {why}", file.display()));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Compiles a file as a crate of its own and holds the outcome against its first line.
fn check(file: &Path, library: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).unwrap();
    let expected = text.lines().next().unwrap_or_default();
    let out = run_dir().join(file.with_extension("rmeta").file_name().unwrap());
    let output = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit=metadata",
            "--error-format=short",
            "--cap-lints=allow",
        ])
        .arg("--extern")
        .arg(format!("triseal={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", deps().display()))
        .arg("-o")
        .arg(out)
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors: Vec<&str> = said
        .lines()
        .filter_map(|l| l.split_once(": error[").map(|(_, e)| &e[..5]))
        .collect();
    if expected.starts_with("// compiles") {
        return if output.status.success() {
            Ok(())
        } else {
            Err(said)
        };
    }
    let code = expected
        .strip_prefix("// fails with ")
        .and_then(|rest| rest.get(..5))
        .ok_or_else(|| format!("its first line says nothing: {expected}"))?;
    // That error and no other: a mistake in the file itself must not pass for a held step.
    if !errors.is_empty() && errors.iter().all(|e| *e == code) {
        Ok(())
    } else {
        Err(format!("expected {code}, got {errors:?}\n{said}"))
    }
}

fn deps() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_triseal")).with_file_name("deps")
}

/// The library that this test binary was built with: the newest of its name.
fn library() -> PathBuf {
    let age = |path: &PathBuf| {
        fs::metadata(path)
            .and_then(|m| m.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    };
    fs::read_dir(deps())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "rlib"))
        .filter(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("libtriseal-"))
        })
        .max_by_key(age)
        .expect("no library of ours in target/debug/deps")
}
