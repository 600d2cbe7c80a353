//! The token in the subprotocols of a WebSocket handshake.
//!
//! A browser cannot set `Authorization` on a WebSocket handshake, but a script chooses the subprotocols (RFC
//! 6455 §1.9). So a client sends its token in a subprotocol:
//! `base64url.bearer.authorization.<name>.<base64url of the token, without padding>`.
//!
//! Decides, in this order:
//!
//! - The request is not a handshake (`GET` with `Upgrade: websocket`, RFC 6455 §4.1; for HTTP/2 and HTTP/3,
//!   `CONNECT` with a scheme, RFC 8441 §4): the field is not read.
//! - No subprotocol contains the text up to `<name>.`: no token.
//! - Several do: 400.
//! - The subprotocol does not begin exactly with this text, or the rest of the subprotocol is not the base64url
//!   of a token: 400.
//! - There is no other subprotocol: 400. A server must answer with one of the client's subprotocols, or the
//!   browser closes the connection. The response must not contain the token, so the server needs another
//!   subprotocol.
//!
//! An accepted token is removed from the field and stored with the request for the inner layers. So no handler
//! can choose the subprotocol with the token as its answer.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};

use crate::challenge::is_tchar;
use crate::credentials::presentation::{Credentials, Head, Placement};
use crate::credentials::token68::Token68;
use crate::error::Error;
use crate::scheme::Scheme;

const START: &str = "base64url.bearer.authorization.";

/// The text of the subprotocol for a server, up to the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenProtocol(Arc<str>);

impl TokenProtocol {
    /// # Errors
    /// If the name is empty or has a character that a subprotocol must not have.
    pub(crate) fn new(name: &str) -> Result<Self, &'static str> {
        // RFC 6455 §4.1: a subprotocol is an HTTP token.
        if name.is_empty() || !name.bytes().all(is_tchar) {
            return Err("a part of a subprotocol is an HTTP token (RFC 6455 section 4.1)");
        }
        Ok(Self(format!("{START}{name}.").into()))
    }

    /// Whether a reader could find a token of this server in the subprotocol. The text is found at any position
    /// and in any letter case, so that a request with another spelling does not pass as anonymous.
    fn is_in(&self, protocol: &[u8]) -> bool {
        let own = self.0.as_bytes();
        protocol.windows(own.len()).any(|text| text.eq_ignore_ascii_case(own))
    }

    fn token(&self, protocol: &[u8]) -> Option<Token68<'static>> {
        let text = protocol.strip_prefix(self.0.as_bytes())?;
        let token = URL_SAFE_NO_PAD.decode(text).ok()?;
        Token68::parse(&token).map(Token68::into_owned)
    }
}

/// How a server reads the token of a handshake.
#[derive(Clone, Copy)]
pub(crate) struct WebSocket<'a> {
    pub(crate) protocol: &'a TokenProtocol,
    /// The tokens that outer layers removed from the field.
    pub(crate) kept: Option<&'a WebSocketTokens>,
}

/// The tokens of a handshake that layers removed from the field, each with the subprotocol of its server. Like
/// a query token, these tokens belong to the request: every server with the same subprotocol must see its
/// token.
#[derive(Clone, Default)]
pub(crate) struct WebSocketTokens(Vec<(TokenProtocol, Arc<[u8]>)>);

impl WebSocketTokens {
    fn of(&self, protocol: &TokenProtocol) -> Option<&[u8]> {
        self.0.iter().find(|(own, _)| own == protocol).map(|(_, token)| &**token)
    }

    /// Moves the token of a server from the field to this value. The other subprotocols stay in the field, in
    /// the same order.
    pub(crate) fn take_from(&mut self, headers: &mut HeaderMap, protocol: &TokenProtocol) {
        let mut lines = Vec::new();
        for line in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
            if !protocol.is_in(line.as_bytes()) {
                lines.push(line.clone());
                continue;
            }
            let (own, others): (Vec<_>, Vec<_>) =
                protocols(line).partition(|element| protocol.is_in(element));
            if let Some(token) = own.iter().find_map(|element| protocol.token(element)) {
                self.0.retain(|(other, _)| other != protocol);
                self.0.push((protocol.clone(), token.as_bytes().into()));
            }
            // Parts of a valid field value form a valid field value.
            let line = HeaderValue::from_bytes(&others.join(&b", "[..])).ok();
            lines.extend(line.filter(|line| !line.is_empty()));
        }
        headers.remove(SEC_WEBSOCKET_PROTOCOL);
        for line in lines {
            headers.append(SEC_WEBSOCKET_PROTOCOL, line);
        }
    }
}

impl fmt::Debug for WebSocketTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSocketTokens(..)")
    }
}

pub(super) fn from_websocket<'a>(
    head: Head<'a>,
    websocket: WebSocket<'a>,
) -> Option<Result<Credentials<'a>, Error>> {
    let WebSocket { protocol, kept } = websocket;
    let kept = kept.and_then(|kept| kept.of(protocol));
    let found = is_handshake(head).then(|| from_field(head.headers, protocol)).flatten();
    let token = match (found, kept) {
        (None, kept) => Ok(Token68::parse(kept?)?),
        // A middleware restored the field. If the field has a different token, this is a second token.
        (Some(Ok(found)), Some(kept)) if found.as_bytes() != kept => {
            Err(Error::RepeatedCredentials)
        }
        (Some(found), _) => found,
    };
    Some(token.map(|token| {
        let scheme = Scheme::Bearer;
        Credentials { token, scheme, placement: Placement::WebSocket }
    }))
}

fn is_handshake(head: Head<'_>) -> bool {
    let upgrades = || {
        let lines = head.headers.get_all(UPGRADE).iter();
        lines.flat_map(protocols).any(|name| name.eq_ignore_ascii_case(b"websocket"))
    };
    match *head.method {
        Method::GET => upgrades(),
        // RFC 8441 §4. A request to a proxy has no scheme (RFC 9113 §8.5).
        Method::CONNECT => head.uri.scheme().is_some(),
        _ => false,
    }
}

fn from_field(
    headers: &HeaderMap,
    protocol: &TokenProtocol,
) -> Option<Result<Token68<'static>, Error>> {
    let all = || headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().flat_map(protocols);
    let mut own = all().filter(|element| protocol.is_in(element));
    let element = own.next()?;
    if own.next().is_some() {
        return Some(Err(Error::RepeatedCredentials));
    }
    let malformed = |problem| Err(Error::MalformedWebSocketToken { problem });
    Some(match protocol.token(element) {
        None => malformed("the subprotocol does not end with the base64url of a token, unpadded"),
        Some(_) if all().count() == 1 => {
            malformed("the client must offer another subprotocol, with which the server answers")
        }
        Some(token) => Ok(token),
    })
}

/// The elements of a list (RFC 9110 §5.6.1). Empty elements do not count.
fn protocols(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = line.as_bytes().split(|byte| *byte == b',');
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let line = |line: &&str| (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(line).unwrap());
        lines.iter().map(line).collect()
    }

    fn found(headers: &HeaderMap) -> Option<Result<String, String>> {
        let protocol = TokenProtocol::new("api.example").unwrap();
        let text = |token: Token68<'_>| token.text().into_owned();
        from_field(headers, &protocol)
            .map(|found| found.map(text).map_err(|error| error.code().to_owned()))
    }

    #[test]
    fn the_subprotocols() {
        let malformed = || Some(Err("malformed_websocket_token".to_owned()));
        let repeated = || Some(Err("repeated_credentials".to_owned()));
        // `YS5i` is `a.b`.
        for (name, lines, expected) in [
            (
                "first",
                &["base64url.bearer.authorization.api.example.YS5i, chat"][..],
                Some(Ok("a.b".to_owned())),
            ),
            (
                "last",
                &["chat,base64url.bearer.authorization.api.example.YS5i"],
                Some(Ok("a.b".to_owned())),
            ),
            (
                "blanks and empty elements",
                &[" ,\tbase64url.bearer.authorization.api.example.YS5i , ,chat"],
                Some(Ok("a.b".to_owned())),
            ),
            (
                "two lines",
                &["chat", "base64url.bearer.authorization.api.example.YS5i"],
                Some(Ok("a.b".to_owned())),
            ),
            ("none", &["chat"], None),
            ("no line", &[], None),
            ("another name", &["base64url.bearer.authorization.other.example.YS5i, chat"], None),
            ("alone", &["base64url.bearer.authorization.api.example.YS5i"], malformed()),
            (
                "alone beside nothing",
                &["base64url.bearer.authorization.api.example.YS5i, ,"],
                malformed(),
            ),
            (
                "twice",
                &[
                    "base64url.bearer.authorization.api.example.YS5i, chat, base64url.bearer.authorization.api.example.YS5i",
                ],
                repeated(),
            ),
            (
                "twice, two lines",
                &[
                    "base64url.bearer.authorization.api.example.YS5i, chat",
                    "base64url.bearer.authorization.api.example.YS5i",
                ],
                repeated(),
            ),
            (
                "twice, one of them malformed",
                &[
                    "base64url.bearer.authorization.api.example.YS5i, chat, base64url.bearer.authorization.api.example.!",
                ],
                repeated(),
            ),
            ("no token", &["base64url.bearer.authorization.api.example., chat"], malformed()),
            ("not encoded", &["base64url.bearer.authorization.api.example.a.b, chat"], malformed()),
            ("padding", &["base64url.bearer.authorization.api.example.YWI=, chat"], malformed()),
            ("base64", &["base64url.bearer.authorization.api.example.fn5+, chat"], malformed()),
            (
                "bits behind the end",
                &["base64url.bearer.authorization.api.example.YWJ, chat"],
                malformed(),
            ),
            (
                "not a token68",
                &["base64url.bearer.authorization.api.example.YSBi, chat"],
                malformed(),
            ),
            ("upper case", &["Base64url.bearer.authorization.api.example.YS5i, chat"], malformed()),
            (
                "in the middle",
                &["x.base64url.bearer.authorization.api.example.YS5i, chat"],
                malformed(),
            ),
            (
                "separated by a blank",
                &["chat base64url.bearer.authorization.api.example.YS5i, chat"],
                malformed(),
            ),
            ("quoted", &["\"base64url.bearer.authorization.api.example.YS5i\", chat"], malformed()),
        ] {
            assert_eq!(found(&headers(lines)), expected, "{name}");
        }
    }

    #[test]
    fn handshakes() {
        for (name, method, uri, upgrade, expected) in [
            ("HTTP/1.1", Method::GET, "/ws", &["websocket"][..], true),
            ("another case", Method::GET, "/ws", &["WebSocket"], true),
            ("in a list", Method::GET, "/ws", &["h2c, websocket"], true),
            ("second line", Method::GET, "/ws", &["h2c", "websocket"], true),
            ("another protocol", Method::GET, "/ws", &["h2c"], false),
            ("no upgrade", Method::GET, "/ws", &[], false),
            ("another method", Method::POST, "/ws", &["websocket"], false),
            ("HTTP/2", Method::CONNECT, "https://api.example.com/ws", &[], true),
            ("to a proxy", Method::CONNECT, "api.example.com:443", &[], false),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let headers =
                upgrade.iter().map(|line| (UPGRADE, HeaderValue::from_static(line))).collect();
            let head = Head { method: &method, uri: &uri, original_uri: None, headers: &headers };
            assert_eq!(is_handshake(head), expected, "{name}");
        }
    }

    #[test]
    fn the_token_leaves_the_field() {
        let own = "base64url.bearer.authorization.api.example.YS5i";
        let protocol = TokenProtocol::new("api.example").unwrap();
        for (lines, expected) in [
            (vec![format!("{own}, chat, v2")], vec!["chat, v2"]),
            (vec![format!("chat,{own} ,v2")], vec!["chat, v2"]),
            (
                vec!["chat,  v1".to_owned(), own.to_owned(), "v2".to_owned()],
                vec!["chat,  v1", "v2"],
            ),
        ] {
            let mut headers: HeaderMap = lines
                .iter()
                .map(|line| (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(line).unwrap()))
                .collect();
            let mut tokens = WebSocketTokens::default();
            tokens.take_from(&mut headers, &protocol);
            let rest: Vec<_> = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
            assert_eq!(rest, expected);
            assert_eq!(tokens.of(&protocol), Some(&b"a.b"[..]));
            assert!(!format!("{tokens:?}").contains("a.b"));
            assert!(tokens.of(&TokenProtocol::new("other").unwrap()).is_none());
        }
    }

    #[test]
    fn names() {
        for (name, good) in [
            ("api", true),
            ("api.example.com", true),
            ("", false),
            ("a b", false),
            ("a,b", false),
            ("é", false),
            ("a/b", false),
        ] {
            assert_eq!(TokenProtocol::new(name).is_ok(), good, "{name}");
        }
    }
}
