//! What a layer requires in addition to a valid token.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

use crate::challenge::Challenges;
use crate::config_error::ConfigError;
use crate::error::Error;
use crate::layer::by_route::ByRoute;
use crate::layer::fixed::Fixed;
use crate::layer::head::RequestHead;
use crate::policy::{Lookups, Requirement, Unmet, typed};
use crate::rejection::Refusal;
use crate::server_id::ServerId;
use crate::token::{AccessToken, AnyToken, Excerpt};

/// What a layer requires in addition to a valid token.
pub(crate) enum Guard<C> {
    Fixed(Box<Fixed<C>>),
    /// The requirement depends on the request.
    ByRequest(Rule<C>),
    /// The requirement depends on the method and the route.
    ByRoute(Box<ByRoute<C>>),
}

/// Makes the requirement for a request.
pub(crate) type Rule<C> = Arc<
    dyn Fn(&Parts, &AccessToken<C>) -> Result<Requirement<C>, ConfigError> + Send + Sync + 'static,
>;

/// What applies to one request.
pub(crate) enum Applied<'a, C> {
    /// A valid token is enough.
    Nothing,
    Fixed(&'a Fixed<C>),
    ByRequest(&'a Rule<C>),
    /// The table of the layer does not list the route.
    Unlisted {
        requires: Excerpt,
        hidden: bool,
    },
}

impl<C> Guard<C> {
    /// What applies to the request.
    #[inline]
    pub(crate) fn of(&self, request: &impl RequestHead) -> Applied<'_, C> {
        match self {
            Self::Fixed(fixed) => Applied::Fixed(fixed),
            Self::ByRequest(rule) => Applied::ByRequest(rule),
            Self::ByRoute(routes) => match routes.of(request) {
                Ok(fixed) => Applied::Fixed(fixed),
                Err(requires) => Applied::Unlisted { requires, hidden: routes.hides_unlisted },
            },
        }
    }

    /// Whether the request passes without authentication, because it is a CORS preflight request.
    #[inline]
    pub(crate) fn lets_preflight_pass(&self, request: &impl RequestHead) -> bool {
        match self {
            Self::Fixed(_) | Self::ByRequest(_) => false,
            Self::ByRoute(routes) => routes.lets_preflight_pass(request),
        }
    }

    /// Whether the decision needs the head of the request apart from its body.
    pub(crate) fn reads_request(&self) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.requirement.reads_request(),
            Self::ByRequest(_) => true,
            Self::ByRoute(routes) => routes.reads_request,
        }
    }
}

impl<C> Applied<'_, C> {
    /// The challenges for a request without a valid token, if they name scopes of the route. Those of a
    /// hidden route would tell everyone that the route exists.
    pub(crate) fn challenges(&self) -> Option<&Challenges> {
        match self {
            Self::Fixed(fixed) if !fixed.requirement.is_hidden() => Some(&fixed.challenges),
            Self::Fixed(_) | Self::Nothing | Self::ByRequest(_) | Self::Unlisted { .. } => None,
        }
    }

    /// Whether the authorization server must be asked at each request.
    #[inline]
    pub(crate) fn asks_now(&self) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.requirement.asks_now(),
            Self::Nothing | Self::ByRequest(_) | Self::Unlisted { .. } => false,
        }
    }

    /// Whether a lookup that refuses is answered 404 instead of 403.
    #[cfg(feature = "http-client")]
    pub(crate) fn is_hidden(&self) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.requirement.is_hidden(),
            Self::Unlisted { hidden, .. } => *hidden,
            Self::Nothing | Self::ByRequest(_) => false,
        }
    }
}

impl<C: Send + Sync + 'static> Applied<'_, C> {
    /// Returns the lookups that the caller must wait for.
    ///
    /// # Errors
    /// The refusal, not yet reported to the log.
    #[inline]
    pub(crate) fn evaluate(
        &self,
        token: &AnyToken,
        parts: Option<&Parts>,
        server: &ServerId,
    ) -> Result<Option<Box<Lookups>>, Refusal> {
        match self {
            Self::Nothing => Ok(None),
            Self::Fixed(fixed) => fixed.evaluate(token, parts, server),
            Self::ByRequest(rule) => by_request(rule, token, parts, server),
            Self::Unlisted { requires, hidden } => {
                let error = Error::AccessDenied { requires: requires.clone() };
                Err(Refusal::unmet(Unmet::of(error), server, None, *hidden))
            }
        }
    }
}

fn by_request<C: Send + Sync + 'static>(
    rule: &Rule<C>,
    token: &AnyToken,
    parts: Option<&Parts>,
    server: &ServerId,
) -> Result<Option<Box<Lookups>>, Refusal> {
    let refuse = |error| Refusal::unmet(Unmet::of(error), server, None, false);
    let wiring = |fix: &'static str| refuse(Error::Wiring { fix: fix.into() });
    // The caller passes the head of the request wherever `reads_request` is true.
    let parts = parts.ok_or_else(|| wiring("the rule of `require_with` got no request"))?;
    let typed = typed(token).map_err(refuse)?;
    let requirement = rule(parts, &typed).map_err(|error| {
        let problem =
            format!("a policy that can be made from the request: {}", error.problems().join("; "));
        refuse(Error::AccessDenied { requires: Excerpt::of(&problem) })
    })?;
    if requirement.asks_now() {
        return Err(wiring(
            "`introspected_now` in the requirement of `require_with`, which can't ask for it: add \
             `.require(introspected_now())` around the route",
        ));
    }
    let lookups = requirement.evaluate(token, Some(parts), &[]);
    lookups.map_err(|unmet| Refusal::of_requirement(unmet, server, &requirement))
}

impl<C> fmt::Debug for Guard<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(fixed) => f
                .debug_struct("Guard")
                .field("requirement", &fixed.requirement)
                .field("challenges", &fixed.challenges)
                .finish(),
            Self::ByRequest(_) => f.write_str("Guard(by request)"),
            Self::ByRoute(routes) => routes.fmt(f),
        }
    }
}
