//! The verified claims as text, for rules that read a claim by its name.

#[cfg(any(feature = "http-client", feature = "test-issuer"))]
use crate::token::json::Value;
use crate::token::json::{self, Object};

/// The JSON text of the claims of a token, after all checks. A handler's type may contain only some of
/// the claims, but a policy can read all of them.
#[derive(Clone, Default)]
pub(crate) struct Payload {
    claims: Vec<u8>,
    /// The members of the introspection answer about a JWT that was also validated.
    answer: Option<Box<[u8]>>,
}

impl Payload {
    /// Takes the buffer in which a token was decoded. The text is its first `length` octets.
    pub(crate) fn of_buffer(mut buffer: Vec<u8>, length: usize) -> Self {
        buffer.truncate(length);
        Self { claims: buffer, answer: None }
    }

    /// The text of claims that came in another form: an introspection answer, claims of a test.
    #[cfg(any(feature = "http-client", feature = "test-issuer"))]
    pub(crate) fn of(claims: &Object<'_>) -> Self {
        Self { claims: text_of(claims), answer: None }
    }

    /// Adds the answer about a JWT.
    #[cfg(feature = "http-client")]
    pub(crate) fn with_answer(mut self, members: &Object<'_>) -> Self {
        self.answer = Some(text_of(members).into());
        self
    }

    /// Parses the claims. The text was parsed before, so this can't fail. If parsing failed, there would
    /// be no claims, and every condition on a claim, except `absent()`, would refuse the token.
    pub(crate) fn claims(&self) -> Object<'_> {
        json::parse(&self.claims).unwrap_or_default()
    }

    /// Parses the members of the answer, if there is one.
    pub(crate) fn answer(&self) -> Option<Object<'_>> {
        self.answer.as_ref().map(|answer| json::parse(answer).unwrap_or_default())
    }
}

#[cfg(any(feature = "http-client", feature = "test-issuer"))]
fn text_of(claims: &Object<'_>) -> Vec<u8> {
    let owned = |(name, value): (&str, &Value<'_>)| (name.to_owned(), value.to_owned_value());
    let claims: serde_json::Map<_, _> = claims.iter().map(owned).collect();
    serde_json::Value::Object(claims).to_string().into_bytes()
}
