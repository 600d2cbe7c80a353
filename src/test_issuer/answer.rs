//! The issuer's responses, good and bad.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::json;

use super::fault::Fault;

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Applies the fault to the good response.
pub(super) async fn misbehave(fault: Fault, good: Answer) -> Answer {
    let half = |body: &Bytes| body.slice(..body.len() / 2);
    match fault {
        Fault::None => good,
        Fault::Slow(pause) => {
            tokio::time::sleep(pause).await;
            good
        }
        Fault::Hang => std::future::pending().await,
        Fault::Status(status) => {
            let mut answer = good;
            *answer.status_mut() = status_of(status);
            answer
        }
        Fault::Busy(seconds) => {
            let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "");
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
            answer
        }
        Fault::Redirect(url) => {
            let mut answer = plain(StatusCode::FOUND, "");
            if let Ok(url) = url.parse() {
                answer.headers_mut().insert(LOCATION, url);
            }
            answer
        }
        Fault::Html => {
            let mut answer = plain(StatusCode::OK, "<!doctype html><title>Please wait</title>");
            answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/html"));
            answer
        }
        Fault::Garbage => json_answer("\u{0}\u{1}garbage".to_owned()),
        Fault::Truncated => {
            let (parts, body) = good.into_parts();
            let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes);
            Response::from_parts(parts, Full::new(half(&body)).boxed_unsync())
        }
        Fault::Trickle => {
            let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
            tokio::spawn(async move {
                while sender.send_data(Bytes::from_static(b" ")).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            let (parts, _) = good.into_parts();
            Response::from_parts(parts, body.boxed_unsync())
        }
        Fault::Oversize(octets) => {
            json_answer(format!("{{\"keys\":[],\"pad\":\"{}\"}}", "x".repeat(octets)))
        }
        Fault::Body(body) => json_answer(body),
        Fault::Typed(content_type, body) => typed_answer(&content_type, body),
        Fault::Error(status, code) => error(status_of(status), &code),
        Fault::ContentType(content_type) => {
            let mut answer = good;
            answer.headers_mut().remove(CONTENT_TYPE);
            if let (false, Ok(value)) = (content_type.is_empty(), content_type.parse()) {
                answer.headers_mut().insert(CONTENT_TYPE, value);
            }
            answer
        }
    }
}

/// The status with this number. An invalid number must not become a good response.
fn status_of(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(crate) fn json_answer(body: String) -> Answer {
    typed_answer("application/json", body)
}

pub(crate) fn typed_answer(content_type: &str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    if let Ok(content_type) = content_type.parse() {
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    answer
}

/// An error response (RFC 6749 §5.2).
pub(crate) fn error(status: StatusCode, code: &str) -> Answer {
    let mut answer = json_answer(json!({ "error": code }).to_string());
    *answer.status_mut() = status;
    answer
}

pub(crate) fn plain(status: StatusCode, body: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())).boxed_unsync());
    *answer.status_mut() = status;
    answer
}
