//! The requirements of an MCP server, with their prepared challenges.

use std::sync::Arc;

use http::HeaderMap;

use crate::config_error::ConfigError;
use crate::error::Error;
use crate::layer::fixed::Fixed;
use crate::layer::guard::Guard;
use crate::layer::mcp::fault::Fault;
use crate::layer::mcp::origin::Origins;
use crate::policy::{
    Budget, CallRule, Demand, McpCall, McpPolicy, Operations, Requirement, Unfound, authenticated,
    compare, messages,
};
use crate::server::ResourceServer;
use crate::token::Excerpt;

/// The most tools, prompts and resources that one body names. Each of them is evaluated.
const MAX_TARGETS: usize = 100;

/// The requirements of an MCP server.
pub(super) struct Prepared<C> {
    /// A valid token. Its challenges name the scopes of `base`.
    pub(super) authenticated: Arc<Guard<C>>,
    /// What every request needs.
    pub(super) base: Arc<Guard<C>>,
    base_requirement: Requirement<C>,
    operations: Operations<Ready<C>>,
    /// Introspection at each request, for operations that need it.
    introspection: Option<Arc<Guard<C>>>,
    pub(super) origins: Origins,
}

/// What one operation requires.
enum Ready<C> {
    /// With the requirement of every request.
    Fixed {
        own: Arc<Requirement<C>>,
        with_base: Arc<Guard<C>>,
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
    /// The problems of the policy.
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
        let mut asks_now = base.asks_now();
        let operations = operations.map(|demand| match demand {
            Demand::Fixed(own) => {
                asks_now |= own.asks_now();
                let with_base = base.clone().and(own.clone()).unwrap_or_else(|error| {
                    problems.extend(error.problems().iter().cloned());
                    own.clone()
                });
                Ready::Fixed { own: Arc::new(own), with_base: guard(fixed(with_base)) }
            }
            Demand::ByCall(rule) => Ready::Rule(rule),
        });
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let introspects = || Requirement::from(authenticated()).with_introspection();
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
            introspection: asks_now.then(|| guard(fixed(introspects()))),
            origins,
        })
    }

    /// Whether the body of a request decides.
    pub(super) fn reads_messages(&self) -> bool {
        !self.operations.is_empty()
    }

    /// What a body needs, together with what every request needs. All guards apply. One of them has all
    /// scopes, so that a challenge names all of them.
    pub(super) fn guards(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Vec<Arc<Guard<C>>>, Fault> {
        let (mut calls, mut asks_now) = (Vec::new(), self.base_requirement.asks_now());
        let mut only = None;
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
                        Ready::Fixed { own, with_base } => {
                            asks_now |= own.asks_now();
                            only = Some(with_base);
                            if has(&calls, own) {
                                continue;
                            }
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
        match (calls.as_slice(), only) {
            ([], _) => Ok(vec![Arc::clone(&self.base)]),
            // Its challenges are prepared.
            ([Call::Fixed(_)], Some(with_base)) => Ok(vec![Arc::clone(with_base)]),
            _ => {
                let introspection = self.introspection.iter().filter(|_| asks_now).cloned();
                Ok(introspection.chain([Arc::new(self.joined(calls))]).collect())
            }
        }
    }

    /// One requirement of all calls.
    fn joined(&self, calls: Vec<Call<C>>) -> Guard<C> {
        let base = self.base_requirement.clone();
        Guard::ByRequest(Arc::new(move |_, token| {
            let mut all = base.clone();
            for call in &calls {
                all = all.and(match call {
                    Call::Fixed(own) => Requirement::clone(own),
                    Call::Rule(rule, call) => {
                        let own = rule(call, token)?;
                        if own.asks_now() {
                            return Err(ConfigError::new(
                                "a rule for a call cannot require `introspected_now`: list the tool, \
                                 prompt or resource without a rule, or require it for every request",
                            ));
                        }
                        own
                    }
                })?;
            }
            // The guard before this one has asked.
            Ok(all.without_introspection())
        }))
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

impl Fault {
    fn unlisted(kind: &'static str) -> Self {
        Self { error: Error::AccessDenied { requires: Excerpt::of(kind) }, json_rpc: None }
    }
}
