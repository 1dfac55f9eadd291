//! Storms over HTTP, where an operator allows them.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value};

use super::{
    Parameters, Problem, Routes,
    content::{self, Content, JSON, media_type, unsupported},
    parameters::NAME_SHOWN_MAX,
};
use crate::{
    gateway::{
        Caller, Stress,
        stress::{InvalidPlan, PlanRequest, RunId, StressError},
    },
    terminal::printable,
};

/// The fields of a storm.
const FIELDS: [&str; 5] = ["duration_seconds", "target_rate", "target_cpu", "stores", "skus"];

/// Storms, where they are allowed.
type Stressed = State<Option<Arc<Stress>>>;
type Called = Extension<Caller>;
type IdPath = Result<Path<String>, PathRejection>;

pub(super) fn routes() -> Routes<Option<Arc<Stress>>> {
    Routes::new()
        .post("/stress/restock", begin)
        .get("/stress/restock/{id}", report)
        .delete("/stress/restock/{id}", cancel)
}

async fn begin(
    State(stress): Stressed,
    Extension(caller): Called,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Problem> {
    let stress = allowed(stress)?;
    Parameters::none(query.as_deref())?;
    if !media_type(&headers).eq_ignore_ascii_case(JSON) {
        return Err(unsupported(JSON));
    }
    match stress.begin(&caller, &request_of(&body)?) {
        Ok(report) => {
            let mut response = content::json(&report);
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok(located(response, report.id))
        }
        Err(StressError::Running(id)) => {
            Ok(located(Problem::from(StressError::Running(id)).into_response(), id))
        }
        Err(error) => Err(error.into()),
    }
}

async fn report(
    State(stress): Stressed,
    Extension(caller): Called,
    path: IdPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let stress = allowed(stress)?;
    Parameters::none(query.as_deref())?;
    Ok(content::json(&stress.report(&caller, run_id(path)?)?))
}

async fn cancel(
    State(stress): Stressed,
    Extension(caller): Called,
    path: IdPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let stress = allowed(stress)?;
    Parameters::none(query.as_deref())?;
    Ok(content::json(&stress.cancel(&caller, run_id(path)?)?))
}

fn allowed(stress: Option<Arc<Stress>>) -> Result<Arc<Stress>, Problem> {
    let detail = "this gateway takes no storms: they need --allow-stress";
    stress.ok_or_else(|| Problem::not_found("STRESS_NOT_ALLOWED", detail))
}

fn run_id(path: IdPath) -> Result<RunId, Problem> {
    let Path(id) = path.map_err(|_| Problem::bad_request("path: expected UTF-8"))?;
    id.parse().map_err(|wrong| Problem::bad_request(format!("id: {wrong}")))
}

/// With where the run is.
fn located(mut response: Response, id: RunId) -> Response {
    // What is written is ASCII.
    let location = HeaderValue::try_from(format!("/stress/restock/{id}")).ok();
    response.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
    response
}

fn request_of(body: &[u8]) -> Result<PlanRequest, Problem> {
    let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    let fields = parsed.map_err(|_| Problem::bad_request("body: expected a JSON object"))?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let name: String = printable(unknown).chars().take(NAME_SHOWN_MAX).collect();
        let detail = format!("unknown field {name:?}: expected only {}", FIELDS.join(", "));
        return Err(Problem::bad_request(detail));
    }
    let integer = |name: &'static str| match fields.get(name).map(whole) {
        None => Ok(None),
        Some(Some(number)) => Ok(Some(number)),
        Some(None) => Err(Problem::bad_request(format!("{name}: expected an integer"))),
    };
    let missing = || Problem::bad_request("duration_seconds: missing, expected an integer");
    Ok(PlanRequest {
        duration_seconds: integer("duration_seconds")?.ok_or_else(missing)?,
        target_rate: integer("target_rate")?,
        target_cpu: integer("target_cpu")?,
        stores: integer("stores")?,
        skus: integer("skus")?,
    })
}

/// An integer, which JSON may also write as 60.0 (JSON Schema 2020-12). A negative one is as far
/// out of every range as 0.
fn whole(value: &Value) -> Option<u64> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and no range reaches there"
    )]
    Some(value.as_u64().unwrap_or(number as u64))
}

impl From<StressError> for Problem {
    fn from(error: StressError) -> Self {
        let detail = error.to_string();
        match error {
            StressError::NoScope(scope) => Self::no_scope(scope),
            StressError::Invalid(InvalidPlan::Field { .. }) => Self::bad_request(detail),
            StressError::Invalid(InvalidPlan::TooMany { .. }) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "STRESS_TOO_LARGE", detail)
            }
            StressError::Running(_) => Self::new(StatusCode::CONFLICT, "STRESS_RUNNING", detail),
            StressError::Stopping => Self::unavailable("STOPPING", detail),
            StressError::NotFound => Self::not_found("STRESS_NOT_FOUND", detail),
        }
    }
}
