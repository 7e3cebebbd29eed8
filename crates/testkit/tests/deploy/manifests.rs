//! The manifests for Kubernetes: each is what Kubernetes and its operators accept, with no field that they do not know,
//! and they agree with the rest of the repository.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::compose::{programs, texts, unknown_flags};
use crate::files::{read, under, yaml};
use crate::queries::list;
use crate::rendered::{OVERLAYS, rendered};
use crate::schemas::{Known, kind_of};

/// The oldest and the newest version of Kubernetes.
const KUBERNETES: [&str; 2] = ["1.32", "1.37"];

fn name_of(manifest: &Value) -> String {
    let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
    format!("{} {name}", manifest["kind"].as_str().unwrap_or_default())
}

fn of_kind<'a>(all: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    all.iter().filter(move |manifest| manifest["kind"] == kind)
}

/// Deployments and stateful sets.
fn workloads(all: &[Value]) -> Vec<&Value> {
    of_kind(all, "Deployment").chain(of_kind(all, "StatefulSet")).collect()
}

fn text<'a>(of: &'a Value, pointer: &str) -> &'a str {
    of.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn every_manifest_is_what_kubernetes_and_the_operators_accept() {
    for version in KUBERNETES {
        let known = Known::of(version);
        for overlay in OVERLAYS {
            let all = rendered(overlay);
            assert!(all.len() > 60, "{overlay}: {}", all.len());
            for manifest in all {
                let fault = known.fault(manifest);
                assert_eq!(fault, None, "{version} {overlay}: {}", name_of(manifest));
            }
        }
    }
}

/// A field in the wrong place is what breaks a deployment in the night, and what a lax check lets pass.
#[test]
fn a_planted_field_a_wrong_type_and_a_wrong_version_are_refused_in_every_kind() {
    let known = Known::of(KUBERNETES[1]);
    let all = rendered("kind");
    let mut kinds = BTreeSet::new();
    for manifest in all {
        let kind = kind_of(manifest);
        let planted = |at: &str| {
            let mut planted = manifest.clone();
            let place = planted.pointer_mut(at)?.as_object_mut()?;
            place.insert("plantedField".to_owned(), json!(1));
            known.fault(&planted)
        };
        assert!(planted("").is_some(), "{kind}: an unknown field at the top");
        assert!(planted("/metadata").is_some(), "{kind}: an unknown field of the metadata");
        if manifest["spec"].is_object() {
            let fault =
                planted("/spec").unwrap_or_else(|| panic!("{kind}: an unknown field of the spec"));
            assert!(fault.contains("plantedField"), "{kind}: {fault}");
            let mut other = manifest.clone();
            other["spec"] = json!("no object");
            assert!(known.fault(&other).is_some(), "{kind}: a spec that is a text");
        }
        let mut other = manifest.clone();
        other["apiVersion"] = json!("example/v1");
        assert!(known.fault(&other).is_some(), "{kind}: another version");
        kinds.insert(kind);
    }
    assert_eq!(kinds, known.kinds.keys().filter(|kind| kinds.contains(*kind)).cloned().collect());
    for (kind, at) in [
        ("StatefulSet", "/spec/template/spec/containers/0/livenessProbe"),
        ("Kafka", "/spec/kafka/listeners/0"),
        ("KafkaUser", "/spec/authorization/acls/0"),
        ("KafkaNodePool", "/spec/storage/volumes/0"),
        ("ScaledObject", "/spec/triggers/0"),
        ("RabbitmqCluster", "/spec/persistence"),
        ("PodMonitor", "/spec/podMetricsEndpoints/0"),
        ("PrometheusRule", "/spec/groups/0/rules/0"),
        ("Ingress", "/spec/rules/0/http/paths/0/backend/service"),
        ("NetworkPolicy", "/spec"),
    ] {
        let mut planted = of_kind(all, kind).last().expect("there is one").clone();
        let place = planted.pointer_mut(at).unwrap_or_else(|| panic!("{kind} {at}"));
        place.as_object_mut().expect("an object").insert("plantedField".to_owned(), json!(1));
        assert!(known.fault(&planted).is_some(), "{kind}: an unknown field at {at}");
    }
    // What Strimzi took out of its v1.
    let mut old = of_kind(all, "Kafka").next().expect("a cluster").clone();
    old["spec"]["zookeeper"] = json!({"replicas": 3});
    assert!(known.fault(&old).is_some(), "ZooKeeper");
}

#[test]
fn every_pod_of_ours_runs_with_few_rights_probes_and_limits() {
    for overlay in OVERLAYS {
        let all = rendered(overlay);
        for workload in workloads(all) {
            let name = name_of(workload);
            let pod = &workload["spec"]["template"]["spec"];
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(
                text(pod, "/securityContext/seccompProfile/type"),
                "RuntimeDefault",
                "{name}"
            );
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            assert_eq!(pod["enableServiceLinks"], false, "{name}: {}", "variables of services");
            for container in list(pod, "containers") {
                let rights = &container["securityContext"];
                assert_eq!(rights["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(rights["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(rights["capabilities"]["drop"], json!(["ALL"]), "{name}");
                let resources = &container["resources"];
                for (part, what) in
                    [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")]
                {
                    assert!(resources[part][what].is_string(), "{name}: {part} {what}");
                }
                for probe in ["livenessProbe", "readinessProbe"] {
                    assert!(container[probe].is_object(), "{name}: no {probe}");
                }
                let image = container["image"].as_str().expect("an image");
                assert!(image.contains(':') && !image.ends_with(":latest"), "{name}: {image}");
            }
        }
    }
}

#[test]
fn several_of_a_kind_are_spread_and_not_all_taken_away_at_once() {
    // Of one pod, and with data of its own or nothing to lose.
    const ALONE: [&str; 4] = ["audit", "producer", "redis", "valkey"];
    let all = rendered("cloud");
    let selected =
        |of: &Value| text(of, "/spec/selector/matchLabels/app.kubernetes.io~1name").to_owned();
    let budgets: BTreeSet<String> = of_kind(all, "PodDisruptionBudget").map(&selected).collect();
    for workload in workloads(all) {
        let name = selected(workload);
        if ALONE.contains(&name.as_str()) {
            continue;
        }
        assert!(budgets.contains(&name), "{name}: no PodDisruptionBudget");
        let spread = list(&workload["spec"]["template"]["spec"], "topologySpreadConstraints");
        assert!(spread.len() >= 2, "{name}: {spread:?}");
    }
}

#[test]
fn the_consumer_keeps_its_name_and_both_kinds_of_scaling_have_their_limits() {
    for (overlay, most) in [("kind", 3), ("cloud", 12)] {
        let all = rendered(overlay);
        let consumer =
            of_kind(all, "StatefulSet").find(|of| text(of, "/metadata/name") == "consumer");
        let consumer = consumer.expect("the consumer is a stateful set");
        assert!(consumer["spec"]["replicas"].is_null(), "KEDA says how many; `apply` must not");
        let container = &consumer["spec"]["template"]["spec"]["containers"][0];
        assert!(
            list(container, "args").contains(&json!("--instance-id=$(POD_NAME)")),
            "{container}"
        );
        let pod_name = list(container, "env").into_iter().find(|of| of["name"] == "POD_NAME");
        let source = pod_name.expect("the variable");
        assert_eq!(text(&source, "/valueFrom/fieldRef/fieldPath"), "metadata.name");

        let scaled = of_kind(all, "ScaledObject").next().expect("KEDA");
        assert_eq!(text(scaled, "/spec/scaleTargetRef/kind"), "StatefulSet");
        assert_eq!(text(scaled, "/spec/triggers/0/type"), "kafka");
        assert_eq!(scaled["spec"]["maxReplicaCount"], most);
        let topic = of_kind(all, "KafkaTopic").find(|of| text(of, "/metadata/name") == "orders");
        let partitions = &topic.expect("the topic")["spec"]["partitions"];
        assert_eq!(*partitions, most, "more consumers than partitions have nothing to do");

        let hpa = of_kind(all, "HorizontalPodAutoscaler").next().expect("the api scales");
        assert_eq!(
            (&hpa["spec"]["minReplicas"], &hpa["spec"]["maxReplicas"]),
            (&json!(1), &json!(3))
        );
        let target = hpa.pointer("/spec/metrics/0/resource/target/averageUtilization");
        assert_eq!(target, Some(&json!(30)));
    }
}

#[test]
fn topics_are_declared_as_in_config_topics_toml() {
    let declared: toml::Table = read("config/topics.toml").parse().expect("TOML");
    let topics = yaml("deploy/kubernetes/base/kafka-topics.yaml");
    let manifest = |name: &str| topics.iter().find(|of| text(of, "/metadata/name") == name);
    let mut compared = 0;
    for topic in declared["topic"].as_array().expect("topics") {
        let name = topic["name"].as_str().expect("a name");
        if name.starts_with("ecommerce.") {
            continue; // An example.
        }
        let spec = &manifest(name).unwrap_or_else(|| panic!("no {name}"))["spec"];
        assert_eq!(spec["partitions"].as_i64(), topic["partitions"].as_integer(), "{name}");
        let written = flat("", &topic["settings"]);
        let config = spec["config"].as_object().expect("settings");
        let config =
            config.iter().map(|(key, value)| (key.clone(), value.to_string().replace('"', "")));
        assert_eq!(config.collect::<BTreeMap<_, _>>(), written, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 6);
}

/// TOML's dotted keys as Kafka writes them.
fn flat(prefix: &str, value: &toml::Value) -> BTreeMap<String, String> {
    match value {
        toml::Value::Table(table) => {
            let below = |(key, value): (&String, &toml::Value)| {
                let dot = if prefix.is_empty() { "" } else { "." };
                flat(&format!("{prefix}{dot}{key}"), value)
            };
            table.iter().flat_map(below).collect()
        }
        toml::Value::String(text) => [(prefix.to_owned(), text.clone())].into(),
        toml::Value::Integer(number) => [(prefix.to_owned(), number.to_string())].into(),
        toml::Value::Float(number) => [(prefix.to_owned(), number.to_string())].into(),
        other => panic!("{prefix}: a setting is a text or a number: {other:?}"),
    }
}

#[test]
fn the_rules_in_the_cluster_are_those_of_deploy_prometheus() {
    let in_cluster = yaml("deploy/kubernetes/base/rules.yaml");
    for (manifest, name) in in_cluster.iter().zip(["recording", "alerts"]) {
        let rules = &yaml(&format!("deploy/prometheus/rules/{name}.yml"))[0];
        assert_eq!(manifest["spec"], *rules, "run scripts/kubernetes-rules.sh");
    }
    assert_eq!(in_cluster.len(), 2);
}

#[test]
fn no_secret_is_written_down_and_each_that_is_used_has_a_maker() {
    // The operators make these; README.md says how to make the last two.
    const MADE: [&str; 9] = [
        "orders-cluster-ca-cert",
        "orders-rabbitmq-default-user",
        "consumer",
        "producer",
        "audit",
        "streaming",
        "weather",
        "schema-registry",
        "weather-stores",
    ];
    let readme = read("deploy/kubernetes/README.md");
    assert!(readme.contains("create secret generic weather-stores"));
    for overlay in OVERLAYS {
        let all = rendered(overlay);
        assert_eq!(of_kind(all, "Secret").count(), 0, "{overlay}");
        let users: Vec<&str> =
            of_kind(all, "KafkaUser").map(|of| text(of, "/metadata/name")).collect();
        let mut used = BTreeSet::new();
        for manifest in all {
            secrets_in(manifest, &mut used);
        }
        assert!(used.len() >= 6, "{used:?}");
        for secret in used {
            let is_made = MADE.contains(&secret.as_str());
            let has_user = users.contains(&secret.as_str());
            let is_ours = secret.starts_with("orders-") || secret == "weather-stores";
            assert!(is_made && (has_user || is_ours), "{overlay}: who makes {secret}?");
        }
    }
    for file in under("deploy/kubernetes", "yaml") {
        let lower = read(&file).to_lowercase().replace("automountserviceaccounttoken", "");
        for word in ["password: ", "token: ", "stringdata", "begin private key"] {
            assert!(!lower.replace("parameter: password", "").contains(word), "{file}: {word}");
        }
    }
}

fn secrets_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match key.as_str() {
                    "secretKeyRef" => found.extend([text(value, "/name").to_owned()]),
                    "secretName" => found.extend(value.as_str().map(str::to_owned)),
                    "secretTargetRef" => {
                        let refs = value.as_array().into_iter().flatten();
                        found.extend(refs.map(|of| text(of, "/name").to_owned()));
                    }
                    "tls" => {} // Of an ingress: a certificate is the cluster's.
                    _ => secrets_in(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| secrets_in(item, found)),
        _ => {}
    }
}

#[test]
fn names_that_manifests_use_of_each_other_are_there() {
    for overlay in OVERLAYS {
        let all = rendered(overlay);
        let services: BTreeMap<&str, &Value> =
            of_kind(all, "Service").map(|of| (text(of, "/metadata/name"), of)).collect();
        let labels: BTreeSet<&str> = workloads(all)
            .iter()
            .map(|of| text(of, "/spec/template/metadata/labels/app.kubernetes.io~1name"))
            .collect();
        for ingress in of_kind(all, "Ingress") {
            for path in
                list(&ingress["spec"], "rules").iter().flat_map(|rule| list(&rule["http"], "paths"))
            {
                let to = text(&path, "/backend/service/name");
                let port = text(&path, "/backend/service/port/name");
                let service =
                    services.get(to).unwrap_or_else(|| panic!("{overlay}: no service {to}"));
                let ports = list(&service["spec"], "ports");
                assert!(
                    ports.iter().any(|of| of["name"] == port),
                    "{overlay}: {to} has no port {port}"
                );
            }
        }
        for (name, service) in &services {
            let selector = text(service, "/spec/selector/app.kubernetes.io~1name");
            assert!(labels.contains(selector), "{overlay}: service {name} leads to nobody");
        }
        let addresses = read("deploy/kubernetes/base/settings.yaml");
        assert!(
            addresses.contains("http://schema-registry:8081")
                && services.contains_key("schema-registry")
        );
        // Whom a policy speaks of must be there: a slip in a name would cut a program off without a word.
        let others = ["orders-rabbitmq", "producer", "push"];
        for policy in of_kind(all, "NetworkPolicy").chain(of_kind(all, "PodMonitor")) {
            for name in names_selected(policy) {
                let is_there = labels.contains(name.as_str()) || others.contains(&name.as_str());
                assert!(is_there, "{overlay}: {} speaks of {name}", name_of(policy));
            }
        }
    }
}

fn names_selected(value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) if object.get("key") == Some(&json!("app.kubernetes.io/name")) => {
            let values = list(value, "values").into_iter();
            values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        }
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value.as_str()) {
                ("app.kubernetes.io/name", Some(name)) => vec![name.to_owned()],
                _ => names_selected(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(names_selected).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn programs_are_called_with_flags_that_they_have() {
    let programs = programs();
    let mut called = BTreeSet::new();
    for workload in workloads(rendered("kind")) {
        for container in list(&workload["spec"]["template"]["spec"], "containers") {
            let image = container["image"].as_str().expect("an image");
            let Some(program) = image.strip_prefix("orders/") else { continue };
            let program = program.split(':').next().unwrap_or_default();
            if !programs.contains(program) {
                continue; // Its image is made elsewhere.
            }
            let arguments = texts(&container, "args");
            let unknown = unknown_flags(program, &arguments);
            assert!(unknown.is_empty(), "{}: {program} has no {unknown:?}", name_of(workload));
            called.insert(program.to_owned());
        }
    }
    assert!(called.len() >= 6, "{called:?}");
}
