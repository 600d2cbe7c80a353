//! What the walk lacks, and what a request has waited for already.

use std::sync::Arc;

use crate::error::Error;
#[cfg(feature = "remote")]
use crate::introspection::{Answer, AnswerWait};
use crate::keys::{KeyWait, KeysWaited};
use crate::runtime::Deadline;
use crate::trust::tenants::{IssuerWait, Resolution, Tenant};

/// Why the walk stops before its end.
pub(crate) enum Pending {
    /// It is over.
    Refused(Error),
    /// It goes on when the issuer is known, or when waiting for that has taken too long.
    Issuer(IssuerWait),
    /// It goes on when keys have come, or when waiting for them has taken too long. A tenant that the
    /// request has found stays its own meanwhile.
    Keys(KeyWait, Option<Arc<Tenant>>),
    /// It goes on when the authorization server has answered; with the tenant as before.
    #[cfg(feature = "remote")]
    Answer(Box<AnswerWait>, Option<Arc<Tenant>>),
}

/// What a request has waited for already, since nobody waits for the same thing twice; and what it
/// insists on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waited {
    /// Whether the authorization server is to be asked now, whatever is remembered.
    #[cfg_attr(not(feature = "remote"), allow(dead_code))]
    pub(crate) asks_now: bool,
    /// When all its waits are over, from the first one on.
    pub(crate) deadline: Option<Deadline>,
    /// What the resolver said, and the generation that asked.
    pub(crate) issuer: Option<(u64, Resolution)>,
    pub(crate) keys: Option<KeysWaited>,
    /// What the authorization server said, and the generation that asked.
    #[cfg(feature = "remote")]
    pub(crate) answer: Option<(u64, Arc<Answer>)>,
}

impl Waited {
    /// Keeps the tenant that a request has found, so that it is not looked for again.
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
