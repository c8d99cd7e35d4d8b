//! The scene around the embedded MOSIP: a PKI, a MISP's gateway, a partner's gateway, a partner service, all in one folder.
//!
//! ```text
//! DIR/pki/…            what `triseal pki make` makes
//! DIR/misp/…           the MISP's gateway: gateway.toml, partners/, policies/, secrets/, state/
//! DIR/crvs/…           the partner's gateway
//! DIR/mosip/…          what MOSIP and OpenCRVS publish: public keys, MOSIP's JSON-LD context
//! DIR/sdk.toml         settings for the published Python SDK against the partner's service face
//! DIR/scene.json       every path, port and id, for scripts; written last, and whole when it is there
//! ```

mod doors;
mod gateways;

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use zeroize::Zeroize;

use super::{
    esignet::{self, EsignetConfig, Pkce, UserinfoForm},
    ida::{
        ApiKeyRecord, AuthPolicyDoc, IdaConfig, KeyKind, MispPolicyDoc, MispRecord, OwnKey,
        PartnerRecord, PolicyRecord, Status, Validity,
    },
    mosip::{self, ClientRecord, CredentialPartner, MosipConfig},
    mts::MtsConfig,
    odoo::OdooConfig,
    opencrvs::CoreConfig,
    register::Register,
};
use crate::{
    clock::Moment,
    envelope::ReplayGuard,
    keys::Secret,
    partners::{Pepper, SecretKind},
    pki::{self, Built, NewFile, Overwrite, PkiError, Plan},
};

/// The policy documents of the scene, as shipped in `policies/`.
const MISP_POLICY: &str = include_str!("../../policies/misp.json");
const EKYC_POLICY: &str = include_str!("../../policies/ekyc.json");

/// The MISP's client at the login, for packets and workflows.
const REGPROC_CLIENT: &str = "mosip-regproc-client";

/// Where everything listens, on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The partner's service face, plain HTTP.
    pub service_face: u16,
    /// Admin listener of the partner's gateway.
    pub partner_admin: u16,
    /// Admin listener of the MISP's gateway.
    pub misp_admin: u16,
    /// The MISP's partner face, mutual TLS.
    pub partner_face: u16,
    /// The embedded IDA, mutual TLS.
    pub ida: u16,
    /// The other services of the embedded MOSIP, plain HTTP as within its cluster.
    pub mosip: u16,
    /// The stand-in for OpenCRVS core, plain HTTP.
    pub core: u16,
    /// The MISP's service face, where MOSIP's own services call, plain HTTP.
    pub misp_services: u16,
    /// The partner's partner face, where the MISP calls, mutual TLS.
    pub partner_callback: u16,
    /// E-Signet, plain HTTP.
    pub esignet: u16,
    /// The token seeder, plain HTTP.
    pub mts: u16,
    /// The stand-in for OpenG2P's Odoo, plain HTTP.
    pub odoo: u16,
}

impl Ports {
    /// How many there are from the base on.
    pub const COUNT: u16 = 12;

    /// Ports from `base` on.
    pub fn from_base(base: u16) -> Self {
        let at = |n| base.saturating_add(n);
        Self {
            service_face: at(0),
            partner_admin: at(1),
            misp_admin: at(2),
            partner_face: at(3),
            ida: at(4),
            mosip: at(8),
            core: at(9),
            misp_services: at(10),
            partner_callback: at(11),
            esignet: at(5),
            mts: at(6),
            odoo: at(7),
        }
    }
}

/// Which doors the gateways have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doors {
    /// IDA's.
    Ida,
    /// All of them.
    #[default]
    All,
}

/// Why a scene could not be set.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// A file or folder.
    #[error("{path}: {error}. Check the permissions, or choose another --dir.")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The PKI.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A mistake of ours.
    #[error("the scene is inconsistent: {0}")]
    Inconsistent(String),
}

/// A scene that is set and ready to start.
#[derive(Debug)]
pub struct Scene {
    /// The folder.
    pub dir: PathBuf,
    /// The ports.
    pub ports: Ports,
    /// The MISP's gateway configuration.
    pub misp_config: PathBuf,
    /// The partner's gateway configuration.
    pub partner_config: PathBuf,
    /// What the embedded IDA knows.
    pub ida: IdaConfig,
    /// What the rest of the embedded MOSIP knows.
    pub mosip: MosipConfig,
    /// What the stand-in for OpenCRVS core knows.
    pub core: CoreConfig,
    /// What E-Signet knows.
    pub esignet: EsignetConfig,
    /// What the token seeder knows.
    pub mts: MtsConfig,
    /// Who may log in at the stand-in for Odoo.
    pub odoo: OdooConfig,
    /// The certificates, for the IDA's own TLS.
    pub built: Built,
}

/// Secrets that are made for one scene.
struct Secrets {
    licence: String,
    api_key: String,
    pepper: String,
    /// Of the MISP's client for packets and workflows.
    regproc_client: String,
    /// Of the partner's client at the hub.
    hub_client: String,
    /// Of the MISP's own client at the hub.
    misp_client: String,
    /// Of the token seeder's user at Odoo.
    odoo: String,
}

impl Scene {
    /// Makes everything anew in an empty or missing folder.
    ///
    /// # Errors
    /// When a file stands in the way, cannot be written, or certificates cannot be made.
    pub fn set(dir: &Path, ports: Ports, doors: Doors, now: Moment) -> Result<Self, SceneError> {
        let dir = fs::canonicalize(dir).or_else(|_| {
            folder(dir)?;
            fs::canonicalize(dir).map_err(|error| SceneError::Io {
                path: dir.to_path_buf(),
                error,
            })
        })?;
        let pki_dir = dir.join("pki");
        let made = pki::make(&Plan::standard(now), &pki_dir, Overwrite::Refuse)?;
        let secrets = Secrets {
            licence: random_text(50)?,
            api_key: random_number()?,
            pepper: random_text(44)?,
            regproc_client: random_text(32)?,
            hub_client: random_text(32)?,
            misp_client: random_text(32)?,
            odoo: random_text(32)?,
        };
        let ida = ida_config(&made.built, &secrets)?;
        let mosip = mosip_config(&made.built, &secrets, ports, ida.identities.clone())?;
        let core = CoreConfig::new(format!("http://127.0.0.1:{}", ports.service_face))
            .map_err(|e| SceneError::Inconsistent(e.to_string()))?;
        let esignet = esignet_config(&made.built, ports, ida.identities.clone())?;
        let scene = Self {
            misp_config: dir.join("misp/gateway.toml"),
            partner_config: dir.join("crvs/gateway.toml"),
            ida,
            mosip,
            core,
            esignet,
            mts: MtsConfig {
                partner: "mts".to_owned(),
            },
            odoo: OdooConfig {
                database: "registry".to_owned(),
                login: "token-seeder".to_owned(),
                password: secrets.odoo.clone(),
            },
            built: made.built,
            ports,
            dir,
        };
        scene.write_misp(&secrets, doors)?;
        scene.write_partner(&secrets, doors)?;
        scene.write_mosip()?;
        scene.write_clients(&secrets)?;
        Ok(scene)
    }

    fn write_misp(&self, secrets: &Secrets, doors: Doors) -> Result<(), SceneError> {
        let home = self.dir.join("misp");
        for sub in ["partners", "policies", "secrets", "state"] {
            folder(&home.join(sub))?;
        }
        let pepper = Pepper::new(&Secret::new(secrets.pepper.clone().into_bytes()))
            .map_err(|e| SceneError::Inconsistent(e.to_string()))?;
        let hash = |kind, text: &str| {
            pepper
                .hash(kind, text.as_bytes())
                .map(|h| h.to_string())
                .ok_or_else(|| SceneError::Inconsistent("a secret cannot be hashed".to_owned()))
        };
        let api_key = hash(SecretKind::ApiKey, &secrets.api_key)?;
        let licence = hash(SecretKind::LicenceKey, &secrets.licence)?;
        secret(&home.join("secrets/pepper"), &secrets.pepper)?;
        secret(
            &home.join("secrets/regproc-client"),
            &secrets.regproc_client,
        )?;
        secret(&home.join("secrets/hub-client-crvs"), &secrets.hub_client)?;
        file(&home.join("policies/ekyc.json"), EKYC_POLICY)?;
        file(&home.join("policies/misp.json"), MISP_POLICY)?;
        let mut config = gateways::misp_gateway(self.ports);
        let (mut routes, mut more) = (Vec::new(), String::new());
        if doors == Doors::All {
            config.push_str(&doors::misp::configuration(self.ports));
            (routes, more) = (doors::partner_routes(), doors::misp::subscriber(self.ports));
            // Kept bodies are sealed under the store's key, which only this scene has.
            config = config.replacen("[evidence]\n", "[evidence]\nbodies = \"both\"\n", 1);
            store_key(&home)?;
            secret(&home.join("secrets/hub-client-misp"), &secrets.misp_client)?;
            for hub in ["hub-secret-crvs", "hub-secret-events"] {
                secret(&home.join("secrets").join(hub), &random_text(40)?)?;
            }
            file(
                &home.join("partners/mosip-services.toml"),
                &doors::misp::mosip_services(),
            )?;
        }
        file(
            &home.join("partners/crvs.toml"),
            &gateways::partner_file("crvs", "Civil Registry", Some(&api_key), &routes, &more),
        )?;
        file(
            &home.join("partners/seeder.toml"),
            &gateways::partner_file("seeder", "Social Registry", None, &[], ""),
        )?;
        file(
            &home.join("partners/misp.toml"),
            &gateways::misp_file(&licence),
        )?;
        file(&self.misp_config, &config)?;
        ReplayGuard::found(&home.join("state"))
            .map_err(|error| SceneError::Io { path: home, error })
    }

    fn write_partner(&self, secrets: &Secrets, doors: Doors) -> Result<(), SceneError> {
        let home = self.dir.join("crvs");
        for sub in ["partners", "secrets", "state"] {
            folder(&home.join(sub))?;
        }
        secret(&home.join("secrets/misp-licence"), &secrets.licence)?;
        secret(&home.join("secrets/api-key"), &secrets.api_key)?;
        let mut config = gateways::partner_gateway(self.ports);
        let mut routes = Vec::new();
        if doors == Doors::All {
            config.push_str(&doors::partner::configuration(self.ports, &self.mosip.host));
            routes = doors::service_routes();
            store_key(&home)?;
            secret(&home.join("secrets/hub-secret"), &random_text(40)?)?;
            file(
                &home.join("partners/misp.toml"),
                &gateways::partner_file("misp", "MISP One", None, &doors::MISP_ROUTES, ""),
            )?;
        }
        file(
            &home.join("partners/sdk.toml"),
            &gateways::sdk_service(&routes),
        )?;
        file(&self.partner_config, &config)?;
        ReplayGuard::found(&home.join("state"))
            .map_err(|error| SceneError::Io { path: home, error })
    }

    /// What MOSIP and OpenCRVS publish, as files, for configurations that pin it.
    fn write_mosip(&self) -> Result<(), SceneError> {
        let wrong = |error: openssl::error::ErrorStack| SceneError::Inconsistent(error.to_string());
        let home = self.dir.join("mosip");
        folder(&home)?;
        let key = mosip::public_key(&self.mosip).map_err(wrong)?;
        let pem = key.get("publicKeyPem").and_then(Value::as_str);
        file(&home.join("public-key.pem"), pem.unwrap_or_default())?;
        for (name, document) in [
            ("public-key.json", key),
            ("controller.json", mosip::controller(&self.mosip)),
            ("mosip-context.json", mosip::context(&self.mosip)),
        ] {
            file(&home.join(name), &format!("{document:#}\n"))?;
        }
        let pem = self.core.public_key().map_err(wrong)?;
        file(
            &home.join("opencrvs-core.pem"),
            &String::from_utf8_lossy(&pem),
        )
    }

    /// What a client needs: one file for the Python SDK, one for scripts. They hold secrets of this scene.
    fn write_clients(&self, secrets: &Secrets) -> Result<(), SceneError> {
        let party = |id: &str| self.dir.join("pki/parties").join(id);
        let password = |id: &str| -> Result<String, SceneError> {
            let path = party(id).join("password.txt");
            fs::read_to_string(&path)
                .map(|text| text.trim_end().to_owned())
                .map_err(|error| SceneError::Io { path, error })
        };
        let sdk_password = password("sdk")?;
        secret(
            &self.dir.join("sdk.toml"),
            &gateways::sdk_settings(self.ports, &party("sdk"), &party("crvs"), &sdk_password),
        )?;
        let scene: Value = json!({
            "dir": self.dir,
            "service_face": format!("http://127.0.0.1:{}", self.ports.service_face),
            "partner_face": format!("https://localhost:{}", self.ports.partner_face),
            "ida": format!("https://localhost:{}", self.ports.ida),
            "partner_admin": format!("http://127.0.0.1:{}", self.ports.partner_admin),
            "misp_admin": format!("http://127.0.0.1:{}", self.ports.misp_admin),
            "pki": self.dir.join("pki"),
            "partner_id": "crvs",
            "licence_key": secrets.licence,
            "api_key": secrets.api_key,
            "mosip": format!("http://127.0.0.1:{}", self.ports.mosip),
            "core": format!("http://127.0.0.1:{}", self.ports.core),
            "esignet": self.esignet.origin,
            "mts": format!("http://127.0.0.1:{}", self.ports.mts),
            "odoo": {
                "address": format!("http://127.0.0.1:{}", self.ports.odoo),
                "database": self.odoo.database,
                "login": self.odoo.login,
                "password": self.odoo.password,
            },
            "misp_services": format!("http://127.0.0.1:{}", self.ports.misp_services),
            "partner_callback": format!("https://localhost:{}", self.ports.partner_callback),
            "topic": doors::TOPIC,
            "output_format": doors::PROGRAM,
            "clients": {
                REGPROC_CLIENT: secrets.regproc_client,
                "crvs": secrets.hub_client,
                "misp": secrets.misp_client,
            },
            "passwords": {
                "crvs": password("crvs")?,
                "misp": password("misp")?,
                "sdk": sdk_password,
            },
        });
        // Scripts wait for this file and read it: it appears whole or not at all.
        let scene = NewFile::secret(
            self.dir.join("scene.json"),
            format!("{scene:#}\n").as_bytes(),
        );
        Ok(pki::write_all(&[scene], Overwrite::Refuse)?)
    }
}

/// The rest of MOSIP: who may log in and who gets credentials.
fn mosip_config(
    built: &Built,
    secrets: &Secrets,
    ports: Ports,
    register: Register,
) -> Result<MosipConfig, SceneError> {
    let crvs = built
        .parties
        .iter()
        .find(|p| p.id == "crvs")
        .ok_or_else(|| SceneError::Inconsistent("no party crvs".to_owned()))?;
    let partner = CredentialPartner {
        id: "crvs".to_owned(),
        certificate: crvs.encryption.certificate_der.clone(),
    };
    let mut config =
        MosipConfig::new(partner, register).map_err(|e| SceneError::Inconsistent(e.to_string()))?;
    let client = |id: &str, secret: &str, roles: &[&str]| ClientRecord {
        id: id.to_owned(),
        secret: secret.to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    config.hub_url = format!("http://127.0.0.1:{}/hub", ports.mosip);
    config.allowed_audience = vec![REGPROC_CLIENT.to_owned()];
    config.clients = vec![
        client(
            REGPROC_CLIENT,
            &secrets.regproc_client,
            &["REGISTRATION_PROCESSOR"],
        ),
        // At the hub the client's id is the partner's, or it may not subscribe to the partner's topics.
        client(
            "crvs",
            &secrets.hub_client,
            &[
                "SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL",
                "PUBLISH_CREDENTIAL_STATUS_UPDATE_GENERAL",
            ],
        ),
        ClientRecord {
            id: "misp".to_owned(),
            secret: secrets.misp_client.clone(),
            roles: mosip::TOPICS
                .map(|topic| format!("SUBSCRIBE_{topic}_GENERAL"))
                .to_vec(),
        },
    ];
    Ok(config)
}

/// E-Signet: claims are signed by MOSIP, and the partner is two clients, one of which gets them sealed.
fn esignet_config(
    built: &Built,
    ports: Ports,
    register: Register,
) -> Result<EsignetConfig, SceneError> {
    let party = |id: &str| {
        built
            .parties
            .iter()
            .find(|p| p.id == id)
            .ok_or_else(|| SceneError::Inconsistent(format!("no party {id}")))
    };
    let (mosip, crvs) = (party("mosip")?, party("crvs")?);
    let authority = OwnKey {
        key: mosip.signature.key.expose_pkcs8_der().to_vec().into(),
        certificate: mosip.signature.certificate_der.clone(),
    };
    let origin = format!("http://127.0.0.1:{}", ports.esignet);
    let key = esignet::public_jwk(&crvs.signature.certificate_der)
        .map_err(|e| SceneError::Inconsistent(e.to_string()))?;
    let client = |id: &str, userinfo, pkce| esignet::ClientRecord {
        id: id.to_owned(),
        name: "Civil Registry".to_owned(),
        redirect_uris: vec![
            format!("{origin}/sandbox/landing"),
            "http://localhost:3000/".to_owned(),
        ],
        key: key.clone(),
        claims: [
            "name",
            "given_name",
            "middle_name",
            "family_name",
            "gender",
            "birthdate",
            "address",
            "email",
            "phone_number",
            "individual_id",
        ]
        .map(str::to_owned)
        .to_vec(),
        userinfo,
        pkce,
    };
    let sealed = UserinfoForm::Jwe {
        certificate: crvs.encryption.certificate_der.clone(),
        compressed: false,
    };
    let clients = vec![
        client("crvs-client", UserinfoForm::Jws, Pkce::Optional),
        client("crvs-sealed", sealed, Pkce::Required),
    ];
    let mut config = EsignetConfig::new(origin, authority);
    config.people = register;
    config.clients = clients;
    Ok(config)
}

fn ida_config(built: &Built, secrets: &Secrets) -> Result<IdaConfig, SceneError> {
    let party = |id: &str| {
        built
            .parties
            .iter()
            .find(|p| p.id == id)
            .ok_or_else(|| SceneError::Inconsistent(format!("no party {id}")))
    };
    let own = |issued: &pki::Issued| OwnKey {
        key: issued.key.expose_pkcs8_der().to_vec().into(),
        certificate: issued.certificate_der.clone(),
    };
    let (mosip, misp, crvs) = (party("mosip")?, party("misp")?, party("crvs")?);
    let anchors = vec![
        built.hierarchy.root.certificate_der().to_vec(),
        built.hierarchy.partner.certificate_der().to_vec(),
    ];
    let mut config = IdaConfig::new(own(&mosip.encryption), own(&mosip.signature), anchors);
    let document: AuthPolicyDoc =
        serde_json::from_str(EKYC_POLICY).map_err(|e| SceneError::Inconsistent(e.to_string()))?;
    config.partners.push(PartnerRecord {
        id: "crvs".to_owned(),
        status: Status::Active,
        // MOSIP knows one certificate of a partner and encrypts eKYC to it; requests are signed by the MISP.
        certificate: crvs.encryption.certificate_der.clone(),
        api_keys: vec![ApiKeyRecord {
            key: secrets.api_key.clone(),
            kind: KeyKind::ApiKey,
            policy: PolicyRecord {
                id: "ekyc".to_owned(),
                document,
                status: Status::Active,
                validity: Validity::default(),
            },
            status: Status::Active,
            validity: Validity::default(),
        }],
    });
    config.misps.push(MispRecord {
        id: "misp".to_owned(),
        certificate: misp.signature.certificate_der.clone(),
        licence_key: secrets.licence.clone(),
        status: Status::Active,
        validity: Validity::default(),
        policy: Some(MispPolicyDoc::default()),
    });
    Ok(config)
}

/// A key for a gateway's store.
fn store_key(home: &Path) -> Result<(), SceneError> {
    let mut key = [0_u8; 32];
    random(&mut key)?;
    let text = STANDARD.encode(key);
    key.zeroize();
    secret(&home.join("secrets/store-key"), &text)
}

fn folder(path: &Path) -> Result<(), SceneError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| SceneError::Io {
            path: path.to_path_buf(),
            error,
        })
}

fn file(path: &Path, text: &str) -> Result<(), SceneError> {
    write_new(path, text, 0o644)
}

fn secret(path: &Path, text: &str) -> Result<(), SceneError> {
    write_new(path, text, 0o600)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), SceneError> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut f| f.write_all(text.as_bytes()))
        .map_err(|error| SceneError::Io {
            path: path.to_path_buf(),
            error,
        })
}

/// Letters and digits, as MOSIP makes licence keys (IDA reference 5.1).
fn random_text(length: usize) -> Result<String, SceneError> {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0_u8; 64];
        random(&mut bytes)?;
        // 248 is four times 62: no letter is likelier than another.
        for byte in bytes.into_iter().filter(|b| *b < 248) {
            if let Some(letter) = LETTERS.get(usize::from(byte % 62))
                && text.len() < length
            {
                text.push(char::from(*letter));
            }
        }
    }
    Ok(text)
}

/// A decimal number below 1,000,000, as MOSIP makes API keys.
fn random_number() -> Result<String, SceneError> {
    let mut bytes = [0_u8; 4];
    random(&mut bytes)?;
    let number = u32::from_be_bytes(bytes) % 1_000_000;
    Ok(number.to_string())
}

fn random(bytes: &mut [u8]) -> Result<(), SceneError> {
    aws_lc_rs::rand::fill(bytes)
        .map_err(|_| SceneError::Inconsistent("the system gives no random bytes".to_owned()))
}
