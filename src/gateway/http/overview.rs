//! The overview over HTTP.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{RawQuery, State},
    response::Response,
};
use serde::Serialize;

use super::{Parameters, Problem, Routes, content};
use crate::{
    domain::Timestamp,
    gateway::{Caller, Overview, overview::Sample},
};

pub(super) fn routes() -> Routes<Arc<Overview>> {
    Routes::new().get("/overview", overview)
}

#[derive(Serialize)]
struct OverviewBody<'a> {
    now: Timestamp,
    #[serde(flatten)]
    sample: &'a Sample,
}

async fn overview(
    State(overview): State<Arc<Overview>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let (sample, now) = overview.read(&caller).await?;
    Ok(content::json(&OverviewBody { now, sample: &sample }))
}
