//! The authentication schemes that this crate reads (RFC 9110 §11.1).

/// The scheme with which a token was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// For bearer tokens (RFC 6750 §2.1).
    Bearer,
    /// For tokens that are bound to a key (RFC 9449 §7.1).
    Dpop,
}

impl Scheme {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}
