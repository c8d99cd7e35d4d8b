//! The description of the service face, held against the running one: schemathesis makes requests from it, right and wrong, and
//! compares every answer with what the description says may come.

use std::{path::Path, process::Command};

use crate::{
    harness::{Site, World, run_dir},
    python,
};

/// What a run may take, in seconds.
const BUDGET_S: u32 = 40;

#[test]
fn every_answer_of_the_service_face_is_one_that_its_description_names() {
    let world = World::whole("openapi-world");
    let mut site = Site::before(&world, "openapi");
    site.start_misp();
    site.start_crvs();
    let face = format!("http://127.0.0.1:{}", site.service_face());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = python::interpreter().with_file_name("schemathesis");
    let output = Command::new("timeout")
        .args(["-k", "5", "180"])
        .arg(program)
        .args(["run", "--url", &face, "--seed", "3", "--no-color"])
        // Whatever comes is named, with its type and form. 500 is not named, so it may not come.
        .args([
            "--checks",
            "status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .args(["--phases", "examples,coverage,fuzzing", "--mode", "all"])
        .args([
            "--max-time",
            &BUDGET_S.to_string(),
            "--request-timeout",
            "15",
        ])
        .args([
            "--continue-on-failure",
            "--no-shrink",
            "--suppress-health-check",
            "all",
        ])
        .args([
            "--header",
            "Authorization: Bearer a.b.c",
            "--warnings",
            "off",
        ])
        .arg(root.join("docs/openapi/service-face.yaml"))
        .current_dir(run_dir())
        .env("HYPOTHESIS_STORAGE_DIRECTORY", run_dir().join("hypothesis"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // It did ask, on every path of the description.
    let access = site.read("crvs/access.log");
    assert!(access.lines().count() > 500, "{said}");
    assert!(!access.contains("\"status\":500"), "a fault of the gateway");
    assert!(!access.contains("GW-002"), "a fault of the gateway");
}
