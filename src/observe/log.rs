//! The operator's log: events with fixed names and targets, facts of [`Error`] and [`Event`],
//! nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::StatusCode;

use crate::error::Error;
use crate::observe::FOR_ENCRYPTION;
#[cfg(feature = "remote")]
use crate::observe::shown::redacted;
use crate::observe::{Event, Observer};
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

/// Tells the log, and the API's own observer, if there is one, what happened to keys.
pub(crate) fn event(event: &Event, observer: Option<&Observer>) {
    // An event may come while a task unwinds, where a second panic would end the process: of the
    // API's own observer, or of a subscriber.
    let _ = catch_unwind(|| log(event));
    if let Some(observer) = observer {
        let _ = catch_unwind(AssertUnwindSafe(|| observer(event)));
    }
}

fn log(event: &Event) {
    let text = |kid: &Option<Excerpt>| kid.as_ref().map_or("", Excerpt::as_str).to_owned();
    let issuer = event.issuer();
    match event {
        Event::Refreshed { keys, first: true, .. } => {
            tracing::info!(target: TARGET, issuer, keys, "keys fetched");
        }
        Event::Refreshed { keys, changed, .. } => {
            tracing::debug!(target: TARGET, issuer, keys, changed, "keys refreshed");
        }
        Event::Rotated { added, removed, .. } => {
            tracing::info!(target: TARGET, issuer, ?added, ?removed, "keys rotated");
        }
        // Servers publish their keys for encryption in the same set, so there is nothing to do.
        Event::KeySkipped { kid, reason, .. } if FOR_ENCRYPTION.contains(reason) => {
            tracing::debug!(target: TARGET, issuer, kid = text(kid), reason, "key skipped");
        }
        Event::KeySkipped { kid, reason, .. } => {
            tracing::warn!(target: TARGET, issuer, kid = text(kid), reason, "key skipped");
        }
        Event::RefreshFailed { problem, failures, usable_for: Some(rest), .. } => {
            let (problem, usable_for) = (problem.as_str(), rest.as_secs());
            tracing::warn!(target: TARGET, issuer, problem, failures, usable_for, "keys could not be refreshed, the last good ones stay");
        }
        Event::RefreshFailed { problem, failures, usable_for: None, .. } => {
            let problem = problem.as_str();
            tracing::error!(target: TARGET, issuer, problem, failures, "keys could not be fetched, requests are answered 503");
        }
        Event::Stale { usable_for, .. } => {
            let usable_for = usable_for.as_secs();
            tracing::warn!(target: TARGET, issuer, usable_for, "keys are past their freshness and still used");
        }
        Event::Recovered { failures, .. } => {
            tracing::info!(target: TARGET, issuer, failures, "the issuer answers again");
        }
        Event::UnknownKid { kid, .. } => {
            tracing::info!(target: TARGET, issuer, kid = text(kid), "keys are fetched for an unknown kid");
        }
        Event::BudgetSpent { .. } => {
            tracing::warn!(target: TARGET, issuer, "unknown kids have spent their budget of fetches");
        }
        Event::SeedIgnored { reason, .. } => {
            tracing::warn!(target: TARGET, issuer, reason, "the seed of keys is not used");
        }
        Event::NoRuntime { .. } => {
            tracing::error!(target: TARGET, issuer, "keys can't be fetched outside a tokio runtime");
        }
    }
}

/// What is asked of an issuer may go to a host by http, as it was configured.
#[cfg(feature = "remote")]
pub(crate) fn http_is_allowed(issuer: &str, host: &str) {
    let issuer = &*redacted(issuer);
    tracing::warn!(target: TARGET, issuer, host, "danger::allow_http_hosts: whoever is on the way to this host can put in keys and sign tokens");
}

/// And something secret goes with it, or may.
#[cfg(feature = "remote")]
pub(crate) fn secret_by_http(issuer: &str, secret: &'static str) {
    let issuer = &*redacted(issuer);
    tracing::warn!(target: TARGET, issuer, secret, "danger::allow_http_hosts: a secret is sent without encryption, or may be");
}

/// The API's resolver failed, or named an issuer that can't be.
pub(crate) fn resolve_failed(iss: &str, problem: &str) {
    let iss = Excerpt::of_url(iss);
    let iss = iss.as_str();
    tracing::error!(target: TARGET, iss, problem, "the issuer of a tenant could not be resolved");
}

/// A call of the introspection endpoint failed; `opened` says that it is left alone for a while. What
/// else failed is in the line of the request that is refused for it, once.
#[cfg(feature = "remote")]
pub(crate) fn introspection_failed(issuer: &str, error: &Error, opened: bool) {
    let issuer = &*redacted(issuer);
    if opened {
        tracing::error!(target: TARGET, issuer, reason = %error, "introspection failed several times in a row, calls are held back");
    } else {
        tracing::debug!(target: TARGET, issuer, reason = %error, "introspection failed");
    }
}

/// The introspection endpoint failed, and what it said before stands in: no request is refused that
/// would tell of it.
#[cfg(feature = "remote")]
pub(crate) fn introspection_stands_in(issuer: &str, error: &Error) {
    let issuer = &*redacted(issuer);
    tracing::warn!(target: TARGET, issuer, reason = %error, "introspection failed, an earlier answer stands in");
}

/// The endpoint answered 400 to a token.
#[cfg(feature = "remote")]
pub(crate) fn introspection_refused(issuer: &str, code: &'static str) {
    let issuer = &*redacted(issuer);
    tracing::info!(target: TARGET, issuer, status = 400, code, "the introspection endpoint refused a token");
}

/// The endpoint has called no token active so far.
#[cfg(feature = "remote")]
pub(crate) fn never_active(issuer: &str, answers: u32) {
    let issuer = &*redacted(issuer);
    tracing::warn!(target: TARGET, issuer, answers, "introspection has called no token active so far: this API's client may lack the right to ask, or the tokens may be of another server");
}

/// The introspection endpoint answers again.
#[cfg(feature = "remote")]
pub(crate) fn introspection_is_back(issuer: &str) {
    let issuer = &*redacted(issuer);
    tracing::info!(target: TARGET, issuer, "introspection is back");
}

/// The store of shared answers fails; said once until it is back.
#[cfg(feature = "remote")]
pub(crate) fn shared_cache_failed(issuer: &str, does: &'static str, problem: &str) {
    let issuer = &*redacted(issuer);
    tracing::warn!(target: TARGET, issuer, does, problem, "the shared cache fails, requests do without it");
}

/// The store of shared answers can be used again.
#[cfg(feature = "remote")]
pub(crate) fn shared_cache_is_back(issuer: &str, does: &'static str) {
    let issuer = &*redacted(issuer);
    tracing::info!(target: TARGET, issuer, does, "the shared cache is back");
}

/// A value in the store of shared answers is not used.
#[cfg(feature = "remote")]
pub(crate) fn shared_answer_unusable(issuer: &str, reason: &'static str) {
    let issuer = &*redacted(issuer);
    tracing::warn!(target: TARGET, issuer, reason, "an answer in the shared cache is not used");
}

/// An introspection call was due and there is no runtime to run it on.
#[cfg(feature = "remote")]
pub(crate) fn introspection_without_runtime(issuer: &str) {
    let issuer = &*redacted(issuer);
    tracing::error!(target: TARGET, issuer, "the issuer can't be asked outside a tokio runtime");
}
