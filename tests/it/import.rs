//! `triseal import opencrvs`, from a deployment's variables to a configuration that `triseal check` takes; and the sample in
//! `deploy/`, with the compose files beside it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Output, Process, Site, copy, free_ports, triseal, until, within},
    opencrvs::setup::{Auth, CREATE, REGISTER, Record, WORKFLOW},
    packet::{jwt, logged_in},
    python,
    scripted::{Said, Scripted},
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

/// What `--direct` needs besides.
fn furnish_direct(site: &Site, folder: &Path) {
    furnish(site, folder);
    for (from, to) in [
        ("anchors/mosip.pem", "anchors/mosip.pem"),
        ("anchors/tls.pem", "anchors/public.pem"),
        (
            "parties/mosip/signature.pem",
            "certificates/ida-signature.pem",
        ),
    ] {
        fs::copy(site.path("pki").join(from), folder.join(to)).unwrap();
    }
}

const DIRECT: [&str; 7] = [
    "--direct",
    "--hub-network",
    "10.1.0.0/16",
    "--network",
    "127.0.0.1/32",
    "--scope",
    "record.register",
];

#[test]
fn a_direct_deployment_becomes_a_configuration_that_check_takes() {
    let (site, env, out) = site("import-direct-check");
    let more = [&DIRECT[..], &["--host", "mosip-api"]].concat();
    let said = import(&env, &out, &more);
    assert_eq!(said.code, 0, "{}", said.all());
    furnish_direct(&site, &out);
    let good = check(&out);
    assert_eq!(good.code, 0, "{}", good.all());
    // Without the hub's network, that alone is missing, and check says in which file.
    let bare = site.path("imported-bare");
    let more: Vec<&str> = (more.iter().copied())
        .filter(|&word| word != "--hub-network" && word != "10.1.0.0/16")
        .collect();
    assert_eq!(import(&env, &bare, &more).code, 0);
    furnish_direct(&site, &bare);
    let open = check(&bare);
    assert_eq!(open.code, 2, "{}", open.all());
    assert!(open.err.contains("partners/hub.toml"), "{}", open.err);
    assert!(open.all().contains("1 mistake;"), "{}", open.all());
    // A hub's network is not of a deployment behind a MISP's gateway.
    let elsewhere = site.path("imported-elsewhere");
    let said = import(&env, &elsewhere, &["--hub-network", "10.1.0.0/16"]);
    assert_eq!(said.code, 2, "{}", said.all());
}

/// MOSIP's services at one port: logins, packets, workflows and the hub.
fn mosip() -> Scripted {
    Scripted::start(|asked| match asked.path.as_str() {
        "/v1/authmanager/authenticate/clientidsecretkey" => logged_in(600),
        "/hub" => Said::text(202, "text/plain", "hub.mode=accepted"),
        CREATE => {
            let request = &asked.json()["request"];
            let part =
                json!({"id": request["id"], "packetName": "x", "process": request["process"]});
            Said::json(200, &json!({"response": [part], "errors": []}))
        }
        WORKFLOW => Said::json(
            200,
            &json!({"response": {"workflowInstanceId": "0f5c"}, "errors": null}),
        ),
        _ => Said::text(404, "text/plain", ""),
    })
}

#[test]
fn a_direct_deployment_is_imported_checked_run_and_takes_a_registration_to_mosip() {
    let (site, env, out) = site("import-direct-run");
    let (mosip, auth) = (mosip(), Auth::new());
    let pem = auth.pem();
    let core = Scripted::start(move |_| Said::text(200, "text/plain", pem.clone()));
    let (port, base) = (mosip.port, free_ports(2));
    let (services, admin) = (base, base + 1);
    let text = fs::read_to_string(&env)
        .unwrap()
        .replace("PORT=2024", &format!("PORT={services}"))
        .replace("HOST=0.0.0.0", "HOST=127.0.0.1")
        .replace(
            "http://gateway:7070",
            &format!("http://127.0.0.1:{}", core.port),
        )
        .replace(
            "http://auth:4040",
            &format!("http://127.0.0.1:{}", core.port),
        )
        .replace(
            "https://api.mosip.example",
            &format!("http://127.0.0.1:{port}"),
        )
        .replace(
            "https://hub.mosip.example",
            &format!("http://127.0.0.1:{port}"),
        );
    fs::write(&env, text).unwrap();
    let said = import(&env, &out, &DIRECT);
    assert_eq!(said.code, 0, "{}", said.all());
    furnish_direct(&site, &out);
    let file = out.join("gateway.toml");
    let text = fs::read_to_string(&file).unwrap();
    // The one thing that no option says: the port of metrics, which other tests have, too.
    let text = text.replace("127.0.0.1:9900", &format!("127.0.0.1:{admin}"));
    fs::write(&file, text).unwrap();
    let good = check(&out);
    assert_eq!(good.code, 0, "{}", good.all());

    let file = file.display().to_string();
    let gateway = Process::start(
        Path::new(env!("CARGO_BIN_EXE_triseal")),
        ["run", "--config", &file],
        &[],
        &site.path("."),
        "imported-gateway",
    );
    let birth = Record::birth();
    let token = auth.token(&birth.event, &birth.action, json!({}));
    let post = |token: &str, body: &[u8]| -> Option<Answer> {
        let head = format!(
            "POST {REGISTER} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", services)).ok()?;
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
        Answer::read(&mut stream)
    };
    until("the imported gateway knows the key of the tokens", || {
        assert!(gateway.runs(), "{}", gateway.err());
        let answer = post("no token", b"{}")?;
        (answer.code() != "CRVS-009").then_some(())
    });
    let stranger = Auth::new().token(&birth.event, &birth.action, json!({}));
    let refused = post(&stranger, &birth.body()).expect("an answer");
    assert_eq!((refused.status, refused.code().as_str()), (401, "CRVS-003"));
    let answer = post(&token, &birth.body()).expect("an answer");
    assert_eq!(answer.status, 202, "{}", answer.text());

    // The packet goes to MOSIP itself, in plain, with the token of the deployment's own client.
    let asked = |path: &str| mosip.asked().into_iter().find(|asked| asked.path == path);
    let wait = std::time::Duration::from_secs(60);
    within(wait, || asked(WORKFLOW)).unwrap_or_else(|| panic!("{}", gateway.err()));
    let packet = asked(CREATE).unwrap();
    assert_eq!(
        packet.json()["request"]["fields"]["birthCertificateNumber"],
        birth.number.as_str()
    );
    let cookie = packet.header("cookie").unwrap_or_default();
    let made = jwt(600);
    let head = made.split('.').next().unwrap();
    assert!(
        cookie.starts_with(&format!("Authorization={head}.")),
        "{cookie}"
    );
    let clients: Vec<_> = (mosip.asked().into_iter())
        .filter(|asked| asked.path.ends_with("clientidsecretkey"))
        .map(|asked| asked.json()["request"]["clientId"].clone())
        .collect();
    assert!(
        clients.contains(&json!("mosip-regproc-client")),
        "{clients:?}"
    );
    // The hub is asked for the subscription of the middleware's variables.
    let hub = within(wait, || asked("/hub")).expect("the hub is asked");
    let form = String::from_utf8(hub.body).unwrap();
    assert!(
        form.contains("hub.topic=crvs%2FCREDENTIAL_ISSUED"),
        "{form}"
    );
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
