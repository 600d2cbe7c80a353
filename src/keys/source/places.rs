//! Fetches several key sets of one issuer and merges them into one set. For example, Azure AD B2C
//! publishes one set for each policy.
//!
//! - All places are requested at the same time, each with its own `ETag`.
//! - If one place fails and another answers, the last good set of the failed place stays in use,
//!   for as long as a set may be used while its server fails (stale-if-error). The merged set is
//!   used no longer than this last good set. All places are requested again as soon as the schedule
//!   allows. Such a merged set does not prove that a `kid` is unknown, because the failed place may
//!   have the key.
//! - The entries of the sets are taken in turn (round-robin), so that a set with many keys does not
//!   use up the limit for the keys of another set.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::crypto::AlgorithmSet;
use crate::fetch::{Client, Failure, FetchError};
use crate::keys::freshness::{FRESHNESS, FreshnessSettings};
use crate::keys::set::entries::{MAX_KEYS, entries};
use crate::keys::set::{KeySet, KeySetFault};
use crate::keys::source::fetched::{Fetched, Partial, Validator, get};

/// The maximum number of places of one issuer. Each fetch requests all places. A server with many
/// policies has about a dozen.
pub(crate) const MAX_PLACES: usize = 16;

/// The places of the sets, and the last good set of each.
pub(crate) struct JwksPlaces {
    places: Vec<Place>,
    accepted: AlgorithmSet,
    settings: FreshnessSettings,
}

struct Place {
    uri: String,
    last: Mutex<Option<Good>>,
}

/// The last good set of a place.
#[derive(Clone)]
struct Good {
    document: Bytes,
    validator: Option<Validator>,
    max_age: Option<Duration>,
    usable_until: Duration,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

impl JwksPlaces {
    pub(crate) fn new(uris: &[String], accepted: AlgorithmSet, stale_if_error: Duration) -> Self {
        let place = |uri: &String| Place { uri: uri.clone(), last: Mutex::default() };
        let settings = FreshnessSettings { stale_if_error };
        Self { places: uris.iter().map(place).collect(), accepted, settings }
    }

    /// Requests the sets of all places. `now` is the time of the request.
    ///
    /// # Errors
    /// Fails if no place has a good answer.
    pub(crate) async fn fetch(
        &self,
        client: &Client,
        authorization: Option<&HeaderValue>,
        now: Duration,
    ) -> Result<Fetched, Failure> {
        let lasts: Vec<_> = self.places.iter().map(|place| place.last(now)).collect();
        let ask = |(place, last): (&'_ Place, &'_ Option<Good>)| -> Answer<'_> {
            let (uri, authorization) = (place.uri.clone(), authorization.cloned());
            let validator = last.as_ref().and_then(|last| last.validator.clone());
            Box::pin(async move { get(client, &uri, validator.as_ref(), authorization).await })
        };
        let answers = all(self.places.iter().zip(&lasts).map(ask).collect()).await;
        let (mut sets, mut problems) = (Vec::new(), Vec::new());
        let (mut retry_after, mut usable_until, mut answered) = (None, None, false);
        for (at, ((place, last), answer)) in self.places.iter().zip(lasts).zip(answers).enumerate()
        {
            let name = format!("key set {}", at + 1);
            let read = match answer {
                Ok(fetched) => {
                    let read = self.read(fetched, last.as_ref(), now);
                    read.map_err(|problem| format!("{name}: {problem}").into())
                }
                Err(error) => Err(error.of(&name, &place.uri)),
            };
            match read {
                Ok(good) => {
                    answered = true;
                    place.keep(good.clone());
                    sets.push(good);
                }
                Err(failure) => {
                    retry_after = retry_after.max(failure.retry_after);
                    problems.push(failure.problem);
                    if let Some(last) = last {
                        let until = usable_until.unwrap_or(last.usable_until);
                        usable_until = Some(last.usable_until.min(until));
                        sets.push(last);
                    }
                }
            }
        }
        let problem = problems.join("; ");
        if !answered {
            return Err(Failure { problem, retry_after });
        }
        let fresh_for = |set: &Good| set.max_age.unwrap_or(FRESHNESS);
        let is_whole = problems.is_empty();
        Ok(Fetched {
            document: Some(merged(&sets)),
            validator: None,
            // If a place failed, the merged set gets the minimum freshness, so that the place is
            // requested again soon.
            max_age: sets
                .iter()
                .map(fresh_for)
                .min()
                .map(|least| if is_whole { least } else { Duration::ZERO }),
            partial: (!is_whole).then_some(Partial { problem, usable_until }),
        })
    }

    /// The set that a place returned or confirmed. Fails if the set has no usable key: only a good
    /// set replaces a good set.
    fn read(
        &self,
        fetched: Fetched,
        last: Option<&Good>,
        now: Duration,
    ) -> Result<Good, Cow<'static, str>> {
        let document = match (fetched.document, last) {
            (None, Some(last)) => last.document.clone(),
            (None, None) => {
                return Err("the answer is 304 (not modified), but no set is cached".into());
            }
            (Some(document), Some(last)) if document == last.document => document,
            (Some(document), _) => match KeySet::parse(&document, self.accepted) {
                Ok(_) => document,
                Err(KeySetFault(problem)) => return Err(problem),
            },
        };
        let (validator, max_age) = (fetched.validator, fetched.max_age);
        let usable_until = self.settings.usable_until(now, max_age);
        Ok(Good { document, validator, max_age, usable_until })
    }
}

impl Place {
    /// The last good set of this place, if it may still be used.
    fn last(&self, now: Duration) -> Option<Good> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|last| now < last.usable_until).cloned()
    }

    fn keep(&self, good: Good) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(good);
    }
}

/// Merges the entries of all sets, taken in turn, into one set.
fn merged(sets: &[Good]) -> Bytes {
    // Each document was parsed before.
    let sets: Vec<_> = sets.iter().filter_map(|set| entries(&set.document).ok()).collect();
    let longest = sets.iter().map(|set| set.texts.len()).max().unwrap_or_default();
    let in_turn = (0..longest).flat_map(|at| sets.iter().filter_map(move |set| set.texts.get(at)));
    // One entry more than the limit, so that the excess is reported.
    let texts: Vec<&str> = in_turn.copied().take(MAX_KEYS + 1).collect();
    format!(r#"{{"keys":[{}]}}"#, texts.join(",")).into()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn good(entries: &[&str]) -> Good {
        let document = format!(r#"{{"keys":[{}]}}"#, entries.join(",")).into();
        Good { document, validator: None, max_age: None, usable_until: Duration::MAX }
    }

    #[test]
    fn entries_are_taken_in_turn() {
        assert_eq!(merged(&[good(&["1", "2", "3"]), good(&["4"])]), r#"{"keys":[1,4,2,3]}"#);
        let many = vec!["1"; 1_000];
        let both = merged(&[good(&many), good(&["2", "3"])]);
        let read = entries(&both).unwrap();
        assert_eq!(read.texts[..4], ["1", "2", "1", "3"]);
        assert!(read.has_more);
    }
}
