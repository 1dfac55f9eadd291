//! What a request is for, known by its head: its name in metrics, its lane, and whether it needs a
//! caller.

use std::borrow::Cow;

use axum::{
    extract::MatchedPath,
    http::{Method, request::Parts},
};

use super::limits::Lane;

/// The operation of a path that is not served.
const UNMATCHED: &str = "unmatched";

/// The paths of HTTP that anybody may read.
const OPEN: [&str; 3] = ["/", "/health", "/openapi.json"];

/// The methods of gRPC, which are the operations in metrics.
const METHODS: [&str; 11] = [
    "GetAvailableSeats",
    "GetSeat",
    "ReserveSeats",
    "GetReservation",
    "ConfirmReservations",
    "CancelReservations",
    "ExtendReservation",
    "Restock",
    "WatchChanges",
    "WatchResults",
    HEALTH_CHECK,
];

const HEALTH_CHECK: &str = "HealthCheck";

/// The gRPC services that anybody may call, with their operation in metrics.
const OPEN_SERVICES: [(&str, &str); 3] = [
    ("grpc.health.v1.Health", "health"),
    ("grpc.reflection.v1.ServerReflection", "reflection"),
    ("grpc.reflection.v1alpha.ServerReflection", "reflection"),
];

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name in metrics, of a bounded set.
    pub name: Cow<'static, str>,
    /// Where it counts.
    pub lane: Lane,
    /// Whether anybody may call it, at any rate.
    pub is_open: bool,
}

/// The operation of a request over HTTP.
#[must_use]
pub fn of_http(parts: &Parts) -> Operation {
    let path = parts.uri.path();
    let method = match parts.method {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    };
    let name = match parts.extensions.get::<MatchedPath>() {
        Some(matched) => format!("{method} {}", matched.as_str()).into(),
        None => UNMATCHED.into(),
    };
    let is_open = OPEN.contains(&path) && method == "GET";
    Operation { name, lane: lane_of_path(path), is_open }
}

fn lane_of_path(path: &str) -> Lane {
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("events"), Some(_), Some(_), None)
        | (Some("inventory"), Some("store"), ..)
        | (Some("results"), ..) => Lane::Lists,
        _ => Lane::Commands,
    }
}

/// The operation of a request over gRPC.
#[must_use]
pub fn of_grpc(parts: &Parts) -> Operation {
    let path = parts.uri.path().trim_start_matches('/');
    let (service, method) = path.split_once('/').unwrap_or((path, ""));
    if let Some((_, name)) = OPEN_SERVICES.into_iter().find(|(open, _)| *open == service) {
        return Operation { name: name.into(), lane: Lane::Commands, is_open: true };
    }
    let name = METHODS.into_iter().find(|known| *known == method).unwrap_or(UNMATCHED);
    let lane = match name {
        "GetAvailableSeats" | "WatchChanges" | "WatchResults" => Lane::Lists,
        _ => Lane::Commands,
    };
    Operation { name: name.into(), lane, is_open: name == HEALTH_CHECK }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(method: &str, path: &str) -> Parts {
        Request::builder().method(method).uri(path).body(()).unwrap().into_parts().0
    }

    #[test]
    fn lists_have_a_lane_of_their_own() {
        let lane = |path: &str| of_http(&parts("GET", path)).lane;
        for list in ["/events/42/seats?limit=1", "/events/42/map", "/inventory/store/s", "/results"]
        {
            assert_eq!(lane(list), Lane::Lists, "{list}");
        }
        for point in ["/events/42/seats/A-1", "/reservations/r", "/commands", "/inventory/update"] {
            assert_eq!(lane(point), Lane::Commands, "{point}");
        }
        let of_grpc = |path: &str| of_grpc(&parts("POST", path)).lane;
        assert_eq!(of_grpc("/inventory.v1.InventoryService/GetAvailableSeats"), Lane::Lists);
        assert_eq!(of_grpc("/inventory.v1.InventoryService/GetSeat"), Lane::Commands);
    }

    #[test]
    fn only_what_tells_nothing_of_inventory_is_open() {
        for (method, path, is_open) in [
            ("GET", "/health", true),
            ("GET", "/", true),
            ("GET", "/openapi.json", true),
            ("POST", "/health", false),
            ("GET", "/health/x", false),
            ("GET", "//health", false),
            ("GET", "/commands", false),
        ] {
            assert_eq!(of_http(&parts(method, path)).is_open, is_open, "{method} {path}");
        }
        for (path, is_open) in [
            ("/grpc.health.v1.Health/Check", true),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true),
            ("/inventory.v1.InventoryService/HealthCheck", true),
            ("/inventory.v1.InventoryService/GetSeat", false),
            ("/grpc.health.v1.Healthy/Check", false),
        ] {
            assert_eq!(of_grpc(&parts("POST", path)).is_open, is_open, "{path}");
        }
    }

    #[test]
    fn what_is_not_served_has_one_name() {
        assert_eq!(of_http(&parts("GET", "/no/such")).name, UNMATCHED);
        assert_eq!(of_grpc(&parts("POST", "/a.B/NoSuch")).name, UNMATCHED);
        assert_eq!(of_grpc(&parts("POST", "/")).name, UNMATCHED);
    }
}
