//! What a JSON-RPC message asks an MCP server for.

use std::fmt;

/// One message to an MCP server, for the rules of [`McpPolicy`](crate::policy::McpPolicy): `tool_with`,
/// `resource_with`, `prompt_with`.
///
/// Everything in a call comes from the client. To make a policy from it, use only the `try_` forms, such as
/// [`Policy::try_scope`](crate::policy::Policy::try_scope).
#[derive(Clone, PartialEq)]
pub struct McpCall {
    pub(super) method: String,
    pub(super) name: String,
    pub(super) variables: Vec<(Box<str>, String)>,
    pub(super) arguments: Option<serde_json::Value>,
}

impl McpCall {
    /// The JSON-RPC method, such as `tools/call`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The name of the tool or prompt, or the URI of the resource.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text in the URI at the place of a variable of the resource template. Percent escapes are not
    /// decoded. `None` if the template has no such variable, if the query of the URI omits it, and for a
    /// completion (`completion/complete`), which names the template itself.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.variables.iter();
        variables.find(|(own, _)| **own == *name).map(|(_, value)| value.as_str())
    }

    /// The arguments of the tool or prompt. `None` if the message has none, and for a completion
    /// (`completion/complete`). Names are case-sensitive, so `Folder` is not `folder`. A message with both is
    /// refused.
    pub fn arguments(&self) -> Option<&serde_json::Value> {
        self.arguments.as_ref()
    }
}

/// Does not show the name, the arguments and the values of variables, because they may be personal data.
impl fmt::Debug for McpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        f.debug_struct("McpCall")
            .field("method", &self.method)
            .field("variables", &variables)
            .finish_non_exhaustive()
    }
}
