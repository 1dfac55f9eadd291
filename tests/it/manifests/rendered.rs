//! Overlays as `kubectl kustomize` renders them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use inventory_worker::config::{Config, Flags, Section, ServeConfig, TraceConfig};
use serde_json::{Map, Value, json};

/// The objects of one overlay.
#[derive(Clone)]
pub struct Overlay {
    pub name: &'static str,
    objects: Vec<Value>,
}

/// Kinds that run containers.
pub const KINDS: [&str; 3] = ["Deployment", "Job", "CronJob"];

/// Values that the kubelet would fill in, by field.
const FIELDS: [(&str, &str); 1] = [("status.hostIP", "192.0.2.7")];

/// A Deployment, Job or CronJob that runs the product's image.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: String,
    pub object: Value,
    /// The variables of its container, with ConfigMaps and references to other variables resolved.
    pub environment: BTreeMap<String, String>,
    /// Variables that other variables refer to.
    pub parts: BTreeSet<String>,
}

impl Overlay {
    pub fn load(name: &'static str) -> Self {
        let folder = std::env::var("INVENTORY_TEST_MANIFESTS").unwrap_or_else(|_| {
            panic!(
                "INVENTORY_TEST_MANIFESTS is not set: `scripts/manifests` renders the overlays \
                 into .cache/manifests/rendered"
            )
        });
        let text = std::fs::read_to_string(Path::new(&folder).join(format!("{name}.json")));
        Self { name, objects: serde_json::from_str(&text.unwrap()).unwrap() }
    }

    /// The objects of a kind.
    pub fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let kind = kind.to_owned();
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The API versions that the cluster must support.
    pub fn api_versions(&self) -> BTreeSet<String> {
        let versions = self.objects.iter().map(|object| object["apiVersion"].as_str().unwrap());
        versions.map(str::to_owned).collect()
    }

    /// The one object of that kind and name.
    pub fn named(&self, kind: &str, name: &str) -> &Value {
        self.objects
            .iter()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
            .unwrap_or_else(|| panic!("{}: there is no {kind} {name}", self.name))
    }

    /// The Deployments that run a worker.
    pub fn workers(&self) -> Vec<Workload> {
        self.deployments_of("run")
    }

    /// The Deployments that run a gateway.
    pub fn gateways(&self) -> Vec<Workload> {
        self.deployments_of("serve")
    }

    fn deployments_of(&self, subcommand: &str) -> Vec<Workload> {
        let mut found = self.workloads("Deployment");
        found.retain(|workload| workload.subcommand() == subcommand);
        found
    }

    /// Every workload that runs the product's image.
    pub fn all_workloads(&self) -> Vec<Workload> {
        KINDS.iter().flat_map(|kind| self.workloads(kind)).collect()
    }

    /// The objects of a kind that run the product's image.
    pub fn workloads(&self, kind: &str) -> Vec<Workload> {
        let of_product = |object: &&Value| {
            let image = container(object)["image"].as_str().unwrap();
            image.rsplit('/').next().unwrap().starts_with("inventory-worker")
        };
        self.of_kind(kind)
            .filter(of_product)
            .map(|object| {
                let (environment, parts) = self.environment(container(object));
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                Workload { name, environment, parts, object: object.clone() }
            })
            .collect()
    }

    /// Variables, and the names of those that others refer to.
    fn environment(&self, container: &Value) -> (BTreeMap<String, String>, BTreeSet<String>) {
        let mut environment = BTreeMap::new();
        let mut parts = BTreeSet::new();
        for source in list(&container["envFrom"]) {
            // Secrets are not part of the manifests.
            if let Some(name) = source["configMapRef"]["name"].as_str() {
                let data = self.named("ConfigMap", name)["data"].as_object().unwrap();
                environment.extend(texts(data));
            }
        }
        for variable in list(&container["env"]) {
            let name = variable["name"].as_str().unwrap().to_owned();
            let value = match &variable["valueFrom"] {
                Value::Null => {
                    resolve(variable["value"].as_str().unwrap(), &environment, &mut parts)
                }
                from => field(from["fieldRef"]["fieldPath"].as_str().unwrap()),
            };
            environment.insert(name, value);
        }
        (environment, parts)
    }
}

/// The value after the kubelet's expansion: `$(NAME)` is a variable defined before.
fn resolve(
    value: &str,
    environment: &BTreeMap<String, String>,
    parts: &mut BTreeSet<String>,
) -> String {
    let mut resolved = value.to_owned();
    for (name, text) in environment {
        let reference = format!("$({name})");
        if resolved.contains(&reference) {
            resolved = resolved.replace(&reference, text);
            parts.insert(name.clone());
        }
    }
    assert!(!resolved.contains("$("), "{value}: nothing that was named before");
    resolved
}

fn field(path: &str) -> String {
    let known = FIELDS.iter().find(|(known, _)| *known == path);
    known.unwrap_or_else(|| panic!("{path}: a field that is not known here")).1.to_owned()
}

impl Workload {
    pub fn pod(&self) -> &Value {
        &template(&self.object)["spec"]
    }

    pub fn labels(&self) -> &Value {
        &template(&self.object)["metadata"]["labels"]
    }

    pub fn container(&self) -> &Value {
        container(&self.object)
    }

    /// The subcommand that it runs.
    pub fn subcommand(&self) -> &str {
        self.container()["args"][0].as_str().unwrap()
    }

    /// The configuration that a worker reads from the variables.
    pub fn config(&self) -> Config {
        self.load()
    }

    /// The configuration that a gateway reads from the variables.
    pub fn serve_config(&self) -> ServeConfig {
        self.load()
    }

    /// The trace configuration that the binary reads from the variables.
    pub fn traces(&self) -> TraceConfig {
        self.load()
    }

    fn load<S: Section>(&self) -> S {
        let environment: BTreeMap<&str, &str> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match Flags::<S>::none().load(&environment) {
            Ok(config) => config,
            Err(error) => panic!("{}: {error}", self.name),
        }
    }

    /// The port of that name, for a probe or scraper.
    pub fn port(&self, name: &Value) -> u64 {
        let ports = list(&self.container()["ports"]);
        let port = ports.iter().find(|port| port["name"] == *name);
        port.unwrap_or_else(|| panic!("{}: no port {name}", self.name))["containerPort"]
            .as_u64()
            .unwrap()
    }
}

/// The pod template of an object.
pub fn template(object: &Value) -> &Value {
    match object["spec"]["jobTemplate"] {
        Value::Null => &object["spec"]["template"],
        ref job => &job["spec"]["template"],
    }
}

fn container(object: &Value) -> &Value {
    &template(object)["spec"]["containers"][0]
}

/// A list that may be absent.
pub fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn texts(data: &Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    data.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
}

/// Whether a label selector with only `matchLabels` selects these labels.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object().expect("a selector by labels");
    assert!(!wanted.is_empty() && selector["matchExpressions"] == json!(null));
    wanted.iter().all(|(name, value)| labels[name] == *value)
}
