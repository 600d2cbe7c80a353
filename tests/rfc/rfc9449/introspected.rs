//! RFC 9449 §6.2: what an introspection answer binds a token to.

use serde_json::{Value, json};
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::test_issuer::{Endpoint, Fault};
use tower_resource_server::{Error, Issuer};

use super::*;
use crate::scripted::Scripted;

const INVALID: &str = "invalid_dpop_proof";

/// An issuer over the network, and a client with a key.
struct Asked {
    issuer: TestIssuer,
    client: TestProver,
}

impl Asked {
    async fn new() -> Self {
        let issuer = TestIssuer::start().await.unwrap();
        Self { issuer, client: TestProver::generate(Algorithm::ES256) }
    }

    fn server(&self, settings: impl Fn(Introspection) -> Introspection) -> ResourceServer {
        let own = Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"));
        let trusted = Issuer::new(self.issuer.url()).introspection(settings(own));
        builder(trusted).allow_http_loopback().dpop(optional()).build().unwrap()
    }

    fn proof(&self, token: &str) -> String {
        self.client.proof("GET", URL).token(token).sign()
    }

    /// Lets the issuer answer with these members, and with what every answer needs.
    fn says(&self, members: Value) {
        let mut answer = json!({ "active": true, "aud": AUDIENCE, "sub": "alice" });
        for (name, value) in members.as_object().unwrap() {
            answer[name] = value.clone();
        }
        self.issuer.set_fault(Endpoint::Introspection, Fault::Body(answer.to_string()));
    }
}

#[tokio::test]
async fn id_9449_6_1_a_jwt_and_an_opaque_token_are_bound_in_the_same_way() {
    let asked = Asked::new().await;
    let api = api(asked.server(|own| own).layer());
    let other = TestProver::generate(Algorithm::ES256);
    let bound = || asked.issuer.token().bound_to_key(&asked.client);
    for (kind, token, unbound) in [
        ("a JWT", bound().sign(), asked.issuer.token().sign()),
        ("introspected", bound().opaque(), asked.issuer.token().opaque()),
    ] {
        for _ in 0..2 {
            let proof = asked.proof(&token);
            let foreign = other.proof("GET", URL).token(&token).sign();
            api.send(as_bearer(&token, &[])).await.assert_invalid_token(kind);
            api.send(as_bearer(&token, &[&proof])).await.assert_invalid_token(kind);
            api.send(request(&token, &[])).await.assert_dpop(kind, INVALID);
            api.send(request(&token, &[&foreign])).await.assert_dpop(kind, "invalid_token");
            api.send(request(&token, &[&proof])).await.assert_ok(kind);
            api.send(request(&token, &[&proof])).await.assert_dpop(kind, INVALID);
        }
        let proof = asked.proof(&unbound);
        api.send(request(&unbound, &[&proof])).await.assert_dpop(kind, "invalid_token");
        api.send(as_bearer(&unbound, &[])).await.assert_ok(kind);
    }
}

#[tokio::test]
async fn id_9449_6_2_1_no_proof_is_sent_to_the_authorization_server() {
    let server = Scripted::start().await;
    let client = TestProver::generate(Algorithm::ES256);
    let answer = json!({
        "active": true,
        "aud": AUDIENCE,
        "sub": "alice",
        "token_type": "DPoP",
        "cnf": { "jkt": client.thumbprint() },
    });
    server.set_json("/introspect", &answer.to_string());
    let auth = ClientAuth::client_secret_basic("notes-api", "s3cr3t");
    let own = Introspection::new(auth).endpoint(format!("{}/introspect", server.url));
    let trusted = Issuer::new(&server.url).introspection(own.only());
    let api = api(builder(trusted).allow_http_loopback().dpop(optional()).build().unwrap().layer());
    let proof = client.proof("GET", URL).token("opaque").sign();
    api.send(request("opaque", &[&proof])).await.assert_ok("bound");
    assert_eq!(server.asked("/introspect"), 1);
    assert_eq!(server.fields("dpop"), [("/introspect".to_owned(), None)]);
    let (_, authorization) = server.authorizations().remove(0);
    assert!(authorization.unwrap().starts_with("Basic "));
}

#[tokio::test]
async fn id_9449_6_2_2_the_type_of_a_bound_token_is_dpop() {
    let asked = Asked::new().await;
    let server = asked.server(|own| own);
    let api = api(server.layer());
    let cnf = json!({ "jkt": asked.client.thumbprint() });
    // (name, the members, whether it passes under DPoP, whether it passes as Bearer)
    for (name, members, dpop, bearer) in [
        ("bound, DPoP", json!({ "cnf": cnf, "token_type": "DPoP" }), true, false),
        ("bound, in another case", json!({ "cnf": cnf, "token_type": "dpop" }), true, false),
        ("bound, no type", json!({ "cnf": cnf }), true, false),
        ("bound, null", json!({ "cnf": cnf, "token_type": null }), true, false),
        ("bound, Bearer", json!({ "cnf": cnf, "token_type": "Bearer" }), false, false),
        ("bound, bearer", json!({ "cnf": cnf, "token_type": "bearer" }), false, false),
        ("bound, another", json!({ "cnf": cnf, "token_type": "mac" }), false, false),
        ("bound, no text", json!({ "cnf": cnf, "token_type": 1 }), false, false),
        ("unbound, DPoP", json!({ "token_type": "DPoP" }), false, false),
        ("unbound, Bearer", json!({ "token_type": "Bearer" }), false, true),
        ("unbound, no type", json!({}), false, true),
        ("no thumbprint", json!({ "cnf": { "jkt": "x" }, "token_type": "DPoP" }), false, false),
        ("null", json!({ "cnf": null }), false, false),
        ("another key", json!({ "cnf": { "jkt": KEY }, "token_type": "DPoP" }), false, false),
    ] {
        asked.says(members);
        let token = format!("token-{}", name.replace([' ', ','], "-"));
        for round in 0..2 {
            let (name, proof) = (format!("{name}, {round}"), asked.proof(&token));
            let reply = api.send(request(&token, &[&proof])).await;
            match dpop {
                true => reply.assert_ok(&name),
                false => reply.assert_dpop(&name, "invalid_token"),
            }
            let reply = api.send(as_bearer(&token, &[&proof])).await;
            match bearer {
                true => reply.assert_ok(&name),
                false => reply.assert_invalid_token(&name),
            }
        }
    }
}

/// The token or the answer about it can bind it, and both must not name two keys.
#[tokio::test]
async fn id_9449_6_1_an_answer_about_a_jwt_binds_it_too() {
    let asked = Asked::new().await;
    let apis = [
        ("also for JWTs", true, api(asked.server(Introspection::also_for_jwts).layer())),
        ("only", false, api(asked.server(Introspection::only).layer())),
    ];
    let cnf = json!({ "jkt": asked.client.thumbprint() });
    for (name, in_text, members, dpop, bearer) in [
        ("in the text", true, json!({}), true, false),
        ("in both", true, json!({ "cnf": cnf }), true, false),
        ("in both, DPoP", true, json!({ "cnf": cnf, "token_type": "DPoP" }), true, false),
        ("in the text, DPoP", true, json!({ "token_type": "DPoP" }), true, false),
        ("in the text, Bearer", true, json!({ "token_type": "Bearer" }), false, false),
        ("in the answer", false, json!({ "cnf": cnf }), true, false),
        (
            "in the answer, Bearer",
            false,
            json!({ "cnf": cnf, "token_type": "Bearer" }),
            false,
            false,
        ),
        ("two keys", true, json!({ "cnf": { "jkt": KEY } }), false, false),
        ("the answer, another key", false, json!({ "cnf": { "jkt": KEY } }), false, false),
        ("the answer, unknown", true, json!({ "cnf": { "kid": "x" } }), false, false),
        ("the answer, malformed", true, json!({ "cnf": { "jkt": "x" } }), false, false),
        ("the answer, null", true, json!({ "cnf": null }), false, false),
        ("in none", false, json!({}), false, true),
        ("in none, DPoP", false, json!({ "token_type": "DPoP" }), false, false),
        ("inactive", true, json!({ "active": false }), false, false),
    ] {
        asked.says(members);
        for (kind, _, api) in &apis {
            let token = asked.issuer.token();
            let token = if in_text { token.bound_to_key(&asked.client) } else { token }.sign();
            let (name, proof) = (format!("{name}, {kind}"), asked.proof(&token));
            let reply = api.send(as_bearer(&token, &[&proof])).await;
            match bearer {
                true => reply.assert_ok(&name),
                false => reply.assert_invalid_token(&name),
            }
            let reply = api.send(request(&token, &[&proof])).await;
            match dpop {
                true => {
                    reply.assert_ok(&name);
                    // Once, and with the answer from the cache.
                    let reply = api.send(request(&token, &[&proof])).await;
                    reply.assert_dpop(&name, INVALID);
                    let next = asked.proof(&token);
                    api.send(request(&token, &[&next])).await.assert_ok(&name);
                }
                false => reply.assert_dpop(&name, "invalid_token"),
            }
        }
    }
}

/// A certificate in the text and a key in the answer, and the other way round.
#[cfg(feature = "mtls")]
#[tokio::test]
async fn id_8705_x_1_a_token_and_its_answer_can_bind_it_to_both() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use tower_resource_server::sender::ClientCertificate;

    use crate::rfc8705::{another, certificate};

    let asked = Asked::new().await;
    let api = api(asked.server(Introspection::also_for_jwts).layer());
    let (own, other) = (certificate(), another());
    let token = asked.issuer.token().bound_to_key(&asked.client).sign();
    let thumbprint = URL_SAFE_NO_PAD.encode(ClientCertificate::from_der(&own).thumbprint());
    asked.says(json!({ "cnf": { "x5t#S256": thumbprint } }));
    for (name, der, good) in
        [("none", None, false), ("another", Some(&other), false), ("its own", Some(&own), true)]
    {
        let proof = asked.proof(&token);
        let mut request = request(&token, &[&proof]);
        if let Some(der) = der {
            request.extensions_mut().insert(ClientCertificate::from_der(der));
        }
        let reply = api.send(request).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, "invalid_token"),
        }
    }
}

/// A sender that may not use a token causes no introspection, and an outage uses up no proof.
#[tokio::test]
async fn id_9449_6_2_1_a_proof_is_judged_before_the_question_and_used_after_it() {
    let asked = Asked::new().await;
    let api = api(asked.server(|own| own.also_for_jwts().cache_ttl(Duration::ZERO)).layer());
    let token = asked.issuer.token().bound_to_key(&asked.client).sign();
    let foreign = TestProver::generate(Algorithm::ES256).proof("GET", URL).token(&token).sign();
    for (name, lines, error) in [
        ("no proof", vec![], INVALID),
        ("not a proof", vec!["x"], INVALID),
        ("another key", vec![&*foreign], "invalid_token"),
    ] {
        api.send(request(&token, &lines)).await.assert_dpop(name, error);
    }
    api.send(as_bearer(&token, &[])).await.assert_invalid_token("as Bearer");
    assert_eq!(asked.issuer.counts().introspection, 0);
    let proof = asked.proof(&token);
    asked.issuer.set_fault(Endpoint::Introspection, Fault::Status(500));
    let reply = api.send(request(&token, &[&proof])).await;
    reply.assert_unavailable("an outage");
    assert!(matches!(reply.error, Some(Error::IntrospectionUnavailable { .. })));
    asked.issuer.set_fault(Endpoint::Introspection, Fault::None);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let reply = api.send(request(&token, &[&proof])).await;
    reply.assert_ok("the same proof");
    api.send(request(&token, &[&proof])).await.assert_dpop("again", INVALID);
}
