//! Step 7 of a request: confirms that the client has the key or certificate that the token is bound
//! to. Pure.
//!
//! Every token passes this one place: a validated JWT, an introspected JWT, and an opaque token. A
//! token with a cached result passes it too, since a proof belongs to one request.
//!
//! A bound token must not be accepted without the proof of its sender (RFC 7800 §3.1, RFC 9449 §7.2,
//! RFC 8705 §3). This crate cannot check a proof yet. So it refuses every token with `cnf`.

use crate::credentials::{Presentation, Scheme};
use crate::error::Error;
use crate::token::{Cnf, Facts};

/// Confirms the sender of a token.
///
/// # Errors
/// If the token is bound, and the presentation has no valid proof.
pub(crate) fn confirm(facts: &Facts, presentation: &Presentation<'_>) -> Result<(), Error> {
    match (facts.cnf, presentation.scheme) {
        (None, Scheme::Bearer) => Ok(()),
        (Some(Cnf::Unsupported), Scheme::Bearer) => Err(Error::UnconfirmedSender),
    }
}
