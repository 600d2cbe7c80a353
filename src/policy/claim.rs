//! Conditions on claims: `claim("tenant").equals("acme")`.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::config_error::ConfigError;
use crate::policy::claim_test::{ClaimPath, ClaimTest, Wanted};
use crate::policy::details::Details;
use crate::policy::expression::{Policy, expect, mistake};
use crate::policy::leaf::Leaf;
use crate::policy::value::ClaimValue;
use crate::token::json::JsonPointer;

/// A claim that a policy tests. [`claim`] and [`claim_at`] create it.
///
/// A null claim counts as absent. Every test except [`absent`](Self::absent) refuses a token without the
/// claim. [`equals`](Self::equals), [`contains`](Self::contains) and [`one_of`](Self::one_of) also
/// refuse a claim of another type.
#[derive(Clone, Debug)]
#[must_use = "a claim is tested by `equals`, `contains`, `one_of`, `exists` or `absent`"]
pub struct Claim(ClaimPath);

/// The claim with this exact name, at the top level. A dot or a slash in the name has no meaning.
///
/// ```
/// use tower_resource_server::policy::claim;
///
/// let policy = claim("https://example.com/tenant").equals("acme");
/// # let _ = policy;
/// ```
///
/// # Panics
/// If `name` is empty. See [`Claim::try_named`].
#[track_caller]
pub fn claim(name: &str) -> Claim {
    expect("claim", Claim::try_named(name))
}

/// The claim at this JSON pointer (RFC 6901), such as `/address/country`.
///
/// # Panics
/// If `pointer` is empty or malformed. See [`Claim::try_at`].
#[track_caller]
pub fn claim_at(pointer: &str) -> Claim {
    expect(&format!("claim_at({pointer:?})"), Claim::try_at(pointer))
}

impl Claim {
    /// As [`claim`], for text from outside the program.
    ///
    /// # Errors
    /// If `name` is empty.
    pub fn try_named(name: &str) -> Result<Self, ConfigError> {
        match name {
            "" => Err(mistake("the name of a claim is not empty")),
            name => Ok(Self(ClaimPath::Name(name.into()))),
        }
    }

    /// As [`claim_at`], for text from outside the program.
    ///
    /// # Errors
    /// If `pointer` is empty or malformed.
    pub fn try_at(pointer: &str) -> Result<Self, ConfigError> {
        JsonPointer::parse(pointer).map(ClaimPath::Pointer).map(Self).map_err(mistake)
    }

    /// The claim is this string, number or boolean.
    pub fn equals(self, value: impl Into<ClaimValue>) -> Policy {
        self.test(Wanted::Equals(value.into()))
    }

    /// The claim is an array that contains this value. A claim that is a string is refused, even if its
    /// text contains the value.
    pub fn contains(self, value: impl Into<ClaimValue>) -> Policy {
        self.test(Wanted::Contains(value.into()))
    }

    /// The claim is one of these strings, numbers or booleans. If `values` is empty, every token is
    /// refused.
    pub fn one_of<V: Into<ClaimValue>>(self, values: impl IntoIterator<Item = V>) -> Policy {
        self.test(Wanted::OneOf(values.into_iter().map(Into::into).collect()))
    }

    /// The token has the claim, with any value but null.
    pub fn exists(self) -> Policy {
        self.test(Wanted::Exists)
    }

    /// The token does not have the claim, or the claim is null. No other test accepts a token without
    /// the claim.
    pub fn absent(self) -> Policy {
        self.test(Wanted::Absent)
    }

    fn test(self, wanted: Wanted) -> Policy {
        Policy::of(Leaf::Claim(ClaimTest { path: self.0, wanted, holds: true }))
    }
}

/// One entry of `authorization_details` that a route requires (RFC 9396). [`authorization_details`]
/// creates it.
#[derive(Clone)]
pub struct AuthorizationDetails(Details);

/// Requires an entry of `authorization_details` with this `type` (RFC 9396). One entry must grant
/// everything that this condition names.
///
/// By default, the entry must have only members that this condition names, besides `type` and
/// `locations`: a member that is not checked may restrict what the entry grants. If the entry has
/// `locations`, that array must contain one of the audiences that are configured for the issuer (RFC
/// 9396 §2.2).
///
/// ```
/// use tower_resource_server::policy::authorization_details;
///
/// let policy = authorization_details("account_information")
///     .with("actions", ["read_balances"])
///     .ignoring("datatypes");
///
/// #[derive(serde::Deserialize)]
/// struct Payment {
///     limit: u64,
/// }
/// let typed = authorization_details("payment").matching(|payment: &Payment| payment.limit >= 100);
/// # let _ = (policy, typed);
/// ```
///
/// # Panics
/// If `kind` is empty. See [`AuthorizationDetails::try_of_type`].
#[track_caller]
pub fn authorization_details(kind: &str) -> AuthorizationDetails {
    expect("authorization_details", AuthorizationDetails::try_of_type(kind))
}

impl AuthorizationDetails {
    /// As [`authorization_details`], for text from outside the program.
    ///
    /// # Errors
    /// If `kind` is empty.
    pub fn try_of_type(kind: &str) -> Result<Self, ConfigError> {
        match kind {
            "" => Err(mistake("the type of authorization_details is not empty")),
            kind => Ok(Self(Details::of(kind.into()))),
        }
    }

    /// The entry's member `name` is an array with all of these values. If there is only one value, the
    /// member may also be the value itself. If `values` is empty, every entry is refused.
    pub fn with<V: Into<ClaimValue>>(
        mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.0.fields.push((name.into(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// The entry may have the member `name`, with any value.
    pub fn ignoring(mut self, name: &str) -> Self {
        self.0.ignored.push(name.into());
        self
    }

    /// Also checks the entry with a function. The entry is deserialized into the type of the function's
    /// argument. `type`, `locations` and the members of [`with`](Self::with) are checked first. The
    /// function must check all other members: they no longer cause a refusal. An entry that does not fit
    /// the type grants nothing.
    pub fn matching<T: DeserializeOwned>(
        mut self,
        test: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Policy {
        self.0.matcher = Some(Details::matching(test));
        self.into()
    }
}

impl fmt::Debug for AuthorizationDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationDetails").field("type", &self.0.kind).finish_non_exhaustive()
    }
}

impl From<AuthorizationDetails> for Policy {
    fn from(details: AuthorizationDetails) -> Self {
        Self::of(Leaf::Details(details.0))
    }
}
