//! One call of the introspection endpoint (RFC 7662 §2).

use std::fmt;
use std::sync::Arc;

use form_urlencoded::Serializer;

use crate::clock::Clock;
use crate::fetch::{Client, Form, FormAnswer};
use crate::introspection::answer::{Answer, AnswerFault};
use crate::introspection::build::is_https;
use crate::introspection::credentials::Credentials;
use crate::introspection::signed::{MEDIA_TYPE, SignedAnswers};
use crate::issuer::Discovery;
use crate::shown::Shown;
use crate::token::NumericDate;
use crate::token::json::{self, Value};

/// Asks one endpoint as one client.
pub(crate) struct IntrospectionClient {
    pub(crate) http: Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) credentials: Credentials,
    /// What signed answers are judged by, where no other is accepted.
    pub(crate) signed: Option<SignedAnswers>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Where the endpoint is.
pub(crate) enum Endpoint {
    Url(String),
    /// Where the issuer's metadata says; with `mutual_tls`, its alias for that (RFC 8705 §5).
    Discovered {
        discovery: Arc<Discovery>,
        mutual_tls: bool,
    },
}

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Verdict {
    Active(Answer),
    Inactive,
    /// The server could make nothing of the token.
    Refused,
}

impl IntrospectionClient {
    /// Asks about a token.
    ///
    /// # Errors
    /// What failed on our side or the server's, in fixed words: not the token's fault.
    pub(crate) async fn ask(&self, token: &str) -> Result<Verdict, String> {
        let url = self.url().await?;
        // Just before the call, whose answer can't have been signed earlier.
        let asked = NumericDate::now(self.clock.wall());
        let answer = self.http.post(&url, || self.form(token)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let read = match answer.status {
            200 => self.read(&answer, asked).await,
            400 if blames_the_token(&answer) => return Ok(Verdict::Refused),
            401 | 400 => return Err("the client credentials were refused, or the call".to_owned()),
            status => return Err(format!("status {status}")),
        };
        match read {
            Ok(Some(answer)) => Ok(Verdict::Active(answer)),
            Ok(None) => Ok(Verdict::Inactive),
            Err(AnswerFault(text)) => Err(text.to_owned()),
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
        // Without TLS the server would be asked by a client that shows nothing.
        if mutual_tls && !is_https(&url) {
            return Err("metadata: the endpoint for a client certificate is not https".to_owned());
        }
        Ok(url)
    }

    /// The token as it is, with a hint (RFC 7662 §2.1), and our credentials.
    fn form(&self, token: &str) -> Result<Form, &'static str> {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        let authorization = self.credentials.add_to(&mut form, self.clock.wall())?;
        let accept = if self.signed.is_some() { MEDIA_TYPE } else { "application/json" };
        Ok(Form { accept, authorization, body: form.finish() })
    }

    async fn read(
        &self,
        answer: &FormAnswer,
        asked: NumericDate,
    ) -> Result<Option<Answer>, AnswerFault> {
        let answer = &answer.answer;
        match &self.signed {
            // RFC 7662 §2.2 has JSON, which is told by reading it. A JWT was asked for by nobody.
            None if answer.says_jwt() => {
                Err(AnswerFault("the answer is a JWT; see `Introspection::require_signed_answers`"))
            }
            None => Answer::parse(answer.json()),
            // RFC 9701 §8.2: no way back to plain JSON, which whoever stands between could write.
            Some(signed) if answer.media_type().as_deref() == Some(MEDIA_TYPE) => {
                signed.open(&answer.body, asked, &*self.clock).await
            }
            Some(_) => Err(AnswerFault("the answer is not signed")),
        }
    }
}

/// Servers answer 400 to a token that they can't read or did not store. That is the token's fault,
/// unless the error says that it is ours (RFC 6749 §5.2), or it is no error of theirs at all.
fn blames_the_token(answer: &FormAnswer) -> bool {
    json::parse(answer.answer.json())
        .ok()
        .and_then(|body| body.get("error").and_then(Value::as_str).map(|e| e != "invalid_client"))
        .unwrap_or(false)
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
