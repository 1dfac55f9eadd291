//! Overlays as `kubectl kustomize` renders them.

use std::{collections::BTreeMap, path::Path};

use inventory_worker::config::{Config, Flags};
use serde_json::{Map, Value, json};

/// What one overlay would apply.
#[derive(Clone)]
pub struct Overlay {
    pub name: &'static str,
    objects: Vec<Value>,
}

/// A Deployment or Job that runs the product's image.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: String,
    pub object: Value,
    /// The variables of its container, ConfigMaps resolved.
    pub environment: BTreeMap<String, String>,
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

    /// The one object of that kind and name.
    pub fn named(&self, kind: &str, name: &str) -> &Value {
        self.objects
            .iter()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
            .unwrap_or_else(|| panic!("{}: there is no {kind} {name}", self.name))
    }

    /// The Deployments that run a worker.
    pub fn workers(&self) -> Vec<Workload> {
        self.workloads("Deployment")
    }

    /// The objects of a kind that run the product's image.
    pub fn workloads(&self, kind: &str) -> Vec<Workload> {
        let of_product = |object: &&Value| {
            let image = container(object)["image"].as_str().unwrap();
            image.rsplit('/').next().unwrap().starts_with("inventory-worker")
        };
        self.of_kind(kind)
            .filter(of_product)
            .map(|object| Workload {
                name: object["metadata"]["name"].as_str().unwrap().to_owned(),
                environment: self.environment(container(object)),
                object: object.clone(),
            })
            .collect()
    }

    fn environment(&self, container: &Value) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for source in list(&container["envFrom"]) {
            // A Secret is not among the manifests.
            if let Some(name) = source["configMapRef"]["name"].as_str() {
                let data = self.named("ConfigMap", name)["data"].as_object().unwrap();
                environment.extend(texts(data));
            }
        }
        for variable in list(&container["env"]) {
            let text = |field: &str| variable[field].as_str().unwrap().to_owned();
            environment.insert(text("name"), text("value"));
        }
        environment
    }
}

impl Workload {
    pub fn pod(&self) -> &Value {
        &self.object["spec"]["template"]["spec"]
    }

    pub fn labels(&self) -> &Value {
        &self.object["spec"]["template"]["metadata"]["labels"]
    }

    pub fn container(&self) -> &Value {
        container(&self.object)
    }

    /// What the binary makes of the variables.
    pub fn config(&self) -> Config {
        let environment: BTreeMap<&str, &str> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match Flags::<Config>::none().load(&environment) {
            Ok(config) => config,
            Err(error) => panic!("{}: {error}", self.name),
        }
    }

    /// The port that a probe or scraper means by this name.
    pub fn port(&self, name: &Value) -> u64 {
        let ports = list(&self.container()["ports"]);
        let port = ports.iter().find(|port| port["name"] == *name);
        port.unwrap_or_else(|| panic!("{}: no port {name}", self.name))["containerPort"]
            .as_u64()
            .unwrap()
    }
}

fn container(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]["containers"][0]
}

/// A list that may be left out.
pub fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn texts(data: &Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    data.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
}

/// Whether a label selector with `matchLabels` alone selects these labels.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object().expect("a selector by labels");
    assert!(!wanted.is_empty() && selector["matchExpressions"] == json!(null));
    wanted.iter().all(|(name, value)| labels[name] == *value)
}
