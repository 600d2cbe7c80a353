//! A token that passed every check once.

use crate::error::Error;
use crate::profile::judge::Times;
use crate::token::{AccessToken, AnyToken, NumericDate};

/// What a judgement came to, to be kept with what was judged: the handler's token, and the times, which
/// alone can fail later. It says nothing of the sender.
pub(crate) struct Judged {
    times: Times,
    token: AnyToken,
}

impl Judged {
    pub(crate) fn new<C: Send + Sync + 'static>(times: Times, token: &AccessToken<C>) -> Self {
        Self { times, token: AnyToken::from(token.clone()) }
    }

    /// The token, if its times hold still. None where it was read as claims of another type.
    pub(crate) fn again<C: Send + Sync + 'static>(
        &self,
        now: NumericDate,
        leeway: u64,
    ) -> Option<Result<AccessToken<C>, Error>> {
        let token = self.token.downcast()?;
        Some(self.times.check(now, leeway).map(|()| token))
    }
}
