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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::fetch::{Client, FetchError, TOTAL_TIMEOUT};
use crate::flight::{Ended, Flights, Landing, MARGIN, Waiter, launch};
use crate::keys::{Failure, MAX_BACKOFF, MAX_FRESHNESS, STALE_IF_ERROR, fetched_url};
use crate::runtime;
use crate::shown::Shown;
use crate::token::Excerpt;
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

/// The metadata of one issuer, fetched when it is needed, by one search at a time (single flight).
pub(crate) struct Discovery(Arc<Shared>);

/// What a search has, too. It does not keep the [`Discovery`] alive, whose end is also its own.
struct Shared {
    issuer: String,
    client: Client,
    state: Mutex<State>,
}

struct State {
    /// The search under way, which all who have no metadata wait for.
    searches: Flights<(), Result<Metadata, Failure>>,
    task: Option<AbortHandle>,
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
    /// That of the document, if it has one.
    AnotherIssuer(Option<Excerpt>),
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

/// What there is without a wait.
enum Found {
    Fresh(Metadata),
    /// The server asked to be left alone for so long.
    Busy(Duration),
    /// A search is under way; it was begun just now where there is a landing.
    Searching(Waiter<Result<Metadata, Failure>>, Option<Begun>),
    Unfit(&'static str),
}

/// A search to be launched.
struct Begun {
    landing: Landing<Result<Metadata, Failure>>,
    runtime: tokio::runtime::Handle,
    /// Where the metadata was found last time.
    known: Option<String>,
}

impl Discovery {
    pub(crate) fn new(issuer: &str, client: Client) -> Self {
        let state = State {
            searches: Flights::new(DEADLINE),
            task: None,
            cached: None,
            busy_until: Duration::ZERO,
            last_resort: None,
        };
        let state = Mutex::new(state);
        Self(Arc::new(Shared { issuer: issuer.to_owned(), client, state }))
    }

    /// The metadata: from the last fetch while it is fresh, from the network after that, and from
    /// the last fetch again for an hour while the network fails. While it is fetched again, others
    /// use what is available; where nothing is, they wait for the same search.
    pub(crate) async fn metadata(&self, now: Duration) -> Result<Metadata, Failure> {
        // A search that ended with its runtime says nothing of the server, so there may be one more.
        for _ in 0..2 {
            let (usable, found) = self.look(now);
            let limit = if usable.is_some() { PATIENCE } else { DEADLINE + MARGIN };
            let failure = match found {
                Found::Fresh(metadata) => return Ok(metadata),
                Found::Busy(pause) => Failure {
                    problem: "metadata: the server asked to be left alone".to_owned(),
                    retry_after: Some(pause),
                },
                Found::Unfit(problem) => problem.into(),
                Found::Searching(mut waiter, begun) => {
                    if let Some(begun) = begun {
                        self.search(begun, now);
                    }
                    match runtime::within(limit, waiter.outcome()).await {
                        Some(Some(Ok(metadata))) => return Ok(metadata),
                        Some(Some(Err(failure))) => failure,
                        Some(None) if usable.is_none() => continue,
                        Some(None) => "metadata: the fetch was aborted".into(),
                        None => "metadata: no answer in time".into(),
                    }
                }
            };
            return usable.ok_or(failure);
        }
        Err("metadata: the fetch was aborted".into())
    }

    /// What there is, and older metadata that may be used should the rest fail.
    fn look(&self, now: Duration) -> (Option<Metadata>, Found) {
        let state = &mut *self.0.state();
        let (mut usable, mut known) = (None, None);
        match &mut state.cached {
            Some(cached) if now < cached.due_at => {
                return (None, Found::Fresh(cached.metadata.clone()));
            }
            Some(cached) if now < cached.fetched_at + METADATA_FRESHNESS + STALE_IF_ERROR => {
                // A doubt is over with one look, whatever that brings.
                let fresh_until = cached.fetched_at + METADATA_FRESHNESS;
                cached.due_at = fresh_until.max(now + RETRY_AFTER);
                (usable, known) = (Some(cached.metadata.clone()), Some(cached.url.clone()));
            }
            _ => {}
        }
        let found = if now < state.busy_until {
            Found::Busy(state.busy_until - now)
        } else if let Some(waiter) = state.searches.join(&(), now) {
            Found::Searching(waiter, None)
        } else {
            match runtime::current() {
                Err(unfit) => Found::Unfit(unfit.problem()),
                Ok(runtime) => {
                    let (landing, waiter) = state.searches.begin((), now);
                    Found::Searching(waiter, Some(Begun { landing, runtime, known }))
                }
            }
        };
        (usable, found)
    }

    /// Launches a search. No request can cancel it.
    fn search(&self, begun: Begun, now: Duration) {
        let Begun { landing, runtime, known } = begun;
        let (searcher, shared) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let work = async move { searcher.fetch(known.as_deref()).await };
        let task = launch(&runtime, DEADLINE, work, move |ended| shared.land(landing, ended, now));
        self.0.state().task = Some(task);
    }

    /// There is nothing under this `jwks_uri` any more: the metadata that names it is looked at
    /// again when it is next needed.
    pub(crate) fn doubt(&self, jwks_uri: &str) {
        if let Some(cached) = &mut self.0.state().cached
            && cached.metadata.jwks_uri.as_deref() == Some(jwks_uri)
        {
            cached.due_at = Duration::ZERO;
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        // Its task reports at once, for which it takes the lock.
        let task = self.0.state().task.take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

impl Shared {
    /// Takes in what a search that began at `now` brought.
    fn land(
        &self,
        landing: Landing<Result<Metadata, Failure>>,
        ended: Ended<Result<(Metadata, String), Failure>>,
        now: Duration,
    ) {
        let mut state = self.state();
        let is_present = state.searches.land(&(), &landing);
        let fetched = match ended {
            // Who waits for it finds out by the dropped landing.
            Ended::Gone => return,
            Ended::Done(fetched) => fetched,
            Ended::Late => Err("metadata: no answer in time".into()),
            Ended::Panicked => Err("metadata: the attempt panicked".into()),
        };
        let outcome = match fetched {
            Ok((metadata, url)) => {
                // A search that was given up may end after a later one.
                if is_present || state.cached.is_none() {
                    let due_at = now + METADATA_FRESHNESS;
                    let metadata = metadata.clone();
                    state.cached = Some(Cached { metadata, url, fetched_at: now, due_at });
                }
                Ok(metadata)
            }
            Err(failure) => {
                if let Some(pause) = failure.retry_after {
                    let until = now.saturating_add(pause.min(MAX_BACKOFF));
                    state.busy_until = state.busy_until.max(until);
                }
                Err(failure)
            }
        };
        drop(state);
        landing.tell(outcome);
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
                    Err(unfit @ Unfit::NoUrls) => {
                        return Err(format!("metadata: {unfit} ({})", fetched_url(&url)).into());
                    }
                    Err(unfit) => unfit.to_string(),
                },
                Ok(answer) => format!("{}{}", Unfit::NotJson, answer.content_type_note()),
                Err(error @ FetchError::Connect(_)) => return Err(error.of("metadata", &url)),
                Err(error) if speaks_for_the_host(&error) => {
                    let Failure { problem, retry_after } = error.of(name, &url);
                    return Err(Failure { problem: problems + &problem, retry_after });
                }
                Err(error) => error.to_string(),
            };
            problems += &format!("{name}: {problem} ({}); ", fetched_url(&url));
        }
        Err(problems.trim_end_matches("; ").into())
    }
}

/// What the metadata says may have secrets in its URLs.
impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = Shown(&self.0.issuer);
        f.debug_struct("Discovery").field("issuer", &issuer).finish_non_exhaustive()
    }
}

/// Whether the next name on the same host would not be answered either, or should not be asked.
fn speaks_for_the_host(error: &FetchError) -> bool {
    matches!(error, FetchError::Timeout | FetchError::Busy { .. } | FetchError::Status(429))
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("not strict JSON"),
            Self::AnotherIssuer(Some(found)) => {
                write!(f, "another `issuer`, {found}: compare it with the configured one")
            }
            Self::AnotherIssuer(None) => f.write_str("no `issuer`"),
            Self::NoUrls => f.write_str("no `jwks_uri`"),
        }
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
        let found = document.get("issuer").and_then(Value::as_str);
        return Err(Unfit::AnotherIssuer(found.map(Excerpt::of_url)));
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
