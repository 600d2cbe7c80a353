//! Authorization server metadata: RFC 8414 and OpenID Connect Discovery 1.0.
//!
//! Where it is looked for, in this order, until something answers 200 with JSON:
//!
//! | issuer | URLs |
//! |---|---|
//! | `https://as` | `https://as/.well-known/oauth-authorization-server`, `https://as/.well-known/openid-configuration` |
//! | `https://as/t1` | `https://as/.well-known/oauth-authorization-server/t1`, `https://as/.well-known/openid-configuration/t1`, `https://as/t1/.well-known/openid-configuration` |
//!
//! The first document whose `issuer` is the configured one, byte for byte, is used alone: members
//! of two documents are never mixed. A document with another `issuer` ends the search, since it
//! speaks for someone else (RFC 8414 §3.3). So does a server in trouble (429, 5xx, no answer): it is
//! asked no more under another name, and not before its `Retry-After`.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fetch::{Client, FetchError};
use crate::keys::{Failure, MAX_BACKOFF, MAX_FRESHNESS, STALE_IF_ERROR};
use crate::runtime;
use crate::shown::Shown;
use crate::token::json::{self, Value};

/// How long metadata is fresh: endpoints move even less often than keys.
const METADATA_FRESHNESS: Duration = MAX_FRESHNESS;

/// How long older metadata is used, once it was asked for anew, before it is asked for again: a
/// server in trouble is left alone, and whoever needs an endpoint does not wait for it.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long new metadata is waited for where older is at hand: an introspection call has 5 s for
/// this and all the rest.
const PATIENCE: Duration = Duration::from_secs(2);

const RFC8414: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// The metadata of one issuer, fetched when it is needed.
pub(crate) struct Discovery {
    issuer: String,
    client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cached: Option<Cached>,
    /// Until when the server asked to be left alone.
    busy_until: Duration,
}

#[derive(Clone)]
struct Cached {
    metadata: Metadata,
    url: String,
    fetched_at: Duration,
    /// When to ask again: at once where what it names was gone.
    due_at: Duration,
}

/// What a resource server needs of the metadata.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) jwks_uri: Option<String>,
    /// RFC 8414 §2.
    pub(crate) introspection_endpoint: Option<String>,
    /// The same for a client that shows a certificate (RFC 8705 §5).
    pub(crate) mtls_introspection_endpoint: Option<String>,
}

impl Discovery {
    pub(crate) fn new(issuer: &str, client: Client) -> Self {
        Self { issuer: issuer.to_owned(), client, state: Mutex::default() }
    }

    /// The metadata: from the last fetch while it is fresh, from the network after that, and from
    /// the last fetch again for an hour while the network fails. While one asks for it anew, others
    /// go on with what is at hand.
    pub(crate) async fn metadata(&self, now: Duration) -> Result<Metadata, Failure> {
        let (at_hand, busy_until) = {
            let State { cached, busy_until } = &mut *self.state();
            let at_hand = match cached {
                Some(cached) if now < cached.due_at => return Ok(cached.metadata.clone()),
                Some(cached) if now < cached.fetched_at + METADATA_FRESHNESS + STALE_IF_ERROR => {
                    // A doubt is over with one look, whatever that brings.
                    let fresh_until = cached.fetched_at + METADATA_FRESHNESS;
                    cached.due_at = fresh_until.max(now + RETRY_AFTER);
                    Some(cached.clone())
                }
                _ => None,
            };
            (at_hand, *busy_until)
        };
        let fetched = if now < busy_until {
            let problem = "metadata: the server asked to be left alone".to_owned();
            Err(Failure { problem, retry_after: Some(busy_until - now) })
        } else {
            match &at_hand {
                Some(cached) => runtime::within(PATIENCE, self.fetch(Some(&cached.url)))
                    .await
                    .unwrap_or_else(|| Err("metadata: no answer in time".to_owned().into())),
                None => self.fetch(None).await,
            }
        };
        match (fetched, at_hand) {
            (Ok((metadata, url)), _) => {
                let due_at = now + METADATA_FRESHNESS;
                let cached = Cached { metadata, url, fetched_at: now, due_at };
                Ok(self.state().cached.insert(cached).metadata.clone())
            }
            (Err(failure), at_hand) => {
                if let Some(pause) = failure.retry_after {
                    let until = now.saturating_add(pause.min(MAX_BACKOFF));
                    let mut state = self.state();
                    state.busy_until = state.busy_until.max(until);
                }
                at_hand.map(|cached| cached.metadata).ok_or(failure)
            }
        }
    }

    /// There is nothing under this `jwks_uri` any more: the metadata that names it is looked at
    /// again when it is next needed.
    pub(crate) fn doubt(&self, jwks_uri: &str) {
        if let Some(cached) = &mut self.state().cached
            && cached.metadata.jwks_uri.as_deref() == Some(jwks_uri)
        {
            cached.due_at = Duration::ZERO;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, known: Option<&str>) -> Result<(Metadata, String), Failure> {
        let mut problem = "metadata: found nowhere".to_owned();
        let mut urls = well_known_urls(&self.issuer);
        // The place where it was found last time comes first.
        urls.sort_by_key(|url| Some(url.as_str()) != known);
        for url in urls {
            match self.client.get(&url, "application/json", None, None).await {
                Ok(answer) if answer.may_be_json() => {
                    return Ok((parse(&answer.body, &self.issuer)?, url));
                }
                Ok(_) => problem = "metadata: the answer is not JSON".to_owned(),
                // Not found here, perhaps elsewhere; but a server in trouble is left alone.
                Err(FetchError::Status(status @ (300..=428 | 430..=499))) => {
                    problem = format!("metadata: status {status}");
                }
                Err(error) => return Err(error.of("metadata")),
            }
        }
        Err(problem.into())
    }
}

/// What the metadata says may have secrets in its URLs.
impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("issuer", &Shown(&self.issuer)).finish_non_exhaustive()
    }
}

/// The URLs under which an issuer's metadata may be.
fn well_known_urls(issuer: &str) -> Vec<String> {
    // RFC 8414 §3.1 and OpenID Connect Discovery §4.1: a final slash of the issuer is dropped.
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    let host_end = issuer.find("://").map_or(0, |at| at + "://".len());
    let path_at = issuer[host_end..].find('/').map_or(issuer.len(), |at| host_end + at);
    let (host, path) = issuer.split_at(path_at);
    let mut urls = vec![format!("{host}{RFC8414}{path}"), format!("{host}{OPENID}{path}")];
    if !path.is_empty() {
        urls.push(format!("{issuer}{OPENID}"));
    }
    urls
}

fn parse(document: &[u8], issuer: &str) -> Result<Metadata, String> {
    let document =
        json::parse(document).map_err(|_| "metadata: not one strict JSON object".to_owned())?;
    // RFC 8414 §3.3 and §4: identical, code point by code point.
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err("metadata: `issuer` is not the configured one, byte for byte".to_owned());
    }
    const INTROSPECTION: &str = "introspection_endpoint";
    let url = |value: Option<&Value<'_>>| value.and_then(Value::as_str).map(str::to_owned);
    let metadata = Metadata {
        jwks_uri: url(document.get("jwks_uri")),
        introspection_endpoint: url(document.get(INTROSPECTION)),
        mtls_introspection_endpoint: match document.get("mtls_endpoint_aliases") {
            Some(Value::Object(aliases)) => url(aliases.get(INTROSPECTION)),
            _ => None,
        },
    };
    // A document that serves nobody here is looked at again soon, and not kept for an hour.
    if metadata.jwks_uri.is_none() && metadata.introspection_endpoint.is_none() {
        return Err("metadata: no `jwks_uri`".to_owned());
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_locations() {
        for (issuer, expected) in [
            (
                "https://as",
                &[
                    "https://as/.well-known/oauth-authorization-server",
                    "https://as/.well-known/openid-configuration",
                ][..],
            ),
            (
                "https://as/",
                &[
                    "https://as/.well-known/oauth-authorization-server",
                    "https://as/.well-known/openid-configuration",
                ],
            ),
            (
                "https://as:8443/t1/",
                &[
                    "https://as:8443/.well-known/oauth-authorization-server/t1",
                    "https://as:8443/.well-known/openid-configuration/t1",
                    "https://as:8443/t1/.well-known/openid-configuration",
                ],
            ),
            (
                "https://as/a/b",
                &[
                    "https://as/.well-known/oauth-authorization-server/a/b",
                    "https://as/.well-known/openid-configuration/a/b",
                    "https://as/a/b/.well-known/openid-configuration",
                ],
            ),
        ] {
            assert_eq!(well_known_urls(issuer), expected, "{issuer}");
        }
    }

    #[test]
    fn documents() {
        const ISSUER: &str = "https://as/t1";
        for (name, document, good) in [
            ("good", r#"{"issuer":"https://as/t1","jwks_uri":"https://keys/"}"#, true),
            ("escaped", r#"{"issuer":"https:\/\/as\/t1","jwks_uri":"https://keys/"}"#, true),
            ("slash more", r#"{"issuer":"https://as/t1/","jwks_uri":"https://keys/"}"#, false),
            ("case", r#"{"issuer":"https://AS/t1","jwks_uri":"https://keys/"}"#, false),
            ("no issuer", r#"{"jwks_uri":"https://keys/"}"#, false),
            (
                "issuer as array",
                r#"{"issuer":["https://as/t1"],"jwks_uri":"https://keys/"}"#,
                false,
            ),
            ("neither URL", r#"{"issuer":"https://as/t1"}"#, false),
            (
                "introspection alone",
                r#"{"issuer":"https://as/t1","introspection_endpoint":"https://as/i"}"#,
                true,
            ),
            (
                "two issuers",
                r#"{"issuer":"https://as/t1","issuer":"https://as/t1","jwks_uri":"https://keys/"}"#,
                false,
            ),
            ("array", "[]", false),
        ] {
            assert_eq!(parse(document.as_bytes(), ISSUER).is_ok(), good, "{name}");
        }
        // NFC and NFD of one name are two names.
        let nfd = "{\"issuer\":\"https://as/e\u{301}\",\"jwks_uri\":\"https://keys/\"}";
        assert!(parse(nfd.as_bytes(), "https://as/\u{e9}").is_err());
        assert!(parse(nfd.as_bytes(), "https://as/e\u{301}").is_ok());
    }
}
