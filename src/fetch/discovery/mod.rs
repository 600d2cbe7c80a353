//! Authorization server metadata: RFC 8414 and OpenID Connect Discovery 1.0.
//!
//! The metadata is searched for at these URLs, in this order, until one of them answers 200 with
//! the metadata of this issuer:
//!
//! | issuer | URLs |
//! |---|---|
//! | `https://as` | `https://as/.well-known/oauth-authorization-server`, `https://as/.well-known/openid-configuration` |
//! | `https://as/t1` | `https://as/.well-known/oauth-authorization-server/t1`, `https://as/.well-known/openid-configuration/t1`, `https://as/t1/.well-known/openid-configuration` |
//!
//! If [`Issuer::metadata_url`](crate::Issuer::metadata_url) is set, only that URL is used.
//!
//! The first document whose `issuer` is exactly the configured name is the only document that is
//! used. If it has no usable URL, the search fails. Members of two documents are never mixed. A
//! document with another `issuer` is not used, because it describes another server (RFC 8414 §3.3).
//! Some servers answer a request for an unknown URL with the metadata of another issuer on the same
//! host, with an error page or with `null`. So after such an answer, or after a server error, the
//! search continues with the next URL.
//!
//! The parser is as lenient as it can be without accepting anything wrong. It accepts any content
//! type, a byte order mark, and any content in members that are not read, even if they occur twice.
//! A member that is read must not occur twice.
//!
//! All URLs have the same host, so three kinds of failure end the search: the connection fails; the
//! host does not answer in time; or the host asks for a pause (429, or 503 with `Retry-After`). The
//! pause applies to the whole host.
//!
//! One URL must not block the others forever. So if a URL ended the search because it did not
//! answer in time or asked for a pause, the next search begins with the URL after it. There is one
//! exception: if earlier URLs had used a part of the deadline and the URL did not answer in the
//! remaining time, the next search begins with that same URL.

mod metadata;
mod well_known;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::fetch::client::Client;
use crate::fetch::error::{FetchError, fetched_url};
use crate::fetch::failure::Failure;
use crate::flight::{Completion, Ended, Flights, MARGIN, Waiter, launch};
use crate::observe::shown::Shown;
use crate::runtime;
use metadata::{Metadata, MetadataFault, parse};
use well_known::well_known_urls;

/// How long metadata is fresh. Endpoints change even less often than keys.
const METADATA_FRESHNESS: Duration = Duration::from_secs(60 * 60);

/// How long metadata may be used past its freshness while fetches fail (stale-if-error).
const USABLE_FOR: Duration = Duration::from_secs(60 * 60);

/// The longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long older metadata is used after the start of an attempt to fetch it again. This limits the
/// load on a server that fails, and requests do not wait for such a server each time.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long a request waits for new metadata if older metadata is available. An introspection call
/// has 5 s in total, including this wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// The minimum time between two fetches of the metadata that are caused by a `kid` that the key set
/// does not have.
const DOUBT_PERIOD: Duration = Duration::from_secs(60);

/// The metadata of one issuer. It is fetched when it is needed, at most once at a time (single
/// flight).
pub(crate) struct Discovery(Arc<Shared>);

/// The state that a search shares with its [`Discovery`]. This state does not keep the `Discovery`
/// alive: when the `Discovery` is dropped, the search is aborted.
struct Shared {
    issuer: String,
    /// The URL of the metadata, if it is not at the well-known URLs.
    url: Option<String>,
    client: Client,
    state: Mutex<State>,
}

struct State {
    /// The search in progress. All requests without usable metadata wait for this search.
    searches: Flights<(), Result<Metadata, Failure>>,
    task: Option<AbortHandle>,
    cached: Option<Cached>,
    /// The end of the pause that the server asked for.
    busy_until: Duration,
    /// When an unknown `kid` last caused a new fetch.
    doubted_at: Option<Duration>,
    /// The URL that ended the last search, because it did not answer or asked for a pause.
    last_end: Option<LastEnd>,
}

#[derive(Clone)]
struct Cached {
    metadata: Metadata,
    url: String,
    fetched_at: Duration,
    /// When the metadata is due to be fetched again. Zero if its `jwks_uri` may be outdated.
    due_at: Duration,
}

#[derive(Clone)]
struct LastEnd {
    url: String,
    /// Whether the URL was the first of the search, and so had the whole deadline, or ended the
    /// search before the deadline.
    had_whole_time: bool,
}

/// What is available without a wait.
enum Found {
    Fresh(Metadata),
    /// The server asked for a pause. The value is the rest of the pause.
    Busy(Duration),
    /// A search is in progress. The second value is present if this call must launch the search.
    Searching(Waiter<Result<Metadata, Failure>>, Option<NewSearch>),
    Unfit(&'static str),
}

/// A search to be launched.
struct NewSearch {
    completion: Completion<Result<Metadata, Failure>>,
    runtime: tokio::runtime::Handle,
    /// The URL at which the metadata was found last time.
    known: Option<String>,
}

impl Discovery {
    /// Searches for the metadata of `issuer` at `url`, or, if `url` is `None`, at the well-known
    /// URLs.
    pub(crate) fn new(issuer: &str, url: Option<&str>, client: Client) -> Self {
        let state = State {
            searches: Flights::new(client.deadline()),
            task: None,
            cached: None,
            busy_until: Duration::ZERO,
            doubted_at: None,
            last_end: None,
        };
        let state = Mutex::new(state);
        let (issuer, url) = (issuer.to_owned(), url.map(str::to_owned));
        Self(Arc::new(Shared { issuer, url, client, state }))
    }

    /// Returns the metadata: fresh metadata from the cache, or new metadata from the network. If
    /// the fetch fails, older metadata is used for another hour. While a fetch is in progress,
    /// other requests use older metadata if it is available. Otherwise they wait for the same
    /// search.
    pub(crate) async fn metadata(&self, now: Duration) -> Result<Metadata, Failure> {
        // If a search ended because its runtime shut down, this says nothing about the server. So
        // one more search is allowed.
        for _ in 0..2 {
            let (usable, found) = self.look(now);
            let limit = if usable.is_some() { PATIENCE } else { self.0.client.deadline() + MARGIN };
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

    /// Returns older metadata, if it may be used in case the fetch fails, and what is available
    /// now.
    fn look(&self, now: Duration) -> (Option<Metadata>, Found) {
        // Without the lock: tokio may panic here, and then a user-supplied panic hook runs.
        let runtime = runtime::current();
        let state = &mut *self.0.state();
        let (mut usable, mut known) = (None, None);
        match &mut state.cached {
            Some(cached) if now < cached.due_at => {
                return (None, Found::Fresh(cached.metadata.clone()));
            }
            Some(cached) if now < cached.fetched_at + METADATA_FRESHNESS + USABLE_FOR => {
                // After one attempt, the metadata counts as fresh again for some time, even if the
                // attempt fails.
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
            match runtime {
                Err(unfit) => Found::Unfit(unfit.problem()),
                Ok(runtime) => {
                    let (completion, waiter) = state.searches.begin((), now);
                    Found::Searching(waiter, Some(NewSearch { completion, runtime, known }))
                }
            }
        };
        (usable, found)
    }

    /// Launches a search. No request can cancel it.
    fn search(&self, begun: NewSearch, now: Duration) {
        let NewSearch { completion, runtime, known } = begun;
        let (searcher, shared) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let deadline = self.0.client.deadline();
        let work = async move { searcher.fetch(known.as_deref()).await };
        let task = launch(&runtime, deadline, work, move |ended| {
            shared.search_ended(completion, ended, now)
        });
        self.0.state().task = Some(task);
    }

    /// Called when this `jwks_uri` no longer exists. The metadata that names this URL is fetched
    /// again when it is next needed.
    pub(crate) fn doubt(&self, jwks_uri: &str) {
        if let Some(cached) = &mut self.0.state().cached
            && cached.metadata.jwks_uri.as_deref() == Some(jwks_uri)
        {
            cached.due_at = Duration::ZERO;
        }
    }

    /// Called when this `jwks_uri` answers but does not have the needed key, so the URL may be
    /// outdated. Returns whether the metadata must be fetched again: at most once a minute, and not
    /// if the metadata was fetched within the last minute.
    pub(crate) fn may_doubt(&self, jwks_uri: &str, now: Duration) -> bool {
        let state = &mut *self.0.state();
        let Some(cached) = &mut state.cached else { return false };
        let lately = |at: Duration| now < at.saturating_add(DOUBT_PERIOD);
        let names_it = cached.metadata.jwks_uri.as_deref() == Some(jwks_uri);
        if !names_it || lately(cached.fetched_at) || state.doubted_at.is_some_and(lately) {
            return false;
        }
        state.doubted_at = Some(now);
        cached.due_at = Duration::ZERO;
        true
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        // An aborted task may report at once, and the report takes the lock. So the lock must be
        // free here.
        let task = self.0.state().task.take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

impl Shared {
    /// Stores the result of a search that began at `now`.
    fn search_ended(
        &self,
        completion: Completion<Result<Metadata, Failure>>,
        ended: Ended<Result<(Metadata, String), Failure>>,
        now: Duration,
    ) {
        let mut state = self.state();
        let is_present = state.searches.complete(&(), &completion);
        let fetched = match ended {
            // Dropping the completion wakes the waiters.
            Ended::Gone => return,
            Ended::Done(fetched) => fetched,
            Ended::Late => Err("metadata: no answer in time".into()),
            Ended::Panicked => Err("metadata: the attempt panicked".into()),
        };
        let outcome = match fetched {
            Ok((metadata, url)) => {
                // A search that was given up may end after a later search. Then it must not replace
                // the result of the later search.
                if is_present || state.cached.is_none() {
                    let due_at = now + METADATA_FRESHNESS;
                    let metadata = metadata.clone();
                    state.cached = Some(Cached { metadata, url, fetched_at: now, due_at });
                }
                Ok(metadata)
            }
            Err(failure) => {
                if let Some(pause) = failure.retry_after {
                    let until = now.saturating_add(pause.min(LONGEST_PAUSE));
                    state.busy_until = state.busy_until.max(until);
                }
                Err(failure)
            }
        };
        drop(state);
        completion.send(outcome);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, known: Option<&str>) -> Result<(Metadata, String), Failure> {
        let last_end = self.state().last_end.clone();
        let mut urls = match &self.url {
            Some(url) => vec![("metadata_url", url.clone())],
            None => well_known_urls(&self.issuer),
        };
        // The order of the URLs rotates. Otherwise two URLs that end the search could alternate,
        // and the third URL would never be requested.
        let mut known_first = known.is_some();
        if let Some(LastEnd { url: last, had_whole_time }) = &last_end
            && let Some(ended_at) = urls.iter().position(|(_, url)| url == last)
        {
            urls.rotate_left(ended_at + usize::from(*had_whole_time));
            known_first &= *had_whole_time && known != Some(last);
        }
        // The URL at which the metadata was found last time comes first.
        if known_first {
            urls.sort_by_key(|(_, url)| Some(url.as_str()) != known);
        }
        let mut problems = String::from("metadata: ");
        for (place, (name, url)) in urls.into_iter().enumerate() {
            // This is stored before the request, because the deadline may end the search while it
            // waits for the answer.
            let end = |had_whole_time| LastEnd { url: url.clone(), had_whole_time };
            self.state().last_end = Some(end(place == 0));
            let answer = self.client.get(&url, "application/json", None, None).await;
            let ends = answer.as_ref().is_err_and(ends_the_search);
            self.state().last_end = ends.then(|| end(true));
            let problem = match answer {
                Ok(answer) => match parse(answer.json(), &self.issuer) {
                    Ok(metadata) => return Ok((metadata, url)),
                    // A further search would mix another document with this document.
                    Err(fault @ MetadataFault::NoUrls) => {
                        return Err(format!("metadata: {fault} ({})", fetched_url(&url)).into());
                    }
                    Err(fault @ MetadataFault::NotJson) => {
                        format!("{fault}{}", answer.content_type_note())
                    }
                    Err(fault) => fault.to_string(),
                },
                Err(error @ FetchError::Connect(_)) => return Err(error.of("metadata", &url)),
                Err(error) if ends_the_search(&error) => {
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

/// URLs in the metadata may hold secrets, so they are not shown.
impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = Shown(&self.0.issuer);
        f.debug_struct("Discovery").field("issuer", &issuer).finish_non_exhaustive()
    }
}

/// Whether the host would not answer at the next URL either, or the next URL must not be requested
/// now.
fn ends_the_search(error: &FetchError) -> bool {
    matches!(error, FetchError::Timeout | FetchError::Busy { .. } | FetchError::Status(429))
}
