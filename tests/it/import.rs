//! `triseal import opencrvs`, from a deployment's variables to a configuration that `triseal check` takes; and the sample in
//! `deploy/`, with the compose files beside it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::{
    harness::{Output, Site, copy, triseal},
    python,
};

/// What the middleware of the scene's partner would have in its environment, on the stack's network.
fn variables(site: &Site, password: &str) -> String {
    let pki = site.path("pki");
    let party = pki.join("parties/crvs");
    let jwk = josekit::jwk::Jwk::generate_rsa_key(2048)
        .unwrap()
        .to_string();
    let jwk = base64::engine::general_purpose::STANDARD.encode(jwk);
    fs::write(site.path("esignet-jwk.txt"), jwk).unwrap();
    format!(
        "# mosip-api\nPORT=2024\nexport HOST=0.0.0.0\nLOCALE=en\nCLIENT_APP_URL=https://register.crvs.example\n\
         OPENCRVS_GATEWAY_URL=http://gateway:7070\nOPENCRVS_PUBLIC_KEY_URL=http://auth:4040/.well-known\n\
         MOSIP_AUTH_URL='https://api.mosip.example/v1/authmanager/authenticate/clientidsecretkey'\n\
         MOSIP_PACKET_AUTH_CLIENT_ID=mosip-regproc-client\nMOSIP_PACKET_AUTH_CLIENT_SECRET=abcdeABCDE123456\n\
         MOSIP_WEBSUB_AUTH_CLIENT_ID=mosip-websub-client\nMOSIP_WEBSUB_AUTH_CLIENT_SECRET=abcdeABCDE123456\n\
         MOSIP_WEBSUB_HUB_URL=https://hub.mosip.example/hub\nMOSIP_WEBSUB_SECRET=\"a hub secret of 4711\"\n\
         MOSIP_WEBSUB_TOPIC=crvs/CREDENTIAL_ISSUED\nMOSIP_WEBSUB_CALLBACK_URL=https://mosip-api.crvs.example:8443/websub/callback\n\
         MOSIP_VERIFIABLE_CREDENTIAL_ALLOWLIST=https://mosip.example/.well-known/public-key.json\n\
         PARTNER_ID=crvs\nPARTNER_APIKEY=api-key-4711\nPARTNER_MISP_LK=licenceKey4711licenceKey4711\n\
         IDA_AUTH_DOMAIN_URI=https://ida.mosip.example\nIDA_AUTH_URL=https://api.mosip.example/idauthentication/v1/auth\n\
         ENCRYPT_CERT_PATH={}\nDECRYPT_P12_FILE_PATH={}\nDECRYPT_P12_FILE_PASSWORD={password}\n\
         SIGN_P12_FILE_PATH={}\nSIGN_P12_FILE_PASSWORD={password}\n\
         MOSIP_CREATE_PACKET_URL=https://api.mosip.example/commons/v1/packetmanager/createPacket\n\
         MOSIP_PROCESS_PACKET_URL=https://api.mosip.example/registrationprocessor/v1/workflowmanager/workflowinstance\n\
         ESIGNET_TOKEN_URL=https://esignet.example/v1/esignet/oauth/v2/token\nOPENID_PROVIDER_CLIENT_ID=crvs-client\n\
         ESIGNET_REDIRECT_URL=https://register.crvs.example/login\nOIDP_CLIENT_PRIVATE_KEY_PATH={}\n",
        pki.join("parties/mosip/encryption.pem").display(),
        party.join("encryption.p12").display(),
        party.join("signature.p12").display(),
        site.path("esignet-jwk.txt").display(),
    )
}

fn import(env: &Path, out: &Path, more: &[&str]) -> Output {
    let mut arguments = vec![
        "import".to_owned(),
        "opencrvs".to_owned(),
        env.display().to_string(),
        "--out".to_owned(),
        out.display().to_string(),
    ];
    arguments.extend(more.iter().map(|&text| text.to_owned()));
    triseal(arguments)
}

fn check(folder: &Path) -> Output {
    let file = folder.join("gateway.toml").display().to_string();
    triseal(["check", "--config", &file])
}

const COMPLETE: [&str; 12] = [
    "--misp-id",
    "misp",
    "--misp-organisation",
    "MISP One",
    "--misp-address",
    "https://gateway.misp.example:8443",
    "--host",
    "mosip-api",
    "--network",
    "10.0.0.0/16",
    "--scope",
    "record.register",
];

/// Puts in what no variable says: certificates, anchors and lists, as `import.txt` asks for them.
fn furnish(site: &Site, folder: &Path) {
    let pki = site.path("pki");
    for made in ["certificates", "anchors", "secrets"] {
        fs::create_dir_all(folder.join(made)).unwrap();
    }
    let put = |from: &str, to: &str| {
        fs::copy(pki.join(from), folder.join(to)).unwrap();
    };
    put("parties/crvs/tls.pem", "certificates/tls.pem");
    put("parties/crvs/tls.key.pem", "secrets/tls.key.pem");
    for role in ["tls", "encryption", "signature"] {
        put(
            &format!("parties/misp/{role}.pem"),
            &format!("certificates/misp-{role}.pem"),
        );
    }
    // The leaf alone: an issuer has one key.
    let chain = fs::read_to_string(pki.join("parties/mosip/signature.pem")).unwrap();
    let end = "-----END CERTIFICATE-----\n";
    let leaf = &chain[..chain.find(end).unwrap() + end.len()];
    fs::write(folder.join("certificates/issuer-1.pem"), leaf).unwrap();
    for anchor in ["tls", "partner"] {
        put(
            &format!("anchors/{anchor}.pem"),
            &format!("anchors/{anchor}.pem"),
        );
        let lists = ["root", anchor]
            .map(|list| fs::read_to_string(pki.join(format!("crl/{list}.crl.pem"))).unwrap());
        fs::write(
            folder.join(format!("anchors/{anchor}.crl.pem")),
            lists.concat(),
        )
        .unwrap();
    }
}

fn password(site: &Site) -> String {
    let text = fs::read_to_string(site.path("pki/parties/crvs/password.txt")).unwrap();
    text.trim().to_owned()
}

fn site(name: &str) -> (Site, PathBuf, PathBuf) {
    let site = Site::new(name);
    let env = site.path("mosip-api.env");
    fs::write(&env, variables(&site, &password(&site))).unwrap();
    let out = site.path("imported");
    (site, env, out)
}

#[test]
fn a_complete_deployment_becomes_a_configuration_that_check_takes() {
    let (site, env, out) = site("import-complete");
    let said = import(&env, &out, &COMPLETE);
    assert_eq!(said.code, 0, "{}", said.all());
    for secret in ["4711", &password(&site), "abcdeABCDE"] {
        assert!(!said.all().contains(secret), "{secret} is told");
        let text = fs::read_to_string(out.join("gateway.toml")).unwrap();
        assert!(!text.contains(secret), "{secret} is written");
    }
    assert!(
        said.out.contains(
            "MOSIP_PACKET_AUTH_CLIENT_SECRET has a value that stands in published samples"
        )
    );
    // What no variable says is named by check: file by file, each with its line.
    let open = check(&out);
    assert_eq!(open.code, 2, "{}", open.all());
    for file in [
        "certificates/tls.pem",
        "anchors/tls.pem",
        "anchors/partner.crl.pem",
        "certificates/misp-encryption.pem",
        "certificates/issuer-1.pem",
    ] {
        assert!(open.err.contains(file), "{file}: {}", open.err);
    }
    furnish(&site, &out);
    let good = check(&out);
    assert_eq!(good.code, 0, "{}", good.all());
    // A second import does not touch it.
    let again = import(&env, &out, &COMPLETE);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("--force"), "{}", again.err);
    assert_eq!(check(&out).code, 0);
}

#[test]
fn without_the_options_every_gap_is_a_todo_that_check_names() {
    let (site, env, out) = site("import-gaps");
    assert_eq!(import(&env, &out, &[]).code, 0);
    furnish(&site, &out);
    let open = check(&out);
    assert_eq!(open.code, 2, "{}", open.all());
    let text = fs::read_to_string(out.join("gateway.toml")).unwrap();
    let line = |what: &str| text.lines().position(|l| l.starts_with(what)).unwrap() + 1;
    for what in ["addresses = []   # TODO", "scopes = []   # TODO"] {
        let place = format!("gateway.toml:{}: error", line(what));
        assert!(open.err.contains(&place), "{what} at {place}\n{}", open.err);
    }
    assert!(open.err.contains("country-config.toml"), "{}", open.err);
}

#[test]
fn one_key_store_for_both_uses_is_taken_loudly() {
    let (site, env, out) = site("import-shared");
    let text = fs::read_to_string(&env).unwrap();
    fs::write(&env, text.replace("encryption.p12", "signature.p12")).unwrap();
    let said = import(&env, &out, &COMPLETE);
    assert!(
        said.out.contains("one key signs and decrypts"),
        "{}",
        said.all()
    );
    furnish(&site, &out);
    let checked = check(&out);
    assert!(checked.err.contains("warning"), "{}", checked.all());
    let text = fs::read_to_string(out.join("gateway.toml")).unwrap();
    assert!(text.contains("\ninsecure_shared_keys = true\n"));
}

/// The folder `deploy/opencrvs`, with what its configuration names.
fn deployed(site: &Site) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = site.path("deployed");
    copy(&root.join("deploy/opencrvs"), &folder);
    furnish(site, &folder);
    let secret = |name: &str, bytes: &[u8]| {
        let file = folder.join("secrets").join(name);
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let store = |role: &str| fs::read(site.path(&format!("pki/parties/crvs/{role}.p12"))).unwrap();
    secret("decrypt.p12", &store("encryption"));
    secret("sign.p12", &store("signature"));
    for name in ["decrypt-password", "sign-password"] {
        secret(name, password(site).as_bytes());
    }
    let key = triseal(["store", "key"]);
    secret("store-key", key.out.as_bytes());
    secret("websub-secret", b"a-hub-secret-of-enough-bytes");
    secret("misp-licence", b"licence");
    secret("api-key", b"key");
    folder
}

#[test]
fn the_sample_of_the_opencrvs_stack_is_good() {
    let site = Site::new("deploy-sample");
    let folder = deployed(&site);
    let said = check(&folder);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(!said.err.contains("warning"), "{}", said.err);
}

#[test]
fn compose_files_fit_the_configuration_beside_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<String> = [
        "deploy/compose.yml",
        "deploy/opencrvs/compose.mosip-api.yml",
        "deploy/opencrvs/traefik.triseal.yml",
    ]
    .iter()
    .map(|file| root.join(file).display().to_string())
    .collect();
    let read = python::lines("yaml_as_json.py", &json!({ "files": files }));
    let text = fs::read_to_string(root.join("deploy/opencrvs/gateway.toml")).unwrap();
    let config: triseal::config::Config = toml::from_str(&text).unwrap();
    let ports: Vec<String> = config
        .face
        .iter()
        .map(|face| face.listen.port().to_string())
        .collect();
    let dockerfile = fs::read_to_string(root.join("Dockerfile")).unwrap();
    for (document, name) in read.iter().zip(["triseal", "mosip-api"]) {
        let service = &document["services"][name];
        hardened(service, &dockerfile);
        for published in service["ports"].as_array().unwrap() {
            let inside = published.as_str().unwrap().rsplit(':').next().unwrap();
            assert!(ports.iter().any(|port| port == inside), "{published}");
        }
        // State goes into a volume that is declared, and the configuration points there.
        let volumes: Vec<&str> = service["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let state = config.gateway.state.display().to_string();
        let named = volumes
            .iter()
            .find_map(|v| v.strip_suffix(&format!(":{state}")))
            .unwrap();
        assert!(
            document["volumes"].as_object().unwrap().contains_key(named),
            "{named}"
        );
        assert!(
            volumes.iter().any(|v| v.ends_with(":/etc/triseal:ro")),
            "{volumes:?}"
        );
        // Nothing comes by the environment: secrets are files.
        assert!(service.get("environment").is_none());
        for path in service["healthcheck"]["test"].as_array().unwrap() {
            let path = path.as_str().unwrap();
            assert!(
                !path.starts_with('/') || dockerfile.contains(path),
                "{path}"
            );
        }
    }
    let store = &config.store.as_ref().unwrap().url;
    assert!(store.starts_with("sqlite:/var/lib/triseal/"), "{store}");
    labels(&read, &config);
}

fn hardened(service: &Value, dockerfile: &str) {
    assert_eq!(service["read_only"], true);
    assert_eq!(service["cap_drop"], json!(["ALL"]));
    assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]));
    let user = service["user"].as_str().unwrap();
    assert!(dockerfile.contains(&format!("USER {user}")), "{user}");
    assert!(service.get("privileged").is_none());
}

/// Traefik's part: the service face's port over TLS, one name for the router, the transport and the face, and the headers attached.
fn labels(read: &[Value], config: &triseal::config::Config) {
    let labels: Vec<&str> = read[1]["services"]["mosip-api"]["deploy"]["labels"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let value = |name: &str| {
        let found = labels
            .iter()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("{name}"))
    };
    let face = config.face.iter().find(|f| f.name == "services").unwrap();
    let server = "traefik.http.services.mosip-api.loadbalancer";
    assert_eq!(
        value(&format!("{server}.server.port")),
        face.listen.port().to_string()
    );
    assert_eq!(value(&format!("{server}.server.scheme")), "https");
    assert!(face.tls);
    let rule = value("traefik.http.routers.mosip-api.rule")
        .replace("${HOSTNAME:-crvs.example}", "crvs.example");
    let host = rule.trim_start_matches("Host(`").trim_end_matches("`)");
    assert!(face.hosts.iter().any(|known| known == host), "{host}");
    assert_eq!(
        value(&format!("{server}.serverstransport")),
        "mosip-api@file"
    );
    assert_eq!(
        read[2]["http"]["serversTransports"]["mosip-api"]["serverName"],
        host
    );
    assert_eq!(
        value("traefik.http.routers.mosip-api.middlewares"),
        "mosip-api-headers"
    );
    let headers = "traefik.http.middlewares.mosip-api-headers.headers.customresponseheaders";
    for (name, wanted) in [
        (
            "Strict-Transport-Security",
            "max-age=31536000; includeSubDomains; preload",
        ),
        ("Cache-Control", "no-store"),
        ("Pragma", "no-cache"),
        ("X-Robots-Tag", "none"),
        ("X-Content-Type-Options", "nosniff"),
    ] {
        assert_eq!(value(&format!("{headers}.{name}")), wanted);
    }
    // The name that country configuration calls on the stack's network.
    let aliases = &read[1]["services"]["mosip-api"]["networks"]["overlay_net"]["aliases"];
    assert_eq!(aliases, &json!(["mosip-api"]));
    assert!(face.hosts.iter().any(|known| known == "mosip-api"));
}
