//! Lookups by user-supplied code: waits for the async checks of a requirement, and maps the failure of a
//! lookup to an error.

use std::time::Duration;

use crate::error::Error;
use crate::flight::{Panicked, caught};
use crate::lookup_error::LookupError;
use crate::policy::Lookup;
use crate::runtime;
use crate::token::Excerpt;

/// How long the async checks of one requirement may take together, in real time. The time is short,
/// because a client waits, and the request may already have waited for keys or introspection.
pub(crate) const LOOKUPS_DEADLINE: Duration = Duration::from_secs(2);

/// The `Retry-After` of the response if a lookup is unavailable.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Waits for one lookup after the other. The first lookup that does not succeed ends the wait with its
/// error.
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
