//! Traces that follow a wish from the click to the proof, sent as OTLP.
//!
//! A request's span is the beginning. Its W3C trace context is written to the
//! flows that it starts or signals, and the steps of those flows go on in it, in
//! whichever process they run. Spans hold routes, kinds, steps, verbs and ids;
//! what may stand in them is in `docs/LOGGING.md`. A context that a client sends
//! is not taken over: a stranger's id says nothing about us.

use std::sync::OnceLock;

use domain::Entropy as _;
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator as _,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, Tracer},
};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};

use crate::{
    entropy::System,
    settings::{BadSetting, bad},
};

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
const PARENT: &str = "traceparent";

/// The layer that turns spans into traces and sends them to this endpoint.
pub(crate) fn layer<S>(endpoint: &str) -> Result<OpenTelemetryLayer<S, Tracer>, BadSetting>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let provider = provider(endpoint).map_err(|why| bad("OTEL_EXPORTER_OTLP_ENDPOINT", why))?;
    let tracer = provider.tracer("berth");
    PROVIDER.set(provider).ok();
    Ok(tracing_opentelemetry::layer().with_tracer(tracer))
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider, String> {
    let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    // The exporter sends from a thread of its own with a blocking client, which must not be made inside the runtime.
    let building = std::thread::spawn(move || SpanExporter::builder().with_http().with_endpoint(address).build());
    let exporter = building.join().map_err(|_| "the exporter could not be made".to_owned())?;
    let exporter = exporter.map_err(|error| format!("cannot be used: {error}"))?;
    let process = KeyValue::new("service.instance.id", System.uuid().to_string());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name("berth").with_attributes([version, process]).build();
    Ok(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())
}

/// The caller's trace, as W3C trace context. `None` while nothing is traced.
pub(crate) fn current() -> Option<String> {
    PROVIDER.get()?;
    let context = tracing::Span::current().context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = std::collections::HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(PARENT)
}

/// Makes a span part of that trace.
pub(crate) fn adopt(span: &tracing::Span, trace: &str) {
    if PROVIDER.get().is_none() {
        return;
    }
    let carrier = std::collections::HashMap::from([(PARENT.to_owned(), trace.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    span.set_parent(context).ok();
}

/// Sends what is left, for a calm stop.
pub(crate) fn end() {
    if let Some(provider) = PROVIDER.get() {
        provider.shutdown().ok();
    }
}
