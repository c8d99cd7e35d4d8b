//! `deploy/`: what operators copy is held against the program that it runs.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{harness::run, python::lines};

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap()
}

/// A configuration as far as every version reads it.
fn toml(path: &str) -> toml::Table {
    text(path).parse().unwrap()
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect()
}

/// Milliseconds that a stop may take by a configuration's limits.
fn longest_stop_ms(config: &toml::Table) -> i64 {
    let limit = |name: &str| config["limits"][name].as_integer().unwrap();
    limit("stop_delay_ms") + limit("farewell_ms") + 2 * limit("stop_timeout_ms")
}

#[test]
fn the_compose_file_of_two_replicas_fits_its_configuration() {
    let compose = file("deploy/replicas/compose.yml").display().to_string();
    let read = lines("yaml_as_json.py", &json!({ "files": [compose] }));
    let services = &read[0]["services"];
    let config = toml("deploy/replicas/config/gateway.toml");
    let dockerfile = text("Dockerfile");
    let mut states = BTreeSet::new();
    for name in ["gateway-a", "gateway-b"] {
        let service = &services[name];
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"], json!(["ALL"]));
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]));
        let user = service["user"].as_str().unwrap();
        assert!(dockerfile.contains(&format!("USER {user}")));
        // Nothing comes by the environment: secrets are files. Only the balancer is reached from outside.
        assert!(service.get("environment").is_none() && service.get("ports").is_none());
        let state = config["gateway"]["state"].as_str().unwrap();
        let volume = words(&service["volumes"])
            .into_iter()
            .find_map(|v| v.strip_suffix(&format!(":{state}")))
            .unwrap();
        assert!(read[0]["volumes"].as_object().unwrap().contains_key(volume));
        states.insert(volume.to_owned());
        assert_eq!(
            words(&service["healthcheck"]["test"])[1..4],
            ["/usr/bin/triseal", "health", "--ready"]
        );
        let grace = service["stop_grace_period"].as_str().unwrap();
        let grace: i64 = grace.trim_end_matches('s').parse().unwrap();
        assert!(grace * 1000 > longest_stop_ms(&config), "{grace} s");
    }
    assert_eq!(states.len(), 2, "each has a state of its own");
    // The stores are called by the names of their services, over TLS, with passwords by file.
    for (section, server, scheme) in [
        ("store", "postgres", "postgres"),
        ("shared", "valkey", "rediss"),
    ] {
        let url = config[section]["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("{scheme}://")), "{url}");
        assert!(
            url.contains(server) && services.get(server).is_some(),
            "{url}"
        );
        assert!(config[section]["password"]["file"].as_str().is_some());
        // No way out of their network.
        assert_eq!(words(&services[server]["networks"]), ["back"]);
    }
    assert!(
        config["store"]["url"]
            .as_str()
            .unwrap()
            .contains("sslmode=verify-full")
    );
    assert_eq!(read[0]["networks"]["back"]["internal"], true);
    for (name, server) in services.as_object().unwrap() {
        let health = server.get("healthcheck").is_some();
        assert!(health || name == "balancer", "{name}");
        for secret in server.get("secrets").map(words).unwrap_or_default() {
            let secret = &read[0]["secrets"][secret];
            assert!(secret["file"].as_str().unwrap().starts_with("./secrets/"));
        }
        let environment = server.get("environment").map(Value::to_string);
        assert!(
            !environment.unwrap_or_default().contains("PASSWORD\":"),
            "{name}"
        );
    }
}

#[test]
fn the_balancer_of_two_replicas_is_told_of_a_stop_in_time() {
    let config = toml("deploy/replicas/config/gateway.toml");
    let haproxy = text("deploy/replicas/haproxy.cfg");
    let checked = run(
        "haproxy",
        [
            "-c",
            "-f",
            &file("deploy/replicas/haproxy.cfg").display().to_string(),
        ],
        &[("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")],
        b"",
    );
    assert_eq!(checked.code, 0, "{}", checked.all());
    let face = config["face"][0]["listen"].as_str().unwrap();
    let admin = config["admin"]["listen"].as_str().unwrap();
    let port = |listen: &str| listen.rsplit(':').next().unwrap().to_owned();
    for replica in ["gateway-a", "gateway-b"] {
        assert!(haproxy.contains(&format!("{replica}:{}", port(face))));
    }
    assert!(haproxy.contains("uri /readyz"));
    assert!(haproxy.contains("mode tcp") && !haproxy.contains("send-proxy"));
    let check = haproxy
        .lines()
        .find(|line| line.trim_start().starts_with("default-server"))
        .unwrap();
    let after = |word: &str| {
        let mut words = check.split_whitespace().skip_while(|w| *w != word);
        words.nth(1).unwrap().to_owned()
    };
    assert_eq!(after("port"), port(admin));
    let seconds: i64 = after("inter").trim_end_matches('s').parse().unwrap();
    let fall: i64 = after("fall").parse().unwrap();
    let delay = config["limits"]["stop_delay_ms"].as_integer().unwrap();
    // One look may just have gone by.
    assert!(delay > (fall + 1) * seconds * 1000, "{delay} ms");
}

fn values() -> Value {
    json!({
        "config": {
            "gateway": "[gateway]\nname = \"misp\"\n",
            "partners": { "crvs.toml": "id = \"crvs\"\n" },
            "files": { "anchors/tls.pem": "PEM\n" },
            "configMaps": [{ "name": "crls", "items": [{ "key": "crl", "path": "anchors/tls.crl.pem" }] }],
            "secrets": [{ "name": "keys", "items": [{ "key": "tls", "path": "secrets/tls.key.pem" }] }],
        },
    })
}

/// What Helm makes of the chart: its findings, and the objects by kind.
fn chart(values: &Value) -> (Vec<Value>, Vec<Value>) {
    let job = json!({
        "chart": file("deploy/helm/triseal"),
        "values": values,
        "name": "misp",
        "namespace": "mosip",
    });
    let mut made = lines("helm_render.py", &job);
    let lint = made.remove(0)["lint"].as_array().unwrap().clone();
    (lint, made)
}

fn one<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    first
}

#[test]
fn the_chart_runs_two_hardened_replicas_that_are_looked_at() {
    let (lint, objects) = chart(&values());
    // 1 is information, such as a missing icon.
    assert!(
        lint.iter().all(|m| m["severity"].as_i64() <= Some(1)),
        "{lint:?}"
    );
    let set = one(&objects, "StatefulSet");
    assert_eq!(set["spec"]["replicas"], 2);
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let user = pod["securityContext"]["runAsUser"].as_i64().unwrap();
    assert!(text("Dockerfile").contains(&format!("USER {user}:")));
    let container = &pod["containers"][0];
    let context = &container["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    assert!(container.get("env").is_none() && container.get("envFrom").is_none());
    assert!(container["resources"]["requests"].is_object());
    for (probe, path) in [
        ("readinessProbe", "/readyz"),
        ("livenessProbe", "/healthz"),
        ("startupProbe", "/healthz"),
    ] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], "admin");
    }
    // Only what may be written is writable.
    for mount in container["volumeMounts"].as_array().unwrap() {
        let writable = mount["readOnly"] != true;
        assert_eq!(writable, mount["mountPath"] == "/var/lib/triseal");
    }
    assert_eq!(
        set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"],
        "state"
    );
    assert!(one(&objects, "PodDisruptionBudget")["spec"]["maxUnavailable"].is_number());
    assert_eq!(
        one(&objects, "ServiceAccount")["automountServiceAccountToken"],
        false
    );
    let policy = &one(&objects, "NetworkPolicy")["spec"];
    assert_eq!(words(&policy["policyTypes"]), ["Ingress", "Egress"]);
    // Metrics are for those who are named.
    let metrics = &policy["ingress"][1];
    assert_eq!(metrics["ports"][0]["port"], 9900);
    assert!(!metrics["from"].as_array().unwrap().is_empty());
    assert!(
        objects
            .iter()
            .all(|o| o["kind"] != "ServiceMonitor" && o["kind"] != "Secret")
    );
    // Every selector finds the pods.
    let labels = set["spec"]["template"]["metadata"]["labels"]
        .as_object()
        .unwrap();
    for object in &objects {
        let spec = &object["spec"];
        let selectors = match object["kind"].as_str().unwrap() {
            "Service" => vec![&spec["selector"]],
            "StatefulSet" | "PodDisruptionBudget" => vec![&spec["selector"]["matchLabels"]],
            "NetworkPolicy" => vec![&spec["podSelector"]["matchLabels"]],
            _ => vec![],
        };
        for selector in selectors {
            for (name, value) in selector.as_object().unwrap() {
                assert_eq!(labels.get(name), Some(value), "{name}");
            }
        }
    }
}

#[test]
fn the_charts_configuration_is_one_volume_of_files_that_only_the_gateway_reads() {
    let (_, objects) = chart(&values());
    let map = &one(&objects, "ConfigMap")["data"];
    let pod = &one(&objects, "StatefulSet")["spec"]["template"]["spec"];
    let volume = &pod["volumes"][0]["projected"];
    // 0440: keys/secret.rs refuses what everybody may read.
    assert_eq!(volume["defaultMode"], 0o440);
    let mut paths = BTreeSet::new();
    for source in volume["sources"].as_array().unwrap() {
        let (kind, source) = source.as_object().unwrap().iter().next().unwrap();
        for item in source["items"].as_array().unwrap() {
            if source["name"] == "misp-triseal" {
                assert!(map.get(item["key"].as_str().unwrap()).is_some(), "{item}");
            }
            let path = item["path"].as_str().unwrap();
            assert_eq!(path.starts_with("secrets/"), kind == "secret", "{path}");
            paths.insert(path.to_owned());
        }
    }
    let expected = [
        "anchors/tls.crl.pem",
        "anchors/tls.pem",
        "gateway.toml",
        "partners/crvs.toml",
        "secrets/tls.key.pem",
    ];
    assert!(paths.iter().eq(expected.iter()), "{paths:?}");
    assert_eq!(
        map["partners__crvs.toml"].as_str().unwrap().trim_end(),
        "id = \"crvs\""
    );
}

#[test]
fn a_changed_configuration_is_reloaded_and_restarts_the_pods_only_when_that_is_asked_for() {
    let annotations = |values: &Value| {
        let (_, objects) = chart(values);
        one(&objects, "StatefulSet")["spec"]["template"]["metadata"]["annotations"].clone()
    };
    let before = values();
    let mut after = values();
    after["config"]["partners"]["crvs.toml"] = json!("id = \"crvs\"\nstate = \"inactive\"\n");
    assert_eq!(annotations(&before), annotations(&after));
    // A new file is a new item of the volume.
    after["config"]["partners"]["seeder.toml"] = json!("id = \"seeder\"\n");
    assert_ne!(annotations(&before), annotations(&after));
    let (mut before, mut after) = (values(), values());
    before["config"]["restartOnChange"] = json!(true);
    after["config"]["restartOnChange"] = json!(true);
    after["config"]["gateway"] = json!("[gateway]\nname = \"other\"\n");
    assert_ne!(annotations(&before), annotations(&after));
}

#[test]
fn values_that_would_not_work_are_refused_before_anything_is_made() {
    type Change = fn(&mut Value);
    let with = |change: Change| {
        let mut values = values();
        change(&mut values);
        let (_, made) = chart(&values);
        made[0]["refused"].as_str().map(str::to_owned)
    };
    assert_eq!(with(|_| ()), None);
    let wrong: [(Change, &str); 8] = [
        (|v| v["config"]["gateway"] = json!(""), "gateway"),
        (|v| v["replica"] = json!(3), "replica"),
        (|v| v["replicas"] = json!(0), "replicas"),
        (
            |v| v["config"]["files"]["secrets/key"] = json!("x"),
            "secrets/key",
        ),
        (|v| v["config"]["files"]["../x"] = json!("x"), "../x"),
        (|v| v["config"]["partners"]["crvs"] = json!("x"), "crvs"),
        (
            |v| v["config"]["secrets"] = json!([{ "name": "keys" }]),
            "items",
        ),
        (|v| v["admin"] = json!({ "port": 80 }), "port"),
    ];
    for (change, what) in wrong {
        let refused = with(change).unwrap_or_else(|| panic!("{what} was taken"));
        assert!(refused.contains(what), "{what}: {refused}");
    }
    // What is switched on is there.
    let mut monitored = values();
    monitored["serviceMonitor"] = json!({ "enabled": true });
    let (_, objects) = chart(&monitored);
    one(&objects, "ServiceMonitor");
}

#[test]
fn the_systemd_unit_leaves_the_gateway_nothing_it_does_not_need() {
    let unit = file("deploy/systemd/triseal.service").display().to_string();
    let judged = run(
        "systemd-analyze",
        [
            "security",
            "--offline=true",
            "--threshold=20",
            "--no-pager",
            &unit,
        ],
        &[],
        b"",
    );
    assert_eq!(judged.code, 0, "{}", judged.all());
    // Words that systemd does not know are said, and nothing else fails.
    let verified = run("systemd-analyze", ["verify", &unit], &[], b"");
    for line in verified.all().lines() {
        assert!(
            line.contains("/usr/bin/triseal is not executable"),
            "{line}"
        );
    }
    let text = text("deploy/systemd/triseal.service");
    for line in [
        "Type=notify",
        "NotifyAccess=main",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "StateDirectory=triseal",
        "ProtectSystem=strict",
        "NoNewPrivileges=true",
        "CapabilityBoundingSet=",
        "MemoryDenyWriteExecute=true",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
}
