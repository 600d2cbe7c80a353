//! Who acts with a token: a user, a client, or unknown.

use std::fmt;

use crate::observe::shown::Shown;

/// Who acts with a token.
///
/// A client that acts on its own behalf is never treated as a user (RFC 9068 §5), although RFC 9068 §2.2
/// lets `sub` contain its `client_id`. A user is identified by `iss` and `sub` together, because two
/// issuers can use the same `sub`. If nothing shows whether a user or a client acts, the result is
/// [`Unknown`](Self::Unknown). [`manual::providers`](crate::manual::providers) explains the rules.
///
/// `Debug` shows only the issuer, because `sub` and `client_id` must not be logged (RFC 9068 §6).
///
/// ```
/// use tower_resource_server::AccessToken;
/// use tower_resource_server::token::Principal;
///
/// fn may_see(owner: &str, token: &AccessToken) -> bool {
///     match token.principal() {
///         Principal::User { sub, .. } => sub == owner,
///         Principal::Client { client_id, .. } => client_id == Some("reports"),
///         _ => false,
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Principal<'a> {
    /// A resource owner.
    User {
        /// The issuer.
        iss: &'a str,
        /// The subject within that issuer.
        sub: &'a str,
    },
    /// A client on its own behalf. The token has no `sub`, its `sub` is the client, or another sign
    /// shows that the client acts.
    Client {
        /// The issuer.
        iss: &'a str,
        /// The client, if the token names it.
        client_id: Option<&'a str>,
    },
    /// A user or a client: nothing in the token shows which. [`user`](crate::policy::user()) refuses this
    /// principal.
    Unknown {
        /// The issuer.
        iss: &'a str,
        /// The subject within that issuer, which is a user or a client, if the token has one.
        sub: Option<&'a str>,
        /// The client that requested the token, if the token names it.
        client_id: Option<&'a str>,
    },
}

impl fmt::Debug for Principal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, iss) = match self {
            Self::User { iss, .. } => ("User", iss),
            Self::Client { iss, .. } => ("Client", iss),
            Self::Unknown { iss, .. } => ("Unknown", iss),
        };
        f.debug_struct(kind).field("iss", &Shown(iss)).finish_non_exhaustive()
    }
}
