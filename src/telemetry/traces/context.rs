//! Trace contexts: converts between the wire form and OpenTelemetry's.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::message::TraceContext;

/// A producer's context in the SDK's form.
pub(super) fn remote(context: &TraceContext) -> Option<SpanContext> {
    // Version 00 always: 00-<trace id>-<parent id>-<flags>.
    let mut parts = context.traceparent().split('-').skip(1);
    let trace_id = TraceId::from_hex(parts.next()?).ok()?;
    let parent_id = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    // Other flags mean nothing in version 00 and are not passed on.
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let state = context.tracestate().and_then(|state| state.parse::<TraceState>().ok());
    Some(SpanContext::new(trace_id, parent_id, flags, true, state.unwrap_or_default()))
}

/// A span's context, as messages carry it. `None` for an invalid span.
pub(super) fn to_carry(span: &SpanContext) -> Option<TraceContext> {
    let flags = span.trace_flags() & TraceFlags::SAMPLED;
    let traceparent = format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), flags.to_u8());
    let context: TraceContext = traceparent.parse().ok()?;
    let state = span.trace_state().header();
    Some(context.with_tracestate(Some(&state)))
}
