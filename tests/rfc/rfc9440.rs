//! RFC 9440: the client's certificate in the header `Client-Cert`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_resource_server::sender::{PeerAddress, ProxyHeader, TrustedPeers};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Error, ResourceServer};

use crate::rfc8705::{another, certificate, request};
use crate::support::*;

const PROXY: &str = "192.0.2.7";

fn behind_proxy(issuer: &TestIssuer) -> ResourceServer {
    let peers = TrustedPeers::cidrs([PROXY]);
    let server = builder(trusting(issuer));
    server.client_certificate_header(ProxyHeader::client_cert(), peers).build().unwrap()
}

fn item(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

fn from(peer: &str, token: &str, lines: &[(&str, &str)]) -> Request<Body> {
    let mut request = request(token).body(Body::default()).unwrap();
    request.extensions_mut().insert(PeerAddress::Ip(peer.parse().unwrap()));
    for (name, value) in lines {
        let name = HeaderName::try_from(*name).unwrap();
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

#[tokio::test]
async fn id_9440_4_1_the_header_is_off_by_default() {
    let issuer = issuer();
    let own = certificate();
    let bound = issuer.token().bound_to_certificate(&own).sign();
    let lines = [("client-cert", &*item(&own))];
    let reply = api(server(&issuer).layer()).send(from(PROXY, &bound, &lines)).await;
    reply.assert_invalid_token("off");
    assert_eq!(reply.error, Some(Error::MissingCertificate));
    api(behind_proxy(&issuer).layer()).send(from(PROXY, &bound, &lines)).await.assert_ok("on");
}

#[tokio::test]
async fn id_9440_4_2_only_a_trusted_proxy_may_send_it() {
    let issuer = issuer();
    let api = api(behind_proxy(&issuer).layer());
    let own = certificate();
    let (bound, unbound) =
        (issuer.token().bound_to_certificate(&own).sign(), issuer.token().sign());
    let lines = [("client-cert", &*item(&own))];
    api.send(from(PROXY, &bound, &lines)).await.assert_ok("the proxy");
    let mapped = format!("::ffff:{PROXY}");
    api.send(from(&mapped, &bound, &lines)).await.assert_ok("the proxy's mapped address");
    for peer in ["192.0.2.8", "::1", "::192.0.2.7", "127.0.0.1"] {
        let reply = api.send(from(peer, &bound, &lines)).await;
        reply.assert_invalid_token(peer);
        assert_eq!(reply.error.unwrap().code(), "untrusted_proxy");
        api.send(from(peer, &unbound, &lines)).await.assert_ok(peer);
    }
    let mut nowhere = from(PROXY, &bound, &lines);
    nowhere.extensions_mut().remove::<PeerAddress>();
    api.send(nowhere).await.assert_invalid_token("no address");
}

#[tokio::test]
async fn id_9440_2_2_1_the_value_is_one_byte_sequence() {
    let issuer = issuer();
    let api = api(behind_proxy(&issuer).layer());
    let own = certificate();
    let (bound, unbound) =
        (issuer.token().bound_to_certificate(&own).sign(), issuer.token().sign());
    let base64 = STANDARD.encode(&own);
    let good = item(&own);
    let other = item(&another());
    let unpadded = base64.trim_end_matches('=');
    assert_ne!(unpadded, base64);
    for (name, values) in [
        ("no colons", vec![base64.clone()]),
        ("one colon", vec![format!(":{base64}")]),
        ("a list", vec![format!("{good}, {other}")]),
        ("twice in a list", vec![format!("{good}, {good}")]),
        ("two lines", vec![good.clone(), other.clone()]),
        ("two equal lines", vec![good.clone(), good.clone()]),
        ("a parameter", vec![format!("{good};a=1")]),
        ("a string", vec![format!("\"{base64}\"")]),
        ("no padding", vec![format!(":{unpadded}:")]),
        ("white space inside", vec![format!(": {base64}:")]),
        ("base64url", vec![format!(":{}:", base64.replace('+', "-").replace('/', "_"))]),
        ("cut", vec![format!(":{}:", &base64[..base64.len() - 8])]),
        ("octets behind it", vec![item(&[&own[..], &[0]].concat())]),
        ("two certificates", vec![item(&[&own[..], &own[..]].concat())]),
        ("not DER", vec![item(b"certificate")]),
        ("nothing", vec!["::".to_owned()]),
        ("empty", vec![String::new()]),
        ("PEM", vec![format!(":-----BEGIN CERTIFICATE-----{base64}-----END CERTIFICATE-----:")]),
    ] {
        let lines: Vec<_> = values.iter().map(|value| ("client-cert", value.as_str())).collect();
        for token in [&bound, &unbound] {
            let reply = api.send(from(PROXY, token, &lines)).await;
            reply.assert_invalid_request(name);
            assert_eq!(reply.error.unwrap().code(), "malformed_certificate", "{name}");
        }
    }
    for token in [&bound, &unbound] {
        api.send(from(PROXY, token, &[("Client-Cert", &good)])).await.assert_ok("good");
    }
    api.send(from(PROXY, &bound, &[("client-cert", &other)])).await.assert_invalid_token("other");
    api.send(from(PROXY, &unbound, &[("client-cert", &other)])).await.assert_ok("unbound");
}

#[tokio::test]
async fn id_9440_2_3_1_a_chain_alone_is_ignored() {
    let issuer = issuer();
    let api = api(behind_proxy(&issuer).layer());
    let own = certificate();
    let (bound, unbound) =
        (issuer.token().bound_to_certificate(&own).sign(), issuer.token().sign());
    let (good, other) = (item(&own), item(&another()));
    let alone = [("client-cert-chain", good.as_str())];
    let reply = api.send(from(PROXY, &bound, &alone)).await;
    reply.assert_invalid_token("a chain alone");
    assert_eq!(reply.error, Some(Error::MissingCertificate));
    api.send(from(PROXY, &unbound, &alone)).await.assert_ok("unbound");
    let both = [("client-cert", good.as_str()), ("client-cert-chain", other.as_str())];
    api.send(from(PROXY, &bound, &both)).await.assert_ok("beside the certificate");
}

/// The proxy removes or replaces the client's header; a secret shows that the request came through it.
#[tokio::test]
async fn id_9440_2_4_1_a_hop_secret_shows_that_the_proxy_wrote_the_header() {
    let issuer = issuer();
    let secret = "s3cr3t-of-the-hop-with-32-or-more-octets";
    let peers = TrustedPeers::shared_secret("x-hop", secret);
    let server = builder(trusting(&issuer))
        .client_certificate_header(ProxyHeader::client_cert(), peers)
        .build()
        .unwrap();
    let api = api(server.layer());
    let own = certificate();
    let bound = issuer.token().bound_to_certificate(&own).sign();
    let good = item(&own);
    let with =
        |secret: &str| from("198.51.100.1", &bound, &[("client-cert", &good), ("x-hop", secret)]);
    api.send(with(secret)).await.assert_ok("the secret");
    api.send(with(&secret.to_uppercase())).await.assert_invalid_token("another");
    api.send(from(PROXY, &bound, &[("client-cert", &good)])).await.assert_invalid_token("none");
}

#[tokio::test]
async fn id_9440_2_4_2_an_answer_varies_with_the_header_and_never_has_it() {
    let issuer = issuer();
    let own = certificate();
    let echoing = |vary: &'static str| {
        let handler = service_fn(move |request: Request<Body>| async move {
            let mut response = Response::new(Body::default());
            let value = request.headers()["client-cert"].clone();
            response.headers_mut().insert("client-cert", value.clone());
            response.headers_mut().insert("client-cert-chain", value);
            if !vary.is_empty() {
                response.headers_mut().insert("vary", HeaderValue::from_static(vary));
            }
            Ok::<_, std::convert::Infallible>(response)
        });
        behind_proxy(&issuer).layer().layer(handler)
    };
    let good = item(&own);
    let lines = [("client-cert", good.as_str())];
    let bound = issuer.token().bound_to_certificate(&own).sign();
    for (before, after) in [
        ("", &["client-cert"][..]),
        ("accept", &["accept", "client-cert"]),
        ("accept, Client-Cert", &["accept, Client-Cert"]),
        ("*", &["*"]),
    ] {
        let response = echoing(before).oneshot(from(PROXY, &bound, &lines)).await.unwrap();
        assert_eq!(response.status(), 200);
        let vary: Vec<_> = response.headers().get_all("vary").iter().collect();
        assert_eq!(vary, after, "{before}");
        assert!(!response.headers().contains_key("client-cert"), "{before}");
        assert!(!response.headers().contains_key("client-cert-chain"), "{before}");
    }
    // The certificate plays no part for a token that is not bound.
    let unbound = issuer.token().sign();
    let response = echoing("").oneshot(from(PROXY, &unbound, &lines)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("vary"));
    // Every refusal has `no-store`.
    let other = issuer.token().bound_to_certificate(another()).sign();
    let reply = api(behind_proxy(&issuer).layer()).send(from(PROXY, &other, &lines)).await;
    reply.assert_invalid_token("another");
    assert!(!reply.headers.contains_key("client-cert"));
    // The same outside Tower.
    let (parts, _) = from(PROXY, &bound, &lines).into_parts();
    let passed = behind_proxy(&issuer).authenticate(&parts).await.unwrap();
    assert_eq!(passed.response_headers["vary"], "client-cert");
}

#[tokio::test]
async fn id_9440_3_1_large_certificates_pass_up_to_a_limit() {
    let issuer = issuer();
    let api = api(behind_proxy(&issuer).layer());
    // A SEQUENCE of two SEQUENCEs and a BIT STRING, as a certificate is.
    let large = |octets: usize| {
        let body = octets - 4 - 4 - 2 - 2;
        let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
        let mut der =
            [&[0x30, 0x82][..], &length(octets - 4), &[0x30, 0x82], &length(body)].concat();
        der.extend(std::iter::repeat_n(0, body));
        der.extend([0x30, 0, 0x03, 0]);
        assert_eq!(der.len(), octets);
        der
    };
    for (octets, good) in [(10_000, true), (16 * 1024, true), (16 * 1024 + 1, false)] {
        let der = large(octets);
        let bound = issuer.token().bound_to_certificate(&der).sign();
        let reply = api.send(from(PROXY, &bound, &[("client-cert", &item(&der))])).await;
        let name = octets.to_string();
        if good { reply.assert_ok(&name) } else { reply.assert_invalid_request(&name) }
    }
}
