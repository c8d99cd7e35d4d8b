//! A test PKI made by code, wrong twins included, and the configuration around it.

use std::{fs, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    RevokedCertParams, SerialNumber, SigningKey, SubjectPublicKeyInfo,
};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::{Anchors, PartyCertificates, PartySpec};
use crate::{
    clock::Moment,
    config::{self, Document, Mistakes, PeerCertificate, Report, Revocation, Role, RoleAnchors},
};

/// The moment of all tests: 2026-06-01T00:00:00Z.
pub(super) const NOW: Moment = Moment::from_s(1_780_272_000);

/// The party of all tests.
pub(super) const ORGANISATION: &str = "Example Registry";

const DAY_S: i64 = 86_400;

pub(super) fn at(seconds_from_now: i64) -> Moment {
    NOW.plus_ms(seconds_from_now * 1000)
}

fn date(seconds_from_now: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at(seconds_from_now).s()).unwrap()
}

/// A CA with its key.
pub(super) struct Ca {
    pub(super) der: Vec<u8>,
    pub(super) params: CertificateParams,
    pub(super) key: KeyPair,
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date(-DAY_S);
    params.not_after = date(3650 * DAY_S);
    params
}

impl Ca {
    pub(super) fn root(name: &str) -> Self {
        Self::root_with(name, |_| {})
    }

    pub(super) fn root_with(name: &str, change: impl Fn(&mut CertificateParams)) -> Self {
        Self::root_with_key(name, KeyPair::generate().unwrap(), change)
    }

    pub(super) fn root_with_key(
        name: &str,
        key: KeyPair,
        change: impl Fn(&mut CertificateParams),
    ) -> Self {
        let mut params = ca_params(name);
        change(&mut params);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, params, key }
    }

    pub(super) fn below(&self, name: &str) -> Self {
        self.below_with(name, |_| {})
    }

    pub(super) fn below_with(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> Self {
        let mut params = ca_params(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params
            .signed_by(&key, &self.issuer())
            .unwrap()
            .der()
            .to_vec();
        Self { der, params, key }
    }

    pub(super) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    pub(super) fn issue(&self, leaf: &Leaf) -> Vec<u8> {
        let params = leaf.params();
        let made = match &leaf.spki {
            Some(spki) => params.signed_by(spki, &self.issuer()),
            None => params.signed_by(&leaf.key, &self.issuer()),
        };
        made.unwrap().der().to_vec()
    }

    /// Makes a CA of a leaf, as its holder could.
    pub(super) fn usurp(leaf: &Leaf, der: &[u8]) -> Self {
        Self {
            der: der.to_vec(),
            params: leaf.params(),
            key: KeyPair::try_from(leaf.key.serialized_der()).unwrap(),
        }
    }

    /// A revocation list from a minute ago to `next_s` from now.
    pub(super) fn list(&self, revoked: &[&[u8]], next_s: i64) -> Vec<u8> {
        self.list_with(revoked, -60, next_s)
    }

    pub(super) fn list_with(&self, revoked: &[&[u8]], this_s: i64, next_s: i64) -> Vec<u8> {
        CertificateRevocationListParams {
            this_update: date(this_s),
            next_update: date(next_s),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(serial),
                    revocation_time: date(-3600),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer())
        .unwrap()
        .der()
        .to_vec()
    }

    /// The object with `from` replaced by `to` in what is signed, and signed again: for what rcgen does not write.
    pub(super) fn resign(&self, der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let (signed, algorithm, _) = super::der::split_signed(der).unwrap();
        let place = signed.windows(from.len()).position(|w| w == from).unwrap();
        let mut signed = signed.to_vec();
        signed[place..place + to.len()].copy_from_slice(to);
        let signature = self.key.sign(&signed).unwrap();
        let content = [
            signed,
            wrap(0x30, algorithm),
            wrap(0x03, &[&[0][..], &signature].concat()),
        ]
        .concat();
        wrap(0x30, &content)
    }
}

/// One element of DER.
pub(super) fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head, content.to_vec()].concat()
}

/// What a leaf is made from.
pub(super) struct Leaf {
    pub(super) organisation: Option<String>,
    pub(super) usages: Vec<KeyUsagePurpose>,
    pub(super) purposes: Vec<ExtendedKeyUsagePurpose>,
    pub(super) is_ca: IsCa,
    pub(super) from_s: i64,
    pub(super) until_s: i64,
    pub(super) serial: Vec<u8>,
    pub(super) extensions: Vec<CustomExtension>,
    pub(super) key: KeyPair,
    /// A public key in place of the key's own.
    pub(super) spki: Option<SubjectPublicKeyInfo>,
}

impl Leaf {
    fn new(usages: &[KeyUsagePurpose], purposes: &[ExtendedKeyUsagePurpose]) -> Self {
        Self {
            organisation: Some(ORGANISATION.to_owned()),
            usages: usages.to_vec(),
            purposes: purposes.to_vec(),
            is_ca: IsCa::NoCa,
            from_s: -DAY_S,
            until_s: 365 * DAY_S,
            serial: vec![0x1a, 1, 2, 3, 4, 5, 6, 7],
            extensions: Vec::new(),
            key: KeyPair::generate().unwrap(),
            spki: None,
        }
    }

    pub(super) fn tls() -> Self {
        Self::new(
            &[KeyUsagePurpose::DigitalSignature],
            &[ExtendedKeyUsagePurpose::ClientAuth],
        )
    }

    pub(super) fn signature() -> Self {
        Self::new(&[KeyUsagePurpose::DigitalSignature], &[])
    }

    pub(super) fn encryption() -> Self {
        Self::new(&[KeyUsagePurpose::KeyAgreement], &[])
    }

    /// As MOSIP re-signs a partner's certificate in the domain AUTH.
    pub(super) fn mosip() -> Self {
        let mut leaf = Self::new(
            &[
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::KeyEncipherment,
            ],
            &[],
        );
        leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        leaf
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(organisation) = &self.organisation {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organisation);
        }
        params
            .distinguished_name
            .push(DnType::CommonName, "partner");
        params.key_usages = self.usages.clone();
        params.extended_key_usages = self.purposes.clone();
        params.is_ca = self.is_ca;
        params.not_before = date(self.from_s);
        params.not_after = date(self.until_s);
        params.serial_number = Some(SerialNumber::from_slice(&self.serial));
        params.custom_extensions = self.extensions.clone();
        params.subject_alt_names = vec![rcgen::SanType::DnsName(
            "partner.example".try_into().unwrap(),
        )];
        params
    }
}

/// An RSA public key of that size. Nobody holds the private half; it only has to look like a key.
pub(super) fn rsa_spki(bits: usize) -> SubjectPublicKeyInfo {
    let modulus = [&[0_u8][..], &vec![0xc3; bits / 8]].concat();
    let key = wrap(
        0x30,
        &[wrap(0x02, &modulus), vec![0x02, 0x03, 1, 0, 1]].concat(),
    );
    let rsa = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let bit_string = wrap(0x03, &[&[0][..], &key].concat());
    SubjectPublicKeyInfo::from_der(&wrap(0x30, &[&rsa[..], &bit_string].concat())).unwrap()
}

/// The DER of a key pair's public half.
pub(super) fn spki_of(key: &KeyPair) -> SubjectPublicKeyInfo {
    SubjectPublicKeyInfo::from_der(&key.subject_public_key_info()).unwrap()
}

/// A folder of files and the anchors configured from them.
pub(super) struct World {
    folder: TempDir,
    raw: Vec<config::Anchor>,
    files: usize,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            raw: Vec::new(),
            files: 0,
        }
    }

    /// One anchor `a` over one root with an empty, fresh list.
    pub(super) fn of(ca: &Ca) -> Self {
        let mut world = Self::new();
        world.anchor("a", &[&ca.der], &[&ca.list(&[], DAY_S)]);
        world
    }

    pub(super) fn file(&mut self, bytes: &[u8]) -> PathBuf {
        self.files += 1;
        let path = self.folder.path().join(self.files.to_string());
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(super) fn anchor(
        &mut self,
        name: &str,
        certificates: &[&[u8]],
        lists: &[&[u8]],
    ) -> &mut config::Anchor {
        let anchor = config::Anchor {
            name: name.to_owned(),
            certificates: certificates.iter().map(|c| self.file(c)).collect(),
            crls: lists.iter().map(|l| self.file(l)).collect(),
            revocation: Revocation::Required,
            grace_s: 0,
        };
        self.raw.push(anchor);
        self.raw.last_mut().unwrap()
    }

    /// The anchors and what was said about them.
    pub(super) fn read(&self) -> (Anchors, Mistakes) {
        report(|report| Anchors::build(&self.raw, report, NOW))
    }

    /// The anchors, which must be without error.
    pub(super) fn anchors(&self) -> Anchors {
        let (anchors, mistakes) = self.read();
        assert!(!mistakes.refuse(), "{mistakes}");
        anchors
    }

    /// A party with these certificates, trusted under the named anchor.
    pub(super) fn party(
        &mut self,
        anchors: &Anchors,
        anchor: &str,
        certificates: &[(Role, &[u8])],
        change: impl Fn(usize, &mut PeerCertificate),
        insecure_shared_keys: bool,
    ) -> (PartyCertificates, Mistakes) {
        let certificates: Vec<PeerCertificate> = certificates
            .iter()
            .enumerate()
            .map(|(i, (role, der))| {
                let mut raw = PeerCertificate {
                    role: *role,
                    file: self.file(der),
                    algorithm: None,
                    valid_from: None,
                    valid_until: None,
                    chain: None,
                };
                change(i, &mut raw);
                raw
            })
            .collect();
        let names = vec![anchor.to_owned()];
        let names = RoleAnchors {
            tls: names.clone(),
            encryption: names.clone(),
            signature: names,
        };
        let spec = PartySpec {
            id: "partner-1",
            organisation: ORGANISATION,
            certificates: &certificates,
            anchors: &names,
            insecure_shared_keys,
        };
        report(|report| PartyCertificates::build(spec, anchors, report, NOW))
    }

    /// A party with one certificate under anchor `a`, which must be without error.
    pub(super) fn bound(&mut self, anchors: &Anchors, role: Role, der: &[u8]) -> PartyCertificates {
        let (party, mistakes) = self.party(anchors, "a", &[(role, der)], |_, _| {}, false);
        assert!(!mistakes.refuse(), "{mistakes}");
        party
    }
}

/// Runs something that reports.
pub(super) fn report<T>(run: impl FnOnce(&mut Report<'_>) -> T) -> (T, Mistakes) {
    let document = Document::from_text("test.toml".as_ref(), String::new());
    let mut mistakes = Mistakes::default();
    let made = run(&mut Report::new(&document, &mut mistakes));
    (made, mistakes)
}

/// A certificate in PEM.
pub(super) fn pem(der: &[u8]) -> String {
    use base64::Engine;
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        base64::engine::general_purpose::STANDARD.encode(der)
    )
}

/// An RSA key pair of 2048 bits.
pub(super) fn rsa_key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap()
}
