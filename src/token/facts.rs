//! What the walk learns about a token, independent of the type of its claims.

use std::sync::Arc;

use crate::token::{Cnf, NumericDate, Principal, ScopeSet};

/// The facts that policies and the principal need.
#[derive(Clone)]
pub(crate) struct Facts {
    /// The configured name of the issuer, even if the token contains an alias.
    pub(crate) issuer: Arc<str>,
    /// Who acts, as decided by the profile.
    pub(crate) actor: Actor,
    pub(crate) scope: ScopeSet,
    /// If the claim that the profile reads is absent: another claim that seems to have the scope.
    pub(crate) other_scope: Option<OtherScope>,
    pub(crate) expires_at: Option<NumericDate>,
    /// The key that the token is bound to.
    pub(crate) cnf: Option<Cnf>,
    pub(crate) names: Names,
}

/// A claim that seems to have the scope but is not read by the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherScope {
    Scope,
    ScopeArray,
    Scp,
    ScpArray,
    /// A member of an introspection response.
    #[cfg(feature = "http-client")]
    InAnswer,
}

impl OtherScope {
    /// The setting with which the claim would be read.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Scope => "its claim `scope` is not read: see `Profile::scope_claim`",
            Self::ScopeArray => {
                "its claim `scope`, an array, is not read: see `Profile::scope_array_claim`"
            }
            Self::Scp => "its claim `scp` is not read: see `Profile::scope_claim`",
            #[cfg(feature = "http-client")]
            Self::InAnswer => {
                "the introspection answer has it under another name than `scope`: see \
                 `Profile::answers`"
            }
            Self::ScpArray => {
                "its claim `scp`, an array, is not read: see `Profile::scope_array_claim`"
            }
        }
    }
}

/// Who acts with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    User,
    Client,
    /// The token does not show who acts. The value is a claim that seems to name the client but is
    /// not read by the profile.
    Unknown(Option<&'static str>),
}

/// The subject and the client in one text, one after the other, to save an allocation.
#[derive(Clone, Default)]
pub(crate) struct Names {
    text: Box<str>,
    /// The length of the subject in bytes. The rest is the client.
    subject: usize,
    has_subject: bool,
    has_client: bool,
}

impl Names {
    pub(crate) fn new(subject: Option<&str>, client: Option<&str>) -> Self {
        let (sub, client_id) = (subject.unwrap_or_default(), client.unwrap_or_default());
        let mut text = String::with_capacity(sub.len() + client_id.len());
        text.push_str(sub);
        text.push_str(client_id);
        Self {
            text: text.into(),
            subject: sub.len(),
            has_subject: subject.is_some(),
            has_client: client.is_some(),
        }
    }
}

impl Facts {
    /// Stores where else the scope may be. `other` is only called for a token without a scope.
    pub(crate) fn with_other_scope(mut self, other: impl FnOnce() -> Option<OtherScope>) -> Self {
        if self.scope.as_str().is_empty() {
            self.other_scope = other();
        }
        self
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.names.text.get(..self.names.subject).filter(|_| self.names.has_subject)
    }

    pub(crate) fn client_id(&self) -> Option<&str> {
        self.names.text.get(self.names.subject..).filter(|_| self.names.has_client)
    }

    pub(crate) fn principal(&self) -> Principal<'_> {
        let iss = &self.issuer;
        let (sub, client_id) = (self.subject(), self.client_id());
        match (self.actor, sub) {
            (Actor::User, Some(sub)) => Principal::User { iss, sub },
            (Actor::User | Actor::Client, _) => Principal::Client { iss, client_id },
            (Actor::Unknown(_), _) => Principal::Unknown { iss, sub, client_id },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for (subject, client) in [
            (Some("alice"), Some("app")),
            (Some("alice"), None),
            (None, Some("app")),
            (None, None),
            (Some(""), Some("")),
            (Some("é"), Some("ü")),
        ] {
            let facts = Facts {
                issuer: "https://as.example.com".into(),
                actor: Actor::User,
                scope: ScopeSet::default(),
                other_scope: None,
                expires_at: None,
                cnf: None,
                names: Names::new(subject, client),
            };
            assert_eq!((facts.subject(), facts.client_id()), (subject, client));
        }
    }
}
