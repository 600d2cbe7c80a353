//! RFC 9449 §6, §7: what a token is bound to, and with which scheme it comes.

use serde_json::json;
use tower_resource_server::Error;

use super::*;

const INVALID: &str = "invalid_dpop_proof";

#[tokio::test]
async fn id_9449_7_1_1_a_bound_token_passes_with_its_proof() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    api.send(world.good()).await.assert_ok("bound");
    let reply = api.send(request(&world.token, &[])).await;
    reply.assert_dpop("no proof", INVALID);
    assert_eq!(reply.error, Some(Error::MissingProof));
    api.bearer(&world.issuer.token().sign()).await.assert_ok("not bound");
    // The scheme is compared without regard to case (RFC 9110 §11.1).
    for scheme in ["DPoP", "dpop", "DPOP", "dPoP", "DPoP  "] {
        let mut request = world.good();
        let value = format!("{scheme} {}", world.token).parse().unwrap();
        request.headers_mut().insert("authorization", value);
        api.send(request).await.assert_ok(scheme);
    }
    for value in ["DPoP", "DPoP ", "DPoP\tx", "DPoP a b", "DPoP a,b", "dpop ="] {
        let reply = api.authorization(value).await;
        reply.assert_invalid_request(value);
        assert_eq!(reply.challenges[0].scheme, "DPoP", "{value}");
    }
    for value in ["DPoPs x", "DPo x", "DPoP-Nonce x"] {
        api.authorization(value).await.assert_invited(value);
    }
}

#[tokio::test]
async fn id_9449_7_1_2_a_token_that_is_not_bound_is_refused_under_dpop() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let unbound = world.issuer.token().sign();
    let proof = world.client.proof("GET", URL).token(&unbound).sign();
    for (name, lines) in [("with a proof", vec![&*proof]), ("without one", vec![])] {
        let reply = api.send(request(&unbound, &lines)).await;
        reply.assert_dpop(name, "invalid_token");
        assert_eq!(reply.error, Some(Error::UnboundToken), "{name}");
    }
    api.bearer(&unbound).await.assert_ok("as Bearer");
    api.send(as_bearer(&unbound, &[&proof])).await.assert_ok("as Bearer, with a proof");
    api.send(world.good()).await.assert_ok("bound");
}

#[tokio::test]
async fn id_9449_7_2_1_a_bound_token_is_refused_as_bearer() {
    let world = World::new();
    for (name, server) in [
        ("optional", world.server(optional())),
        ("required", world.server(Dpop::required(AUDIENCE, Replay::in_process()))),
    ] {
        let api = api(server.layer());
        let proof = world.proof().sign();
        for lines in [vec![], vec![&*proof], vec![&*proof, &*proof]] {
            let reply = api.send(as_bearer(&world.token, &lines)).await;
            reply.assert_invalid_token(name);
            assert_eq!(reply.error, Some(Error::BoundTokenAsBearer), "{name}");
            let error = reply.challenges.iter().find(|one| one.param("error").is_some());
            assert_eq!(error.map(|one| &*one.scheme), Some("Bearer"), "{name}");
        }
        // The proof was not used.
        api.send(request(&world.token, &[&proof])).await.assert_ok(name);
    }
    // Without the setting, nobody could check a proof.
    let plain = builder(trusting(&world.issuer)).clock(world.clock.clone()).build().unwrap();
    let plain = api(plain.layer());
    let reply = plain.send(as_bearer(&world.token, &[])).await;
    reply.assert_invalid_token("without the setting");
    assert_eq!(reply.error, Some(Error::UnconfirmedSender));
    plain.send(world.good()).await.assert_invited("the scheme is not read");
}

/// RFC 9449 §6.1, and RFC 7800 §3.1: the members of `cnf`.
#[tokio::test]
async fn id_9449_6_1_1_jkt_is_the_thumbprint_of_the_key() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let jkt = world.client.thumbprint();
    let hex: String = (0..64).map(|at| char::from(b"0123456789abcdef"[at % 16])).collect();
    for (name, cnf, good) in [
        ("jkt", json!({ "jkt": jkt }), true),
        ("an unknown member beside it", json!({ "jkt": jkt, "kid": "x" }), true),
        ("jwk beside it", json!({ "jkt": jkt, "jwk": world.client.jwk() }), true),
        ("another key", json!({ "jkt": KEY }), false),
        ("padded", json!({ "jkt": format!("{jkt}=") }), false),
        ("white space", json!({ "jkt": format!("{jkt} ") }), false),
        ("in another case", json!({ "jkt": jkt.to_uppercase() }), false),
        ("cut", json!({ "jkt": jkt[..42] }), false),
        ("in hex", json!({ "jkt": hex }), false),
        ("empty", json!({ "jkt": "" }), false),
        ("null", json!({ "jkt": null }), false),
        ("an array", json!({ "jkt": [jkt] }), false),
        ("as JKT", json!({ "JKT": jkt }), false),
        ("jwk alone", json!({ "jwk": world.client.jwk() }), false),
        ("two keys beside it", json!({ "jkt": jkt, "jwk": {}, "jku": "x" }), false),
        ("a text", json!(jkt), false),
        ("an array of objects", json!([{ "jkt": jkt }]), false),
        ("null itself", json!(null), false),
        ("empty itself", json!({}), false),
    ] {
        let token = world.issuer.token().claim("cnf", cnf).sign();
        let proof = world.client.proof("GET", URL).token(&token).sign();
        let reply = api.send(request(&token, &[&proof])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, "invalid_token"),
        }
        api.send(as_bearer(&token, &[&proof])).await.assert_invalid_token(name);
    }
}

/// The key and the token of RFC 9449 §7.1 are in `src/sender/dpop/tests.rs`.
#[tokio::test]
async fn id_9449_6_1_1_handlers_see_the_thumbprint() {
    let world = World::new();
    let server = world.server(optional());
    let head = world.good().into_parts().0;
    let passed = server.authenticate(&head).await.unwrap();
    assert!(passed.token.is_sender_constrained());
    let key = passed.token.key_thumbprint().map(|octets| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets)
    });
    assert_eq!(key, Some(world.client.thumbprint()));
    let unbound = world.issuer.token().sign();
    let head = as_bearer(&unbound, &[]).into_parts().0;
    let passed = server.authenticate(&head).await.unwrap();
    assert!(!passed.token.is_sender_constrained());
    assert_eq!(passed.token.key_thumbprint(), None);
}

/// A token without a request has no proof.
#[tokio::test]
async fn id_9449_7_1_1_a_bound_token_alone_is_refused() {
    let world = World::new();
    let server = world.server(optional());
    let refusal = server.authenticate_token(&world.token).await.unwrap_err();
    assert_eq!((refusal.status().as_u16(), refusal.error()), (401, &Error::BoundTokenAsBearer));
    assert!(server.authenticate_token(&world.issuer.token().sign()).await.is_ok());
}

/// The other places of a token are of Bearer (RFC 6750 §2), so no bound token passes there.
#[tokio::test]
async fn id_9449_7_1_1_no_other_place_carries_a_bound_token() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use tower::ServiceBuilder;

    let world = World::new();
    let server = builder(trusting(&world.issuer))
        .clock(world.clock.clone())
        .dpop(optional())
        .query_token()
        .websocket_token("api.example.com")
        .build()
        .unwrap();
    let layers = ServiceBuilder::new().layer(server.form_token_layer(10_000)).layer(server.layer());
    let api = api(layers.into_inner());
    let unbound = world.issuer.token().sign();
    let in_query = |token: &str, proof: &str| {
        let uri = format!("{URL}?access_token={token}");
        Request::get(uri).header("dpop", proof).body(Body::default()).unwrap()
    };
    let in_form = |token: &str, proof: &str| {
        let request = Request::post(URL).header("dpop", proof);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(Body::from(format!("access_token={token}"))).unwrap()
    };
    let in_protocol = |token: &str, proof: &str| {
        let name = "base64url.bearer.authorization.api.example.com";
        let protocol = format!("{name}.{}", URL_SAFE_NO_PAD.encode(token));
        let request = get().header("upgrade", "websocket").header("dpop", proof);
        request
            .header("sec-websocket-protocol", format!("chat, {protocol}"))
            .body(Body::default())
            .unwrap()
    };
    type Make<'a> = &'a dyn Fn(&str, &str) -> Request<Body>;
    let places: [(&str, &str, Make<'_>); 3] = [
        ("query", "GET", &in_query),
        ("form", "POST", &in_form),
        ("subprotocol", "GET", &in_protocol),
    ];
    for (name, method, make) in places {
        let proof = world.client.proof(method, URL).token(&world.token).sign();
        let reply = api.send(make(&world.token, &proof)).await;
        reply.assert_invalid_token(name);
        assert_eq!(reply.error, Some(Error::BoundTokenAsBearer), "{name}");
        api.send(make(&unbound, &proof)).await.assert_ok(name);
        // Beside the field, it is a second method (RFC 6750 §2).
        let mut both = make(&world.token, &proof);
        let value = format!("DPoP {}", world.token).parse().unwrap();
        both.headers_mut().insert("authorization", value);
        api.send(both).await.assert_invalid_request(name);
    }
    api.send(world.good()).await.assert_ok("in the field");
}

/// RFC 8705 §3 and RFC 9449: a token that is bound to both needs both.
#[cfg(feature = "mtls")]
#[tokio::test]
async fn id_8705_x_1_a_token_that_is_bound_to_both_needs_both() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use tower_resource_server::sender::ClientCertificate;

    use crate::rfc8705::{another, certificate};

    let world = World::new();
    let api = api(world.server(optional()).layer());
    let (own, other) = (certificate(), another());
    let thumbprint = URL_SAFE_NO_PAD.encode(ClientCertificate::from_der(&own).thumbprint());
    let both = json!({ "jkt": world.client.thumbprint(), "x5t#S256": thumbprint });
    let token = world.issuer.token().claim("cnf", both).sign();
    let proof = || world.client.proof("GET", URL).token(&token).sign();
    let foreign = world.another().proof("GET", URL).token(&token).sign();
    let scheme = |name| format!("{name} {token}");
    for (name, scheme, lines, der, error) in [
        ("both", scheme("DPoP"), vec![proof()], Some(&own), None),
        ("no certificate", scheme("DPoP"), vec![proof()], None, Some("invalid_token")),
        ("another certificate", scheme("DPoP"), vec![proof()], Some(&other), Some("invalid_token")),
        ("no proof", scheme("DPoP"), vec![], Some(&own), Some(INVALID)),
        ("another key", scheme("DPoP"), vec![foreign], Some(&own), Some("invalid_token")),
        ("as Bearer", scheme("Bearer"), vec![proof()], Some(&own), Some("invalid_token")),
        ("as Bearer, no proof", scheme("Bearer"), vec![], Some(&own), Some("invalid_token")),
    ] {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let mut request = request(&token, &lines);
        request.headers_mut().insert("authorization", scheme.parse().unwrap());
        if let Some(der) = der {
            request.extensions_mut().insert(ClientCertificate::from_der(der));
        }
        let reply = api.send(request).await;
        match error {
            None => reply.assert_ok(name),
            Some(error) if scheme.starts_with("DPoP") => reply.assert_dpop(name, error),
            Some(_) => reply.assert_invalid_token(name),
        }
    }
    // A token that is bound to a certificate alone is one of Bearer (RFC 8705 §3).
    let alone = world.issuer.token().bound_to_certificate(&own).sign();
    let proof = world.client.proof("GET", URL).token(&alone).sign();
    let mut dpop = request(&alone, &[&proof]);
    dpop.extensions_mut().insert(ClientCertificate::from_der(&own));
    api.send(dpop).await.assert_dpop("under DPoP", "invalid_token");
    let mut bearer = as_bearer(&alone, &[]);
    bearer.extensions_mut().insert(ClientCertificate::from_der(&own));
    api.send(bearer).await.assert_ok("under Bearer");
}
