//! The reasons to refuse a request because of its body.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::error::Error;
use crate::policy::Message;
use crate::token::Excerpt;

/// The reason for a refusal: a fault of the body, or checks that took too long.
pub(super) struct Fault {
    pub(super) error: Error,
    /// The code and the text of the JSON-RPC error in the response, and the id of the message. `None` if the response
    /// has no JSON-RPC error.
    pub(super) json_rpc: Option<(i32, &'static str, Option<String>)>,
}

impl Fault {
    pub(super) fn of(error: Error) -> Self {
        Self { error, json_rpc: None }
    }

    pub(super) fn malformed(problem: &'static str, message: Option<&Message<'_>>) -> Self {
        let id = message.and_then(Message::id).map(str::to_owned);
        Self {
            error: Error::MalformedMessage { problem },
            json_rpc: Some((-32600, "Invalid Request", id)),
        }
    }

    /// The policy does not list the method, tool, resource or prompt of a message. `kind` says which of these it is.
    /// The log shows `kind`, for example: `the route requires a listed tool`.
    pub(super) fn unlisted(kind: &'static str) -> Self {
        Self::of(Error::AccessDenied { requires: Excerpt::of(kind) })
    }

    /// Error -32020 is `HeaderMismatch` in the final text of MCP 2026-07-28. Drafts had another number.
    pub(super) fn mismatch(header: &'static str, messages: &[Message<'_>]) -> Self {
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

/// Refuses a body that has a content coding, several content types, or a character set other than UTF-8. The inner
/// service could decode such a body in another way than this layer. Then it would read another message than the message
/// that this layer has checked.
pub(super) fn check_encoding(headers: &HeaderMap) -> Result<(), Fault> {
    let malformed = |problem| Err(Fault::malformed(problem, None));
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return malformed("it has a content coding");
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let content_type = match (types.next(), types.next()) {
        (None, _) => return Ok(()),
        (Some(content_type), None) => content_type.to_str().unwrap_or("charset"),
        (Some(_), Some(_)) => return malformed("it has several content types"),
    };
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => !parameter.to_ascii_lowercase().contains("charset"),
    };
    match content_type.split(';').all(is_utf8) {
        true => Ok(()),
        false => malformed("its charset is not UTF-8"),
    }
}
