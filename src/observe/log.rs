//! The operator's log: `tracing` events with fixed messages and one target. They contain only facts, such as those of
//! [`Error`] and [`Event`], never a token or a secret.

use crate::error::Error;
use crate::observe::event::{Event, FOR_ENCRYPTION};
#[cfg(feature = "http-client")]
use crate::observe::occurrence::Introspected;
use crate::observe::occurrence::Occurrence;
#[cfg(feature = "http-client")]
use crate::observe::shown::redacted;
use crate::token::Excerpt;

/// The target of all `tracing` events of this crate.
pub(crate) const TARGET: &str = "tower_resource_server";

/// Logs an occurrence.
pub(crate) fn write(occurrence: &Occurrence<'_>) {
    match occurrence {
        Occurrence::Event(event) => write_event(event),
        Occurrence::Refused(error, status) => refused(error, *status),
        Occurrence::Unresolved { iss, problem } => {
            let iss = Excerpt::of_url(iss);
            let iss = iss.as_str();
            tracing::error!(target: TARGET, iss, problem, "the issuer of a tenant could not be resolved");
        }
        #[cfg(feature = "http-client")]
        Occurrence::HttpIsAllowed { issuer, host } => {
            let issuer = &*redacted(issuer);
            tracing::warn!(target: TARGET, issuer, host, "danger::allow_http_hosts: an attacker on the network path to this host can put in keys and sign tokens");
        }
        #[cfg(feature = "http-client")]
        Occurrence::SecretByHttp { issuer, secret } => {
            let issuer = &*redacted(issuer);
            tracing::warn!(target: TARGET, issuer, secret, "danger::allow_http_hosts: a secret is sent without encryption, or may be");
        }
        #[cfg(feature = "http-client")]
        Occurrence::Introspection { issuer, what } => introspection(&redacted(issuer), what),
    }
}

#[cfg(feature = "http-client")]
fn introspection(issuer: &str, what: &Introspected<'_>) {
    match what {
        Introspected::Failed(error) => {
            tracing::debug!(target: TARGET, issuer, reason = %error, "introspection failed");
        }
        Introspected::Down(error) => {
            tracing::error!(target: TARGET, issuer, reason = %error, "introspection failed several times in a row, calls are held back");
        }
        Introspected::Back => tracing::info!(target: TARGET, issuer, "introspection works again"),
        Introspected::StandsIn(error) => {
            tracing::warn!(target: TARGET, issuer, reason = %error, "introspection failed, a cached answer is used");
        }
        Introspected::RefusedToken(code) => {
            tracing::info!(target: TARGET, issuer, status = 400, code, "the introspection endpoint refused a token");
        }
        Introspected::NeverActive(answers) => {
            tracing::warn!(target: TARGET, issuer, answers, "introspection has called no token active so far: this API's client may lack the right to ask, or the tokens may be of another server");
        }
        Introspected::NoRuntime => {
            tracing::error!(target: TARGET, issuer, "the issuer can't be asked outside a tokio runtime");
        }
        Introspected::SharedCacheFailed { does, problem } => {
            tracing::warn!(target: TARGET, issuer, does, problem, "the shared cache fails, requests are answered without it");
        }
        Introspected::SharedCacheBack { does } => {
            tracing::info!(target: TARGET, issuer, does, "the shared cache is back");
        }
        Introspected::SharedAnswerUnusable(reason) => {
            tracing::warn!(target: TARGET, issuer, reason, "an answer in the shared cache is not used");
        }
    }
}

/// Logs one line per refusal: `error` for mistakes in the API's own code, `warn` for outages, `debug` for requests
/// without credentials of an accepted scheme (such as the first request of a browser), and `info` for all others.
fn refused(error: &Error, status: u16) {
    match error {
        Error::Wiring { .. } => {
            tracing::error!(target: TARGET, status, reason = %error, "layers are put together wrongly");
        }
        Error::KeysUnavailable { .. }
        | Error::IssuerUnavailable { .. }
        | Error::LookupUnavailable { .. }
        | Error::ReplayStoreUnavailable { .. }
        | Error::IntrospectionUnavailable { .. } => {
            tracing::warn!(target: TARGET, status, reason = %error, "request refused: a dependency is unavailable");
        }
        Error::MissingCredentials | Error::UnsupportedScheme => {
            tracing::debug!(target: TARGET, status, reason = %error, "request refused");
        }
        _ => tracing::info!(target: TARGET, status, reason = %error, "request refused"),
    }
}

fn write_event(event: &Event) {
    let text = |kid: &Option<Excerpt>| kid.as_ref().map_or("", Excerpt::as_str).to_owned();
    let issuer = event.issuer().unwrap_or_default();
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
        // Normal: servers publish their encryption keys in the same set.
        Event::KeySkipped { kid, reason, .. } if FOR_ENCRYPTION.contains(reason) => {
            tracing::debug!(target: TARGET, issuer, kid = text(kid), reason, "key skipped");
        }
        Event::KeySkipped { kid, reason, .. } => {
            tracing::warn!(target: TARGET, issuer, kid = text(kid), reason, "key skipped");
        }
        Event::RefreshFailed { problem, failures, usable_for: Some(rest), .. } => {
            let (problem, usable_for) = (problem.as_str(), rest.as_secs());
            tracing::warn!(target: TARGET, issuer, problem, failures, usable_for, "keys could not be refreshed, the cached keys are still used");
        }
        Event::RefreshFailed { problem, failures, usable_for: None, .. } => {
            let problem = problem.as_str();
            tracing::error!(target: TARGET, issuer, problem, failures, "keys could not be fetched, requests are answered 503");
        }
        Event::Stale { usable_for, .. } => {
            let usable_for = usable_for.as_secs();
            tracing::warn!(target: TARGET, issuer, usable_for, "keys are stale and still used");
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
        Event::ProofAccepted { clock_offset, .. } => {
            tracing::trace!(target: TARGET, issuer, clock_offset, "proof accepted");
        }
        // The line about the refused request has the details.
        Event::ProofReplayed { .. } => {
            tracing::debug!(target: TARGET, issuer, "a proof was used before");
        }
        Event::NonceDemanded { reason, .. } => {
            tracing::debug!(target: TARGET, issuer, reason, "a client was asked for a nonce");
        }
        Event::ReplayStoreFailed { problem } => {
            let problem = problem.as_str();
            tracing::error!(target: TARGET, problem, "the store of used proofs fails, requests with proofs get 503");
        }
        Event::ReplayStoreRecovered => {
            tracing::info!(target: TARGET, "the store of used proofs works again");
        }
    }
}
