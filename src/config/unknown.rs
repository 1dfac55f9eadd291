//! Variables that look like settings and are none.

use std::collections::BTreeSet;

use super::Environment;

/// The beginnings of the names of settings that are this program's own.
const OWN: [&str; 3] = ["INVENTORY_", "DYNAMODB_TABLE_", "GATEWAY_"];

/// The tests' and the emulated stack's.
const NOT_SETTINGS: [&str; 2] = ["INVENTORY_TEST_", "INVENTORY_CACHE"];

/// A variable that is no setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The known variable with the most similar name.
    pub nearest: String,
}

/// The variables of the environment that begin like this program's own and are not among `known`.
/// Those that Kubernetes sets for each Service (`…_SERVICE_HOST`, `…_PORT_…`, and `…_PORT` with an
/// address such as `tcp://10.0.0.1:80`) are left out.
#[must_use]
pub fn unknown(environment: &dyn Environment, known: &BTreeSet<String>) -> Vec<UnknownVariable> {
    let mut names = environment.names();
    names.sort();
    let is_unknown = |name: &String| {
        OWN.iter().any(|own| name.starts_with(own))
            && !NOT_SETTINGS.iter().any(|other| name.starts_with(other))
            && !is_of_kubernetes(environment, name)
            && !known.contains(name)
    };
    let nearest = |name: &str| known.iter().min_by_key(|known| distance(name, known)).cloned();
    names
        .into_iter()
        .filter(is_unknown)
        .filter_map(|name| Some(UnknownVariable { nearest: nearest(&name)?, name }))
        .collect()
}

/// Whether Kubernetes sets it for a Service. Of a name that ends in `_PORT` the value says so: an
/// address, which no port of a setting is.
fn is_of_kubernetes(environment: &dyn Environment, name: &str) -> bool {
    if name.contains("_SERVICE_") || name.contains("_PORT_") {
        return true;
    }
    if !name.ends_with("_PORT") {
        return false;
    }
    let value = environment.get(name).and_then(|value| value.into_string().ok());
    value.is_some_and(|value| {
        ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
    })
}

/// The number of letters to insert, delete or replace (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(place + 1);
        for (pair, against) in row.windows(2).zip(&other) {
            let [diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or_default();
            let replaced = diagonal + usize::from(letter != *against);
            next.push(replaced.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_misspelt_variable_is_named_with_the_one_that_was_meant() {
        let known: BTreeSet<String> =
            ["INVENTORY_VISIBILITY_SECONDS", "INVENTORY_QUEUES", "DYNAMODB_TABLE_SEATS"]
                .map(str::to_owned)
                .into();
        let environment: BTreeMap<&str, &str> = [
            ("INVENTORY_VISIBILTY_SECONDS", "60"),
            ("INVENTORY_QUEUE", "a.fifo"),
            ("INVENTORY_QUEUES", "a.fifo"),
            ("DYNAMODB_TABLE_SEAT", "seats"),
            ("INVENTORY_TEST_REDIS", "x"),
            ("INVENTORY_WORKER_SERVICE_HOST", "10.0.0.1"),
            ("INVENTORY_WORKER_PORT_9090_TCP", "x"),
            ("PATH", "/bin"),
        ]
        .into();
        let found = unknown(&environment, &known);
        let found: Vec<(&str, &str)> =
            found.iter().map(|one| (&*one.name, &*one.nearest)).collect();
        let expected = [
            ("DYNAMODB_TABLE_SEAT", "DYNAMODB_TABLE_SEATS"),
            ("INVENTORY_QUEUE", "INVENTORY_QUEUES"),
            ("INVENTORY_VISIBILTY_SECONDS", "INVENTORY_VISIBILITY_SECONDS"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_port_is_left_out_only_where_kubernetes_has_set_it() {
        let known: BTreeSet<String> = ["ADMIN_PORT", "GRPC_PORT"].map(str::to_owned).into();
        let environment: BTreeMap<&str, &str> = [
            ("INVENTORY_ADMIN_PORT", "9090"),
            ("INVENTORY_GATEWAY_PORT", "tcp://10.0.0.1:8080"),
            ("INVENTORY_STATS_PORT", "udp://10.0.0.1:8125"),
            ("GATEWAY_PORT", "8080"),
            ("GRPC_PORT", "50051"),
        ]
        .into();
        let found = unknown(&environment, &known);
        let names: Vec<&str> = found.iter().map(|one| &*one.name).collect();
        assert_eq!(names, ["GATEWAY_PORT", "INVENTORY_ADMIN_PORT"]);
    }

    #[test]
    fn a_distance_counts_letters() {
        for (one, other, letters) in [("", "abc", 3), ("abc", "abc", 0), ("abc", "axcd", 2)] {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }
}
