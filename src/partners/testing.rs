//! A folder with a CA, certificates and partner files, for the tests of this room and of `policy`.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::{Directory, Pepper, SecretKind};
use crate::{
    clock::Moment,
    config::{Anchor, Document, Mistakes, Report},
    keys::Secret,
    trust::Anchors,
};

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: Moment = Moment::from_s(1_800_000_000);
/// The routes and policies that partner files may name.
pub(crate) const ROUTES: [&str; 2] = ["ida-auth", "ida-kyc"];
pub(crate) const POLICIES: [&str; 3] = ["auth", "ekyc", "delegation"];

const PEPPER: &[u8] = b"a pepper for tests only";

/// A folder with a certificate authority.
pub(crate) struct World {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    anchors: Anchors,
}

impl World {
    /// A CA under the anchor `ca`, whose revocation is not looked at, and another under `other`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("partners")).unwrap();
        let issuer = authority(&folder.path().join("ca.pem"), "Test CA");
        authority(&folder.path().join("other.pem"), "Other CA");
        let raw: Vec<Anchor> = ["ca", "other"]
            .map(|name| {
                let text = format!("name = \"{name}\"\ncertificates = [\"{name}.pem\"]\nrevocation = \"insecure_none\"\n");
                toml::from_str(&text).unwrap()
            })
            .into();
        let document = Document::from_text(&folder.path().join("triseal.toml"), String::new());
        let mut mistakes = Mistakes::default();
        let anchors = Anchors::build(&raw, &mut Report::new(&document, &mut mistakes), NOW);
        assert!(!mistakes.refuse(), "{mistakes}");
        Self {
            folder,
            issuer,
            anchors,
        }
    }

    pub(crate) fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// The hash that a partner file holds.
    pub(crate) fn hash(kind: SecretKind, secret: &str) -> String {
        Pepper::for_tests()
            .hash(kind, secret.as_bytes())
            .unwrap()
            .to_string()
    }

    /// A key for [`World::leaf_of`].
    pub(crate) fn key() -> KeyPair {
        KeyPair::generate().unwrap()
    }

    /// Issues `<name>.pem` beside the partner files with a key of its own, and gives its DER.
    pub(crate) fn leaf(&self, name: &str, organisation: &str) -> Vec<u8> {
        self.leaf_of(name, organisation, &Self::key())
    }

    /// The same for a key at hand.
    pub(crate) fn leaf_of(&self, name: &str, organisation: &str, key: &KeyPair) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if name.starts_with("signature") {
            params.extended_key_usages.clear();
        }
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{name}.pem")), leaf.pem()).unwrap();
        leaf.der().to_vec()
    }

    /// Writes a file into the folder of partners.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("partners").join(name)
    }

    /// Loads the folder.
    pub(crate) fn load(&self) -> (Directory, Mistakes) {
        self.load_with(Some(&Secret::new(PEPPER.to_vec())))
    }

    pub(crate) fn load_with(&self, pepper: Option<&Secret>) -> (Directory, Mistakes) {
        let mut mistakes = Mistakes::default();
        let folder = self.folder.path().join("partners");
        let directory = Directory::load(
            &folder,
            pepper,
            &self.anchors,
            super::Known {
                routes: &ROUTES,
                policies: &POLICIES,
                kind_of: &|_| None,
                beside: &super::Beside::default(),
            },
            NOW,
            &mut mistakes,
        );
        (directory, mistakes)
    }

    /// Loads the folder, which has no mistakes.
    pub(crate) fn directory(&self) -> Directory {
        let (directory, mistakes) = self.load();
        assert!(!mistakes.refuse(), "{mistakes}");
        directory
    }

    /// Loads the folder, which has a mistake that says `part`.
    pub(crate) fn refuses(&self, part: &str) {
        let (_, mistakes) = self.load();
        assert!(
            mistakes.refuse() && mistakes.to_string().contains(part),
            "`{part}` is not in\n{mistakes}"
        );
    }
}

/// The head of a partner file.
pub(crate) fn partner(id: &str) -> String {
    format!("id = \"{id}\"\norganisation = \"{id} Ltd\"\n")
}

/// The tail of a partner file: one certificate, `<name>.pem`, in a role.
pub(crate) fn certificate(role: &str, name: &str) -> String {
    format!("[[certificate]]\nrole = \"{role}\"\nfile = \"{name}.pem\"\n")
}

/// The anchors of a partner for every role.
pub(crate) const ANCHORED: &str =
    "[anchors]\ntls = [\"ca\"]\nsignature = [\"ca\"]\nencryption = [\"ca\"]\n";

fn authority(file: &Path, name: &str) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    fs::write(file, params.self_signed(&key).unwrap().pem()).unwrap();
    Issuer::new(params, key)
}
