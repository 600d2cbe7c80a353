//! One call to the introspection endpoint (RFC 7662 §2).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use form_urlencoded::Serializer;
use http::{HeaderMap, HeaderValue};

use crate::clock::Clock;
use crate::fetch::Discovery;
use crate::fetch::{Client, FetchError, Form, FormAnswer, fetched_url, redirect_target};
use crate::introspection::answer::{Answer, AnswerFault};
use crate::introspection::endpoint::credentials::Credentials;
use crate::introspection::endpoint::signed::{MEDIA_TYPE, SignedAnswers};
use crate::keys::{self, BearerFile};
use crate::observe::shown::Shown;
use crate::token::json::{self, Value};
use crate::token::{Excerpt, NumericDate};
use crate::url::is_https;

/// The default deadline of one call in total. This includes fetching the metadata, and the keys for
/// a signed answer. The wait for a turn has a separate deadline of the same length.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// The longest error code that is shown. Registered codes have at most 26 letters.
const MAX_CODE: usize = 40;

/// Asks one endpoint as one client.
pub(crate) struct IntrospectionClient {
    pub(crate) http: Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) credentials: Credentials,
    /// The file from which a renewable bearer token is read.
    pub(crate) bearer_file: Option<BearerFile>,
    /// Parameters and headers besides those of RFC 7662.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) deadline: Duration,
    /// How signed answers are checked, if only those are accepted.
    pub(crate) signed: Option<SignedAnswers>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Where the endpoint is.
pub(crate) enum Endpoint {
    Url(String),
    /// The endpoint in the issuer's metadata. With `mutual_tls`, the alias for mutual TLS if the
    /// metadata has one (RFC 8705 §5).
    Discovered {
        discovery: Arc<Discovery>,
        mutual_tls: bool,
    },
}

/// The answer to a call.
#[derive(Debug)]
pub(crate) enum CallAnswer {
    Active(Answer),
    Inactive,
    /// The server answered 400 with this error code, which says that the token is bad.
    Refused(&'static str),
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallFault {
    pub(crate) blames: Blames,
    /// For the log. It never contains the token.
    pub(crate) problem: String,
    /// How long the server asked us to wait (RFC 9110 §10.2.3).
    pub(crate) retry_after: Option<Duration>,
}

/// What caused a failed call. A failure counts against the endpoint only if no token can cause it
/// by itself. Otherwise one client with unusual tokens could block all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blames {
    /// The call could not be made: there is no connection, no metadata, or no credentials of ours.
    Connection,
    /// The server: it did not answer in time.
    Silence,
    /// The server: it answered 502, 503, or 504.
    Server,
    /// Our own credentials: the server answered `invalid_client`.
    Credentials,
    /// Our own credentials, if other tokens get the same answer: 401 with a code other than
    /// `invalid_client`, or without a code.
    Unauthorized,
    /// The rate of calls: 429.
    Rate,
    /// This token: other tokens may get another answer.
    Token,
    /// Unknown: the connection broke. An unusual token can cause this, and so can a server that
    /// restarts.
    Accident,
    /// Nothing: the call did not finish.
    Nothing,
}

impl CallFault {
    pub(crate) fn new(blames: Blames, problem: impl Into<String>) -> Self {
        Self { blames, problem: problem.into(), retry_after: None }
    }
}

impl From<FetchError> for CallFault {
    fn from(error: FetchError) -> Self {
        let blames = match error {
            FetchError::Connect(_) | FetchError::Url(_) | FetchError::Form(_) => Blames::Connection,
            FetchError::Timeout => Blames::Silence,
            FetchError::Transport => Blames::Accident,
            FetchError::TooLarge(_)
            | FetchError::Encoded(_)
            | FetchError::Status(_)
            | FetchError::Redirect { .. }
            | FetchError::Busy { .. } => Blames::Token,
        };
        Self::new(blames, error.to_string())
    }
}

impl IntrospectionClient {
    /// Asks about a token. `has_answered` says whether the endpoint has given a usable answer
    /// before.
    ///
    /// # Errors
    /// When the call failed or the answer is not usable. This does not show whether the token is
    /// active.
    pub(crate) async fn ask(
        &self,
        token: &str,
        has_answered: bool,
    ) -> Result<CallAnswer, CallFault> {
        let url = self.url().await.map_err(|text| CallFault::new(Blames::Connection, text))?;
        let bearer =
            self.bearer().await.map_err(|text| CallFault::new(Blames::Connection, text))?;
        self.ask_at(&url, bearer.as_ref(), token, has_answered).await.map_err(|mut fault| {
            fault.problem += &format!(" ({})", fetched_url(&url));
            fault
        })
    }

    async fn ask_at(
        &self,
        url: &str,
        bearer: Option<&HeaderValue>,
        token: &str,
        has_answered: bool,
    ) -> Result<CallAnswer, CallFault> {
        // Read the clock just before the call: an answer to this call can't be signed earlier.
        let asked = NumericDate::now(self.clock.wall());
        let answer = self.http.post(url, || self.form(token, bearer)).await?;
        if !answer.is_answer() {
            return refusal(&answer, token, has_answered);
        }
        match self.read(&answer, asked).await {
            Ok(Some(answer)) => Ok(CallAnswer::Active(answer)),
            Ok(None) => Ok(CallAnswer::Inactive),
            Err(AnswerFault(text)) => {
                let problem = format!("{text}{}", answer.answer.content_type_note());
                Err(CallFault::new(Blames::Token, problem))
            }
        }
    }

    /// The current bearer token, if the credentials are a renewable one.
    async fn bearer(&self) -> Result<Option<HeaderValue>, String> {
        match (&self.credentials, &self.bearer_file) {
            (_, Some(file)) => file.authorization().await.map(Some),
            (Credentials::BearerFrom(source), None) => {
                let token = source.token().await.map_err(|error| {
                    // This text comes from user-supplied code, so it is escaped and cut.
                    format!("bearer token source: {}", Excerpt::of(&error.to_string()).as_str())
                })?;
                let token = keys::bearer(token.as_bytes().trim_ascii());
                token.map(Some).ok_or_else(|| "bearer token source: it gave no token".to_owned())
            }
            _ => Ok(None),
        }
    }

    async fn url(&self) -> Result<String, String> {
        let (discovery, mutual_tls) = match &self.endpoint {
            Endpoint::Url(url) => return Ok(url.clone()),
            Endpoint::Discovered { discovery, mutual_tls } => (discovery, *mutual_tls),
        };
        let metadata = discovery.metadata(self.clock.monotonic()).await;
        let metadata = metadata.map_err(|failure| failure.problem)?;
        let alias = metadata.mtls_introspection_endpoint.filter(|_| mutual_tls);
        let url = alias
            .or(metadata.introspection_endpoint)
            .ok_or_else(|| "metadata: no `introspection_endpoint`".to_owned())?;
        // Without TLS, the client would not show its certificate.
        if mutual_tls && !is_https(&url) {
            return Err("metadata: the endpoint for a client certificate is not https".to_owned());
        }
        Ok(url)
    }

    /// The form: the unchanged token, a hint (RFC 7662 §2.1), and our credentials.
    fn form(&self, token: &str, bearer: Option<&HeaderValue>) -> Result<Form, &'static str> {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        let authorization = self.credentials.add_to(&mut form, self.clock.wall())?;
        form.extend_pairs(&self.parameters);
        let authorization = authorization.or_else(|| bearer.cloned());
        let headers = self.headers.clone();
        let accept = if self.signed.is_some() { MEDIA_TYPE } else { "application/json" };
        Ok(Form { accept, authorization, headers, body: form.finish() })
    }

    async fn read(
        &self,
        answer: &FormAnswer,
        asked: NumericDate,
    ) -> Result<Option<Answer>, AnswerFault> {
        let answer = &answer.answer;
        match &self.signed {
            // RFC 7662 §2.2: the answer is JSON, whatever its content type says. But a JWT gets an
            // error that names the setting.
            None if answer.says_jwt() => {
                Err(AnswerFault("the answer is a JWT; see `Introspection::require_signed_answers`"))
            }
            None => Answer::parse(answer.json()),
            // RFC 9701 §8.2: never fall back to plain JSON, which an attacker on the network path
            // could write.
            Some(signed) if answer.media_type().as_deref() == Some(MEDIA_TYPE) => {
                signed.open(&answer.body, asked, &*self.clock).await
            }
            Some(_) => Err(AnswerFault("the answer is not signed")),
        }
    }
}

/// Interprets an answer whose status is neither 200 nor 201.
fn refusal(answer: &FormAnswer, token: &str, has_answered: bool) -> Result<CallAnswer, CallFault> {
    let status = answer.status;
    let body = json::parse(answer.answer.json()).ok();
    let code = body.as_ref().and_then(|body| body.get("error")).and_then(Value::as_str);
    let (blames, problem) = match (status, code) {
        // RFC 6750 §3.1, RFC 6749 §5.2 and RFC 7009 §2.2.1: these codes say that the token is bad.
        (400, Some("invalid_token")) => return Ok(CallAnswer::Refused("invalid_token")),
        (400, Some("invalid_grant")) => return Ok(CallAnswer::Refused("invalid_grant")),
        (400, Some("unsupported_token_type")) => {
            return Ok(CallAnswer::Refused("unsupported_token_type"));
        }
        // Servers send this for a token that they can't read, and for a form that lacks a
        // parameter. Once a call was answered, the form is known to be complete.
        (400, Some("invalid_request")) if has_answered => {
            return Ok(CallAnswer::Refused("invalid_request"));
        }
        (400 | 401, Some("invalid_client")) => {
            let problem = format!(
                "the client credentials were refused, status {status} with the code invalid_client; \
                 see ClientAuth"
            );
            (Blames::Credentials, problem)
        }
        (401, _) => {
            let problem = format!("{}: the client credentials, probably", status_text(401, code));
            (Blames::Unauthorized, problem)
        }
        (429, _) => (Blames::Rate, "status 429".to_owned()),
        (502..=504, _) => (Blames::Server, format!("status {status}")),
        (400, Some("invalid_request")) => {
            let text = "status 400 with the code invalid_request, before the first good answer";
            (Blames::Token, text.to_owned())
        }
        (403, _) => {
            let text = status_text(403, code);
            (Blames::Token, format!("{text}: this API may lack the right to ask"))
        }
        (300..=399, _) => {
            let target = redirect_target(&answer.answer.headers);
            // A server may copy the token into the URL of a redirect. It must not reach the log.
            let target = target.filter(|target| !shares_text(target.as_str(), token));
            (Blames::Token, FetchError::Redirect { status, to: target }.to_string())
        }
        _ => (Blames::Token, status_text(status, code)),
    };
    let retry_after = answer.answer.retry_after().filter(|_| [429, 503].contains(&status));
    let problem = problem + &answer.answer.coding_note();
    Err(CallFault { blames, problem, retry_after })
}

/// The status, and the server's error code if it is well-formed (RFC 6749 §5.2).
fn status_text(status: u16, code: Option<&str>) -> String {
    let is_code = |code: &&str| {
        code.len() <= MAX_CODE && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_'))
    };
    match code.filter(is_code) {
        Some(code) => format!("status {status} with the code {code}"),
        None => format!("status {status}"),
    }
}

/// Whether a text contains any 8 consecutive octets of the token, or the whole token if it is
/// shorter.
fn shares_text(text: &str, token: &str) -> bool {
    const PIECE: usize = 8;
    token
        .as_bytes()
        .windows(PIECE.min(token.len()).max(1))
        .any(|piece| memchr::memmem::find(text.as_bytes(), piece).is_some())
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "Url({:?})", Shown(url)),
            Self::Discovered { discovery, mutual_tls } => f
                .debug_struct("Discovered")
                .field("discovery", discovery)
                .field("mutual_tls", mutual_tls)
                .finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::HttpAnswer;
    use http::header::RETRY_AFTER;

    #[test]
    fn what_an_answer_other_than_200_means() {
        use Blames::{Credentials, Rate, Server, Token, Unauthorized};
        let error = |code: &str| format!(r#"{{"error":"{code}"}}"#);
        for (name, status, body, has_answered, expected) in [
            ("the token", 400, error("invalid_token"), false, None),
            ("a grant", 400, error("invalid_grant"), false, None),
            ("a type", 400, error("unsupported_token_type"), false, None),
            ("the call, never good", 400, error("invalid_request"), false, Some(Token)),
            ("the call, good before", 400, error("invalid_request"), true, None),
            ("our credentials", 400, error("invalid_client"), true, Some(Credentials)),
            ("our credentials, 401", 401, error("invalid_client"), true, Some(Credentials)),
            ("401 alone", 401, String::new(), true, Some(Unauthorized)),
            ("401 about a token", 401, error("invalid_token"), true, Some(Unauthorized)),
            ("another code", 400, error("unauthorized_client"), true, Some(Token)),
            ("no code", 400, "{}".to_owned(), true, Some(Token)),
            ("no JSON", 400, "invalid_token".to_owned(), true, Some(Token)),
            ("a list", 400, r#"{"error":["invalid_token"]}"#.to_owned(), true, Some(Token)),
            ("another status", 403, error("invalid_token"), true, Some(Token)),
            ("403 by name of the client", 403, error("invalid_client"), true, Some(Token)),
            ("not found", 404, String::new(), true, Some(Token)),
            ("no content", 204, String::new(), true, Some(Token)),
            ("a fault", 500, String::new(), true, Some(Token)),
            ("not implemented", 501, String::new(), true, Some(Token)),
            ("bad gateway", 502, String::new(), true, Some(Server)),
            ("unavailable", 503, String::new(), true, Some(Server)),
            ("gateway timeout", 504, String::new(), true, Some(Server)),
            ("505", 505, String::new(), true, Some(Token)),
            ("busy", 429, String::new(), true, Some(Rate)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, "7".parse().unwrap());
            let answer = HttpAnswer { not_modified: false, headers, body: body.into() };
            let read = refusal(&FormAnswer { status, answer }, "the.token", has_answered);
            let fault = read.err();
            assert_eq!(fault.as_ref().map(|fault| fault.blames), expected, "{name}");
            let asked = fault.and_then(|fault| fault.retry_after);
            assert_eq!(asked.is_some(), [429, 503].contains(&status), "{name}");
        }
    }
}
