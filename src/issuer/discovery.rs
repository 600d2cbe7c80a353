//! Authorization server metadata: RFC 8414 and OpenID Connect Discovery 1.0.
//!
//! Where it is looked for, in this order, until something answers 200 with JSON of this issuer:
//!
//! | issuer | URLs |
//! |---|---|
//! | `https://as` | `https://as/.well-known/oauth-authorization-server`, `https://as/.well-known/openid-configuration` |
//! | `https://as/t1` | `https://as/.well-known/oauth-authorization-server/t1`, `https://as/.well-known/openid-configuration/t1`, `https://as/t1/.well-known/openid-configuration` |
//!
//! The first document whose `issuer` is the configured one, byte for byte, is used alone: members
//! of two documents are never mixed. A document with another `issuer` is not used, since it speaks
//! for another server (RFC 8414 §3.3), and servers do answer a name that they don't know with the
//! document of their root, with an error page or with `null`. So such an answer, and an error of the
//! server, leads to the next name; the search fails only where no name has the document.
//!
//! All names are on one host, so three things end the search: the host can't be connected to; it does
//! not answer in time; it asks for a pause (429, or 503 with `Retry-After`), which counts for the host,
//! and is kept. So that no name is in the way of the others for ever, the next search begins with the
//! name after the one that ended it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fetch::{Client, FetchError, TOTAL_TIMEOUT};
use crate::keys::{Failure, MAX_BACKOFF, MAX_FRESHNESS, STALE_IF_ERROR};
use crate::runtime;
use crate::shown::Shown;
use crate::token::json::{self, Value};

/// How long metadata is fresh: endpoints move even less often than keys.
const METADATA_FRESHNESS: Duration = MAX_FRESHNESS;

/// How long older metadata is used, once it was asked for anew, before it is asked for again: a
/// server in trouble is left alone, and a request that needs an endpoint does not wait for it.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long new metadata is waited for where older is at hand: an introspection call has 5 s for
/// this and all the rest.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a search may take, whatever the number of names.
const DEADLINE: Duration = TOTAL_TIMEOUT;

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
    /// The URL that ended the last search, by its silence or by asking for a pause.
    last_resort: Option<String>,
}

#[derive(Clone)]
struct Cached {
    metadata: Metadata,
    url: String,
    fetched_at: Duration,
    /// When to ask again: at once where what it names was gone.
    due_at: Duration,
}

/// Why a document is not the metadata of the issuer.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    NotJson,
    AnotherIssuer,
    /// It is that of the issuer, and of no use here.
    NoUrls,
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
            let State { cached, busy_until, .. } = &mut *self.state();
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
            let (known, limit) = match &at_hand {
                Some(cached) => (Some(cached.url.as_str()), PATIENCE),
                None => (None, DEADLINE),
            };
            let fetched = runtime::within(limit, self.fetch(known)).await;
            fetched.unwrap_or_else(|| Err("metadata: no answer in time".into()))
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
        let last_resort = self.state().last_resort.clone();
        let mut urls = well_known_urls(&self.issuer);
        // The order goes round, so that two such names can't take turns before a third.
        let ended_at = urls.iter().position(|(_, url)| Some(url) == last_resort.as_ref());
        urls.rotate_left(ended_at.map_or(0, |at| at + 1));
        // The place where it was found last time comes first.
        if known != last_resort.as_deref() {
            urls.sort_by_key(|(_, url)| Some(url.as_str()) != known);
        }
        let mut problems = String::from("metadata: ");
        for (name, url) in urls {
            // Noted before: the deadline may end the search while the answer is awaited.
            self.state().last_resort = Some(url.clone());
            let answer = self.client.get(&url, "application/json", None, None).await;
            if !answer.as_ref().is_err_and(speaks_for_the_host) {
                self.state().last_resort = None;
            }
            let problem = match answer {
                Ok(answer) if answer.may_be_json() => match parse(&answer.body, &self.issuer) {
                    Ok(metadata) => return Ok((metadata, url)),
                    // Another document would be mixed with this one.
                    Err(unfit @ Unfit::NoUrls) => return Err(unfit.problem().into()),
                    Err(unfit) => unfit.problem().to_owned(),
                },
                Ok(_) => Unfit::NotJson.problem().to_owned(),
                Err(FetchError::Connect) => return Err(FetchError::Connect.of("metadata")),
                Err(error) if speaks_for_the_host(&error) => {
                    let Failure { problem, retry_after } = error.of(name);
                    return Err(Failure { problem: problems + &problem, retry_after });
                }
                Err(error) => error.to_string(),
            };
            problems += &format!("{name}: {problem}; ");
        }
        Err(problems.trim_end_matches("; ").into())
    }
}

/// Whether the next name on the same host would not be answered either, or should not be asked.
fn speaks_for_the_host(error: &FetchError) -> bool {
    matches!(error, FetchError::Timeout | FetchError::Busy { .. } | FetchError::Status(429))
}

impl Unfit {
    /// Short, since there is one for each name, and a log line has room for 128 bytes.
    fn problem(&self) -> &'static str {
        match self {
            Self::NotJson => "not strict JSON",
            Self::AnotherIssuer => "another `issuer`",
            Self::NoUrls => "metadata: no `jwks_uri`",
        }
    }
}

/// What the metadata says may have secrets in its URLs.
impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("issuer", &Shown(&self.issuer)).finish_non_exhaustive()
    }
}

/// The URLs under which an issuer's metadata may be, each with its name in a log.
fn well_known_urls(issuer: &str) -> Vec<(&'static str, String)> {
    // RFC 8414 §3.1 and OpenID Connect Discovery §4.1: a final slash of the issuer is dropped.
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    let host_end = issuer.find("://").map_or(0, |at| at + "://".len());
    let path_at = issuer[host_end..].find('/').map_or(issuer.len(), |at| host_end + at);
    let (host, path) = issuer.split_at(path_at);
    let mut urls = vec![
        ("RFC 8414", format!("{host}{RFC8414}{path}")),
        ("OpenID", format!("{host}{OPENID}{path}")),
    ];
    if !path.is_empty() {
        urls.push(("OpenID in the path", format!("{issuer}{OPENID}")));
    }
    urls
}

fn parse(document: &[u8], issuer: &str) -> Result<Metadata, Unfit> {
    let document = json::parse(document).map_err(|_| Unfit::NotJson)?;
    // RFC 8414 §3.3 and §4: identical, code point by code point.
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(Unfit::AnotherIssuer);
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
        return Err(Unfit::NoUrls);
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
            let urls = well_known_urls(issuer).into_iter().map(|(_, url)| url);
            assert_eq!(urls.collect::<Vec<_>>(), expected, "{issuer}");
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
