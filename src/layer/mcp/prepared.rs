//! The requirements of an MCP server, with their prepared challenges.

use std::sync::Arc;

use http::HeaderMap;

use crate::config_error::ConfigError;
use crate::error::Error;
use crate::layer::fixed::Fixed;
use crate::layer::guard::Guard;
use crate::layer::mcp::origin::Origins;
use crate::policy::{
    CallRule, Demand, McpPolicy, Message, Operations, Requirement, Unfound, compare, messages,
};
use crate::server::ResourceServer;
use crate::token::Excerpt;

/// The requirements of an MCP server.
pub(super) struct Prepared<C> {
    /// What every request needs.
    pub(super) base: Arc<Guard<C>>,
    base_requirement: Requirement<C>,
    operations: Operations<Ready<C>>,
    pub(super) origins: Origins,
}

enum Ready<C> {
    Guard(Arc<Guard<C>>),
    Rule(CallRule<C>),
}

/// Why a body is refused.
pub(super) struct Fault {
    pub(super) error: Error,
    /// The code and the text of a JSON-RPC error, and the id of the message.
    pub(super) json_rpc: Option<(i32, &'static str, Option<String>)>,
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
        let fixed = |requirement| Arc::new(Guard::Fixed(Box::new(Fixed::new(requirement, server))));
        let operations = operations.map(|demand| match demand {
            Demand::Fixed(own) => match own.clone().behind(&base) {
                Ok(requirement) => Ready::Guard(fixed(requirement)),
                Err(error) => {
                    problems.extend(error.problems().iter().cloned());
                    Ready::Guard(fixed(own))
                }
            },
            Demand::ByCall(rule) => Ready::Rule(rule),
        });
        match problems.as_slice() {
            [] => {
                Ok(Self { base: fixed(base.clone()), base_requirement: base, operations, origins })
            }
            _ => Err(ConfigError { problems }),
        }
    }

    /// Whether the body of a request decides.
    pub(super) fn reads_messages(&self) -> bool {
        !self.operations.is_empty()
    }

    /// What a body needs. All of it applies.
    pub(super) fn guards(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Vec<Arc<Guard<C>>>, Fault> {
        let messages = messages(body).map_err(|problem| Fault::malformed(problem, None))?;
        compare(headers, &messages).map_err(|header| Fault::mismatch(header, &messages))?;
        let mut guards = Vec::new();
        for message in &messages {
            let asked = self.operations.of(message).map_err(|unfound| match unfound {
                Unfound::Malformed(problem) => Fault::malformed(problem, Some(message)),
                Unfound::Unlisted(kind) => Fault {
                    error: Error::AccessDenied { requires: Excerpt::of(kind) },
                    json_rpc: None,
                },
            })?;
            for asked in asked {
                guards.push(match asked.value {
                    Ready::Guard(guard) => Arc::clone(guard),
                    Ready::Rule(rule) => {
                        let call = asked.call(message);
                        let call =
                            call.map_err(|problem| Fault::malformed(problem, Some(message)))?;
                        let (rule, base) = (Arc::clone(rule), self.base_requirement.clone());
                        Arc::new(Guard::ByRequest(Arc::new(move |_, token| {
                            rule(&call, token)?.behind(&base)
                        })))
                    }
                });
            }
        }
        Ok(guards)
    }
}

impl Fault {
    fn malformed(problem: &'static str, message: Option<&Message<'_>>) -> Self {
        let id = message.and_then(Message::id).map(str::to_owned);
        Self {
            error: Error::MalformedMessage { problem },
            json_rpc: Some((-32600, "Invalid Request", id)),
        }
    }

    /// Error -32020 is `HeaderMismatch` in the final text of MCP 2026-07-28. Drafts had another number.
    fn mismatch(header: &'static str, messages: &[Message<'_>]) -> Self {
        let id = match messages {
            [message] => message.id().map(str::to_owned),
            _ => None,
        };
        Self {
            error: Error::HeaderMismatch { header },
            json_rpc: Some((-32020, "Header mismatch", id)),
        }
    }
}
