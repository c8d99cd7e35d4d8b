//! The credential that MOSIP issues for OpenCRVS, with the proof that MOSIP really makes: PS256 over the URDNA2015 hashes
//! of proof options and document (WebSub reference, 1.10).
//!
//! The shape is fixed and every node but one has an IRI, so its canonical N-Quads are written here directly: sorted lines,
//! no search for blank node names. What the contexts do not define (`birthCertificateNumber`, the type
//! `MOSIPVerifiableCredential`) is not in them, in MOSIP's own either: such members are not signed.

use openssl::{
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Padding,
    sha::sha256,
    sign::{RsaPssSaltlen, Signer},
};
use serde_json::{Value, json};

use super::base64_url;

const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const XSD: &str = "http://www.w3.org/2001/XMLSchema#";
const CRED: &str = "https://www.w3.org/2018/credentials#";
const SEC: &str = "https://w3id.org/security#";
const DC: &str = "http://purl.org/dc/terms/";
/// `mosip.credential.service…idUrl` of the OpenCRVS samples.
const ID_URL: &str = "http://credential.idrepo/credentials/";

/// What it says.
#[derive(Clone, Debug)]
pub(super) enum Subject<'a> {
    /// A birth: the certificate number of the civil registry and the number that MOSIP gave. OpenCRVS takes ten digits
    /// and asks IDA with them as a UIN, so the UIN stands under `VID`.
    Birth {
        certificate: &'a str,
        number: String,
    },
    /// A death.
    Death,
}

/// A credential to be.
#[derive(Clone, Debug)]
pub(super) struct Credential<'a> {
    /// MOSIP's public host.
    pub(super) host: &'a str,
    /// A UUID.
    pub(super) id: &'a str,
    /// The registration id of the packet.
    pub(super) registration: &'a str,
    /// When, in milliseconds.
    pub(super) issued: String,
    pub(super) subject: &'a Subject<'a>,
}

impl Credential<'_> {
    /// With MOSIP's proof.
    pub(super) fn signed(&self, key: &PKey<Private>, created: &str) -> Result<Value, ErrorStack> {
        let mut hashes = sha256(self.options_quads(created).as_bytes()).to_vec();
        hashes.extend(sha256(self.document_quads().as_bytes()));
        let kid = base64_url(&sha256(&key.public_key_to_der()?));
        let jws = detached(key, &kid, &hashes)?;
        Ok(self.with_proof(created, &jws))
    }

    /// With the proof of OpenCRVS' mock: over canonical JSON instead, the key's URL as `kid`. No real MOSIP does this.
    pub(super) fn signed_as_the_mock_does(
        &self,
        key: &PKey<Private>,
        created: &str,
    ) -> Result<Value, ErrorStack> {
        // Every text in it is plain ASCII: sorted, it is canonical.
        let mut document = self.document();
        document.sort_all_objects();
        let payload = document.to_string();
        let jws = detached(key, &self.key_url(), payload.as_bytes())?;
        Ok(self.with_proof(created, &jws))
    }

    /// The credential without its proof.
    fn document(&self) -> Value {
        let mut subject = json!({"id": self.subject_id(), "vcVer": "VC-V1"});
        if let Subject::Birth {
            certificate,
            number,
        } = self.subject
            && let Some(members) = subject.as_object_mut()
        {
            members.insert("birthCertificateNumber".to_owned(), json!(certificate));
            members.insert("VID".to_owned(), json!(number));
        }
        json!({
            "@context": [
                "https://www.w3.org/2018/credentials/v1",
                format!("https://{}/.well-known/mosip-context.json", self.host),
                {"sec": SEC},
            ],
            "id": self.document_id(),
            "type": ["VerifiableCredential", "MOSIPVerifiableCredential"],
            "issuer": format!("https://{}/.well-known/controller.json", self.host),
            "issuanceDate": self.issued,
            "credentialSubject": subject,
        })
    }

    fn with_proof(&self, created: &str, jws: &str) -> Value {
        let mut whole = self.document();
        if let Some(members) = whole.as_object_mut() {
            members.insert(
                "proof".to_owned(),
                json!({
                    "type": "RsaSignature2018", "created": created, "proofPurpose": "assertionMethod",
                    "verificationMethod": self.key_url(), "jws": jws,
                }),
            );
        }
        whole
    }

    /// The document's quads in canonical form.
    fn document_quads(&self) -> String {
        let (document, subject) = (self.document_id(), self.subject_id());
        let mosip = format!("https://{}/mosip#", self.host);
        let mut quads = vec![
            format!("<{document}> <{RDF}type> <{CRED}VerifiableCredential> .\n"),
            format!(
                "<{document}> <{CRED}issuer> <https://{}/.well-known/controller.json> .\n",
                self.host
            ),
            format!(
                "<{document}> <{CRED}issuanceDate> \"{}\"^^<{XSD}dateTime> .\n",
                self.issued
            ),
            format!("<{document}> <{CRED}credentialSubject> <{subject}> .\n"),
            format!("<{subject}> <{mosip}vcVer> \"VC-V1\" .\n"),
        ];
        if let Subject::Birth { number, .. } = self.subject {
            quads.push(format!("<{subject}> <{mosip}VID> \"{number}\" .\n"));
        }
        quads.sort();
        quads.concat()
    }

    /// The quads of the proof without its value, in canonical form.
    fn options_quads(&self, created: &str) -> String {
        let mut quads = [
            format!("_:c14n0 <{DC}created> \"{created}\"^^<{XSD}dateTime> .\n"),
            format!("_:c14n0 <{RDF}type> <{SEC}RsaSignature2018> .\n"),
            format!("_:c14n0 <{SEC}proofPurpose> <{SEC}assertionMethod> .\n"),
            format!("_:c14n0 <{SEC}verificationMethod> <{}> .\n", self.key_url()),
        ];
        quads.sort();
        quads.concat()
    }

    fn document_id(&self) -> String {
        format!("{ID_URL}{}", self.id)
    }

    fn subject_id(&self) -> String {
        format!("{ID_URL}{}", self.registration)
    }

    fn key_url(&self) -> String {
        format!("https://{}/.well-known/public-key.json", self.host)
    }
}

/// `header..signature` over the header, a dot and the bytes as they are.
fn detached(key: &PKey<Private>, kid: &str, payload: &[u8]) -> Result<String, ErrorStack> {
    let header = format!(r#"{{"b64":false,"crit":["b64"],"kid":"{kid}","alg":"PS256"}}"#);
    let header = base64_url(header.as_bytes());
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    signer.set_rsa_padding(Padding::PKCS1_PSS)?;
    signer.set_rsa_mgf1_md(MessageDigest::sha256())?;
    signer.set_rsa_pss_saltlen(RsaPssSaltlen::custom(32))?;
    signer.update(header.as_bytes())?;
    signer.update(b".")?;
    signer.update(payload)?;
    Ok(format!("{header}..{}", base64_url(&signer.sign_to_vec()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn birth<'a>(subject: &'a Subject<'a>) -> Credential<'a> {
        Credential {
            host: "mosip.example.org",
            id: "2f6f5b30-5b9e-4a0e-9d2c-0d2a4d4f6a51",
            registration: "100011234567890",
            issued: "2026-01-02T03:04:05.678Z".to_owned(),
            subject,
        }
    }

    #[test]
    fn the_quads_are_sorted_and_leave_out_what_no_context_defines() {
        let subject = Subject::Birth {
            certificate: "B-1",
            number: "2753114735".to_owned(),
        };
        let quads = birth(&subject).document_quads();
        assert_eq!(quads.lines().count(), 6);
        assert!(quads.lines().is_sorted());
        assert!(quads.contains("VID> \"2753114735\""));
        assert!(!quads.contains("B-1") && !quads.contains("MOSIPVerifiableCredential"));
        assert_eq!(birth(&Subject::Death).document_quads().lines().count(), 5);
    }

    #[test]
    fn the_document_says_what_the_reference_lists() {
        let document = birth(&Subject::Death).document();
        assert_eq!(
            document["credentialSubject"],
            json!({"id": "http://credential.idrepo/credentials/100011234567890", "vcVer": "VC-V1"})
        );
        assert_eq!(document["type"][1], "MOSIPVerifiableCredential");
    }
}
