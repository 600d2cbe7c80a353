//! The introspection endpoint (RFC 7662, RFC 9701) and the revocation endpoint (RFC 7009).

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{Answer, error, json_answer, plain, typed_answer};
use super::clients::Caller;
use super::issuer::TestIssuer;
use super::state::{IntrospectionCall, Shared};

/// The content type of a signed answer.
const SIGNED: &str = "application/token-introspection+jwt";

pub(crate) fn introspection(issuer: &Arc<Shared>, headers: &HeaderMap, body: &[u8]) -> Answer {
    let (caller, form) = read(issuer, headers, body);
    let parameter =
        |name: &str| form.iter().find(|(own, _)| own == name).map(|(_, text)| text.clone());
    let text = |value: Option<&HeaderValue>| Some(value?.to_str().ok()?.to_owned());
    let accept = text(headers.get(ACCEPT));
    let signed = accept.as_deref().is_some_and(|accept| accept.contains(SIGNED));
    let token = parameter("token");
    issuer.state().introspections.push(IntrospectionCall {
        client_id: caller.as_ref().map(|caller| caller.id.clone()),
        method: caller.as_ref().map(|caller| caller.method),
        token: token.clone(),
        token_type_hint: parameter("token_type_hint"),
        accept,
        content_type: text(headers.get(CONTENT_TYPE)),
    });
    let Some(caller) = caller else {
        // 401 by RFC 7662 §2.3, but 400 for a signed answer (RFC 9701 §4).
        let status = if signed { StatusCode::BAD_REQUEST } else { StatusCode::UNAUTHORIZED };
        return error(status, "invalid_client");
    };
    let Some(token) = token else {
        return error(StatusCode::BAD_REQUEST, "invalid_request");
    };
    let now = issuer.clock.wall().as_secs();
    let claims = issuer.state().tokens.active(&token, now);
    let members = answer(claims);
    if !signed {
        return json_answer(members.to_string());
    }
    let issuer = TestIssuer::of(issuer);
    let claims = json!({
        "iss": issuer.url(),
        "aud": caller.id,
        "iat": now,
        "token_introspection": members,
    });
    let jwt = issuer.token().header("typ", "token-introspection+jwt");
    typed_answer(SIGNED, jwt.raw_payload(claims.to_string()).sign())
}

/// The members of an introspection response (RFC 7662 §2.2).
fn answer(claims: Option<Map<String, Value>>) -> Value {
    match claims {
        None => json!({ "active": false }),
        Some(mut claims) => {
            // RFC 9449 §6.2: a token that is bound to a key has another `token_type`.
            let is_bound = claims.get("cnf").is_some_and(|cnf| cnf.get("jkt").is_some());
            let kind = if is_bound { "DPoP" } else { "Bearer" };
            claims.entry("token_type").or_insert_with(|| json!(kind));
            claims.insert("active".to_owned(), json!(true));
            Value::Object(claims)
        }
    }
}

/// Revokes a token. The response is 200, even if there is no such token (RFC 7009 §2).
pub(crate) fn revocation(issuer: &Arc<Shared>, headers: &HeaderMap, body: &[u8]) -> Answer {
    let (caller, form) = read(issuer, headers, body);
    if caller.is_none() {
        return error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    match form.iter().find(|(name, _)| name == "token") {
        Some((_, token)) => {
            issuer.state().tokens.revoke(token);
            plain(StatusCode::OK, "")
        }
        None => error(StatusCode::BAD_REQUEST, "invalid_request"),
    }
}

fn read(
    issuer: &Shared,
    headers: &HeaderMap,
    body: &[u8],
) -> (Option<Caller>, Vec<(String, String)>) {
    let form: Vec<_> = form_urlencoded::parse(body).into_owned().collect();
    let audiences =
        ["", "/token", "/introspect", "/revoke"].map(|path| format!("{}{path}", issuer.url));
    let now = issuer.clock.wall().as_secs();
    let caller = issuer.state().clients.authenticate(headers, &form, &audiences, now);
    (caller, form)
}
