//! curl, as a partner's client.

use std::{fs, path::Path};

use super::{Answer, Site, process::run, world::fresh_dir};

/// A call of curl.
#[derive(Debug)]
pub struct Curl {
    args: Vec<String>,
    url: String,
    input: Vec<u8>,
}

/// What curl got: `version` is `1.1` or `2`; `exit` is not 0 when there was no answer.
#[derive(Debug)]
pub struct Got {
    /// curl's exit code.
    pub exit: i32,
    /// What it said.
    pub said: String,
    /// The HTTP version.
    pub version: String,
    /// The last answer.
    pub answer: Answer,
}

/// A call to the partner face as partner `crvs`, over HTTP version `1.1` or `2`.
pub fn curl(site: &Site, version: &str, path: &str) -> Curl {
    let face = site.partner_face();
    Curl {
        args: vec![
            format!("--http{version}"),
            "--cacert".into(),
            site.ca().display().to_string(),
            "--resolve".into(),
            format!("localhost:{face}:127.0.0.1"),
        ],
        url: format!("https://localhost:{face}{path}"),
        input: Vec::new(),
    }
    .certificate(&site.party("crvs"), "tls")
}

impl Curl {
    /// With the certificate `DIR/ROLE.pem`. Only the last one counts.
    pub fn certificate(self, dir: &Path, role: &str) -> Self {
        self.arg("--cert")
            .arg(&dir.join(format!("{role}.pem")).display().to_string())
            .arg("--key")
            .arg(&dir.join(format!("{role}.key.pem")).display().to_string())
    }

    /// With one more argument.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// With one more header field.
    pub fn header(self, field: &str) -> Self {
        self.arg("-H").arg(field)
    }

    /// With a body (POST).
    pub fn body(mut self, body: &[u8]) -> Self {
        self.input = body.to_vec();
        self.arg("--data-binary").arg("@-")
    }

    /// Calls.
    pub fn go(self) -> Got {
        let dir = fresh_dir("curl");
        let (head, body) = (dir.join("head"), dir.join("body"));
        let mut args = self.args;
        args.extend([
            "-sS".into(),
            "--path-as-is".into(),
            "--max-time".into(),
            "20".into(),
            "-D".into(),
            head.display().to_string(),
            "-o".into(),
            body.display().to_string(),
            "-w".into(),
            "%{http_version}".into(),
            self.url,
        ]);
        let output = run("curl", args, &[], &self.input);
        let text = fs::read_to_string(&head).unwrap_or_default();
        let last = text
            .split("\r\n\r\n")
            .filter(|h| !h.trim().is_empty())
            .last()
            .unwrap_or_default();
        let mut answer = Answer::from_head(last).unwrap_or_default();
        answer.body = fs::read(&body).unwrap_or_default();
        let _ = fs::remove_dir_all(dir);
        Got {
            exit: output.code,
            said: output.err,
            version: output.out,
            answer,
        }
    }
}
