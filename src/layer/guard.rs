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
    /// The requirement is the same for all requests.
    Fixed(Box<Fixed<C>>),
    /// The requirement depends on the request. A rule returns the requirement. The rule is the argument of
    /// `require_with`. The MCP layer makes such a rule, too, for the messages in the body of a request.
    ByRequest {
        rule: Rule<C>,
        /// Whether the rule may return a requirement with `introspected_now`.
        asks_now: bool,
    },
    /// The requirement depends on the method and the route. The table of `protect_routes` contains the
    /// requirement.
    ByRoute(Box<ByRoute<C>>),
}

/// Returns the requirement for a request. A rule is user-supplied code, or a closure of the MCP layer.
pub(crate) type Rule<C> = Arc<
    dyn Fn(&Parts, &AccessToken<C>) -> Result<Requirement<C>, ConfigError> + Send + Sync + 'static,
>;

/// The requirement that applies to one request.
pub(crate) enum Applied<'a, C> {
    /// The layer has no guard. A valid token is enough.
    Nothing,
    /// The requirement is known before the request arrives. It is the requirement of the layer, or the
    /// requirement of the route in the table of the layer.
    Fixed(&'a Fixed<C>),
    /// The layer has a rule. The rule returns the requirement for this request.
    ByRequest { rule: &'a Rule<C>, asks_now: bool },
    /// The layer has a table, and the table does not list the method and the route. The request is refused.
    /// The log shows `requires`. The response is 404 instead of 403 if `hidden` is `true`.
    Unlisted { requires: Excerpt, hidden: bool },
}

impl<C> Guard<C> {
    /// The requirement that applies to the request.
    #[inline]
    pub(crate) fn of(&self, request: &impl RequestHead) -> Applied<'_, C> {
        match self {
            Self::Fixed(fixed) => Applied::Fixed(fixed),
            Self::ByRequest { rule, asks_now } => Applied::ByRequest { rule, asks_now: *asks_now },
            Self::ByRoute(routes) => match routes.of(request) {
                Ok(fixed) => Applied::Fixed(fixed),
                Err(requires) => Applied::Unlisted { requires, hidden: routes.hides_unlisted },
            },
        }
    }

    /// Whether the request is a CORS preflight request that the layer lets pass without authentication.
    #[inline]
    pub(crate) fn lets_preflight_pass(&self, request: &impl RequestHead) -> bool {
        match self {
            Self::Fixed(_) | Self::ByRequest { .. } => false,
            Self::ByRoute(routes) => routes.lets_preflight_pass(request),
        }
    }

    /// Whether user-supplied code reads the head of the request. If so, the caller must separate the head
    /// from the body before the decision.
    pub(crate) fn reads_request(&self) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.requirement.reads_request(),
            Self::ByRequest { .. } => true,
            Self::ByRoute(routes) => routes.reads_request,
        }
    }
}

impl<C> Applied<'_, C> {
    /// The challenges of this requirement, for a request without a valid token. If the result is `None`, the
    /// general challenges of the server are used. A hidden requirement has no challenges of its own, because a
    /// challenge with its scopes would show that the route exists.
    pub(crate) fn challenges(&self) -> Option<&Challenges> {
        match self {
            Self::Fixed(fixed) if !fixed.requirement.is_hidden() => Some(&fixed.challenges),
            Self::Fixed(_) | Self::Nothing | Self::ByRequest { .. } | Self::Unlisted { .. } => None,
        }
    }

    /// Whether the crate must introspect the token for this request, even if an answer is cached.
    #[inline]
    pub(crate) fn asks_now(&self) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.requirement.asks_now(),
            Self::ByRequest { asks_now, .. } => *asks_now,
            Self::Nothing | Self::Unlisted { .. } => false,
        }
    }
}

impl<C: Send + Sync + 'static> Applied<'_, C> {
    /// Evaluates the requirement. Returns the lookups (asynchronous checks) that the caller must wait
    /// for.
    ///
    /// # Errors
    /// Returns the refusal if the token does not meet the requirement, if the table does not list the route, or
    /// if the rule fails. The caller must report the refusal to the log.
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
            Self::ByRequest { rule, asks_now } => by_request(rule, *asks_now, token, parts, server),
            Self::Unlisted { requires, hidden } => {
                let error = Error::AccessDenied { requires: requires.clone() };
                let scheme = token.facts().scheme();
                Err(Refusal::unmet(Unmet::of(error), server, scheme, None, *hidden))
            }
        }
    }
}

fn by_request<C: Send + Sync + 'static>(
    rule: &Rule<C>,
    asks_now: bool,
    token: &AnyToken,
    parts: Option<&Parts>,
    server: &ServerId,
) -> Result<Option<Box<Lookups>>, Refusal> {
    let scheme = token.facts().scheme();
    let refuse = |error| Refusal::unmet(Unmet::of(error), server, scheme, None, false);
    let wiring = |fix: &'static str| refuse(Error::Wiring { fix: fix.into() });
    // The caller passes the head of the request if `reads_request` returns `true`.
    let parts =
        parts.ok_or_else(|| wiring("a rule about the request did not receive the request"))?;
    let typed = typed(token).map_err(refuse)?;
    let requirement = rule(parts, &typed).map_err(|error| {
        let problem = format!(
            "a policy that the rule about the request could not create: {}",
            error.problems().join("; ")
        );
        refuse(Error::AccessDenied { requires: Excerpt::of(&problem) })
    })?;
    if requirement.asks_now() && !asks_now {
        return Err(wiring(
            "`require_with` does not support `introspected_now`: add `.require(introspected_now())` \
             around the route",
        ));
    }
    let lookups = requirement.evaluate(token, Some(parts), &[]);
    lookups.map_err(|unmet| Refusal::of_requirement(unmet, server, scheme, &requirement))
}

impl<C> fmt::Debug for Guard<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(fixed) => f
                .debug_struct("Guard")
                .field("requirement", &fixed.requirement)
                .field("challenges", &fixed.challenges)
                .finish(),
            Self::ByRequest { .. } => f.write_str("Guard(by request)"),
            Self::ByRoute(routes) => routes.fmt(f),
        }
    }
}
