//! Authorization server metadata: RFC 8414 and OpenID Connect Discovery 1.0.
//!
//! Where it is looked for, in this order, until something answers 200 with JSON of this issuer:
//!
//! | issuer | URLs |
//! |---|---|
//! | `https://as` | `https://as/.well-known/oauth-authorization-server`, `https://as/.well-known/openid-configuration` |
//! | `https://as/t1` | `https://as/.well-known/oauth-authorization-server/t1`, `https://as/.well-known/openid-configuration/t1`, `https://as/t1/.well-known/openid-configuration` |
//!
//! Where [`Issuer::metadata_url`](crate::Issuer::metadata_url) says where it is, there and nowhere else.
//!
//! The first document whose `issuer` is the configured one, byte for byte, is used alone: members
//! of two documents are never mixed. A document with another `issuer` is not used, since it speaks
//! for another server (RFC 8414 §3.3), and servers do answer a name that they don't know with the
//! document of their root, with an error page or with `null`. So such an answer, and an error of the
//! server, leads to the next name; the search fails only where no name has the document.
//!
//! A document is read as leniently as can admit nothing: under any content type, behind a byte order
//! mark, with whatever stands in members that are not read here, twice too. What is read stands once.
//!
//! All names are on one host, so three things end the search: the host can't be connected to; it does
//! not answer in time; it asks for a pause (429, or 503 with `Retry-After`), which counts for the host,
//! and is kept. So that no name is in the way of the others for ever, the next search begins with the
//! name after the one that ended it; or with that one, where those before it had left it less than the
//! whole time of a search.

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
use metadata::{Metadata, Unfit, parse};
use well_known::well_known_urls;

/// How long metadata is fresh: endpoints move even less often than keys.
const METADATA_FRESHNESS: Duration = Duration::from_secs(60 * 60);

/// How long past that it is used while the network fails.
const USABLE_FOR: Duration = Duration::from_secs(60 * 60);

/// The longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long older metadata is used, once it was asked for anew, before it is asked for again: a
/// server in trouble is left alone, and a request that needs an endpoint does not wait for it.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long new metadata is waited for where older is at hand: an introspection call has 5 s for
/// this and all the rest.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often doubts that a token can cause, by a `kid` that the key set lacks, may have the metadata
/// fetched again.
const DOUBT_PERIOD: Duration = Duration::from_secs(60);

/// The metadata of one issuer, fetched when it is needed, by one search at a time (single flight).
pub(crate) struct Discovery(Arc<Shared>);

/// What a search has, too. It does not keep the [`Discovery`] alive, whose end is also its own.
struct Shared {
    issuer: String,
    /// Where the metadata is, if not under the well-known names.
    url: Option<String>,
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
    /// When a token last caused a doubt.
    doubted_at: Option<Duration>,
    /// The URL that ended the last search, by its silence or by asking for a pause.
    last_resort: Option<LastResort>,
}

#[derive(Clone)]
struct Cached {
    metadata: Metadata,
    url: String,
    fetched_at: Duration,
    /// When to ask again: at once where what it names was gone.
    due_at: Duration,
}

#[derive(Clone)]
struct LastResort {
    url: String,
    /// Whether it had the whole time of a search, or said itself that the search is over.
    had_its_turn: bool,
}

/// What there is without a wait.
enum Found {
    Fresh(Metadata),
    /// The server asked to be left alone for so long.
    Busy(Duration),
    /// A search is under way; it was begun just now where there is a completion.
    Searching(Waiter<Result<Metadata, Failure>>, Option<Begun>),
    Unfit(&'static str),
}

/// A search to be launched.
struct Begun {
    completion: Completion<Result<Metadata, Failure>>,
    runtime: tokio::runtime::Handle,
    /// Where the metadata was found last time.
    known: Option<String>,
}

impl Discovery {
    /// The metadata of `issuer`, at `url` or under the well-known names.
    pub(crate) fn new(issuer: &str, url: Option<&str>, client: Client) -> Self {
        let state = State {
            searches: Flights::new(client.deadline()),
            task: None,
            cached: None,
            busy_until: Duration::ZERO,
            doubted_at: None,
            last_resort: None,
        };
        let state = Mutex::new(state);
        let (issuer, url) = (issuer.to_owned(), url.map(str::to_owned));
        Self(Arc::new(Shared { issuer, url, client, state }))
    }

    /// The metadata: from the last fetch while it is fresh, from the network after that, and from
    /// the last fetch again for an hour while the network fails. While it is fetched again, others
    /// use what is available; where nothing is, they wait for the same search.
    pub(crate) async fn metadata(&self, now: Duration) -> Result<Metadata, Failure> {
        // A search that ended with its runtime says nothing of the server, so there may be one more.
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

    /// What there is, and older metadata that may be used should the rest fail.
    fn look(&self, now: Duration) -> (Option<Metadata>, Found) {
        // Asked for without the lock: where tokio panics, a hook of the API's own sees it.
        let runtime = runtime::current();
        let state = &mut *self.0.state();
        let (mut usable, mut known) = (None, None);
        match &mut state.cached {
            Some(cached) if now < cached.due_at => {
                return (None, Found::Fresh(cached.metadata.clone()));
            }
            Some(cached) if now < cached.fetched_at + METADATA_FRESHNESS + USABLE_FOR => {
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
            match runtime {
                Err(unfit) => Found::Unfit(unfit.problem()),
                Ok(runtime) => {
                    let (completion, waiter) = state.searches.begin((), now);
                    Found::Searching(waiter, Some(Begun { completion, runtime, known }))
                }
            }
        };
        (usable, found)
    }

    /// Launches a search. No request can cancel it.
    fn search(&self, begun: Begun, now: Duration) {
        let Begun { completion, runtime, known } = begun;
        let (searcher, shared) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let deadline = self.0.client.deadline();
        let work = async move { searcher.fetch(known.as_deref()).await };
        let task = launch(&runtime, deadline, work, move |ended| {
            shared.search_ended(completion, ended, now)
        });
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

    /// What is under this `jwks_uri` answers, and has no key for a token: perhaps it is an old place.
    /// Returns whether the metadata is to be looked at again, which is so once a minute at most, and
    /// not where it was fetched within the last one.
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
        // Its task reports at once, for which it takes the lock.
        let task = self.0.state().task.take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

impl Shared {
    /// Takes in what a search that began at `now` brought.
    fn search_ended(
        &self,
        completion: Completion<Result<Metadata, Failure>>,
        ended: Ended<Result<(Metadata, String), Failure>>,
        now: Duration,
    ) {
        let mut state = self.state();
        let is_present = state.searches.complete(&(), &completion);
        let fetched = match ended {
            // Who waits for it finds out by the dropped completion.
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
                    let until = now.saturating_add(pause.min(LONGEST_PAUSE));
                    state.busy_until = state.busy_until.max(until);
                }
                Err(failure)
            }
        };
        drop(state);
        completion.tell(outcome);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, known: Option<&str>) -> Result<(Metadata, String), Failure> {
        let last_resort = self.state().last_resort.clone();
        let mut urls = match &self.url {
            Some(url) => vec![("metadata_url", url.clone())],
            None => well_known_urls(&self.issuer),
        };
        // The order goes round, so that two such names can't take turns before a third.
        let mut known_first = known.is_some();
        if let Some(LastResort { url: last, had_its_turn }) = &last_resort
            && let Some(ended_at) = urls.iter().position(|(_, url)| url == last)
        {
            urls.rotate_left(ended_at + usize::from(*had_its_turn));
            known_first &= *had_its_turn && known != Some(last);
        }
        // The place where it was found last time comes first.
        if known_first {
            urls.sort_by_key(|(_, url)| Some(url.as_str()) != known);
        }
        let mut problems = String::from("metadata: ");
        for (place, (name, url)) in urls.into_iter().enumerate() {
            // Noted before: the deadline may end the search while the answer is awaited.
            let resort = |had_its_turn| LastResort { url: url.clone(), had_its_turn };
            self.state().last_resort = Some(resort(place == 0));
            let answer = self.client.get(&url, "application/json", None, None).await;
            let ends = answer.as_ref().is_err_and(speaks_for_the_host);
            self.state().last_resort = ends.then(|| resort(true));
            let problem = match answer {
                Ok(answer) => match parse(answer.json(), &self.issuer) {
                    Ok(metadata) => return Ok((metadata, url)),
                    // Another document would be mixed with this one.
                    Err(unfit @ Unfit::NoUrls) => {
                        return Err(format!("metadata: {unfit} ({})", fetched_url(&url)).into());
                    }
                    Err(unfit @ Unfit::NotJson) => format!("{unfit}{}", answer.content_type_note()),
                    Err(unfit) => unfit.to_string(),
                },
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
