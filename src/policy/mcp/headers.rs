//! Compares the headers `Mcp-Method` and `Mcp-Name` with the message (MCP 2026-07-28, streamable HTTP, server
//! validation).
//!
//! The client chooses the version of the protocol. So the headers can only cause a refusal, and the requirement
//! always depends on the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::policy::mcp::message::Message;

/// The version of the protocol whose requests must have these headers.
const VERSION: &str = "2026-07-28";

/// What encloses a base64-encoded name in a header. A client encodes a name that a header cannot contain.
const ENCODED: (&str, &str) = ("=?base64?", "?=");

/// Compares the headers with each message.
///
/// # Errors
/// The name of the header that differs.
pub(crate) fn compare(headers: &HeaderMap, messages: &[Message<'_>]) -> Result<(), &'static str> {
    // If there is no version, several versions, or another version, the body alone decides.
    if single(headers, "mcp-protocol-version") != Ok(Some(VERSION)) {
        return Ok(());
    }
    messages.iter().try_for_each(|message| compare_one(headers, message))
}

fn compare_one(headers: &HeaderMap, message: &Message<'_>) -> Result<(), &'static str> {
    const METHOD: &str = "mcp-method";
    const NAME: &str = "mcp-name";
    // A response has no method. No header is checked.
    let Some(method) = message.method() else { return Ok(()) };
    match single(headers, METHOD) {
        Ok(Some(found)) if found == method => {}
        // The client's first request: it does not know the server's version yet.
        Ok(None) if method == "initialize" => {}
        _ => return Err(METHOD),
    }
    let parameter = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return Ok(()),
    };
    let found = single(headers, NAME).ok().flatten().and_then(decoded);
    match (found, message.text(parameter)) {
        (Some(found), Some(name)) if found == name => Ok(()),
        _ => Err(NAME),
    }
}

/// The text of the only line with this name. `None` if there is no line.
///
/// # Errors
/// If there are several lines, or if the line is not visible ASCII.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ()> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => line.to_str().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

/// The name in a header. `None` if its encoding is malformed.
fn decoded(text: &str) -> Option<String> {
    let inner = text.strip_prefix(ENCODED.0).and_then(|text| text.strip_suffix(ENCODED.1));
    match inner {
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}
