//! Reads the body of a request to an MCP server: JSON-RPC 2.0 messages.
//!
//! The layer and the MCP server must read a message in the same way. So a message that two programs could read
//! differently is refused: for example, if a member occurs twice, or if its name differs from a known name only
//! in letter case. The arguments of a tool or prompt are parsed only if a rule reads them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::token::json::{self, Members, Value};

/// The largest number of messages in one body. Only old versions of the protocol have several messages in a
/// body.
const MAX_MESSAGES: usize = 100;

/// The largest total size of the arguments in one body that rules read, in bytes. A parsed value needs up to a
/// hundred times as much memory as its text.
pub(super) const MAX_ARGUMENTS: usize = 64 * 1024;

/// The largest nesting depth of arguments that a rule reads. serde_json, which MCP servers in Rust use,
/// allows 127.
const MAX_ARGUMENTS_DEPTH: u32 = 100;

/// The longest id that is repeated in a response, in bytes.
const MAX_ID: usize = 256;

/// The members that this module reads.
const KNOWN_MEMBERS: [&str; 12] = [
    "id",
    "method",
    "params",
    "result",
    "error",
    "name",
    "uri",
    "taskId",
    "ref",
    "arguments",
    "notifications",
    "resourceSubscriptions",
];

/// The methods of all revisions that name a tool, a prompt, a resource or a task, or that list them.
const KNOWN_METHODS: [&str; 17] = [
    "tools/call",
    "tools/list",
    "prompts/get",
    "prompts/list",
    "completion/complete",
    "resources/read",
    "resources/list",
    "resources/templates/list",
    "resources/directory/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tasks/cancel",
    "subscriptions/listen",
];

/// The prefixes of these methods. A method with such a prefix that is not in the list comes from a later
/// revision, and may name its target in another way.
const KNOWN_PREFIXES: [&str; 6] =
    ["tools/", "prompts/", "completion/", "resources/", "tasks/", "subscriptions/"];

/// One message.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    object: Members<'a>,
    method: Option<Cow<'a, str>>,
    params: Option<Members<'a>>,
}

/// What a message asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Target<'a> {
    Tool(Cow<'a, str>),
    Prompt(Cow<'a, str>),
    Resource(Cow<'a, str>),
    /// The text of a template, in a request to complete one of its variables.
    Template(Cow<'a, str>),
}

/// Reads the messages of a body: one object, or an array of objects.
///
/// # Errors
/// The problem, for the log.
pub(crate) fn messages(body: &[u8]) -> Result<Vec<Message<'_>>, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the message is not UTF-8")?;
    if !text.trim_ascii_start().starts_with('[') {
        return Ok(vec![Message::parse(text)?]);
    }
    let Few(all) = serde_json::from_str(text)
        .map_err(|_| "the list of messages is not JSON, or has more than 100 messages")?;
    if all.is_empty() {
        return Err("no message");
    }
    all.into_iter().map(|message| Message::parse(message.get())).collect()
}

impl<'a> Message<'a> {
    fn parse(text: &'a str) -> Result<Self, &'static str> {
        let object = object(text, "the message is not an object with distinct members")?;
        let Some(method) = object.get("method") else {
            if object.get("result").is_none() && object.get("error").is_none() {
                return Err("neither a request nor a response");
            }
            return Ok(Self { object, method: None, params: None });
        };
        let method = string(method).ok_or("the method is not a string")?;
        // Programs treat invisible characters at the ends differently.
        if !method.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the method is not printable ASCII");
        }
        if is_another_spelling(&KNOWN_METHODS, &method) {
            return Err("the method is another spelling of a known method");
        }
        let params = match object.get("params") {
            None | Some("null") => None,
            Some(text) => {
                Some(self::object(text, "the parameters are not an object with distinct members")?)
            }
        };
        Ok(Self { object, method: Some(method), params })
    }

    /// The method, or `None` for a response.
    pub(super) fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// The id, if it can be repeated in a response: a short text or a number.
    pub(crate) fn id(&self) -> Option<&'a str> {
        let id = self.object.get("id")?;
        let is_simple =
            id.starts_with(['"', '-']) || id.starts_with(|first: char| first.is_ascii_digit());
        (is_simple && id.len() <= MAX_ID).then_some(id)
    }

    /// A parameter that is a text.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        string(self.params.as_ref()?.get(name)?)
    }

    /// Whether the method comes from a later revision and may name a tool, a prompt or a resource.
    pub(super) fn is_of_later_revision(&self) -> bool {
        self.method().is_some_and(|method| {
            let folded = fold(method);
            let is_known = KNOWN_METHODS.contains(&method);
            !is_known && KNOWN_PREFIXES.iter().any(|prefix| folded.starts_with(prefix))
        })
    }

    /// The arguments, for a rule. `budget` is the size that may still be read from this body.
    ///
    /// # Errors
    /// The problem, for the log.
    pub(super) fn arguments(
        &self,
        budget: &mut usize,
    ) -> Result<Option<serde_json::Value>, &'static str> {
        let Some(text) = self.params.as_ref().and_then(|params| params.get("arguments")) else {
            return Ok(None);
        };
        *budget = budget
            .checked_sub(text.len())
            .ok_or("the arguments have more than 64 KiB, and a rule reads them")?;
        let value = json::parse_value(text.as_bytes(), MAX_ARGUMENTS_DEPTH)
            .map_err(|_| "the arguments are not JSON with distinct members")?;
        match has_distinct_spellings(&value) {
            true => Ok(Some(value.to_owned_value())),
            false => Err("two members of the arguments are two spellings of one name"),
        }
    }

    /// What the message asks for.
    ///
    /// # Errors
    /// The problem, for the log, if a target is missing or of another type.
    pub(super) fn targets(&self) -> Result<Vec<Target<'a>>, &'static str> {
        let Some(method) = self.method() else { return Ok(Vec::new()) };
        let name = || self.text("name").ok_or("the name is not a string");
        match method {
            "tools/call" => return Ok(vec![Target::Tool(name()?)]),
            "prompts/get" => return Ok(vec![Target::Prompt(name()?)]),
            "completion/complete" => return Ok(vec![self.reference()?]),
            _ => {}
        }
        let mut targets = Vec::new();
        let param = |name| self.params.as_ref().and_then(|params| params.get(name));
        // Any method with a `uri` needs the requirement of the resource, also a method of a later revision.
        match (param("uri"), method) {
            (Some(uri), _) => {
                targets.push(Target::Resource(string(uri).ok_or("the URI is not a string")?));
            }
            (None, "resources/read" | "resources/subscribe" | "resources/unsubscribe") => {
                return Err("there is no URI");
            }
            (None, _) => {}
        }
        if let Some(notifications) = param("notifications").filter(|text| *text != "null") {
            targets.extend(subscriptions(notifications)?.into_iter().map(Target::Resource));
        }
        Ok(targets)
    }

    /// The prompt or the template whose arguments are completed.
    fn reference(&self) -> Result<Target<'a>, &'static str> {
        let fault = "the reference is not a prompt or a resource";
        let reference = self.params.as_ref().and_then(|params| params.get("ref")).ok_or(fault)?;
        let reference = object(reference, fault)?;
        let text = |name| reference.get(name).map(|text| string(text).ok_or(fault)).transpose();
        match (text("type")?.as_deref(), text("name")?, text("uri")?) {
            (Some("ref/prompt"), Some(name), None) => Ok(Target::Prompt(name)),
            (Some("ref/resource"), None, Some(uri)) => Ok(Target::Template(uri)),
            _ => Err(fault),
        }
    }
}

/// An array of at most [`MAX_MESSAGES`] values. A longer array is an error, and is not read to its end.
struct Few<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Few<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FewVisitor;
        impl<'de> Visitor<'de> for FewVisitor {
            type Value = Few<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Few<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(value) = seq.next_element()? {
                    if all.len() == MAX_MESSAGES {
                        return Err(A::Error::custom("too many"));
                    }
                    all.push(value);
                }
                Ok(Few(all))
            }
        }
        deserializer.deserialize_seq(FewVisitor)
    }
}

/// The resources of a `subscriptions/listen`.
fn subscriptions(text: &str) -> Result<Vec<Cow<'_, str>>, &'static str> {
    let fault = "the subscriptions are not a list of URIs";
    let notifications = object(text, fault)?;
    match notifications.get("resourceSubscriptions") {
        None | Some("null") => Ok(Vec::new()),
        Some(list) => {
            let Few(uris) = serde_json::from_str(list).map_err(|_| fault)?;
            uris.into_iter().map(|uri| string(uri.get()).ok_or(fault)).collect()
        }
    }
}

/// Parses an object. Refuses an object in which a program that ignores letter case could find other known
/// members.
fn object<'a>(text: &'a str, fault: &'static str) -> Result<Members<'a>, &'static str> {
    let members = json::members(text).ok_or(fault)?;
    let is_at_end = |character: Option<char>| character.is_none_or(|end| end.is_ascii_graphic());
    let has_plain_ends =
        |name: &str| is_at_end(name.chars().next()) && is_at_end(name.chars().next_back());
    if !members.names().all(has_plain_ends) {
        return Err("a member begins or ends with an invisible or foreign character");
    }
    if members.names().any(|name| is_another_spelling(&KNOWN_MEMBERS, name)) {
        return Err("a member is another spelling of a known member");
    }
    Ok(members)
}

/// Whether all names within each object differ, even for a program that ignores letter case.
fn has_distinct_spellings(value: &Value<'_>) -> bool {
    match value {
        Value::Object(object) => {
            let mut seen = HashSet::new();
            object
                .iter()
                .all(|(name, value)| seen.insert(fold(name)) && has_distinct_spellings(value))
        }
        Value::Array(values) => values.iter().all(has_distinct_spellings),
        _ => true,
    }
}

/// The text of a JSON string.
fn string(text: &str) -> Option<Cow<'_, str>> {
    if let Ok(text) = serde_json::from_str::<&str>(text) {
        return Some(Cow::Borrowed(text));
    }
    serde_json::from_str::<String>(text).ok().map(Cow::Owned)
}

/// Whether a lenient program could take `text` for one of the known names.
fn is_another_spelling(known: &[&str], text: &str) -> bool {
    if known.contains(&text) {
        return false;
    }
    let folded = fold(text);
    known.iter().any(|known| known.eq_ignore_ascii_case(&folded))
}

/// The text as a lenient program reads it: the program ignores letter case, blanks and control characters at
/// the ends, and everything from a NUL on. The text is converted to upper case and then to lower case, because
/// some non-ASCII letters become an ASCII letter in only one of the two conversions.
pub(super) fn fold(text: &str) -> String {
    let text = text.split('\0').next().unwrap_or_default();
    let is_ignored = |character: char| character.is_whitespace() || character.is_control();
    text.trim_matches(is_ignored).to_uppercase().to_lowercase()
}
