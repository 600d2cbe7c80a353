//! Step 7 of the walk: does whoever presents the token hold what it is bound to? Pure.
//!
//! The one place that every token passes, be it a JWT, a JWT that was introspected too, or opaque; also
//! when the judgement of its claims was remembered, since a proof belongs to one request.
//!
//! A bound token is worth nothing without the proof of its sender (RFC 7800 §3.1, RFC 9449 §7.2, RFC
//! 8705 §3). Nothing here can check one yet, so a token with `cnf` is refused, whatever that holds.

use crate::credentials::{Presentation, Scheme};
use crate::error::Error;
use crate::token::{Cnf, Facts};

/// Confirms the sender of a token.
///
/// # Errors
/// When the token is bound, and the presentation does not prove it.
pub(crate) fn confirm(facts: &Facts, presentation: &Presentation<'_>) -> Result<(), Error> {
    match (facts.cnf, presentation.scheme) {
        (None, Scheme::Bearer) => Ok(()),
        (Some(Cnf::Unsupported), Scheme::Bearer) => Err(Error::UnconfirmedSender),
    }
}
