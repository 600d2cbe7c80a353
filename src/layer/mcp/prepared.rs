//! The requirements of an MCP server, with their prepared challenges.

use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;

use crate::config_error::ConfigError;
use crate::layer::fixed::Fixed;
use crate::layer::guard::Guard;
use crate::layer::mcp::fault::Fault;
use crate::layer::mcp::origin::Origins;
use crate::policy::{
    Budget, CallRule, Demand, MAX_BRANCHES, McpCall, McpPolicy, Operations, Requirement, Unfound,
    authenticated, compare, messages,
};
use crate::server::ResourceServer;
use crate::token::AccessToken;

/// The maximum number of requirements that one body may cause. A fixed requirement counts once, even if several
/// messages need it. A rule counts once for each different call.
const MAX_TARGETS: usize = 100;

/// The requirements of an MCP server.
pub(super) struct Prepared<C> {
    /// The guard that requires a valid token and nothing else. The challenges of this guard name the scopes of `base`,
    /// unless `base` is hidden.
    pub(super) authenticated: Arc<Guard<C>>,
    /// The guard with the requirement for all requests.
    pub(super) base: Arc<Guard<C>>,
    base_requirement: Requirement<C>,
    operations: Operations<Ready<C>>,
    pub(super) origins: Origins,
}

/// What one operation requires.
enum Ready<C> {
    /// A requirement that is known when the layer is built.
    Fixed {
        own: Arc<Requirement<C>>,
        /// The guard that requires `own` and the requirement for all requests.
        with_base: Arc<Guard<C>>,
        /// How many branches the policy of `own` has.
        branches: usize,
    },
    Rule(CallRule<C>),
}

/// What one call in a body requires.
enum Call<C> {
    Fixed(Arc<Requirement<C>>),
    Rule(CallRule<C>, McpCall),
}

impl<C: Send + Sync + 'static> Prepared<C> {
    /// # Errors
    /// Lists the problems of the policy. A challenge that names the scope `offline_access` is a problem, too.
    pub(super) fn new<R>(
        policy: McpPolicy<C>,
        server: &ResourceServer<C, R>,
        resource: &str,
    ) -> Result<Self, ConfigError> {
        let mut problems = policy.problems().to_vec();
        let in_policy = policy.fixed().any(|requirement| {
            let branches = requirement.branches();
            let mut scopes = branches.iter().flat_map(|branch| branch.scopes());
            scopes.any(|scope| scope.as_str() == "offline_access")
        });
        if in_policy || server.challenges().name_scope("offline_access") {
            problems.push(
                "scope `offline_access`: is not a scope of a resource (MCP 2026-07-28), so no challenge \
                 may name it"
                    .to_owned(),
            );
        }
        let McpPolicy { base, operations, origins, any_origin, .. } = policy;
        let origins = Origins::new(resource, &origins, any_origin).unwrap_or_else(|faults| {
            problems.extend(faults);
            Origins::none()
        });
        let guard = |fixed| Arc::new(Guard::Fixed(Box::new(fixed)));
        let fixed = |requirement| Fixed::new(requirement, server);
        let operations = operations.map(|demand| match demand {
            Demand::Fixed(own) => {
                let with_base = base.clone().and(own.clone()).unwrap_or_else(|error| {
                    problems.extend(error.problems().iter().cloned());
                    own.clone()
                });
                let branches = own.branches().len();
                Ready::Fixed { own: Arc::new(own), with_base: guard(fixed(with_base)), branches }
            }
            Demand::ByCall(rule) => Ready::Rule(rule),
        });
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let mut valid = fixed(authenticated().into());
        let every = fixed(base.clone());
        if !base.is_hidden() {
            valid.challenges = every.challenges.clone();
        }
        Ok(Self {
            authenticated: guard(valid),
            base: guard(every),
            base_requirement: base,
            operations,
            origins,
        })
    }

    /// Whether a requirement depends on the body of the request. If so, the body must be read.
    pub(super) fn reads_messages(&self) -> bool {
        !self.operations.is_empty()
    }

    /// Returns the guards for a body. Together, the guards check the requirement of each call in the body, and the base
    /// requirement, which applies to every request. The token must pass all guards. Almost always, one guard joins all
    /// requirements, so that its challenge names the scopes of all requirements.
    pub(super) fn guards(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Vec<Arc<Guard<C>>>, Fault> {
        let mut calls = Vec::new();
        let mut asks_now = self.base_requirement.asks_now();
        // A call is fixed if its requirement is known when the layer is built. `prepared` collects the guards of the fixed
        // calls in this body, one for each different requirement. `branches` is the number of branches that one policy would have if it joined these requirements
        // and the base requirement.
        let (mut prepared, mut branches) = (Vec::new(), self.base_requirement.branches().len());
        {
            let messages = messages(body).map_err(|problem| Fault::malformed(problem, None))?;
            compare(headers, &messages).map_err(|header| Fault::mismatch(header, &messages))?;
            let mut budget = Budget::new();
            for message in &messages {
                let asked = self.operations.of(message).map_err(|unfound| match unfound {
                    Unfound::Malformed(problem) => Fault::malformed(problem, Some(message)),
                    Unfound::Unlisted(kind) => Fault::unlisted(kind),
                })?;
                for asked in asked {
                    calls.push(match asked.value {
                        Ready::Fixed { own, with_base, branches: more } => {
                            if has(&calls, own) {
                                continue;
                            }
                            asks_now |= own.asks_now();
                            prepared.push(with_base);
                            branches = branches.saturating_mul(*more);
                            Call::Fixed(Arc::clone(own))
                        }
                        Ready::Rule(rule) => {
                            let call = asked.call(message, &mut budget);
                            let call =
                                call.map_err(|problem| Fault::malformed(problem, Some(message)))?;
                            if has_call(&calls, rule, &call) {
                                continue;
                            }
                            Call::Rule(Arc::clone(rule), call)
                        }
                    });
                    if calls.len() > MAX_TARGETS {
                        return Err(Fault::malformed("more than 100 calls", None));
                    }
                }
            }
        }
        match calls.as_slice() {
            [] => return Ok(vec![Arc::clone(&self.base)]),
            // There is only one call, and its requirement is fixed. So its prepared guard is used.
            [Call::Fixed(_)] => return Ok(prepared.into_iter().cloned().collect()),
            _ if branches <= MAX_BRANCHES => {
                return Ok(vec![Arc::new(self.joined(calls, asks_now))]);
            }
            _ => {}
        }
        // Too many branches for one policy: one guard for each fixed call, and one for all rules.
        calls.retain(|call| matches!(call, Call::Rule(..)));
        let mut guards: Vec<_> = prepared.into_iter().cloned().collect();
        if !calls.is_empty() {
            guards.push(Arc::new(self.joined(calls, asks_now)));
        }
        Ok(guards)
    }

    /// Returns one guard for all these calls. The guard joins the requirements of the calls and the requirement for all
    /// requests.
    fn joined(&self, calls: Vec<Call<C>>, asks_now: bool) -> Guard<C> {
        let base = self.base_requirement.clone();
        let rule = move |_: &Parts, token: &AccessToken<C>| {
            calls.iter().try_fold(base.clone(), |all, call| match call {
                Call::Fixed(own) => all.and(Requirement::clone(own)),
                Call::Rule(rule, call) => {
                    let own = rule(call, token)?;
                    if own.asks_now() {
                        return Err(ConfigError::new(
                            "a rule for a call cannot require `introspected_now`: list the tool, prompt \
                             or resource without a rule, or require it for every request",
                        ));
                    }
                    all.and(own)
                }
            })
        };
        Guard::ByRequest { rule: Arc::new(rule), asks_now }
    }
}

fn has<C>(calls: &[Call<C>], own: &Arc<Requirement<C>>) -> bool {
    calls.iter().any(|call| matches!(call, Call::Fixed(other) if Arc::ptr_eq(other, own)))
}

fn has_call<C>(calls: &[Call<C>], rule: &CallRule<C>, call: &McpCall) -> bool {
    calls
        .iter()
        .any(|own| matches!(own, Call::Rule(other, own) if Arc::ptr_eq(other, rule) && own == call))
}
