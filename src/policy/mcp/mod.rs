//! The requirements of an MCP server: for every request, and for single tools, resources and prompts.

mod call;
mod headers;
mod message;
mod names;
mod operations;
mod uri;

use std::fmt;
use std::sync::Arc;

use crate::config_error::ConfigError;
use crate::policy::expression::authenticated;
use crate::policy::requirement::Requirement;
use crate::token::{AccessToken, Claims};

pub use call::McpCall;
pub(crate) use headers::compare;
pub(crate) use message::{Message, messages};
pub(crate) use operations::{Budget, Operations, Unfound};
use uri::Template;

/// What an MCP server requires: for every request, and for single tools, resources and prompts. Use it with
/// [`ResourceServer::protect_mcp`](crate::ResourceServer::protect_mcp), which has a complete example.
///
/// - [`require`](Self::require) sets what every request needs. The challenge of a 401 also names these scopes.
/// - If at least one tool is listed, an unlisted tool is refused with 403, unless [`other_tools`](Self::other_tools)
///   lists all others. The same holds for resources and for prompts. If no tool is listed, each tool needs only what
///   every request needs.
/// - The requirement of a tool is added to the requirement of every request. So a challenge names all scopes of the
///   operation at once.
/// - The completion of an argument (`completion/complete`) has the requirement of its prompt or resource. A
///   subscription to a resource has the requirement of the resource.
///
/// The body of a request decides which requirements apply. The layer reads the body only if a method, tool, prompt or
/// resource is listed. It reads the body after authentication, up to 4 MiB, and passes the body on unchanged. With
/// version 2026-07-28 of the protocol, the headers `Mcp-Method` and `Mcp-Name` must then agree with the body.
///
/// # Resources
/// A resource is listed by its URI, or by a template: `{name}` stands for one segment, and `{+name}` at the end for one
/// or more segments. The most specific template decides. `{?a,b}` at the end allows a query with these variables;
/// without it, a URI with a query is refused. A URI that two programs could read differently is also refused, for
/// example a URI with a fragment, with empty or dot segments, or with a percent-encoded letter. If a resource of a
/// scheme is listed, [`other_resources`](Self::other_resources) applies to no URI of this scheme, since a URI has many
/// spellings. A template without a scheme, or with a variable in a part of a segment, is a `ConfigError`.
///
/// # Not covered
/// The layer cannot know which tool has started a task (`tasks/get`, `tasks/result`, `tasks/cancel`). The tool should
/// bind a task to the user of the token. Or list the method with [`method`](Self::method).
///
/// ```
/// use tower_resource_server::policy::{McpCall, McpPolicy, Policy, authenticated};
/// use tower_resource_server::{AccessToken, Claims, ConfigError, scope};
///
/// let policy: McpPolicy = McpPolicy::new()
///     .require(scope("mcp"))
///     .tool("whoami", authenticated())
///     .tool("delete_note", scope("notes:delete"))
///     .resource_with("note://{id}", |call: &McpCall, _: &AccessToken<Claims>| {
///         let id = call.variable("id").ok_or_else(|| ConfigError::new("no id"))?;
///         Ok(Policy::try_scope(&format!("notes:{id}"))?.into())
///     });
/// # let _ = policy;
/// ```
#[must_use = "a policy does nothing until `protect_mcp`"]
pub struct McpPolicy<C = Claims> {
    pub(crate) base: Requirement<C>,
    pub(crate) operations: Operations<Demand<C>>,
    pub(crate) origins: Vec<String>,
    pub(crate) any_origin: bool,
    problems: Vec<String>,
}

/// What one operation requires.
pub(crate) enum Demand<C> {
    Fixed(Requirement<C>),
    ByCall(CallRule<C>),
}

/// Makes the requirement for a message.
pub(crate) type CallRule<C> = Arc<
    dyn Fn(&McpCall, &AccessToken<C>) -> Result<Requirement<C>, ConfigError>
        + Send
        + Sync
        + 'static,
>;

impl<C> McpPolicy<C> {
    /// Requires a valid token, and nothing else.
    pub fn new() -> Self {
        Self {
            base: authenticated().into(),
            operations: Operations::new(),
            origins: Vec::new(),
            any_origin: false,
            problems: Vec::new(),
        }
    }

    /// Sets what every request needs. Its checks run once for each request.
    pub fn require(mut self, requirement: impl Into<Requirement<C>>) -> Self {
        self.base = requirement.into();
        self
    }

    /// Lists a JSON-RPC method, such as `tools/list`. The requirement is added to that of every request, and to that of
    /// the tool, resource or prompt that the message names.
    pub fn method(mut self, method: &str, requirement: impl Into<Requirement<C>>) -> Self {
        let demand = Demand::Fixed(requirement.into());
        let result = self.operations.methods.insert(method, demand);
        self.note("method", method, result)
    }

    /// Lists a tool.
    pub fn tool(mut self, name: &str, requirement: impl Into<Requirement<C>>) -> Self {
        let result = self.operations.tools.insert(name, Demand::Fixed(requirement.into()));
        self.note("tool", name, result)
    }

    /// Lists a tool whose requirement depends on the call, for example on an argument. If `rule` returns an error, the
    /// response is 403, and the log has the error. So `rule` should return an error if an argument is missing. A rule
    /// cannot require `introspected_now`, because this must be known before the rule runs: list the tool without a
    /// rule, or require `introspected_now` for every request.
    pub fn tool_with(
        mut self,
        name: &str,
        rule: impl Fn(&McpCall, &AccessToken<C>) -> Result<Requirement<C>, ConfigError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let result = self.operations.tools.insert(name, Demand::ByCall(Arc::new(rule)));
        self.note("tool", name, result)
    }

    /// Lists all other tools.
    pub fn other_tools(mut self, requirement: impl Into<Requirement<C>>) -> Self {
        self.operations.other_tools = Some(Demand::Fixed(requirement.into()));
        self
    }

    /// Lists a prompt.
    pub fn prompt(mut self, name: &str, requirement: impl Into<Requirement<C>>) -> Self {
        let result = self.operations.prompts.insert(name, Demand::Fixed(requirement.into()));
        self.note("prompt", name, result)
    }

    /// Lists a prompt whose requirement depends on the call. If `rule` returns an error, the response is 403.
    pub fn prompt_with(
        mut self,
        name: &str,
        rule: impl Fn(&McpCall, &AccessToken<C>) -> Result<Requirement<C>, ConfigError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let result = self.operations.prompts.insert(name, Demand::ByCall(Arc::new(rule)));
        self.note("prompt", name, result)
    }

    /// Lists all other prompts.
    pub fn other_prompts(mut self, requirement: impl Into<Requirement<C>>) -> Self {
        self.operations.other_prompts = Some(Demand::Fixed(requirement.into()));
        self
    }

    /// Lists a resource, or the resources of a template.
    pub fn resource(self, template: &str, requirement: impl Into<Requirement<C>>) -> Self {
        self.add_resource(template, Demand::Fixed(requirement.into()))
    }

    /// Lists the resources of a template whose requirement depends on the call, for example on a variable of the
    /// template. If `rule` returns an error, the response is 403.
    pub fn resource_with(
        self,
        template: &str,
        rule: impl Fn(&McpCall, &AccessToken<C>) -> Result<Requirement<C>, ConfigError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.add_resource(template, Demand::ByCall(Arc::new(rule)))
    }

    /// Lists all other resources: those whose scheme has no listed resource. A URI of a listed scheme that matches
    /// no template is still refused.
    pub fn other_resources(mut self, requirement: impl Into<Requirement<C>>) -> Self {
        self.operations.other_resources = Some(Demand::Fixed(requirement.into()));
        self
    }

    /// Accepts requests of web pages from another origin, such as `https://app.example.com`. Browsers send the origin
    /// of a page in `Origin`. The server must check `Origin` (MCP, streamable HTTP, security warning), so that a web
    /// page cannot reach a server inside a private network.
    ///
    /// A request without `Origin`, and a request from the origin of the resource itself, always pass this check. All
    /// other requests get 403 before their token is read.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Does not check `Origin`, for example because another layer checks it.
    pub fn allow_any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }

    fn add_resource(mut self, text: &str, demand: Demand<C>) -> Self {
        let result = Template::parse(text).and_then(|template| {
            let pattern = template.pattern.clone();
            let result = self.operations.resources.insert(None, &pattern, (template, demand));
            // The error of the table contains the table's own spelling of the template, which the caller does not know.
            result.map_err(|problem| match problem.split_once("can't be: ") {
                Some((_, problem)) => problem.to_owned(),
                None => {
                    "another listed template matches the same URIs, and neither is more specific"
                        .to_owned()
                }
            })
        });
        self.note("resource", text, result)
    }

    fn note(mut self, kind: &str, text: &str, result: Result<(), String>) -> Self {
        if let Err(problem) = result {
            self.problems.push(format!("{kind} `{}`: {problem}", text.escape_debug()));
        }
        self
    }

    /// The problems that the setters found.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The requirements whose scopes are known without a request.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = &Requirement<C>> {
        let fixed = self.operations.values().filter_map(|demand| match demand {
            Demand::Fixed(requirement) => Some(requirement),
            Demand::ByCall(_) => None,
        });
        std::iter::once(&self.base).chain(fixed)
    }
}

impl<C> Default for McpPolicy<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for Demand<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Fixed(requirement) => Self::Fixed(requirement.clone()),
            Self::ByCall(rule) => Self::ByCall(Arc::clone(rule)),
        }
    }
}

impl<C> Clone for McpPolicy<C> {
    fn clone(&self) -> Self {
        Self {
            base: self.base.clone(),
            operations: self.operations.clone(),
            origins: self.origins.clone(),
            any_origin: self.any_origin,
            problems: self.problems.clone(),
        }
    }
}

impl<C> fmt::Debug for McpPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpPolicy")
            .field("base", &self.base)
            .field("operations", &self.operations.values().count())
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}
