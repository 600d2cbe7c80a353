//! The judgement of one request head, without a service around it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, HeaderValue};
use http::{HeaderMap, Request};

use crate::authenticator::Verdict;
use crate::challenge::Challenges;
use crate::credentials::{self, Method};
use crate::error::Error;
use crate::issuer::{Pending, Waited};
use crate::policy::Requirement;
use crate::rejection::Refusal;
use crate::server::ResourceServer;
use crate::token::{AnyToken, Outcome};

/// A server, and what one of its layers asks beyond a valid token.
pub(crate) struct Gate<C, R> {
    server: ResourceServer<C, R>,
    guard: Option<Arc<Guard>>,
    optional: bool,
}

/// The requirement of a route, with the challenges that name its scopes.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) requirement: Requirement,
    pub(crate) challenges: Challenges,
}

/// What is to be done with a request.
pub(crate) enum Judgement<C> {
    /// It goes on to the inner service.
    Pass(Passed),
    Refuse(Refusal),
    /// Nothing can be said before the network has answered.
    Wait(Waiting<C>),
}

/// How a request passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Whether its answer must not be kept by shared caches (RFC 6750 §2.3).
    pub(crate) private: bool,
}

/// A verdict to come.
pub(crate) struct Waiting<C> {
    pub(crate) verdict: Pin<Box<dyn Future<Output = Result<Verdict<C>, Error>> + Send>>,
    pub(crate) method: Method,
}

impl<C, R> Gate<C, R> {
    pub(crate) fn new(
        server: ResourceServer<C, R>,
        guard: Option<Arc<Guard>>,
        optional: bool,
    ) -> Self {
        Self { server, guard, optional }
    }

    pub(crate) fn server(&self) -> &ResourceServer<C, R> {
        &self.server
    }

    fn challenges(&self) -> &Challenges {
        self.guard.as_ref().map_or(self.server.challenges(), |guard| &guard.challenges)
    }

    fn refuse<T>(&self, error: Error) -> Result<T, Refusal> {
        Err(Refusal::new(error, self.challenges()))
    }
}

impl<C: Send + Sync + 'static, R> Gate<C, R> {
    /// Judges a request as far as it goes without waiting.
    pub(crate) fn judge<B>(&self, request: &mut Request<B>) -> Judgement<C> {
        // The same server around this one has judged the request already.
        if let Some(token) = self.concluded(request) {
            return self.finish(&token, Passed { private: false });
        }
        let credentials =
            self.server.credentials(request.uri(), request.headers(), request.extensions());
        let credentials = match credentials {
            Ok(credentials) => credentials,
            Err(Error::MissingCredentials | Error::UnsupportedScheme) if self.optional => {
                self.conclude(request, self.generation(), None);
                return Judgement::Pass(Passed { private: false });
            }
            Err(error) => return Judgement::Refuse(Refusal::new(error, self.challenges())),
        };
        let authenticator = self.server.authenticator();
        match authenticator.judge(&credentials.token, &Waited::default()) {
            Ok(verdict) => {
                let method = credentials.method;
                match self.admit(request, verdict, method) {
                    Ok(passed) => Judgement::Pass(passed),
                    Err(refusal) => Judgement::Refuse(refusal),
                }
            }
            Err(Pending::Refused(error)) => {
                Judgement::Refuse(Refusal::new(error, self.challenges()))
            }
            Err(pending) => {
                let token = credentials.token.into_owned();
                let method = credentials.method;
                let verdict = Arc::clone(authenticator).resume(token, pending);
                Judgement::Wait(Waiting { verdict: Box::pin(verdict), method })
            }
        }
    }

    /// Puts the conclusion of a wait to work.
    pub(crate) fn resume<B>(
        &self,
        request: &mut Request<B>,
        verdict: Result<Verdict<C>, Error>,
        method: Method,
    ) -> Result<Passed, Refusal> {
        match verdict {
            Ok(verdict) => self.admit(request, verdict, method),
            Err(error) => self.refuse(error),
        }
    }

    fn admit<B>(
        &self,
        request: &mut Request<B>,
        verdict: Verdict<C>,
        method: Method,
    ) -> Result<Passed, Refusal> {
        let token = AnyToken::from(verdict.token);
        if let Some(guard) = &self.guard
            && let Err(error) = guard.requirement.evaluate(&token)
        {
            return self.refuse(error);
        }
        self.conclude(request, verdict.generation, Some(token));
        let private = method == Method::Query;
        if private {
            hide_query_token(request);
        }
        Ok(Passed { private })
    }

    fn finish(&self, token: &AnyToken, passed: Passed) -> Judgement<C> {
        match &self.guard {
            None => Judgement::Pass(passed),
            Some(guard) => match guard.requirement.evaluate(token) {
                Ok(()) => Judgement::Pass(passed),
                Err(error) => Judgement::Refuse(Refusal::new(error, &guard.challenges)),
            },
        }
    }

    /// The token of a request that this very server judged under its present configuration.
    fn concluded<B>(&self, request: &Request<B>) -> Option<AnyToken> {
        let outcome = request.extensions().get::<Outcome>()?;
        if outcome.server != *self.server.id() || outcome.generation != self.generation() {
            return None;
        }
        outcome.token.clone()
    }

    fn conclude<B>(&self, request: &mut Request<B>, generation: u64, token: Option<AnyToken>) {
        let server = self.server.id().clone();
        request.extensions_mut().insert(Outcome { server, generation, token });
    }

    fn generation(&self) -> u64 {
        self.server.authenticator().trust.load().generation
    }
}

/// Takes the token out of what the handler and its logs see.
fn hide_query_token<B>(request: &mut Request<B>) {
    *request.uri_mut() = credentials::without_query_token(request.uri());
    #[cfg(feature = "axum")]
    if let Some(original) = request.extensions_mut().get_mut::<axum::extract::OriginalUri>() {
        original.0 = credentials::without_query_token(&original.0);
    }
}

/// Makes `Cache-Control` say `private`, unless it is stricter already (RFC 6750 §2.3). What would let
/// a shared cache keep the answer goes; everything else that the handler said stays.
pub(crate) fn add_private(headers: &mut HeaderMap) {
    let mut kept = Vec::new();
    for line in headers.get_all(CACHE_CONTROL) {
        for directive in line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
            let is = |other: &str| name.trim_ascii().eq_ignore_ascii_case(other.as_bytes());
            if is("no-store") || is("private") {
                return;
            }
            if !directive.is_empty() && !is("public") && !is("s-maxage") {
                kept.push(directive);
            }
        }
    }
    kept.insert(0, b"private");
    // Pieces of field values make a field value again; were it otherwise, the one word is enough.
    let value = HeaderValue::from_bytes(&kept.join(&b", "[..]));
    headers.insert(CACHE_CONTROL, value.unwrap_or(HeaderValue::from_static("private")));
}

impl<C, R> Clone for Gate<C, R> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), guard: self.guard.clone(), optional: self.optional }
    }
}

impl<C, R> fmt::Debug for Gate<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("server", &self.server)
            .field("guard", &self.guard)
            .field("optional", &self.optional)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_private_and_keeps_the_rest() {
        for (lines, expected) in [
            (&[][..], "private"),
            (&["public, max-age=60"], "private, max-age=60"),
            (&["no-cache", "must-revalidate"], "private, no-cache, must-revalidate"),
            (&["S-MaxAge = 5, max-age=1"], "private, max-age=1"),
            (&["No-Store"], "No-Store"),
            (&["max-age=5, PRIVATE"], "max-age=5, PRIVATE"),
            (&["private=\"x\", max-age=5"], "private=\"x\", max-age=5"),
            (&[" , ,"], "private"),
        ] {
            let values = lines.iter().map(|line| (CACHE_CONTROL, HeaderValue::from_static(line)));
            let mut headers: HeaderMap = values.collect();
            add_private(&mut headers);
            let found: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(found, [expected], "{lines:?}");
        }
    }
}
