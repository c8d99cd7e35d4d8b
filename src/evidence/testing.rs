//! Certificates and time stamps for tests, made by the openssl command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    keys::SigningKey,
    trust::{Anchor, Certificate, certificates_from_file},
};

/// A CA in a folder of its own, and what it issued.
pub(super) struct Authority {
    dir: TempDir,
}

const CONFIG: &str = "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\n\
    digests = sha256\ness_cert_id_alg = sha256\n[old]\nserial = serial\nsigner_digest = sha384\ndefault_policy = 1.2.3.4\n\
    digests = sha256\ness_cert_id_alg = sha1\n[picky]\nserial = serial\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\n\
    digests = sha512\n";

impl Authority {
    pub(super) fn new() -> Self {
        let made = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(made.path("serial"), "01\n").unwrap();
        fs::write(made.path("tsa.cnf"), CONFIG).unwrap();
        made.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /O=Root/CN=Root -addext {}",
            "keyUsage=critical,keyCertSign,cRLSign"
        ));
        made
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Issues `NAME.pem` with the key `NAME.der` (PKCS#8).
    pub(super) fn issue(
        &self,
        name: &str,
        organisation: &str,
        extensions: &str,
        key: &str,
    ) -> Certificate {
        fs::write(self.path("ext"), extensions).unwrap();
        self.openssl(&format!(
            "req -newkey {key} -nodes -keyout {name}.key -out {name}.csr -subj /O={organisation}/CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile ext -out {name}.pem"
        ));
        self.openssl(&format!(
            "pkcs8 -topk8 -nocrypt -in {name}.key -outform DER -out {name}.der"
        ));
        certificates_from_file(&self.path(&format!("{name}.pem")))
            .unwrap()
            .remove(0)
    }

    pub(super) fn key(&self, name: &str) -> SigningKey {
        SigningKey::from_pkcs8_der(&fs::read(self.path(&format!("{name}.der"))).unwrap()).unwrap()
    }

    pub(super) fn anchor(&self) -> Anchor {
        Anchor::offline(&[self.path("ca.pem")]).unwrap()
    }

    /// What a time-stamping authority with that certificate answers.
    pub(super) fn reply(&self, request: &[u8], signer: &str, section: &str) -> Vec<u8> {
        fs::write(self.path("query"), request).unwrap();
        self.openssl(&format!(
            "ts -reply -config tsa.cnf -section {section} -queryfile query -signer {signer}.pem -inkey {signer}.key -out reply"
        ));
        fs::read(self.path("reply")).unwrap()
    }

    fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(Path::new(self.dir.path()))
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}

/// The extensions of a certificate for time stamping.
pub(super) const TSA: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n";
/// The extensions of a certificate for signatures.
pub(super) const SIGNER: &str =
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n";
