//! One condition of a policy, and whether a token meets it.

use std::cell::OnceCell;
use std::fmt;

use crate::error::Error;
use crate::policy::claim_test::{ClaimTest, Wanted};
use crate::policy::details::{AUTHORIZATION_DETAILS, Details};
use crate::scheme::Scheme;
use crate::token::json::{Object, Value};
use crate::token::{
    Actor, AnyToken, Excerpt, Facts, NumericDate, OtherScope, RoleList, ScopeSet, ScopeToken,
};

/// One condition. `Debug` shows no subject, no client and no value of a claim.
#[derive(Clone)]
pub(super) enum Leaf {
    Scope(ScopeToken),
    /// The second field is `false` for a role that the token must not have.
    Role(Box<str>, bool),
    Claim(ClaimTest),
    User,
    Client,
    /// The accepted values, in the order of preference.
    Acr(Vec<Box<str>>),
    /// Seconds since the login.
    MaxAge(u64),
    /// Seconds since the token was issued.
    TokenAge(u64),
    Details(Details),
    ClientId {
        iss: Box<str>,
        client_id: Box<str>,
    },
    Subject {
        iss: Box<str>,
        sub: Box<str>,
    },
    Issuer(Box<str>),
    Audience(Box<str>),
    SenderConstrained,
    /// Bound to a key (DPoP).
    KeyBound,
}

/// What a client needs to meet a condition. If a branch lacks several conditions, the last remedy in this order
/// applies. Among branches, the first remedy is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remedy {
    /// A token with more scope.
    Scope,
    /// A login of the user (RFC 9470).
    Login,
    /// Another token.
    Token,
    /// Nothing that a client can ask for.
    Nothing,
}

/// A token whose policy is evaluated. The claims are parsed when the first condition needs them.
pub(super) struct Judged<'a> {
    pub(super) token: &'a AnyToken,
    pub(super) facts: &'a Facts,
    claims: OnceCell<Object<'a>>,
    answer: OnceCell<Option<Object<'a>>>,
}

impl<'a> Judged<'a> {
    pub(super) fn new(token: &'a AnyToken) -> Self {
        Self { token, facts: token.facts(), claims: OnceCell::new(), answer: OnceCell::new() }
    }

    fn claims(&self) -> &Object<'a> {
        self.claims.get_or_init(|| self.token.payload().claims())
    }

    /// Whether a condition on the claim `name` holds. If there is an introspection answer about a JWT and it
    /// has the claim, the condition must also hold there: the answer can only restrict the token.
    fn holds(&self, name: &str, condition: impl Fn(&Object<'_>) -> bool) -> bool {
        let answer = self.answer.get_or_init(|| self.token.payload().answer());
        condition(self.claims())
            && answer.as_ref().is_none_or(|answer| !answer.contains(name) || condition(answer))
    }

    fn now(&self) -> NumericDate {
        self.token.server().now()
    }

    /// Whether `time` is at most `seconds` ago, and at most [`CLOCKS_DIFFER`] seconds in the future. `None` is
    /// not recent.
    fn is_recent(&self, time: Option<NumericDate>, seconds: u64) -> bool {
        let now = self.now().as_secs_f64();
        time.map(NumericDate::as_secs_f64).is_some_and(|time| {
            // The time is only compared and never used in an addition, since it may be any number.
            time >= now - seconds as f64 && time <= now + CLOCKS_DIFFER
        })
    }

    /// The audiences that the token names, for the log.
    fn found_audiences(&self) -> Excerpt {
        match self.claims().get("aud") {
            Some(Value::String(text)) => Excerpt::of_url(text),
            Some(Value::Array(values)) => {
                let found: Vec<_> = values.iter().filter_map(Value::as_str).collect();
                Excerpt::of_url(&found.join(" "))
            }
            _ => Excerpt::of(""),
        }
    }
}

/// Why a condition can't be negated.
pub(super) const NOT_NEGATABLE: &str = "only conditions on claims and roles can be negated: no lack of scope, acr or sender grants access";

/// How far a time may be in the future, in seconds, because clocks differ.
const CLOCKS_DIFFER: f64 = 60.0;

impl Leaf {
    /// Scopes and roles are evaluated inline, since most policies have no other conditions.
    #[inline]
    pub(super) fn allows(&self, judged: &Judged<'_>) -> bool {
        match self {
            Self::Scope(scope) if judged.facts.scope.contains(scope.as_str()) => true,
            Self::Role(role, true) => judged.facts.has_role(role),
            _ => self.allows_otherwise(judged),
        }
    }

    fn allows_otherwise(&self, judged: &Judged<'_>) -> bool {
        let facts = judged.facts;
        match self {
            Self::Scope(scope) => judged.token.server().scopes.covers(&facts.scope, scope.as_str()),
            Self::Role(role, true) => facts.has_role(role),
            Self::Role(role, false) => {
                facts.role_list() == RoleList::Complete && !facts.has_role(role)
            }
            Self::Claim(test) => judged.holds(test.path.claim(), |claims| test.allows(claims)),
            Self::User => is_user(facts),
            Self::Client => facts.actor == Actor::Client,
            Self::Acr(values) => {
                facts.acr().is_some_and(|own| values.iter().any(|value| **value == *own))
            }
            Self::MaxAge(seconds) => judged.is_recent(facts.authenticated_at, *seconds),
            Self::TokenAge(seconds) => judged.is_recent(facts.issued_at, *seconds),
            Self::Details(details) => judged
                .holds(AUTHORIZATION_DETAILS, |claims| details.allows(claims, &facts.audiences)),
            Self::ClientId { iss, client_id } => {
                *facts.issuer == **iss && facts.client_id() == Some(client_id)
            }
            Self::Subject { iss, sub } => {
                *facts.issuer == **iss && is_user(facts) && facts.subject() == Some(sub)
            }
            Self::Issuer(iss) => *facts.issuer == **iss,
            Self::Audience(audience) => judged.holds("aud", |claims| match claims.get("aud") {
                Some(Value::String(own)) => **own == **audience,
                Some(Value::Array(all)) => all.iter().any(|own| own.as_str() == Some(audience)),
                _ => false,
            }),
            Self::SenderConstrained => facts.cnf.is_some(),
            Self::KeyBound => facts.scheme() == Scheme::Dpop,
        }
    }

    /// The opposite condition. If the token does not show whether a condition holds, neither the condition nor
    /// its opposite holds.
    ///
    /// # Errors
    /// The problem, as a fixed text.
    pub(super) fn negated(&self) -> Result<Self, &'static str> {
        match self {
            Self::Role(role, holds) => Ok(Self::Role(role.clone(), !holds)),
            Self::Claim(ClaimTest { wanted: Wanted::Exists, .. }) => {
                Err("write `absent()` instead of `not(..exists())`")
            }
            Self::Claim(ClaimTest { wanted: Wanted::Absent, .. }) => {
                Err("write `exists()` instead of `not(..absent())`")
            }
            Self::Claim(test) => Ok(Self::Claim(ClaimTest { holds: !test.holds, ..test.clone() })),
            _ => Err(NOT_NEGATABLE),
        }
    }

    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Scope(_) => Remedy::Scope,
            Self::Acr(_) | Self::MaxAge(_) => Remedy::Login,
            Self::Audience(_) | Self::TokenAge(_) | Self::SenderConstrained | Self::KeyBound => {
                Remedy::Token
            }
            Self::Role(..)
            | Self::Claim(_)
            | Self::User
            | Self::Client
            | Self::Details(_)
            | Self::ClientId { .. }
            | Self::Subject { .. }
            | Self::Issuer(_) => Remedy::Nothing,
        }
    }

    /// The error for a token that does not meet the condition. It is used only if the remedy of the condition
    /// is neither a scope nor a login.
    pub(super) fn error(&self, judged: &Judged<'_>) -> Error {
        let facts = judged.facts;
        match (self, facts.actor) {
            (Self::Audience(audience), _) => Error::ForeignAudience {
                found: judged.found_audiences(),
                expected: Excerpt::of_url(audience),
            },
            (Self::TokenAge(limit), _) => {
                Error::TokenTooOld { iat: facts.issued_at, now: judged.now(), limit: *limit }
            }
            (Self::SenderConstrained, _) => Error::SenderNotConstrained,
            (Self::KeyBound, _) => Error::KeyNotBound,
            (Self::User | Self::Client | Self::Subject { .. }, Actor::Unknown(claim)) => {
                Error::UnknownPrincipal { claim }
            }
            _ => Error::AccessDenied { requires: self.shown() },
        }
    }

    /// The condition for the log. It contains no subject, no client and no value of a claim.
    fn shown(&self) -> Excerpt {
        let text = match self {
            Self::Scope(scope) => format!("scope {scope}"),
            Self::Role(role, true) => format!("role {role}"),
            Self::Role(role, false) => format!("a complete list of roles without {role}"),
            Self::Claim(test) => format!("another value of claim {}", test.path),
            Self::User => "a user".to_owned(),
            Self::Client => "a client on its own behalf".to_owned(),
            Self::Acr(_) => "another acr".to_owned(),
            Self::MaxAge(_) => "a recent login".to_owned(),
            Self::TokenAge(_) => "a recent token".to_owned(),
            Self::Details(details) => format!("authorization_details of type {}", details.kind),
            Self::ClientId { .. } => "another client".to_owned(),
            Self::Subject { .. } => "another user".to_owned(),
            Self::Issuer(iss) => return Excerpt::of_url(&format!("issuer {iss}")),
            Self::Audience(_) => "another audience".to_owned(),
            Self::SenderConstrained => "a sender-constrained token".to_owned(),
            Self::KeyBound => "a token that is bound to a key".to_owned(),
        };
        Excerpt::of(&text)
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown().as_str())
    }
}

fn is_user(facts: &Facts) -> bool {
    facts.actor == Actor::User && facts.subject().is_some()
}

/// The error for a token that lacks scope.
pub(super) fn insufficient_scope(required: &[ScopeToken], facts: &Facts) -> Error {
    let required: Vec<_> = required.iter().map(ScopeToken::as_str).collect();
    Error::InsufficientScope {
        required: ScopeSet::new(&required.join(" ")),
        found: facts.scope.clone(),
        hint: facts.other_scope.map(OtherScope::hint),
    }
}
