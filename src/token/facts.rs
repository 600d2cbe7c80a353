//! What the validation learns about a token. It does not depend on the type of the claims.

#[cfg(feature = "http-client")]
use std::collections::HashSet;
use std::sync::Arc;

use crate::scheme::Scheme;
use crate::token::words::has_word;
use crate::token::{Cnf, NumericDate, Principal, ScopeSet};

/// The facts that policies and the principal need.
#[derive(Clone)]
pub(crate) struct Facts {
    /// The configured name of the issuer, even if the token contains an alias.
    pub(crate) issuer: Arc<str>,
    /// The names of this API for tokens of the issuer, from the configuration that accepted the token.
    pub(crate) audiences: Arc<[Box<str>]>,
    /// Who acts, as decided by the profile.
    pub(crate) actor: Actor,
    pub(crate) scope: ScopeSet,
    /// Another claim that seems to have the scope, if the token has no scope in the claim that the
    /// profile reads.
    pub(crate) other_scope: Option<OtherScope>,
    pub(crate) expires_at: Option<NumericDate>,
    /// The allowed difference between the clocks of the issuer and this server, in seconds.
    pub(crate) leeway: u64,
    /// The key or certificate that the token is bound to.
    pub(crate) cnf: Option<Cnf>,
    /// When the token was issued (`iat`).
    pub(crate) issued_at: Option<NumericDate>,
    /// When the user logged in (`auth_time`, RFC 9470 §6.1).
    pub(crate) authenticated_at: Option<NumericDate>,
    pub(crate) names: Names,
}

impl Facts {
    /// The scheme with which the token must be sent: `DPoP` if the token is bound to a key.
    pub(crate) fn scheme(&self) -> Scheme {
        match self.cnf.and_then(|cnf| cnf.key) {
            Some(_) => Scheme::Dpop,
            None => Scheme::Bearer,
        }
    }
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

/// The texts of a token that are read often: the subject, the client, the authentication context (`acr`)
/// and the roles. One text contains all of them, one after the other, to save allocations.
#[derive(Clone, Default)]
pub(crate) struct Names {
    text: Box<str>,
    /// Where the subject, the client and `acr` end, in bytes. The roles follow, each with [`ROLE_END`]
    /// after it.
    ends: [usize; 3],
    has_subject: bool,
    has_client: bool,
    has_acr: bool,
    roles: RoleList,
}

/// The character after each role. A role that contains this character is not stored, and matches
/// nothing.
const ROLE_END: char = '\0';

/// What is known about the roles of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RoleList {
    /// The token has no claim with roles.
    #[default]
    Absent,
    /// All roles of the token were read.
    Complete,
    /// A claim with roles could not be read completely, so the token may have other roles.
    Incomplete,
}

impl RoleList {
    /// What is known after another claim with roles was read.
    pub(crate) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Incomplete, _) | (_, Self::Incomplete) => Self::Incomplete,
            (Self::Complete, _) | (_, Self::Complete) => Self::Complete,
            (Self::Absent, Self::Absent) => Self::Absent,
        }
    }
}

impl Names {
    /// Only a subject and a client.
    #[cfg(test)]
    pub(crate) fn new(subject: Option<&str>, client: Option<&str>) -> Self {
        Self::with_roles(subject, client, None, |_| RoleList::Absent)
    }

    /// `roles` calls its argument for each role. `roles` may be called twice, since the length of the
    /// text must be known first.
    #[inline]
    pub(crate) fn with_roles(
        subject: Option<&str>,
        client: Option<&str>,
        acr: Option<&str>,
        roles: impl Fn(&mut dyn FnMut(&str)) -> RoleList,
    ) -> Self {
        let (mut length, mut is_complete) = (0, true);
        let mut list = roles(&mut |role| match role.contains(ROLE_END) {
            true => is_complete = false,
            false => length += role.len() + ROLE_END.len_utf8(),
        });
        if !is_complete {
            list = RoleList::Incomplete;
        }
        let parts = [subject, client, acr].map(Option::unwrap_or_default);
        let mut text = String::with_capacity(parts.map(str::len).iter().sum::<usize>() + length);
        let ends = parts.map(|part| {
            text.push_str(part);
            text.len()
        });
        if length > 0 {
            roles(&mut |role| {
                if !role.contains(ROLE_END) {
                    text.push_str(role);
                    text.push(ROLE_END);
                }
            });
        }
        Self {
            text: text.into(),
            ends,
            has_subject: subject.is_some(),
            has_client: client.is_some(),
            has_acr: acr.is_some(),
            roles: list,
        }
    }

    fn subject(&self) -> Option<&str> {
        let [end, ..] = self.ends;
        self.text.get(..end).filter(|_| self.has_subject)
    }

    fn client(&self) -> Option<&str> {
        let [start, end, _] = self.ends;
        self.text.get(start..end).filter(|_| self.has_client)
    }

    fn acr(&self) -> Option<&str> {
        let [_, start, end] = self.ends;
        self.text.get(start..end).filter(|_| self.has_acr)
    }

    #[inline]
    fn has_role(&self, role: &str) -> bool {
        let [.., start] = self.ends;
        let roles = self.text.as_bytes().get(start..).unwrap_or_default();
        has_word(roles, role.as_bytes(), ROLE_END as u8)
    }

    #[cfg(feature = "http-client")]
    fn roles(&self) -> impl Iterator<Item = &str> {
        let [.., start] = self.ends;
        self.text.get(start..).unwrap_or_default().split_terminator(ROLE_END)
    }
}

impl Facts {
    /// Stores which other claim may have the scope. `other` is called only for a token without a scope.
    pub(crate) fn with_other_scope(mut self, other: impl FnOnce() -> Option<OtherScope>) -> Self {
        if self.scope.as_str().is_empty() {
            self.other_scope = other();
        }
        self
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.names.subject()
    }

    pub(crate) fn client_id(&self) -> Option<&str> {
        self.names.client()
    }

    /// The authentication context class (`acr`, OpenID Connect Core §2, RFC 9470 §6.1).
    pub(crate) fn acr(&self) -> Option<&str> {
        self.names.acr()
    }

    #[inline]
    pub(crate) fn has_role(&self, role: &str) -> bool {
        self.names.has_role(role)
    }

    /// Whether all roles of the token are known.
    pub(crate) fn role_list(&self) -> RoleList {
        self.names.roles
    }

    /// Removes the roles that are not in `granted`, and `acr` unless `keep_acr`.
    ///
    /// If the token's roles differ from `granted`, or if `granted` is not complete, the remaining list
    /// counts as incomplete: it is not known whether the token has a role that only one of the lists
    /// has.
    #[cfg(feature = "http-client")]
    pub(crate) fn retain(&mut self, keep_acr: bool, granted: Option<(RoleList, &[String])>) {
        let own = &self.names;
        // Sets, since a token may have thousands of roles.
        let granted = granted.map(|(list, granted)| {
            (list, granted.iter().map(String::as_str).collect::<HashSet<_>>())
        });
        let keep_role =
            |role: &str| granted.as_ref().is_none_or(|(_, granted)| granted.contains(role));
        let is_same = granted.as_ref().is_none_or(|(list, granted)| {
            *list == RoleList::Complete && own.roles().collect::<HashSet<_>>() == *granted
        });
        let list = if is_same { own.roles } else { own.roles.with(RoleList::Incomplete) };
        let acr = own.acr().filter(|_| keep_acr);
        self.names = Names::with_roles(own.subject(), own.client(), acr, |add| {
            own.roles().filter(|role| keep_role(role)).for_each(add);
            list
        });
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
impl Facts {
    /// The facts about a token of a user, for a test of rules.
    pub(crate) fn of_test(scope: &str) -> Self {
        Self {
            issuer: "https://as.example.com".into(),
            audiences: ["https://api.example.com".into()].into(),
            actor: Actor::User,
            scope: ScopeSet::new(scope),
            other_scope: None,
            expires_at: None,
            leeway: 0,
            cnf: None,
            issued_at: None,
            authenticated_at: None,
            names: Names::new(Some("alice"), Some("app")),
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
            let facts = Facts { names: Names::new(subject, client), ..Facts::of_test("") };
            assert_eq!((facts.subject(), facts.client_id()), (subject, client));
            let names = Names::with_roles(subject, client, Some("high"), |add| {
                ["editor", "", "a\0b"].into_iter().for_each(add);
                RoleList::Complete
            });
            let facts = Facts { names, ..facts };
            assert_eq!((facts.subject(), facts.client_id()), (subject, client));
            assert_eq!(facts.acr(), Some("high"));
            assert!(facts.has_role("editor") && !facts.has_role("edit") && !facts.has_role("high"));
            // A role with the separator is not split into two.
            assert!(!facts.has_role("a") && !facts.has_role("b") && !facts.has_role("a\0b"));
            assert_eq!(facts.role_list(), RoleList::Incomplete);
        }
    }
}
