//! The verified claims as text, for rules that read a claim by its name.

#[cfg(any(feature = "http-client", feature = "test-issuer"))]
use crate::token::json::Value;
use crate::token::json::{self, Object};

/// The JSON text of the claims of a token, after all checks. A handler's type may have only a part of
/// the claims; a policy can read all of them.
#[derive(Clone, Default)]
pub(crate) struct Payload(Vec<u8>);

impl Payload {
    /// Takes the buffer in which a token was decoded. The text is its first `length` octets.
    pub(crate) fn of_buffer(mut buffer: Vec<u8>, length: usize) -> Self {
        buffer.truncate(length);
        Self(buffer)
    }

    /// The text of claims that came in another form: an introspection answer, claims of a test.
    #[cfg(any(feature = "http-client", feature = "test-issuer"))]
    pub(crate) fn of(claims: &Object<'_>) -> Self {
        let owned = |(name, value): (&str, &Value<'_>)| (name.to_owned(), value.to_owned_value());
        let claims: serde_json::Map<_, _> = claims.iter().map(owned).collect();
        Self(serde_json::Value::Object(claims).to_string().into_bytes())
    }

    /// Parses the claims. The text was parsed before, so this can't fail. If it did, there would be no
    /// claims, and every rule about them would refuse the token.
    pub(crate) fn claims(&self) -> Object<'_> {
        json::parse(&self.0).unwrap_or_default()
    }
}
