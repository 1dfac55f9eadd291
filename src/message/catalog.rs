//! The published schemas, identical to those in `schemas/`.

macro_rules! embedded {
    ($($folder:literal / $name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!("../../schemas/", $folder, "/", $name, ".json")),
        )),*]
    };
}

const COMMANDS: &[(&str, &str)] = embedded![
    "commands" / "inventory.reserve.v1",
    "commands" / "inventory.extend.v1",
    "commands" / "inventory.modify.v1",
    "commands" / "inventory.confirm.v1",
    "commands" / "inventory.fulfil.v1",
    "commands" / "inventory.cancel.v1",
    "commands" / "inventory.restock.v1",
    "commands" / "inventory.expire.v1",
];

const RESULTS: &[(&str, &str)] = embedded![
    "results" / "inventory.reserved.v1",
    "results" / "inventory.extended.v1",
    "results" / "inventory.modified.v1",
    "results" / "inventory.confirmed.v1",
    "results" / "inventory.fulfilled.v1",
    "results" / "inventory.cancelled.v1",
    "results" / "inventory.expired.v1",
    "results" / "inventory.restocked.v1",
    "results" / "inventory.rejected.v1",
];

const ALL: [(&str, &str); COMMANDS.len() + RESULTS.len()] = {
    let mut all = [("", ""); COMMANDS.len() + RESULTS.len()];
    let (commands, results) = all.split_at_mut(COMMANDS.len());
    commands.copy_from_slice(COMMANDS);
    results.copy_from_slice(RESULTS);
    all
};

/// Every JSON Schema (draft 2020-12) under the CloudEvents `type` it describes: first the commands,
/// then the results. Each is self-contained.
#[must_use]
pub fn schemas() -> &'static [(&'static str, &'static str)] {
    &ALL
}

/// The schemas of the commands.
#[must_use]
pub fn commands() -> &'static [(&'static str, &'static str)] {
    COMMANDS
}

/// The schemas of the results.
#[must_use]
pub fn results() -> &'static [(&'static str, &'static str)] {
    RESULTS
}

/// The AsyncAPI 3 document. It refers to the schemas by relative path: `./commands/<type>.json` and
/// `./results/<type>.json`.
#[must_use]
pub fn asyncapi() -> &'static str {
    include_str!("../../schemas/asyncapi.yaml")
}

/// The `OpenAPI` 3.1 document. It refers to the schemas and examples by relative path, as
/// [`asyncapi`] does.
#[must_use]
pub fn openapi() -> &'static str {
    include_str!("../../schemas/openapi.yaml")
}

/// [`openapi`] as JSON, with everything it refers to in it.
#[must_use]
pub fn openapi_json() -> &'static str {
    include_str!("../../schemas/openapi.json")
}
