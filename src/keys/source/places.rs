//! Fetches several key sets of one issuer and merges them into one set. For example, Azure AD B2C
//! publishes one set for each policy.
//!
//! - All places are requested at the same time, each with its own `ETag`.
//! - If one place fails and another answers, the last good set of the failed place stays in use,
//!   for as long as a set may be used while its server fails (stale-if-error). The merged set is
//!   used no longer than this last good set. All places are requested again as soon as the schedule
//!   allows. Such a merged set does not prove that a `kid` is unknown, because the failed place may
//!   have the key.
//! - Another engine, or the next process, can take over the last good sets.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::HeaderValue;

use crate::crypto::AlgorithmSet;
use crate::fetch::{Client, Failure, FetchError};
use crate::keys::freshness::{FreshnessSettings, freshness};
use crate::keys::set::{KeySet, KeySetFault};
use crate::keys::source::fetched::{Fetched, Part, Partial, get, place_name};
use crate::keys::source::merge::merged;

/// The places of the sets.
pub(crate) struct JwksPlaces {
    places: Vec<Place>,
    settings: FreshnessSettings,
}

struct Place {
    uri: String,
    name: String,
    /// The last good set.
    last: Mutex<Option<Part>>,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

impl JwksPlaces {
    pub(crate) fn new(uris: &[String], stale_if_error: Duration) -> Self {
        let place = |uri: &String| {
            let (name, last) = (place_name(uri), Mutex::default());
            Place { uri: uri.clone(), name, last }
        };
        let places = uris.iter().map(place).collect();
        Self { places, settings: FreshnessSettings { stale_if_error } }
    }

    /// The last good set of each place.
    pub(crate) fn parts(&self) -> Vec<Part> {
        self.places.iter().filter_map(|place| place.last().clone()).collect()
    }

    /// Takes over sets as the last good sets of their places. A newer set is not replaced.
    pub(crate) fn take_over(&self, parts: Vec<Part>) {
        // Later than the real time by `stale_if_error` on both sides, so the order is right.
        let fetched_at = |part: &Part| part.usable_until.saturating_sub(freshness(part.max_age));
        for part in parts {
            for place in self.places.iter().filter(|place| place.name == part.place) {
                let mut last = place.last();
                if last.as_ref().is_none_or(|last| fetched_at(last) < fetched_at(&part)) {
                    *last = Some(part.clone());
                }
            }
        }
    }

    /// Whether a place has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.places.iter().any(|place| place.name == name)
    }

    /// Requests the sets of all places. `now` is the time of the request.
    ///
    /// # Errors
    /// Fails if no place has a good answer.
    pub(crate) async fn fetch(
        &self,
        client: &Client,
        authorization: Option<&HeaderValue>,
        accepted: AlgorithmSet,
        now: Duration,
    ) -> Result<Fetched, Failure> {
        let last = |place: &Place| place.last().clone().filter(|last| now < last.usable_until);
        let lasts: Vec<_> = self.places.iter().map(last).collect();
        let ask = |(place, last): (&'_ Place, &'_ Option<Part>)| -> Answer<'_> {
            let (uri, authorization) = (place.uri.clone(), authorization.cloned());
            let validator = last.as_ref().and_then(|last| last.validator.clone());
            Box::pin(async move { get(client, &uri, validator.as_ref(), authorization).await })
        };
        let answers = all(self.places.iter().zip(&lasts).map(ask).collect()).await;
        let (mut parts, mut problems) = (Vec::new(), Vec::new());
        let (mut retry_after, mut usable_until, mut answered) = (None, None, false);
        for (at, ((place, last), answer)) in self.places.iter().zip(lasts).zip(answers).enumerate()
        {
            let name = format!("key set {}", at + 1);
            let read = match answer {
                Ok(fetched) => {
                    let read = self.read(place, fetched, last.as_ref(), accepted, now);
                    read.map_err(|problem| format!("{name}: {problem}").into())
                }
                Err(error) => Err(error.of(&name, &place.uri)),
            };
            match read {
                Ok(good) => {
                    answered = true;
                    *place.last() = Some(good.clone());
                    parts.push(good);
                }
                Err(failure) => {
                    retry_after = retry_after.max(failure.retry_after);
                    problems.push(failure.problem);
                    // A set without a usable key adds nothing. It may come from an engine with other
                    // algorithms.
                    let last = last.filter(|last| KeySet::parse(&last.document, accepted).is_ok());
                    if let Some(last) = last {
                        let until = usable_until.unwrap_or(last.usable_until);
                        usable_until = Some(last.usable_until.min(until));
                        parts.push(last);
                    }
                }
            }
        }
        let problem = problems.join("; ");
        if !answered {
            return Err(Failure { problem, retry_after });
        }
        let is_whole = problems.is_empty();
        Ok(Fetched {
            document: Some(merged(&parts)),
            validator: None,
            // If a place failed, the merged set gets the minimum freshness, so that the place is
            // requested again soon.
            max_age: parts
                .iter()
                .map(|part| freshness(part.max_age))
                .min()
                .map(|least| if is_whole { least } else { Duration::ZERO }),
            partial: (!is_whole).then_some(Partial { problem, usable_until }),
        })
    }

    /// The set that a place returned or confirmed. Fails if the set has no usable key: only a good
    /// set replaces a good set.
    fn read(
        &self,
        place: &Place,
        fetched: Fetched,
        last: Option<&Part>,
        accepted: AlgorithmSet,
        now: Duration,
    ) -> Result<Part, Cow<'static, str>> {
        let document = fetched.document.or_else(|| Some(last?.document.clone()));
        let document = document.ok_or("the answer is 304 (not modified), but no set is cached")?;
        // The last good set may come from an engine with other algorithms, so an unchanged set is
        // parsed, too.
        if let Err(KeySetFault(problem)) = KeySet::parse(&document, accepted) {
            return Err(problem);
        }
        let (validator, max_age) = (fetched.validator, fetched.max_age);
        let usable_until = self.settings.usable_until(now, max_age);
        Ok(Part { place: place.name.clone(), document, validator, max_age, usable_until })
    }
}

impl Place {
    fn last(&self) -> MutexGuard<'_, Option<Part>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for all futures at the same time.
async fn all(mut futures: Vec<Answer<'_>>) -> Vec<Result<Fetched, FetchError>> {
    let mut answers: Vec<_> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, answer) in futures.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}
