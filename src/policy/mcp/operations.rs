//! Which of the listed values apply to a message.

use crate::policy::mcp::call::McpCall;
use crate::policy::mcp::message::{MAX_ARGUMENTS, Message, Target};
use crate::policy::mcp::names::{Found, Names};
use crate::policy::mcp::uri::{ResourceUri, Template};
use crate::policy::routes::{Reading, Table};

/// Values by operation: a JSON-RPC method, a tool, a prompt, a resource.
#[derive(Clone)]
pub(crate) struct Operations<T> {
    pub(super) methods: Names<T>,
    pub(super) tools: Names<T>,
    pub(super) other_tools: Option<T>,
    pub(super) prompts: Names<T>,
    pub(super) other_prompts: Option<T>,
    pub(super) resources: Table<(Template, T)>,
    pub(super) other_resources: Option<T>,
}

/// A value that applies to a message, and what the message names.
pub(crate) struct Asked<'a, T> {
    pub(crate) value: &'a T,
    name: String,
    variables: Vec<(Box<str>, String)>,
    /// Whether the message may have arguments: the value is for a listed tool or prompt.
    has_arguments: bool,
}

/// Why no value can be found.
#[derive(Debug, PartialEq)]
pub(crate) enum Unfound {
    /// The message is malformed.
    Malformed(&'static str),
    /// The operation is not listed. The text names its kind.
    Unlisted(&'static str),
}

impl<T> Operations<T> {
    pub(super) fn new() -> Self {
        Self {
            methods: Names::new(),
            tools: Names::new(),
            other_tools: None,
            prompts: Names::new(),
            other_prompts: None,
            resources: Table::new(Reading::Path),
            other_resources: None,
        }
    }

    /// Whether no message needs to be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.values().next().is_none()
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        let others = [&self.other_tools, &self.other_prompts, &self.other_resources];
        let named = [&self.methods, &self.tools, &self.prompts].into_iter().flat_map(Names::values);
        let resources = self.resources.values().map(|(_, value)| value);
        named.chain(resources).chain(others.into_iter().flatten())
    }

    pub(crate) fn map<U>(self, mut change: impl FnMut(T) -> U) -> Operations<U> {
        Operations {
            methods: self.methods.map(&mut change),
            tools: self.tools.map(&mut change),
            other_tools: self.other_tools.map(&mut change),
            prompts: self.prompts.map(&mut change),
            other_prompts: self.other_prompts.map(&mut change),
            resources: self.resources.map(|(template, value)| (template, change(value))),
            other_resources: self.other_resources.map(&mut change),
        }
    }

    /// The values for a message. All of them apply.
    ///
    /// # Errors
    /// Why the message is refused.
    pub(crate) fn of(&self, message: &Message<'_>) -> Result<Vec<Asked<'_, T>>, Unfound> {
        let mut all = Vec::new();
        let Some(method) = message.method() else { return Ok(all) };
        match self.methods.find(method) {
            Found::Listed(value) => all.push(Asked::new(value, method)),
            Found::Doubtful => return Err(Unfound::Unlisted("a listed method")),
            Found::Unlisted => {}
        }
        if self.has_only_methods() {
            return Ok(all);
        }
        // A method of a later revision may name its target in another way.
        if all.is_empty() && message.is_of_later_revision() {
            return Err(Unfound::Unlisted("a known or listed method"));
        }
        for target in message.targets().map_err(Unfound::Malformed)? {
            all.extend(self.of_target(&target)?);
        }
        Ok(all)
    }

    fn has_only_methods(&self) -> bool {
        let others = [&self.other_tools, &self.other_prompts, &self.other_resources];
        self.tools.is_empty()
            && self.prompts.is_empty()
            && self.resources.values().next().is_none()
            && others.iter().all(|other| other.is_none())
    }

    fn of_target(&self, target: &Target<'_>) -> Result<Option<Asked<'_, T>>, Unfound> {
        match target {
            Target::Tool(name) => by_name(&self.tools, &self.other_tools, name, "a listed tool"),
            Target::Prompt(name) => {
                by_name(&self.prompts, &self.other_prompts, name, "a listed prompt")
            }
            Target::Resource(uri) => self.resource(uri),
            Target::Template(text) => self.template(text),
        }
    }

    fn resource(&self, uri: &str) -> Result<Option<Asked<'_, T>>, Unfound> {
        if self.leaves_resources_open() {
            return Ok(None);
        }
        let unlisted = Unfound::Unlisted("a listed resource");
        let Some(asked) = ResourceUri::parse(uri) else { return Err(unlisted) };
        let found = self.resources.find(&asked.path).and_then(|entry| entry.values().next());
        match (found, &self.other_resources) {
            (Some((template, value)), _)
                if template.allows_query(asked.query)
                    && template.allows_authority(asked.authority) =>
            {
                let variables = template.values(&asked.path, asked.query);
                Ok(Some(Asked { variables, ..Asked::new(value, uri) }))
            }
            // A URI has many spellings, so a URI of a listed scheme is never another resource.
            (None, Some(other)) if !self.lists_scheme(asked.scheme) => {
                Ok(Some(Asked::new(other, uri)))
            }
            _ => Err(unlisted),
        }
    }

    fn lists_scheme(&self, scheme: &str) -> bool {
        self.resources.values().any(|(template, _)| *template.scheme == *scheme)
    }

    fn template(&self, text: &str) -> Result<Option<Asked<'_, T>>, Unfound> {
        if self.leaves_resources_open() {
            return Ok(None);
        }
        // A template without variables is the URI of a resource.
        if !text.contains('{') {
            return self.resource(text);
        }
        let unlisted = || Unfound::Unlisted("a listed resource template");
        let asked = Template::parse(text).map_err(|_| unlisted())?;
        let mut own = self.resources.values();
        match (own.find(|(own, _)| own.pattern == asked.pattern), &self.other_resources) {
            (Some((_, value)), _) => Ok(Some(Asked::new(value, text))),
            (None, Some(other)) if !self.lists_scheme(&asked.scheme) => {
                Ok(Some(Asked::new(other, text)))
            }
            (None, _) => Err(unlisted()),
        }
    }

    fn leaves_resources_open(&self) -> bool {
        self.resources.values().next().is_none() && self.other_resources.is_none()
    }
}

fn by_name<'a, T>(
    names: &'a Names<T>,
    other: &'a Option<T>,
    name: &str,
    kind: &'static str,
) -> Result<Option<Asked<'a, T>>, Unfound> {
    match (names.find(name), other) {
        (Found::Listed(value), _) => {
            Ok(Some(Asked { has_arguments: true, ..Asked::new(value, name) }))
        }
        (Found::Unlisted, Some(other)) => Ok(Some(Asked::new(other, name))),
        (Found::Unlisted, None) if names.is_empty() => Ok(None),
        (Found::Unlisted | Found::Doubtful, _) => Err(Unfound::Unlisted(kind)),
    }
}

impl<'a, T> Asked<'a, T> {
    fn new(value: &'a T, name: &str) -> Self {
        Self { value, name: name.to_owned(), variables: Vec::new(), has_arguments: false }
    }

    /// What a rule reads. `budget` is how much rules may still read from this body.
    ///
    /// # Errors
    /// The problem, for the log.
    pub(crate) fn call(
        &self,
        message: &Message<'_>,
        budget: &mut Budget,
    ) -> Result<McpCall, &'static str> {
        budget.names = budget
            .names
            .checked_sub(self.name.len())
            .ok_or("the names and URIs have more than 1 KiB, and a rule reads them")?;
        // A request to complete an argument has no arguments of its own.
        let is_call = matches!(message.method(), Some("tools/call" | "prompts/get"));
        let arguments = match self.has_arguments && is_call {
            true => message.arguments(&mut budget.arguments)?,
            false => None,
        };
        Ok(McpCall {
            method: message.method().unwrap_or_default().to_owned(),
            name: self.name.clone(),
            variables: self.variables.clone(),
            arguments,
        })
    }
}

/// How much rules may still read from one body, in bytes.
pub(crate) struct Budget {
    names: usize,
    arguments: usize,
}

impl Budget {
    /// A rule may make scopes from names and URIs. The challenge, a header of the response, then contains the scopes,
    /// and clients and proxies accept only a few KiB of headers.
    const NAMES: usize = 1024;

    pub(crate) fn new() -> Self {
        Self { names: Self::NAMES, arguments: MAX_ARGUMENTS }
    }
}
