//! The times of a token.

use crate::error::Error;
use crate::profile::claim::date;
use crate::token::NumericDate;
use crate::token::json::Object;

/// The times of a token, to be compared with the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(super) exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    pub(super) iat: Option<NumericDate>,
}

impl Times {
    pub(crate) fn read(claims: &Object<'_>) -> Result<Self, Error> {
        Ok(Self { exp: date(claims, "exp")?, nbf: date(claims, "nbf")?, iat: date(claims, "iat")? })
    }

    /// RFC 7519 §4.1.4 to §4.1.6. §4.1.6 does not limit `iat`. Here, `iat` must not be further in
    /// the future than the leeway. The leeway is in seconds.
    #[allow(
        clippy::neg_cmp_op_on_partial_ord,
        reason = "a NaN, which JSON cannot write, would fail each comparison closed"
    )]
    pub(crate) fn check(&self, now: NumericDate, leeway: u64) -> Result<(), Error> {
        let seconds = now.as_secs_f64();
        // The leeway is applied to the current time, never to the number in the token.
        if let Some(exp) = self.exp
            && !(exp.as_secs_f64() > seconds - leeway as f64)
        {
            return Err(Error::Expired { exp, now, leeway });
        }
        if let Some(nbf) = self.nbf
            && !(nbf.as_secs_f64() <= seconds + leeway as f64)
        {
            return Err(Error::NotYetValid { nbf, now, leeway });
        }
        if let Some(iat) = self.iat
            && !(iat.as_secs_f64() <= seconds + leeway as f64)
        {
            return Err(Error::IssuedAhead { iat, now, leeway });
        }
        Ok(())
    }
}
