//! A token whose claims have passed the profile's checks.

use crate::error::Error;
use crate::profile::times::Times;
use crate::token::{AccessToken, AnyToken, NumericDate};

/// The result of validation: the token for the handler, and the times. It is stored with the
/// introspection answer that was validated. Later, only the check of the times can fail. The sender
/// is not checked here.
pub(crate) struct Judged {
    times: Times,
    token: AnyToken,
}

impl Judged {
    pub(crate) fn new<C: Send + Sync + 'static>(times: Times, token: &AccessToken<C>) -> Self {
        Self { times, token: AnyToken::from(token.clone()) }
    }

    /// Checks the times again and returns the token. Returns `None` if the stored token has another
    /// type of claims.
    pub(crate) fn again<C: Send + Sync + 'static>(
        &self,
        now: NumericDate,
        leeway: u64,
    ) -> Option<Result<AccessToken<C>, Error>> {
        let token = self.token.downcast()?;
        Some(self.times.check(now, leeway).map(|()| token))
    }
}
