//! The way to the collector.

use std::collections::HashMap;
use std::time::Duration;

use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::KeyValue;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;

use crate::platform_credentials::read;
use crate::settings::{SettingsError, TelemetrySettings};

/// How long the collector may take for one batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// None where the settings name no collector.
pub(super) fn from_settings(
    settings: &TelemetrySettings,
) -> Result<Option<SpanExporter>, SettingsError> {
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(None);
    };
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .build();
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(HyperClient::new(connector, PATIENCE, None))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces_address(endpoint))
        .with_headers(headers(settings)?)
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| SettingsError(format!("`telemetry.otlp_endpoint`: {error}")))?;
    let resource = Resource::builder_empty()
        .with_service_name(settings.service_name.clone())
        .with_attributes([KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))])
        .build();
    exporter.set_resource(&resource);
    Ok(Some(exporter))
}

/// The collector's base address, as `OTEL_EXPORTER_OTLP_ENDPOINT` names it, with the path
/// of traces; or the whole address of traces.
fn traces_address(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with("/v1/traces") {
        return base.to_owned();
    }
    format!("{base}/v1/traces")
}

fn headers(settings: &TelemetrySettings) -> Result<HashMap<String, String>, SettingsError> {
    let headers = settings.otlp_headers.iter();
    headers
        .map(|(name, place)| match read(place) {
            Ok(value) => Ok((name.clone(), value.trim().to_owned())),
            Err(why) => Err(SettingsError(format!(
                "telemetry.otlp_headers.{name}: {why}"
            ))),
        })
        .collect()
}
