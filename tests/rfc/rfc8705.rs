//! RFC 8705: tokens that are bound to a client certificate.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use http::Request;
use serde_json::json;
use tower_resource_server::Error;
use tower_resource_server::policy::sender_constrained;
use tower_resource_server::sender::ClientCertificate;

use crate::support::*;

/// The certificate of appendix A, and its thumbprint.
const CERTIFICATE: &str = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=";
const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

/// The certificate of appendix A in DER.
pub fn certificate() -> Vec<u8> {
    STANDARD.decode(CERTIFICATE).unwrap()
}

/// A self-signed certificate in DER.
pub fn another() -> Vec<u8> {
    rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap().cert.der().to_vec()
}

pub fn request(token: &str) -> http::request::Builder {
    get().header("authorization", format!("Bearer {token}"))
}

/// A request with this token through a TLS connection with this certificate.
fn connected(token: &str, certificate: Option<&[u8]>) -> Request<Body> {
    let mut request = request(token).body(Body::default()).unwrap();
    if let Some(der) = certificate {
        request.extensions_mut().insert(ClientCertificate::from_der(der));
    }
    request
}

#[tokio::test]
async fn id_8705_3_1_the_certificate_comes_from_the_connection() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let own = certificate();
    let bound = issuer.token().bound_to_certificate(&own).sign();
    api.send(connected(&bound, Some(&own))).await.assert_ok("the connection's");
    // No header counts unless a proxy is trusted.
    let value = STANDARD.encode(&own);
    for (name, value) in [
        ("client-cert", format!(":{value}:")),
        ("x-arr-clientcert", value.clone()),
        ("x-forwarded-tls-client-cert", value.clone()),
        ("x-forwarded-client-cert", format!("Hash={}", "0".repeat(64))),
    ] {
        let request = request(&bound).header(name, &value).body(Body::default()).unwrap();
        let reply = api.send(request).await;
        reply.assert_invalid_token(name);
        assert_eq!(reply.error, Some(Error::MissingCertificate), "{name}");
        let request = request_beside(&bound, name, &value, &own);
        api.send(request).await.assert_ok(name);
    }
}

fn request_beside(token: &str, name: &str, value: &str, own: &[u8]) -> Request<Body> {
    let mut request = request(token).header(name, value).body(Body::default()).unwrap();
    request.extensions_mut().insert(ClientCertificate::from_der(own));
    request
}

#[tokio::test]
async fn id_8705_3_2_and_3_3_a_bound_token_needs_its_certificate() {
    let issuer = issuer();
    let server = server(&issuer);
    let (own, other) = (certificate(), another());
    let bound = issuer.token().bound_to_certificate(&own).sign();
    let unbound = issuer.token().sign();
    for (name, layer) in
        [("layer", api(server.layer())), ("optional", api(server.optional_layer()))]
    {
        layer.send(connected(&bound, Some(&own))).await.assert_ok(name);
        let reply = layer.send(connected(&bound, Some(&other))).await;
        reply.assert_invalid_token(name);
        assert_eq!(reply.error, Some(Error::ForeignCertificate));
        let reply = layer.send(connected(&bound, None)).await;
        reply.assert_invalid_token(name);
        assert_eq!(reply.error, Some(Error::MissingCertificate));
        layer.send(connected(&unbound, Some(&other))).await.assert_ok("unbound, with one");
        layer.send(connected(&unbound, None)).await.assert_ok("unbound, without one");
    }
    // Without a request, there is no certificate.
    let refusal = server.authenticate_token(&bound).await.unwrap_err();
    assert_eq!(refusal.error(), &Error::MissingCertificate);
    assert!(server.authenticate_token(&unbound).await.is_ok());
    // Another token with the same header and certificate.
    let other_bound = issuer.token().bound_to_certificate(&other).sign();
    let layer = api(server.layer());
    layer.send(connected(&other_bound, Some(&other))).await.assert_ok("its own");
    layer.send(connected(&other_bound, Some(&own))).await.assert_invalid_token("another's");
}

#[tokio::test]
async fn id_8705_3_2_a_route_can_ask_for_a_bound_token() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(sender_constrained()));
    let own = certificate();
    let bound = issuer.token().bound_to_certificate(&own).sign();
    api.send(connected(&bound, Some(&own))).await.assert_ok("bound");
    let reply = api.send(connected(&issuer.token().sign(), Some(&own))).await;
    reply.assert_invalid_token("unbound");
    assert_eq!(reply.error, Some(Error::SenderNotConstrained));
}

#[tokio::test]
async fn id_8705_3_2_handlers_see_what_the_token_is_bound_to() {
    let issuer = issuer();
    let server = server(&issuer);
    let own = certificate();
    let bound = issuer.token().bound_to_certificate(&own).sign();
    let (parts, _) = connected(&bound, Some(&own)).into_parts();
    let token = server.authenticate(&parts).await.unwrap().token;
    assert!(token.is_sender_constrained());
    let thumbprint = URL_SAFE_NO_PAD.encode(token.certificate_thumbprint().unwrap());
    assert_eq!(thumbprint, THUMBPRINT);
    let certificate = ClientCertificate::from_der(&own);
    assert_eq!(Some(certificate.thumbprint()), token.certificate_thumbprint());
    assert_eq!(format!("{certificate:?}"), "ClientCertificate { .. }");
    let (parts, _) = connected(&issuer.token().sign(), Some(&own)).into_parts();
    let token = server.authenticate(&parts).await.unwrap().token;
    assert!(!token.is_sender_constrained() && token.certificate_thumbprint().is_none());
}

#[tokio::test]
async fn id_8705_3_1_1_the_member_is_base64url_without_padding() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let own = certificate();
    let hash = ClientCertificate::from_der(&own);
    let hash = hash.thumbprint();
    let hex: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
    let good = json!({ "cnf": { "x5t#S256": THUMBPRINT } });
    for (name, cnf, error) in [
        ("padded", json!({ "x5t#S256": URL_SAFE.encode(hash) }), "malformed_claim"),
        ("hex", json!({ "x5t#S256": hex }), "malformed_claim"),
        ("short", json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(&hash[..31]) }), "malformed_claim"),
        ("long", json!({ "x5t#S256": URL_SAFE_NO_PAD.encode([0; 33]) }), "malformed_claim"),
        ("unused bits", json!({ "x5t#S256": THUMBPRINT.replace("5v0", "5v1") }), "malformed_claim"),
        ("a line", json!({ "x5t#S256": format!("{THUMBPRINT}\n") }), "malformed_claim"),
        ("a space", json!({ "x5t#S256": format!(" {THUMBPRINT}") }), "malformed_claim"),
        ("empty", json!({ "x5t#S256": "" }), "malformed_claim"),
        ("null", json!({ "x5t#S256": null }), "malformed_claim"),
        ("an array", json!({ "x5t#S256": [THUMBPRINT] }), "malformed_claim"),
        ("octets", json!({ "x5t#S256": hash }), "malformed_claim"),
        ("another case", json!({ "x5t#s256": THUMBPRINT }), "unconfirmed_sender"),
        ("SHA-1", json!({ "x5t": THUMBPRINT }), "unconfirmed_sender"),
    ] {
        let token = issuer.token().claim("cnf", cnf).sign();
        let reply = api.send(connected(&token, Some(&own))).await;
        reply.assert_invalid_token(name);
        assert_eq!(reply.error.unwrap().code(), error, "{name}");
    }
    let token = issuer.token().claim("cnf", good["cnf"].clone()).sign();
    api.send(connected(&token, Some(&own))).await.assert_ok("the example of appendix A");
}

/// The chain need not be valid: the certificate is self-signed and expired.
#[tokio::test]
async fn id_8705_6_2_1_a_self_signed_certificate_is_enough() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let mut params = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap().der().to_vec();
    let bound = issuer.token().bound_to_certificate(&own).sign();
    api.send(connected(&bound, Some(&own))).await.assert_ok("self-signed, expired");
    api.send(connected(&bound, Some(&another()))).await.assert_invalid_token("another");
}

#[tokio::test]
async fn id_8705_x_1_a_certificate_does_not_replace_the_proof_of_a_key() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let own = certificate();
    let both = json!({ "x5t#S256": THUMBPRINT, "jkt": KEY });
    let token = issuer.token().claim("cnf", both).sign();
    let reply = api.send(connected(&token, Some(&own))).await;
    reply.assert_invalid_token("one of two");
    assert_eq!(reply.error, Some(Error::UnconfirmedSender));
    let token = issuer.token().claim("cnf", json!({ "x5t#S256": THUMBPRINT })).sign();
    api.send(connected(&token, Some(&own))).await.assert_ok("one of one");
}

/// The confirmation belongs to the request: a cached answer does not confirm the next sender.
#[cfg(feature = "http-client")]
#[tokio::test]
async fn id_8705_3_2_1_opaque_tokens_are_bound_in_the_same_way() {
    use tower_resource_server::Issuer;
    use tower_resource_server::introspection::{ClientAuth, Introspection};
    use tower_resource_server::test_issuer::TestIssuer;

    let issuer = TestIssuer::start().await.unwrap();
    let credentials = ClientAuth::client_secret_basic("notes-api", "s3cr3t");
    let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(credentials));
    let server = builder(trusted).allow_http_loopback().build().unwrap();
    let api = api(server.layer());
    let (own, other) = (certificate(), another());
    let bound = issuer.token().bound_to_certificate(&own).opaque();
    for round in 0..2 {
        api.send(connected(&bound, Some(&other))).await.assert_invalid_token("another");
        api.send(connected(&bound, None)).await.assert_invalid_token("none");
        api.send(connected(&bound, Some(&own))).await.assert_ok("its own");
        assert_eq!(issuer.counts().introspection, 1, "{round}");
    }
    let unbound = issuer.token().opaque();
    api.send(connected(&unbound, None)).await.assert_ok("unbound");
    let malformed = issuer.token().claim("cnf", json!({ "x5t#S256": "x" })).opaque();
    api.send(connected(&malformed, Some(&own))).await.assert_invalid_token("malformed");
    let null = issuer.token().claim("cnf", serde_json::Value::Null).opaque();
    api.send(connected(&null, Some(&own))).await.assert_invalid_token("null");
}

/// What the token or the answer about it names must hold, and both must not name two certificates.
#[cfg(feature = "http-client")]
#[tokio::test]
async fn id_8705_3_2_1_an_answer_about_a_jwt_binds_it_too() {
    use tower_resource_server::Issuer;
    use tower_resource_server::introspection::{ClientAuth, Introspection};
    use tower_resource_server::test_issuer::{Endpoint, Fault, TestIssuer};

    let issuer = TestIssuer::start().await.unwrap();
    let credentials = ClientAuth::client_secret_basic("notes-api", "s3cr3t");
    let api = |introspection: Introspection| {
        let trusted = Issuer::new(issuer.url()).introspection(introspection);
        api(builder(trusted).allow_http_loopback().build().unwrap().layer())
    };
    let introspection = || Introspection::new(credentials.clone());
    // A JWT that is only introspected is bound by its own text, too: the server vouches for the text.
    let apis = [api(introspection().also_for_jwts()), api(introspection().only())];
    let (own, other) = (certificate(), another());
    let other_thumbprint = URL_SAFE_NO_PAD.encode(ClientCertificate::from_der(&other).thumbprint());
    for (name, of_token, of_answer, good) in [
        ("the token alone", Some(&own), json!({}), true),
        ("both", Some(&own), json!({ "cnf": { "x5t#S256": THUMBPRINT } }), true),
        ("the answer alone", None, json!({ "cnf": { "x5t#S256": THUMBPRINT } }), true),
        ("two", Some(&own), json!({ "cnf": { "x5t#S256": other_thumbprint } }), false),
        ("the answer, another", None, json!({ "cnf": { "x5t#S256": other_thumbprint } }), false),
        ("the answer, a key", Some(&own), json!({ "cnf": { "jkt": KEY } }), false),
        ("the answer, no thumbprint", Some(&own), json!({ "cnf": { "jkt": "x" } }), false),
        ("the answer, unknown", Some(&own), json!({ "cnf": { "kid": "x" } }), false),
        ("the answer, malformed", Some(&own), json!({ "cnf": "x" }), false),
        ("the answer, null", Some(&own), json!({ "cnf": null }), false),
    ] {
        let mut answer = json!({ "active": true, "aud": AUDIENCE, "sub": "alice" });
        for (member, value) in of_answer.as_object().unwrap() {
            answer[member] = value.clone();
        }
        issuer.set_fault(Endpoint::Introspection, Fault::Body(answer.to_string()));
        let token = issuer.token();
        let token = match of_token {
            Some(der) => token.bound_to_certificate(der).sign(),
            None => token.sign(),
        };
        for api in &apis {
            let reply = api.send(connected(&token, Some(&own))).await;
            if good {
                reply.assert_ok(name);
                api.send(connected(&token, Some(&other))).await.assert_invalid_token(name);
                api.send(connected(&token, None)).await.assert_invalid_token(name);
            } else {
                reply.assert_invalid_token(name);
            }
        }
    }
}
