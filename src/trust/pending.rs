//! What a request must wait for next, and the results that the request has already waited for.
//!
//! A tenant is an issuer that the resolver found. A generation is the number of a configuration.

use std::sync::Arc;

use crate::error::Error;
#[cfg(feature = "http-client")]
use crate::introspection::{Answer, AnswerWait};
use crate::keys::{KeyWait, KeysWaited};
use crate::runtime::Deadline;
use crate::trust::tenants::{IssuerWait, Resolution, Tenant};

/// The reason why the validation of a token stops.
pub(crate) enum Pending {
    /// The token is refused.
    Refused(Error),
    /// The token names a tenant that is not known yet, so the resolver must find the issuer. The
    /// validation continues when the resolver has returned a result, or when the wait times out.
    Issuer(IssuerWait),
    /// The key of the token is not cached. The validation continues when the fetch of keys ends, or when
    /// the wait times out. During the wait, the request keeps its tenant, even if the tenant is evicted
    /// from the cache.
    Keys(KeyWait, Option<Arc<Tenant>>),
    /// The token must be introspected. The validation continues when the authorization server has
    /// answered, or when the wait times out. During the wait, the request keeps its tenant, even if the
    /// tenant is evicted from the cache.
    #[cfg(feature = "http-client")]
    Answer(Box<AnswerWait>, Option<Arc<Tenant>>),
}

/// The results that a request has already waited for, and the settings of its waits. Because of these
/// results, the request waits for each dependency at most once per configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waited {
    /// Whether the token must be introspected for this request, even if an answer is cached.
    #[cfg_attr(not(feature = "http-client"), allow(dead_code))]
    pub(crate) asks_now: bool,
    /// The deadline for all waits together. The first wait sets the deadline.
    pub(crate) deadline: Option<Deadline>,
    /// The resolver's result, and the generation of the configuration whose resolver was called.
    pub(crate) issuer: Option<(u64, Resolution)>,
    pub(crate) keys: Option<KeysWaited>,
    /// The introspection answer, and the generation of the configuration under which the token was
    /// introspected.
    #[cfg(feature = "http-client")]
    pub(crate) answer: Option<(u64, Arc<Answer>)>,
}

impl Waited {
    /// Keeps the tenant of a request, so that later steps still find the tenant if the cache evicts it.
    /// Does nothing if there is no tenant.
    pub(crate) fn keep(&mut self, tenant: Option<Arc<Tenant>>) {
        if let Some(tenant) = tenant {
            self.issuer = Some(tenant.resolution());
        }
    }
}

impl From<Error> for Pending {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}
