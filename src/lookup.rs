//! Lookups by the API's own code: waits for the async checks of a requirement, and maps the failure of a
//! lookup to an error.

use std::time::Duration;

use crate::error::Error;
use crate::flight::{Panicked, caught};
use crate::lookup_error::LookupError;
use crate::policy::Lookup;
use crate::runtime;
use crate::token::Excerpt;

/// How long all async checks of one request may take, in real time. It is short, because the request has
/// already waited for its keys or its introspection, and a client waits for it.
pub(crate) const LOOKUPS_DEADLINE: Duration = Duration::from_secs(2);

/// When a client may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Waits for each lookup in turn. The first one that does not succeed decides.
pub(crate) async fn all(lookups: Vec<Lookup>) -> Result<(), Error> {
    let each = async {
        for lookup in lookups {
            match caught(lookup).await {
                Ok(result) => result.map_err(refusal)?,
                Err(Panicked) => return Err(unavailable("an async check panicked")),
            }
        }
        Ok(())
    };
    let late = || Err(unavailable("an async check took too long"));
    runtime::within(LOOKUPS_DEADLINE, each).await.unwrap_or_else(late)
}

/// The error for a failed lookup.
pub(crate) fn refusal(error: LookupError) -> Error {
    match error {
        LookupError::Refused(reason) => {
            let requires = Excerpt::of(&format!("another answer of a check than: {reason}"));
            Error::AccessDenied { requires }
        }
        LookupError::Unavailable(problem) => unavailable(&problem),
    }
}

/// The error for a lookup without a result.
pub(crate) fn unavailable(problem: &str) -> Error {
    Error::LookupUnavailable { problem: Excerpt::of(problem), retry_after: RETRY_AFTER }
}
