//! RFC 7800: the claim `cnf`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tower_resource_server::sender::ClientCertificate;

use crate::rfc8705::{certificate, request};
use crate::support::*;

const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

/// The status and the error of a request with this `cnf`, from a client with the certificate of
/// `THUMBPRINT`.
async fn answer(cnf: Value) -> (u16, Option<&'static str>) {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().claim("cnf", cnf.clone()).sign();
    let mut request = request(&token).body(Body::default()).unwrap();
    request.extensions_mut().insert(ClientCertificate::from_der(certificate()));
    let reply = api.send(request).await;
    match &reply.error {
        None => reply.assert_ok(&cnf.to_string()),
        Some(_) => reply.assert_invalid_token(&cnf.to_string()),
    }
    (reply.status.as_u16(), reply.error.map(|error| error.code()))
}

#[tokio::test]
async fn id_7800_3_1_1_the_claim_is_an_object_about_one_key() {
    let malformed = (401, Some("malformed_claim"));
    for cnf in [json!("x"), json!(null), json!(1), json!([]), json!([{ "x5t#S256": THUMBPRINT }])] {
        assert_eq!(answer(cnf.clone()).await, malformed, "{cnf}");
    }
    let (jwk, jwe, jku) = (json!({ "kty": "OKP" }), "a.b.c.d.e", "https://keys.example.com");
    for cnf in [
        json!({ "jwk": jwk, "jku": jku, "x5t#S256": THUMBPRINT }),
        json!({ "jwk": jwk, "jwe": jwe, "x5t#S256": THUMBPRINT }),
        json!({ "jwe": jwe, "jku": jku, "x5t#S256": THUMBPRINT }),
        json!({ "jwk": jwk, "jwe": jwe, "jku": jku, "x5t#S256": THUMBPRINT }),
    ] {
        assert_eq!(answer(cnf.clone()).await, malformed, "{cnf}");
    }
    assert_eq!(answer(json!({ "jwk": jwk, "x5t#S256": THUMBPRINT })).await, (200, None));
    let padded = format!("{KEY}=");
    for jkt in [json!(1), json!(null), json!(["x"]), json!("x"), json!(""), json!(padded)] {
        let cnf = json!({ "jkt": jkt, "x5t#S256": THUMBPRINT });
        assert_eq!(answer(cnf.clone()).await, malformed, "{cnf}");
    }
    // Well-formed: this server accepts no proofs.
    let cnf = json!({ "jkt": KEY, "x5t#S256": THUMBPRINT });
    assert_eq!(answer(cnf).await, (401, Some("unconfirmed_sender")));
}

#[tokio::test]
async fn id_7800_3_1_2_unknown_members_alone_are_refused_and_ignored_beside_a_known_one() {
    for cnf in
        [json!({}), json!({ "kid": "x" }), json!({ "jwk": { "kty": "OKP" } }), json!({ "x": 1 })]
    {
        assert_eq!(answer(cnf.clone()).await, (401, Some("unconfirmed_sender")), "{cnf}");
    }
    for cnf in [
        json!({ "x5t#S256": THUMBPRINT }),
        json!({ "x5t#S256": THUMBPRINT, "kid": "x" }),
        json!({ "x5t#S256": THUMBPRINT, "x": { "y": [1] } }),
    ] {
        assert_eq!(answer(cnf.clone()).await, (200, None), "{cnf}");
    }
}

#[tokio::test]
async fn id_7800_3_5_1_no_key_is_fetched_from_the_claim() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let jku = format!("http://{}/keys", listener.local_addr().unwrap());
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let alone = answer(json!({ "jku": jku, "kid": "x" })).await;
    assert_eq!(alone, (401, Some("unconfirmed_sender")));
    assert_eq!(answer(json!({ "jku": jku, "x5t#S256": THUMBPRINT })).await, (200, None));
    // A connection to this address shows that the listener counts.
    tokio::net::TcpStream::connect(jku.trim_start_matches("http://").trim_end_matches("/keys"))
        .await
        .unwrap();
    while hits.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hits.load(Ordering::SeqCst), 1);
}
