//! Us and whom we call: `[party]` with the deployment's key stores, anchors, and the peers.

use std::fmt::Write as _;

use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{
    variables::looks_like_licence,
    work::{Work, quote},
};
use crate::{
    pki::{self, Key, NewFile, certificate_pem, certificates_of_pem},
    trust::Certificate,
};

/// A key store that could be opened.
struct Opened {
    public_key: Vec<u8>,
    organisation: Option<String>,
    subject: String,
}

pub(super) fn sections(work: &mut Work<'_>) -> String {
    identity(work);
    let decrypt = key_store(
        work,
        ("DECRYPT_P12_FILE_PATH", "DECRYPT_P12_FILE_PASSWORD"),
        ("decrypt.p12", "decrypt-password"),
        "what is sealed to us is opened with it",
    );
    let sign = key_store(
        work,
        ("SIGN_P12_FILE_PATH", "SIGN_P12_FILE_PASSWORD"),
        ("sign.p12", "sign-password"),
        "our messages are signed with it",
    );
    let organisations: Vec<String> = [&decrypt, &sign]
        .into_iter()
        .flatten()
        .filter_map(|store| store.organisation.clone())
        .collect();
    if organisations
        .windows(2)
        .any(|two| matches!(two, [a, b] if a != b))
    {
        work.findings.warn(format!(
            "the certificates of the two key stores name different organisations ({}): one party has one",
            organisations.join(", ")
        ));
    }
    let organisation = match organisations.first() {
        Some(found) => format!(
            "{}   # the subject O of the key stores' certificates",
            quote(found)
        ),
        None => format!(
            "\"\"   {}",
            work.todo("the organisation: the subject O of your certificates, to the letter")
        ),
    };
    let shared = matches!((&decrypt, &sign), (Some(a), Some(b)) if a.public_key == b.public_key);
    let mut text = format!(
        "# Us.\n[party]\nid = {}   # PARTNER_ID\norganisation = {organisation}\n",
        quote(&work.party_id)
    );
    if shared {
        let subject = sign.as_ref().map_or("", |s| s.subject.as_str());
        work.findings.warn(format!(
            "one key signs and decrypts ({subject}): who breaks one use has the other. It is allowed by `insecure_shared_keys` and told at \
             each load. Have MOSIP issue a second certificate, then remove that line."
        ));
        text.push_str(
            "# WARNING: DECRYPT_P12_FILE_PATH and SIGN_P12_FILE_PATH hold one and the same key. Ask for a second certificate, one for each\n\
             # use, and remove this line then.\ninsecure_shared_keys = true\n",
        );
    }
    let tls = work.todo("the certificate and key for connections, which the middleware never had: put them there (`triseal pki csr` makes a request for one)");
    let _ = write!(
        text,
        "\n{tls}\n[[party.certificate]]\nrole = \"tls\"\ncertificate = \"certificates/tls.pem\"\nkey = \"secrets/tls.key.pem\"\n\n\
         [[party.certificate]]\nrole = \"encryption\"\nkeystore = \"secrets/decrypt.p12\"   # DECRYPT_P12_FILE_PATH\n\
         password = {{ file = \"secrets/decrypt-password\" }}\n\n\
         [[party.certificate]]\nrole = \"signature\"\nkeystore = \"secrets/sign.p12\"   # SIGN_P12_FILE_PATH\n\
         password = {{ file = \"secrets/sign-password\" }}\n\n"
    );
    text.push_str(&anchors(work));
    text.push_str(&peer(work));
    text
}

/// Partner id and licence key: a published chart has them the wrong way round.
fn identity(work: &mut Work<'_>) {
    let (id, licence) = (work.peek("PARTNER_ID"), work.peek("PARTNER_MISP_LK"));
    let topic_names_licence = work
        .peek("MOSIP_WEBSUB_TOPIC")
        .and_then(|topic| topic.split_once('/'))
        .is_some_and(|(partner, _)| Some(partner) == licence && id != licence);
    let looks = id.is_some_and(looks_like_licence) && !licence.is_some_and(looks_like_licence);
    let swapped = licence.is_some() && (looks || topic_names_licence);
    if swapped {
        work.findings.warn(
            "PARTNER_ID and PARTNER_MISP_LK look exchanged, as they are in the example values of a published chart: PARTNER_ID has the form \
             of a licence key. They were taken the other way round, so that no licence key stands in gateway.toml. Check [party] id.",
        );
    }
    let (name, other) = if swapped {
        ("PARTNER_MISP_LK", "PARTNER_ID")
    } else {
        ("PARTNER_ID", "PARTNER_MISP_LK")
    };
    match work.take(name, "our party id") {
        Some(value) => value.clone_into(&mut work.party_id),
        None => {
            let told = "set [party] id to your partner id in MOSIP";
            work.findings.missing(name, told);
            work.findings.todo(told);
        }
    }
    let used = "the licence key for /verify; no service holds it";
    if work.take_secret(other, "misp-licence", used).is_none() {
        work.findings.missing(
            other,
            "without the licence key there is no /verify: ask the MISP for it, or leave it",
        );
    }
}

fn key_store(
    work: &mut Work<'_>,
    (path, password): (&'static str, &'static str),
    (file, password_file): (&str, &str),
    what: &str,
) -> Option<Opened> {
    let bytes = work.named_file(path);
    let phrase = work.peek(password);
    let reference = work.take_secret(password, password_file, "the password of that key store");
    if reference.is_none() {
        work.findings
            .missing(password, "a key store has a password: set it");
        work.todo(&format!(
            "the password of secrets/{file}, into secrets/{password_file}"
        ));
    }
    let Some(bytes) = bytes else {
        if work.peek(path).is_none() {
            work.findings
                .missing(path, format!("{what}: put the key store to secrets/{file}"));
        }
        work.todo(&format!("the key store secrets/{file}: {what}"));
        return None;
    };
    let opened = match open(&bytes, phrase.unwrap_or_default()) {
        Ok(opened) => opened,
        Err(why) => {
            work.findings.unused(path, why);
            work.todo(&format!(
                "a key store that can be opened, at secrets/{file}: {what}"
            ));
            return None;
        }
    };
    let out = work.request.out.join("secrets").join(file);
    work.files.push(NewFile::secret(out, &bytes));
    work.findings.used(
        path,
        format!(
            "{what}; copied as it is to secrets/{file} ({})",
            opened.subject
        ),
    );
    Some(opened)
}

/// The key of a store and the certificate that belongs to it.
fn open(bytes: &[u8], password: &str) -> Result<Opened, String> {
    let store = pki::read_p12(bytes, password).map_err(|e| e.to_string())?;
    let [(_, key)] = store.keys.as_slice() else {
        return Err(format!(
            "it holds {} private keys; export the one that is meant into a store of its own",
            store.keys.len()
        ));
    };
    let public_key = (Key::from_der(key).map_err(|e| e.to_string())?).spki_der();
    let own = (store.certificates.iter())
        .find(|(_, der)| {
            X509Certificate::from_der(der)
                .is_ok_and(|(_, read)| read.public_key().raw == public_key.as_slice())
        })
        .and_then(|(_, der)| Certificate::from_der(der.clone()).ok())
        .ok_or("no certificate in it belongs to its key")?;
    Ok(Opened {
        public_key,
        organisation: own.organisation().map(str::to_owned),
        subject: own.subject().to_owned(),
    })
}

fn anchors(work: &mut Work<'_>) -> String {
    let tls = work.todo("anchors/tls.pem and anchors/tls.crl.pem: the CA that issues TLS certificates to MISP and partners, and the revocation lists of it and its issuers");
    let partner = work.todo("anchors/partner.pem and anchors/partner.crl.pem: the CA that issued the key stores' certificates and the MISP's, and its revocation lists. MOSIP's key manager publishes none: then remove `crls` and set revocation = \"insecure_none\"");
    format!(
        "# Where chains of certificates must end.\n{tls}\n[[anchor]]\nname = \"tls\"\ncertificates = [\"anchors/tls.pem\"]\n\
         crls = [\"anchors/tls.crl.pem\"]\ngrace_s = 86400\n\n\
         {partner}\n[[anchor]]\nname = \"partner\"\ncertificates = [\"anchors/partner.pem\"]\ncrls = [\"anchors/partner.crl.pem\"]\ngrace_s = 86400\n\n\
         {}",
        public_anchor(work)
    )
}

/// For services that are called over https and whose certificates come from a public CA.
fn public_anchor(work: &mut Work<'_>) -> String {
    let over_https = |name| {
        work.peek(name)
            .is_some_and(|url| url.starts_with("https://"))
    };
    let core = over_https("OPENCRVS_GATEWAY_URL") || over_https("OPENCRVS_PUBLIC_KEY_URL");
    if !core && !work.request.direct {
        return String::new();
    }
    let what = work.todo("anchors/public.pem: the CA (one, not a whole bundle) behind the https addresses of OpenCRVS and, with --direct, of MOSIP");
    let mosip = mosip_anchor(work);
    format!(
        "{mosip}{what}\n[[anchor]]\nname = \"public\"\ncertificates = [\"anchors/public.pem\"]\n\
         revocation = \"insecure_none\"   # public CAs publish lists per certificate; these services are also known by their names\n\n"
    )
}

/// For the certificates of MOSIP's own services.
fn mosip_anchor(work: &mut Work<'_>) -> String {
    if !work.request.direct {
        return String::new();
    }
    let what = work
        .todo("anchors/mosip.pem: the CA of MOSIP's key manager, which issued IDA's certificates");
    format!(
        "{what}\n[[anchor]]\nname = \"mosip\"\ncertificates = [\"anchors/mosip.pem\"]\n\
         revocation = \"insecure_none\"   # MOSIP's key manager publishes no lists\n\n"
    )
}

/// The party behind the upstreams: the MISP, or MOSIP itself.
fn peer(work: &mut Work<'_>) -> String {
    let ida = ida_certificate(work);
    if work.request.direct {
        let signature = work.todo("certificates/ida-signature.pem: the certificate with which MOSIP's IDA signs its answers");
        let organisation = match ida.and_then(|c| c.organisation().map(str::to_owned)) {
            Some(found) => quote(&found),
            None => format!(
                "\"\"   {}",
                work.todo("the subject O of IDA's certificates")
            ),
        };
        return format!(
            "# MOSIP's IDA.\n[[peer]]\nid = \"mosip\"\norganisation = {organisation}\nanchors = {{ encryption = [\"mosip\"], signature = [\"mosip\"] }}\ncertificate = [\n    {{ role = \"encryption\", file = \"certificates/ida-encryption.pem\" }},   # ENCRYPT_CERT_PATH\n    \
             {signature}\n    {{ role = \"signature\", file = \"certificates/ida-signature.pem\" }},\n]\n\n"
        );
    }
    let (id, organisation) = misp(work);
    let certificates = work.todo("certificates/misp-encryption.pem and certificates/misp-signature.pem: the MISP's certificates, from its operator, compared by fingerprint");
    format!(
        "# The MISP: its gateway is sealed to, and its answers are verified. ENCRYPT_CERT_PATH, IDA's own certificate, has its place there.\n\
         [[peer]]\nid = {id}\norganisation = {organisation}\nanchors = {{ encryption = [\"partner\"], signature = [\"partner\"] }}\n{certificates}\ncertificate = [\n    \
         {{ role = \"encryption\", file = \"certificates/misp-encryption.pem\" }},\n    {{ role = \"signature\", file = \"certificates/misp-signature.pem\" }},\n]\n\n"
    )
}

/// Id and organisation of the MISP, each with its comment where it is not known.
pub(super) fn misp(work: &mut Work<'_>) -> (String, String) {
    let id = match &work.request.misp_id {
        Some(id) => quote(id),
        None => format!(
            "\"misp\"   {}",
            work.todo("the MISP's party id (--misp-id)")
        ),
    };
    let organisation = match &work.request.misp_organisation {
        Some(organisation) => quote(organisation),
        None => format!(
            "\"\"   {}",
            work.todo("the subject O of the MISP's certificates (--misp-organisation)")
        ),
    };
    (id, organisation)
}

fn ida_certificate(work: &mut Work<'_>) -> Option<Certificate> {
    const NAME: &str = "ENCRYPT_CERT_PATH";
    if work.peek(NAME).is_none() {
        if work.request.direct {
            work.findings.missing(
                NAME,
                "what goes to IDA is sealed to it: put it to certificates/ida-encryption.pem",
            );
            work.findings
                .todo("certificates/ida-encryption.pem: IDA's encryption certificate");
        }
        return None;
    }
    let bytes = work.named_file(NAME)?;
    let read = certificates_of_pem(&bytes)
        .ok()
        .and_then(|all| all.into_iter().next())
        .and_then(|der| Certificate::from_der(der).ok());
    let Some(certificate) = read else {
        work.findings
            .unused(NAME, "the file holds no PEM certificate");
        return None;
    };
    let subject = certificate.subject().to_owned();
    work.public(
        "certificates/ida-encryption.pem",
        certificate_pem(certificate.der()),
    );
    if work.request.direct {
        work.findings.used(
            NAME,
            format!("what goes to IDA is sealed to it ({subject})"),
        );
    } else {
        work.findings.unused(
            NAME,
            format!("here content is sealed to the MISP's gateway, and that one seals to IDA: it is the [[peer]] `mosip` there. Copied to certificates/ida-encryption.pem for its operator ({subject})"),
        );
    }
    Some(certificate)
}
