//! The one place that maps a refusal to a gRPC status. The table is on [`Refusal::grpc_status`].

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::error::Error;
use crate::rejection::{Refusal, answer};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// gRFC A6: when the client may retry, as a signed 32-bit number of milliseconds.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// INTERNAL.
const INTERNAL: i32 = 13;

impl Refusal {
    /// The number of the gRPC status. `tonic::Code::from` takes it.
    ///
    /// | HTTP status | gRPC status |
    /// |---|---|
    /// | 400 | 3 `INVALID_ARGUMENT` |
    /// | 401 | 16 `UNAUTHENTICATED` |
    /// | 403 | 7 `PERMISSION_DENIED` |
    /// | 404, of a [hidden](crate::policy::Requirement::hidden) requirement | 5 `NOT_FOUND` |
    /// | 408 | 4 `DEADLINE_EXCEEDED` |
    /// | 413 | 8 `RESOURCE_EXHAUSTED` |
    /// | 500 | 13 `INTERNAL` |
    /// | 503 | 14 `UNAVAILABLE` |
    ///
    /// The gRPC project has another table, for HTTP responses of proxies: there, 400 is `INTERNAL` and 404 is
    /// `UNIMPLEMENTED`.
    pub fn grpc_status(&self) -> i32 {
        status_and_message(self.status, &self.error).map_or(INTERNAL, |(status, _)| status)
    }

    /// The refusal as gRPC metadata, for a handler that refuses a call itself:
    ///
    /// - `grpc-status`;
    /// - `grpc-message`: a fixed text, without any text of the token or the request;
    /// - `www-authenticate`: one value for each of [`challenges`](Self::challenges);
    /// - `retry-after`, and `grpc-retry-pushback-ms` with the same time in milliseconds, if the status is
    ///   `UNAVAILABLE`. Other refusals have no pushback, so that a client can be configured to retry after
    ///   `UNAUTHENTICATED`, with a new token;
    /// - `cache-control`.
    ///
    /// With tonic, `Status::from_header_map` makes the status of the call from the result:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tonic::{Code, Status};
    /// use tower_resource_server::policy::{Requirement, claim};
    /// use tower_resource_server::refusal::Refusal;
    /// # use tower_resource_server::test_issuer::TestIssuer;
    /// # use tower_resource_server::{AccessToken, Issuer, ResourceServer};
    /// # let issuer = TestIssuer::in_process("https://as.example.com");
    /// # let api = ResourceServer::builder()
    /// #     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    /// #     .audience("https://api.example.com")
    /// #     .build()?;
    /// # let bearer = format!("Bearer {}", issuer.token().claim("tenant", "acme").sign());
    /// # let request = http::Request::get("/").header("authorization", bearer).body(())?;
    /// # let token: AccessToken = api.authenticate(&request.into_parts().0).await.unwrap().token;
    ///
    /// fn status(refusal: Refusal) -> Status {
    ///     Status::from_header_map(&refusal.grpc_headers()).expect("it has `grpc-status`")
    /// }
    ///
    /// // In a handler of tonic: `token.require(&owner).map_err(status)?`
    /// let owner = Requirement::from(claim("tenant").equals("acme"));
    /// assert!(token.require(&owner).map_err(status).is_ok());
    ///
    /// let other = Requirement::from(claim("tenant").equals("globex"));
    /// let refused = token.require(&other).map_err(status).unwrap_err();
    /// assert_eq!(refused.code(), Code::PermissionDenied);
    /// assert!(refused.metadata().contains_key("www-authenticate"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn grpc_headers(&self) -> HeaderMap {
        let mut headers = self.headers();
        if let Some(answer) = status_and_message(self.status, &self.error) {
            insert(&mut headers, answer);
        }
        headers
    }

    /// Converts the refusal to a trailers-only gRPC answer: the HTTP status is 200, and the headers are
    /// those of [`grpc_headers`](Self::grpc_headers) with `content-type: application/grpc`. The body is
    /// `B::default()`, which must be empty.
    ///
    /// A [`GrpcLayer`](crate::layer::GrpcLayer) does this by itself.
    pub fn into_grpc_response<B: Default>(self) -> Response<B> {
        let mut response = self.into_response();
        to_trailers_only(&mut response);
        response
    }
}

/// Converts the response of a refusal to a trailers-only answer. Other responses stay unchanged, and so do
/// gRPC answers.
pub(crate) fn to_trailers_only<B: Default>(response: &mut Response<B>) {
    let Some(error) = response.extensions().get::<Error>() else { return };
    // Another layer may have replaced the refusal with a response of its own.
    let Some(answer) = status_and_message(response.status(), error) else { return };
    if response.headers().contains_key(GRPC_STATUS) {
        return;
    }
    *response.status_mut() = StatusCode::OK;
    *response.body_mut() = B::default();
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    insert(headers, answer);
}

fn insert(headers: &mut HeaderMap, (status, message): (i32, &'static str)) {
    headers.insert(GRPC_STATUS, status.into());
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    if let Some(pushback) = headers.get(RETRY_AFTER).and_then(pushback) {
        headers.insert(PUSHBACK, pushback.into());
    }
}

/// The time of `Retry-After` in milliseconds, limited to the largest `i32`: 24 days.
fn pushback(retry_after: &HeaderValue) -> Option<i32> {
    let seconds: u64 = retry_after.to_str().ok()?.parse().ok()?;
    Some(i32::try_from(seconds.saturating_mul(1_000)).unwrap_or(i32::MAX))
}

/// `None` for a status that no refusal has.
fn status_and_message(status: StatusCode, error: &Error) -> Option<(i32, &'static str)> {
    // If the challenge has an error code, the message is the fixed text of that code. On the wire, a message is
    // percent-encoded ("gRPC over HTTP/2", Percent-Encoded). These texts have only characters that are not changed by
    // that encoding. A test checks this.
    let description = answer(error).1.and_then(|code| code.error()).map(|(_, text)| text);
    Some(match status {
        StatusCode::BAD_REQUEST => (3, description.unwrap_or("The request is malformed")),
        StatusCode::UNAUTHORIZED => (16, description.unwrap_or("The call needs an access token")),
        StatusCode::FORBIDDEN => {
            (7, description.unwrap_or("The access token does not allow this call"))
        }
        StatusCode::NOT_FOUND => (5, "Not found"),
        StatusCode::REQUEST_TIMEOUT => (4, "The request took too long"),
        StatusCode::PAYLOAD_TOO_LARGE => (8, "The request is too large"),
        StatusCode::INTERNAL_SERVER_ERROR => (INTERNAL, "Internal error"),
        StatusCode::SERVICE_UNAVAILABLE => (14, "The service is temporarily unavailable"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::token::Excerpt;

    #[test]
    fn each_status_of_a_refusal_has_a_grpc_status_and_a_message() {
        let denied = Error::AccessDenied { requires: Excerpt::of("x") };
        let wiring = Error::Wiring { fix: "x".into() };
        let outage = Error::LookupUnavailable {
            problem: Excerpt::of("x"),
            retry_after: Duration::from_secs(1),
        };
        for (http, error, grpc, text) in [
            (400, &Error::RepeatedCredentials, 3, "must carry one access token"),
            (401, &Error::MissingCredentials, 16, "needs an access token"),
            (401, &Error::NotAJwt, 16, "is not valid"),
            (403, &denied, 7, "does not allow"),
            (404, &denied, 5, "Not found"),
            (408, &Error::MessageTooSlow, 4, "too long"),
            (413, &Error::FormTooLarge { limit: 1 }, 8, "too large"),
            (500, &wiring, 13, "Internal"),
            (503, &outage, 14, "unavailable"),
        ] {
            let status = StatusCode::from_u16(http).unwrap();
            let (found, message) = status_and_message(status, error).unwrap();
            assert_eq!(found, grpc, "{http}");
            assert!(message.contains(text), "{http}: {message}");
            // Percent-Byte-Unencoded of "gRPC over HTTP/2".
            let unencoded = |byte: u8| matches!(byte, b' '..=b'$' | b'&'..=b'~');
            assert!(message.bytes().all(unencoded), "{http}: {message}");
        }
        for http in [200, 302, 402, 502] {
            let status = StatusCode::from_u16(http).unwrap();
            assert_eq!(status_and_message(status, &wiring), None, "{http}");
        }
    }

    #[test]
    fn pushback_is_milliseconds_in_32_bits() {
        for (retry_after, expected) in [
            ("1", Some(1_000)),
            ("2147483", Some(2_147_483_000)),
            ("2147484", Some(i32::MAX)),
            ("18446744073709551615", Some(i32::MAX)),
            ("-1", None),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ] {
            assert_eq!(pushback(&HeaderValue::from_static(retry_after)), expected, "{retry_after}");
        }
    }
}
