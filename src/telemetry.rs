//! The operator's log: events with fixed names and targets, facts of [`Error`], nothing else.

use http::StatusCode;

use crate::error::Error;
use crate::keys::KeySet;
use crate::token::Excerpt;

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
        Error::KeysUnavailable { .. }
        | Error::IssuerUnavailable { .. }
        | Error::IntrospectionUnavailable { .. } => {
            tracing::warn!(target: TARGET, status, reason = %error, "request refused by our outage");
        }
        Error::MissingCredentials | Error::UnsupportedScheme => {
            tracing::debug!(target: TARGET, status, reason = %error, "request refused");
        }
        _ => tracing::info!(target: TARGET, status, reason = %error, "request refused"),
    }
}

/// A key set came in.
pub(crate) fn keys_fetched(issuer: &str, keys: &KeySet, first: bool, failures: u32) {
    for skipped in keys.skipped() {
        let kid = skipped.kid.as_ref().map_or("", Excerpt::as_str);
        let reason = skipped.reason;
        tracing::warn!(target: TARGET, issuer, kid, reason, "key skipped");
    }
    if failures > 0 {
        tracing::info!(target: TARGET, issuer, failures, "keys fetched, the issuer is back");
    } else if first {
        tracing::info!(target: TARGET, issuer, "keys fetched");
    } else {
        tracing::debug!(target: TARGET, issuer, "keys refreshed");
    }
}

/// An attempt to fetch keys failed; `usable` says whether requests notice.
pub(crate) fn fetch_failed(issuer: &str, problem: &str, usable: bool) {
    if usable {
        tracing::warn!(target: TARGET, issuer, problem, "keys could not be refreshed, the last good ones stay");
    } else {
        tracing::error!(target: TARGET, issuer, problem, "keys could not be fetched, requests are answered 503");
    }
}

/// The API's resolver failed, or named an issuer that can't be.
pub(crate) fn resolve_failed(iss: &str, problem: &str) {
    let iss = Excerpt::of(iss);
    let iss = iss.as_str();
    tracing::error!(target: TARGET, iss, problem, "the issuer of a tenant could not be resolved");
}

/// A fetch was due and there is no runtime to run it on.
pub(crate) fn no_runtime(issuer: &str) {
    tracing::error!(target: TARGET, issuer, "keys can't be fetched outside a tokio runtime");
}

/// A call of the introspection endpoint failed; `opened` says that it is left alone for a while.
#[cfg(feature = "remote")]
pub(crate) fn introspection_failed(issuer: &str, error: &Error, opened: bool) {
    if opened {
        tracing::error!(target: TARGET, issuer, reason = %error, "introspection failed several times in a row, calls are held back");
    } else {
        tracing::warn!(target: TARGET, issuer, reason = %error, "introspection failed");
    }
}

/// The introspection endpoint answers again.
#[cfg(feature = "remote")]
pub(crate) fn introspection_is_back(issuer: &str) {
    tracing::info!(target: TARGET, issuer, "introspection is back");
}

/// The store of shared answers fails; said once until it is back.
#[cfg(feature = "remote")]
pub(crate) fn shared_cache_failed(issuer: &str, does: &'static str, problem: &str) {
    tracing::warn!(target: TARGET, issuer, does, problem, "the shared cache fails, requests do without it");
}

/// The store of shared answers can be used again.
#[cfg(feature = "remote")]
pub(crate) fn shared_cache_is_back(issuer: &str, does: &'static str) {
    tracing::info!(target: TARGET, issuer, does, "the shared cache is back");
}

/// A value in the store of shared answers is not used.
#[cfg(feature = "remote")]
pub(crate) fn shared_answer_unusable(issuer: &str, reason: &'static str) {
    tracing::warn!(target: TARGET, issuer, reason, "an answer in the shared cache is not used");
}

/// An introspection call was due and there is no runtime to run it on.
#[cfg(feature = "remote")]
pub(crate) fn introspection_without_runtime(issuer: &str) {
    tracing::error!(target: TARGET, issuer, "the issuer can't be asked outside a tokio runtime");
}
