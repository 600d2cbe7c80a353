//! The operator's log: events with fixed names and targets, facts of [`Error`], nothing else.

use http::StatusCode;

use crate::error::Error;

/// The target of every event of this crate.
pub(crate) const TARGET: &str = "tower_resource_server";

/// One line for one refusal: `error` for mistakes in the API's own code, `warn` for outages, `info`
/// for refused tokens, `debug` for requests that carry no credentials, as browsers' first ones do.
pub(crate) fn refused(error: &Error, status: StatusCode) {
    let status = status.as_u16();
    match error {
        Error::Wiring { .. } => {
            tracing::error!(target: TARGET, status, reason = %error, "layers are put together wrongly");
        }
        Error::KeysUnavailable { .. } | Error::IntrospectionUnavailable { .. } => {
            tracing::warn!(target: TARGET, status, reason = %error, "request refused by our outage");
        }
        Error::MissingCredentials | Error::UnsupportedScheme => {
            tracing::debug!(target: TARGET, status, reason = %error, "request refused");
        }
        _ => tracing::info!(target: TARGET, status, reason = %error, "request refused"),
    }
}
