//! Client certificates in the headers of proxies: each form, and ways to forge or confuse the header.

#![cfg(feature = "mtls")]

#[path = "support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response};
use tower::{Layer, Service, ServiceExt as _, service_fn};
use tower_resource_server::sender::{ClientCertificate, PeerAddress, ProxyHeader, TrustedPeers};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Error, ResourceServer, scope};

use support::*;

const PROXY: &str = "10.0.0.7";
const STRANGER: &str = "10.0.0.8";
const SECRET: &str = "s3cr3t-of-the-hop-with-32-or-more-octets";

/// The certificates of two clients, in DER.
struct World {
    issuer: TestIssuer,
    own: Vec<u8>,
    other: Vec<u8>,
}

fn self_signed() -> Vec<u8> {
    rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap().cert.der().to_vec()
}

impl World {
    fn new() -> Self {
        Self { issuer: issuer(), own: self_signed(), other: self_signed() }
    }

    fn server(&self, header: ProxyHeader, peers: TrustedPeers) -> ResourceServer {
        builder(trusting(&self.issuer)).client_certificate_header(header, peers).build().unwrap()
    }

    fn bound(&self) -> String {
        self.issuer.token().bound_to_certificate(&self.own).sign()
    }
}

fn proxies() -> TrustedPeers {
    TrustedPeers::cidrs([PROXY])
}

fn item(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<_> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Percent escapes for all but unreserved characters and those in `keep`.
fn escaped(text: &str, keep: &str) -> String {
    text.chars()
        .map(|own| match own {
            own if own.is_ascii_alphanumeric() || "-._~".contains(own) || keep.contains(own) => {
                own.to_string()
            }
            own => format!("%{:02X}", u32::from(own)),
        })
        .collect()
}

fn hash(der: &[u8]) -> String {
    let hash = ClientCertificate::from_der(der);
    hash.thumbprint().iter().map(|octet| format!("{octet:02x}")).collect()
}

fn request(token: &str, peer: Option<PeerAddress>, lines: &[(&str, &str)]) -> Request<Body> {
    let request = get().header("authorization", format!("Bearer {token}"));
    let mut request = request.body(Body::default()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    for (name, value) in lines {
        let name = HeaderName::try_from(*name).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request
}

fn ip(address: &str) -> Option<PeerAddress> {
    Some(PeerAddress::Ip(address.parse().unwrap()))
}

/// Each form of a header, and a good value of it.
fn forms(world: &World) -> Vec<(&'static str, ProxyHeader, &'static str, String)> {
    let own = &world.own;
    let base64 = STANDARD.encode(own);
    vec![
        ("RFC 9440", ProxyHeader::client_cert(), "client-cert", item(own)),
        (
            "Envoy, Hash",
            ProxyHeader::xfcc(1),
            "x-forwarded-client-cert",
            format!(r#"By=spiffe://a;Hash={};Subject="CN=a,O=\"b\"";URI=;DNS=a;DNS=b"#, hash(own)),
        ),
        (
            "Envoy, Cert",
            ProxyHeader::xfcc(1),
            "x-forwarded-client-cert",
            format!(r#"cert="{}""#, escaped(&pem(own), "")),
        ),
        (
            "Envoy, both",
            ProxyHeader::xfcc(1),
            "x-forwarded-client-cert",
            format!(r#"HASH={};Cert="{}""#, hash(own).to_uppercase(), escaped(&pem(own), "")),
        ),
        (
            "two Envoys",
            ProxyHeader::xfcc(2),
            "x-forwarded-client-cert",
            format!("Hash={},By=spiffe://b;Hash={}", hash(own), hash(&world.other)),
        ),
        ("nginx", ProxyHeader::nginx("ssl-client-cert"), "ssl-client-cert", escaped(&pem(own), "")),
        ("HAProxy", ProxyHeader::haproxy("x-ssl-der"), "x-ssl-der", base64.clone()),
        ("Traefik", ProxyHeader::traefik(), "x-forwarded-tls-client-cert", base64.clone()),
        (
            "Traefik, escaped, with an issuer",
            ProxyHeader::traefik(),
            "x-forwarded-tls-client-cert",
            escaped(&format!("{base64},{}", STANDARD.encode(&world.other)), ""),
        ),
        ("AWS", ProxyHeader::aws_alb(), "x-amzn-mtls-clientcert-leaf", escaped(&pem(own), "+=/")),
        (
            "AWS, a chain",
            ProxyHeader::aws_alb_passthrough(),
            "x-amzn-mtls-clientcert",
            escaped(&(pem(own) + &pem(&world.other)), "+=/"),
        ),
        ("Azure", ProxyHeader::azure(), "x-arr-clientcert", base64),
    ]
}

/// The rows PROXY-1, XFCC-1 and XFCC-3 of the standards.
#[tokio::test]
async fn every_form_carries_the_certificate() {
    let world = World::new();
    for (name, header, field, value) in forms(&world) {
        let api = api(world.server(header, proxies()).layer());
        let lines = [(field, value.as_str())];
        api.send(request(&world.bound(), ip(PROXY), &lines)).await.assert_ok(name);
        let other = world.issuer.token().bound_to_certificate(&world.other).sign();
        let reply = api.send(request(&other, ip(PROXY), &lines)).await;
        reply.assert_invalid_token(name);
        assert_eq!(reply.error, Some(Error::ForeignCertificate), "{name}");
        let reply = api.send(request(&world.bound(), ip(STRANGER), &lines)).await;
        reply.assert_invalid_token(name);
        assert_eq!(reply.error.unwrap().code(), "untrusted_proxy", "{name}");
        let reply = api.send(request(&world.bound(), ip(PROXY), &[])).await;
        reply.assert_invalid_token(name);
        let unbound = world.issuer.token().sign();
        api.send(request(&unbound, ip(PROXY), &lines)).await.assert_ok(name);
        api.send(request(&unbound, ip(PROXY), &[])).await.assert_ok(name);
    }
}

/// What becomes of a forged header.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// The request is refused, whatever its token.
    Malformed,
    /// The header is not one of a trusted proxy: it is removed.
    Removed,
    /// The header is another one: nobody reads it.
    Unread,
    /// The header has the certificate of another client.
    Foreign,
}
use Fate::{Foreign, Malformed, Removed, Unread};

struct Forgery {
    name: &'static str,
    /// The name of the form in `forms`, whose good value is the neighbour.
    form: &'static str,
    peer: Option<PeerAddress>,
    lines: Vec<(&'static str, String)>,
    fate: Fate,
}

/// Ways to forge or confuse a header, for a token that is bound to the certificate `own`.
fn forgeries(world: &World) -> Vec<Forgery> {
    const XFCC: &str = "x-forwarded-client-cert";
    const NGINX: &str = "ssl-client-cert";
    const TRAEFIK: &str = "x-forwarded-tls-client-cert";
    let (own, other) = (&world.own, &world.other);
    let (base64, foreign) = (STANDARD.encode(own), STANDARD.encode(other));
    let (own_hash, other_hash) = (hash(own), hash(other));
    let (own_pem, other_pem) = (pem(own), pem(other));
    let full = |text: &str| escaped(text, "");
    let hex: String = own.iter().map(|octet| format!("{octet:02x}")).collect();
    let good: std::collections::HashMap<_, _> =
        forms(world).into_iter().map(|(name, _, field, value)| (name, (field, value))).collect();
    let mut table = Vec::new();
    let mut add = |name, form, peer, lines: Vec<(&'static str, String)>, fate| {
        table.push(Forgery { name, form, peer, lines, fate });
    };

    // Peers that are not trusted, for each form.
    for (name, form) in [
        ("a stranger: RFC 9440", "RFC 9440"),
        ("a stranger: Envoy", "Envoy, both"),
        ("a stranger: nginx", "nginx"),
        ("a stranger: HAProxy", "HAProxy"),
        ("a stranger: Traefik", "Traefik"),
        ("a stranger: AWS", "AWS"),
        ("a stranger: AWS, a chain", "AWS, a chain"),
        ("a stranger: Azure", "Azure"),
    ] {
        let (field, value) = good[form].clone();
        add(name, form, ip(STRANGER), vec![(field, value)], Removed);
    }
    let item_line = || vec![("client-cert", item(own))];
    add("no address", "RFC 9440", None, item_line(), Removed);
    add("a Unix socket", "RFC 9440", Some(PeerAddress::UnixSocket), item_line(), Removed);
    add("a compatible address", "RFC 9440", ip("::10.0.0.7"), item_line(), Removed);
    add("an address in NAT64", "RFC 9440", ip("64:ff9b::10.0.0.7"), item_line(), Removed);
    add("this machine", "RFC 9440", ip("127.0.0.1"), item_line(), Removed);
    add(
        "a stranger with the proxy's address in headers",
        "RFC 9440",
        ip(STRANGER),
        vec![
            ("client-cert", item(own)),
            ("x-forwarded-for", PROXY.to_owned()),
            ("forwarded", format!("for={PROXY}")),
            ("x-real-ip", PROXY.to_owned()),
        ],
        Removed,
    );
    add(
        "a malformed one of a stranger",
        "RFC 9440",
        ip(STRANGER),
        vec![("client-cert", "x".to_owned())],
        Removed,
    );

    // Other headers.
    let mut unread = |name, form, field, value| {
        add(name, form, ip(PROXY), vec![(field, value)], Unread);
    };
    unread("an underscore", "RFC 9440", "client_cert", item(own));
    unread("an underscore: nginx", "nginx", "ssl_client_cert", full(&own_pem));
    unread("a chain alone", "RFC 9440", "client-cert-chain", item(own));
    unread("the chain of the other mode", "AWS", "x-amzn-mtls-clientcert", full(&own_pem));
    unread(
        "the leaf of the other mode",
        "AWS, a chain",
        "x-amzn-mtls-clientcert-leaf",
        full(&own_pem),
    );
    unread("another form's header", "RFC 9440", XFCC, format!("Hash={own_hash}"));
    unread("a name with a suffix", "RFC 9440", "client-cert2", item(own));
    unread("a name with a prefix", "RFC 9440", "x-client-cert", item(own));

    // Values that a trusted proxy hands on, and did not write.
    let mut bad = |name, form, field, values: &[String]| {
        let lines = values.iter().map(|value| (field, value.clone())).collect();
        add(name, form, ip(PROXY), lines, Malformed);
    };
    bad("two lines", "RFC 9440", "client-cert", &[item(own), item(other)]);
    bad("two lines in another case", "RFC 9440", "Client-Cert", &[item(other), item(own)]);
    bad("two equal lines", "RFC 9440", "client-cert", &[item(own), item(own)]);
    bad("an empty line before it", "RFC 9440", "client-cert", &[String::new(), item(own)]);
    bad("a list", "RFC 9440", "client-cert", &[format!("{}, {}", item(own), item(other))]);
    bad("empty", "RFC 9440", "client-cert", &[String::new()]);
    bad("bad base64", "RFC 9440", "client-cert", &[format!(":{}!:", &base64[..base64.len() - 1])]);
    bad("hex", "RFC 9440", "client-cert", &[format!(":{hex}:")]);
    bad("octets behind it", "RFC 9440", "client-cert", &[item(&[&own[..], b"x"].concat())]);
    bad("not ASCII", "RFC 9440", "client-cert", &[format!("{}\u{e9}", item(own))]);
    bad("PEM in nginx's place", "RFC 9440", "client-cert", &[full(&own_pem)]);
    bad(
        "the hash in place of it",
        "RFC 9440",
        "client-cert",
        &[item(ClientCertificate::from_der(own).thumbprint())],
    );

    let one = format!("Hash={own_hash}");
    bad("prepended", "Envoy, Hash", XFCC, &[format!("{one},Hash={other_hash}")]);
    bad("appended", "Envoy, Hash", XFCC, &[format!("Hash={other_hash},{one}")]);
    bad(
        "prepended before two",
        "two Envoys",
        XFCC,
        &[format!("{one},Hash={other_hash},Hash={other_hash}")],
    );
    bad("one hop too few", "two Envoys", XFCC, std::slice::from_ref(&one));
    bad("two lines: Envoy", "Envoy, Hash", XFCC, &[one.clone(), format!("Hash={other_hash}")]);
    bad("Hash twice", "Envoy, Hash", XFCC, &[format!("Hash={other_hash};URI=x;{one}")]);
    bad(
        "Hash twice, another case",
        "Envoy, Hash",
        XFCC,
        &[format!("Hash={other_hash};hash={own_hash}")],
    );
    bad("disagreement", "Envoy, both", XFCC, &[format!(r#"{one};Cert="{}""#, full(&other_pem))]);
    bad("a comma in a name", "Envoy, Hash", XFCC, &[format!("Hash={other_hash};URI=x,{one}")]);
    bad("only a subject", "Envoy, Hash", XFCC, &[r#"Subject="CN=client""#.to_owned()]);
    bad("a hash in a subject", "Envoy, Hash", XFCC, &[format!(r#"Subject="CN=a;{one}""#)]);
    bad("a quote inside", "Envoy, Hash", XFCC, &[format!(r#"URI=a"b;{one}"#)]);
    bad("no end of a quote", "Envoy, Hash", XFCC, &[format!(r#"{one};Subject="CN=a"#)]);
    bad("an escaped end of a quote", "Envoy, Hash", XFCC, &[format!(r#"{one};Subject="CN=a\""#)]);
    bad("text behind a quote", "Envoy, Hash", XFCC, &[format!(r#"Subject="a"b;{one}"#)]);
    bad("63 digits", "Envoy, Hash", XFCC, &[format!("Hash={}", &own_hash[1..])]);
    bad("no digit", "Envoy, Hash", XFCC, &[format!("Hash=x{}", &own_hash[1..])]);
    bad(
        "a base64 hash",
        "Envoy, Hash",
        XFCC,
        &[format!("Hash={}", STANDARD.encode(ClientCertificate::from_der(own).thumbprint()))],
    );
    bad("a key without a value", "Envoy, Hash", XFCC, &[format!("{one};Subject")]);
    bad("a pair without a key", "Envoy, Hash", XFCC, &[format!("=x;{one}")]);
    bad("an element of nothing", "Envoy, Hash", XFCC, &[format!("{one},")]);
    bad(
        "two certificates in Cert",
        "Envoy, Cert",
        XFCC,
        &[format!(r#"Cert="{}""#, full(&(own_pem.clone() + &other_pem)))],
    );

    bad("two PEM texts", "nginx", NGINX, &[full(&(own_pem.clone() + &other_pem))]);
    bad("text before PEM", "nginx", NGINX, &[full(&format!("x{own_pem}"))]);
    bad("text behind PEM", "nginx", NGINX, &[full(&format!("{own_pem}x"))]);
    bad("no end of PEM", "nginx", NGINX, &[full(own_pem.trim_end().trim_end_matches('-'))]);
    bad(
        "another kind of PEM",
        "nginx",
        NGINX,
        &[full(&own_pem.replace("CERTIFICATE", "PUBLIC KEY"))],
    );
    bad("escaped twice", "nginx", NGINX, &[full(&full(&own_pem))]);
    bad("half an escape", "nginx", NGINX, &[format!("{}%0", full(&own_pem))]);
    bad("no escape", "nginx", NGINX, &[own_pem.replace('\n', " ")]);
    bad("a plus for a space", "nginx", NGINX, &[full(&own_pem).replace("%20", "+")]);
    bad("empty: nginx", "nginx", NGINX, &[String::new()]);
    bad("two lines: HAProxy", "HAProxy", "x-ssl-der", &[base64.clone(), foreign.clone()]);
    bad(
        "an empty line before it: HAProxy",
        "HAProxy",
        "x-ssl-der",
        &[String::new(), base64.clone()],
    );
    bad("hex: HAProxy", "HAProxy", "x-ssl-der", std::slice::from_ref(&hex));
    bad("base64url", "HAProxy", "x-ssl-der", &[format!("{}-_", URL_SAFE.encode(own))]);
    bad("a list: Azure", "Azure", "x-arr-clientcert", &[format!("{base64},{foreign}")]);
    bad("no leaf before a comma", "Traefik", TRAEFIK, &[format!(",{base64}")]);
    bad("a bad issuer", "Traefik", TRAEFIK, &[format!("{base64},x")]);
    bad("two lines: Traefik", "Traefik", TRAEFIK, &[base64.clone(), base64.clone()]);
    bad(
        "a bad issuer: AWS",
        "AWS, a chain",
        "x-amzn-mtls-clientcert",
        &[full(&format!("{own_pem}x"))],
    );
    bad(
        "a chain in place of the leaf",
        "AWS",
        "x-amzn-mtls-clientcert-leaf",
        &[full(&(own_pem.clone() + &other_pem))],
    );

    // The own certificate stands where it is not the client's.
    let mut foreign_to =
        |name, form, field, value| add(name, form, ip(PROXY), vec![(field, value)], Foreign);
    foreign_to("another client's", "RFC 9440", "client-cert", item(other));
    foreign_to(
        "the own one as an issuer",
        "AWS, a chain",
        "x-amzn-mtls-clientcert",
        full(&(other_pem.clone() + &own_pem)),
    );
    foreign_to(
        "the own one as an issuer: Traefik",
        "Traefik",
        TRAEFIK,
        format!("{foreign},{base64}"),
    );
    foreign_to(
        "the own one of an inner hop",
        "two Envoys",
        XFCC,
        format!("Hash={other_hash},{one}"),
    );
    foreign_to(
        "the own one in Chain",
        "Envoy, Hash",
        XFCC,
        format!(r#"Hash={other_hash};Chain="{}""#, full(&own_pem)),
    );
    foreign_to(
        "the own one in a subject",
        "Envoy, Hash",
        XFCC,
        format!(r#"Hash={other_hash};Subject="CN=\",{one}""#),
    );
    table
}

type Seen = Arc<Mutex<Option<HeaderMap>>>;

/// A service that notes the headers that it gets.
fn noting<L>(layer: L) -> (L::Service, Seen)
where
    L: Layer<HandlerService>,
{
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let handler = HandlerService::new(service_fn(move |request: Request<Body>| {
        *noted.lock().unwrap() = Some(request.headers().clone());
        async { Ok(Response::new(Body::default())) }
    }));
    (layer.layer(handler), seen)
}

type HandlerService =
    tower::util::BoxCloneSyncService<Request<Body>, Response<Body>, std::convert::Infallible>;

#[tokio::test]
async fn no_forged_header_is_accepted_or_taken_for_no_certificate() {
    let world = World::new();
    let table = forgeries(&world);
    assert!(table.len() > 60, "{}", table.len());
    let (bound, unbound) = (world.bound(), world.issuer.token().sign());
    for Forgery { name, form, peer, lines, fate } in &table {
        let of_form = forms(&world).into_iter().find(|(own, ..)| own == form);
        let (_, header, field, value) = of_form.unwrap();
        let server = world.server(header, proxies());
        let lines: Vec<_> = lines.iter().map(|(field, value)| (*field, value.as_str())).collect();
        for (kind, layer) in
            [("layer", api(server.layer())), ("optional", api(server.optional_layer()))]
        {
            let name = &format!("{name}, {kind}");
            let reply = layer.send(request(&bound, *peer, &lines)).await;
            match fate {
                Malformed => reply.assert_invalid_request(name),
                Removed | Unread | Foreign => reply.assert_invalid_token(name),
            }
            let code = match fate {
                Malformed => "malformed_certificate",
                Removed => "untrusted_proxy",
                Unread => "missing_certificate",
                Foreign => "foreign_certificate",
            };
            assert_eq!(reply.error.unwrap().code(), code, "{name}");
            // A malformed header of a proxy is no reason to take the client for one without a certificate.
            let reply = layer.send(request(&unbound, *peer, &lines)).await;
            match fate {
                Malformed => reply.assert_invalid_request(name),
                Removed | Unread | Foreign => reply.assert_ok(name),
            }
            // The neighbour.
            let good = request(&bound, ip(PROXY), &[(field, &value)]);
            layer.send(good).await.assert_ok(name);
        }
        // What the handler sees.
        let (service, seen) = noting(server.layer());
        service.oneshot(request(&unbound, *peer, &lines)).await.unwrap();
        let seen = seen.lock().unwrap().take();
        match fate {
            Malformed => assert!(seen.is_none(), "{name}"),
            Removed => assert!(!seen.unwrap().contains_key(field), "{name}"),
            Unread | Foreign => assert!(seen.unwrap().contains_key(lines[0].0), "{name}"),
        }
    }
}

/// Without a token or with a scheme of another API, a malformed header is refused, too.
#[tokio::test]
async fn an_anonymous_request_with_a_malformed_header_is_refused() {
    let world = World::new();
    let server = world.server(ProxyHeader::client_cert(), proxies());
    let anonymous = |value: &str, peer: &str| {
        let mut request = request("x", ip(peer), &[("client-cert", value)]);
        request.headers_mut().remove("authorization");
        request
    };
    let layer = api(server.optional_layer());
    layer.send(anonymous("x", PROXY)).await.assert_invalid_request("malformed");
    layer.send(anonymous(&item(&world.own), PROXY)).await.assert_ok("good");
    let (service, seen) = noting(server.optional_layer());
    service.oneshot(anonymous("x", STRANGER)).await.unwrap();
    assert!(!seen.lock().unwrap().take().unwrap().contains_key("client-cert"));
    api(server.layer()).send(anonymous(&item(&world.own), PROXY)).await.assert_invited("no token");
}

/// The rows XFCC-2 and 9700-4.13-1: the connection of a trusted proxy is the proxy's.
#[tokio::test]
async fn the_header_of_a_trusted_proxy_decides_and_not_its_connection() {
    let world = World::new();
    let api = api(world.server(ProxyHeader::client_cert(), proxies()).layer());
    let (own, other) = (item(&world.own), item(&world.other));
    let bound = world.bound();
    let with = |peer, lines: &[(&str, &str)], der: &[u8]| {
        let mut request = request(&bound, ip(peer), lines);
        request.extensions_mut().insert(ClientCertificate::from_der(der));
        request
    };
    let header = |value| [("client-cert", value)];
    api.send(with(PROXY, &header(&*own), &world.other)).await.assert_ok("the header");
    api.send(with(PROXY, &header(&*other), &world.own))
        .await
        .assert_invalid_token("the connection");
    api.send(with(PROXY, &[], &world.own)).await.assert_invalid_token("no header");
    api.send(with(STRANGER, &header(&*other), &world.own)).await.assert_ok("a direct client");
    api.send(with(STRANGER, &header(&*own), &world.other)).await.assert_invalid_token("forged");
}

#[tokio::test]
async fn a_shared_secret_stands_once_and_no_handler_sees_it() {
    let world = World::new();
    let peers = || TrustedPeers::shared_secret("x-hop", SECRET);
    let server = world.server(ProxyHeader::client_cert(), peers());
    let layer = api(server.layer());
    let (bound, unbound) = (world.bound(), world.issuer.token().sign());
    let own = item(&world.own);
    let upper = SECRET.to_uppercase();
    let longer = format!("{SECRET}x");
    for (name, secrets, good) in [
        ("the secret", &[SECRET][..], true),
        ("none", &[], false),
        ("empty", &[""], false),
        ("another case", &[upper.as_str()], false),
        ("a part", &[&SECRET[1..]], false),
        ("more", &[longer.as_str()], false),
        ("twice", &[SECRET, SECRET], false),
        ("a wrong one before it", &["x", SECRET], false),
        ("a wrong one behind it", &[SECRET, "x"], false),
    ] {
        let mut lines = vec![("client-cert", own.as_str())];
        lines.extend(secrets.iter().map(|secret| ("x-hop", *secret)));
        let reply = layer.send(request(&bound, ip(PROXY), &lines)).await;
        if good {
            reply.assert_ok(name)
        } else {
            reply.assert_invalid_token(name)
        }
        layer.send(request(&unbound, None, &lines)).await.assert_ok(name);
        let (service, seen) = noting(server.layer());
        service.oneshot(request(&unbound, None, &lines)).await.unwrap();
        let seen = seen.lock().unwrap().take().unwrap();
        assert!(!seen.contains_key("x-hop"), "{name}");
        assert_eq!(seen.contains_key("client-cert"), good, "{name}");
    }
    // Layers inside see the proxy as the outer layer does: the same server, and another one.
    let inner = world.server(ProxyHeader::client_cert(), peers());
    let lines = [("client-cert", own.as_str()), ("x-hop", SECRET)];
    let nested = api(tower::layer::util::Stack::new(server.layer(), server.optional_layer()));
    nested.send(request(&bound, None, &lines)).await.assert_ok("the same server");
    let nested = api(tower::layer::util::Stack::new(inner.layer(), server.layer()));
    nested.send(request(&bound, None, &lines)).await.assert_ok("another server");
    let shown = format!("{:?} {:?}", peers(), server);
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn a_unix_socket_is_a_peer_of_its_own() {
    let world = World::new();
    let server = world.server(ProxyHeader::client_cert(), TrustedPeers::unix_socket());
    let layer = api(server.layer());
    let own = item(&world.own);
    let lines = [("client-cert", own.as_str())];
    layer
        .send(request(&world.bound(), Some(PeerAddress::UnixSocket), &lines))
        .await
        .assert_ok("unix");
    for peer in [None, ip("127.0.0.1"), ip("::")] {
        layer.send(request(&world.bound(), peer, &lines)).await.assert_invalid_token("another");
    }
}

/// HAProxy sends an empty value if the client has no certificate.
#[tokio::test]
async fn an_empty_value_of_haproxy_is_no_certificate() {
    let world = World::new();
    let layer = api(world.server(ProxyHeader::haproxy("x-ssl-der"), proxies()).layer());
    let empty = [("x-ssl-der", "")];
    layer.send(request(&world.issuer.token().sign(), ip(PROXY), &empty)).await.assert_ok("unbound");
    let reply = layer.send(request(&world.bound(), ip(PROXY), &empty)).await;
    reply.assert_invalid_token("bound");
    assert_eq!(reply.error, Some(Error::MissingCertificate));
}

/// Also without credentials, the header of a stranger is removed.
#[tokio::test]
async fn routes_and_requirements_keep_the_certificate() {
    let world = World::new();
    let server = world.server(ProxyHeader::client_cert(), proxies());
    let own = item(&world.own);
    let lines = [("client-cert", own.as_str())];
    let token = world.issuer.token().scope("read").bound_to_certificate(&world.own).sign();
    let layers = tower::layer::util::Stack::new(server.require(scope("read")), server.layer());
    let (service, seen) = noting(layers);
    let response = service.clone().oneshot(request(&token, ip(PROXY), &lines)).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["vary"]),
        (200, &HeaderValue::from_static("client-cert"))
    );
    assert!(seen.lock().unwrap().take().unwrap().contains_key("client-cert"));
    let response = service.oneshot(request(&token, ip(STRANGER), &lines)).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(seen.lock().unwrap().take().is_none());
    let mut options = request("x", ip(STRANGER), &lines);
    *options.method_mut() = Method::OPTIONS;
    options.headers_mut().remove("authorization");
    let (mut service, seen) = noting(server.optional_layer());
    service.call(options).await.unwrap();
    assert!(!seen.lock().unwrap().take().unwrap().contains_key("client-cert"));
}

/// The address of axum's connection counts, unless the request has one of ours.
#[cfg(feature = "axum")]
#[tokio::test]
async fn the_address_of_axum_is_the_peer() {
    use axum::extract::ConnectInfo;
    use std::net::SocketAddr;

    let world = World::new();
    let layer = api(world.server(ProxyHeader::client_cert(), proxies()).layer());
    let own = item(&world.own);
    let lines = [("client-cert", own.as_str())];
    let from = |address: &str, ours: Option<PeerAddress>| {
        let mut request = request(&world.bound(), ours, &lines);
        let address: SocketAddr = address.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(address));
        request
    };
    layer.send(from("10.0.0.7:5000", None)).await.assert_ok("the proxy");
    layer.send(from("[::ffff:10.0.0.7]:5000", None)).await.assert_ok("mapped");
    layer.send(from("10.0.0.8:5000", None)).await.assert_invalid_token("a stranger");
    layer.send(from("10.0.0.7:5000", ip(STRANGER))).await.assert_invalid_token("ours decides");
}

#[test]
fn settings_that_trust_everyone_or_nobody_are_errors() {
    let cert = ProxyHeader::client_cert;
    let cidrs = |ranges: &[&str]| TrustedPeers::cidrs(ranges.iter().copied());
    let secret = |header: &str, secret: String| TrustedPeers::shared_secret(header, secret);
    let short = &SECRET[..31];
    for (name, header, peers, problem) in [
        ("all IPv4", cert(), cidrs(&["0.0.0.0/0"]), "trusts every address"),
        ("all IPv6", cert(), cidrs(&["10.0.0.0/8", "::/0"]), "trusts every address"),
        ("all in halves", cert(), cidrs(&["0.0.0.0/1", "128.0.0.0/1"]), "trusts every address"),
        ("all, mapped", cert(), cidrs(&["::ffff:0:0/96"]), "trusts every address"),
        ("no range", cert(), cidrs(&[]), "has no address"),
        ("a host name", cert(), cidrs(&["localhost"]), "`localhost` is not an IP address"),
        ("host bits", cert(), cidrs(&["10.0.0.1/8"]), "has bits behind its prefix"),
        ("a prefix", cert(), cidrs(&["10.0.0.0/33"]), "has no valid prefix length"),
        ("a short secret", cert(), secret("x-hop", short.to_owned()), "32 or more printable"),
        (
            "a secret with a line",
            cert(),
            secret("x-hop", format!("{SECRET}\n")),
            "32 or more printable",
        ),
        ("no name of a secret", cert(), secret("x hop", SECRET.to_owned()), "no valid name"),
        (
            "credentials as a secret",
            cert(),
            secret("Authorization", SECRET.to_owned()),
            "no valid name",
        ),
        ("one header for both", cert(), secret("Client-Cert", SECRET.to_owned()), "share a header"),
        ("no hop", ProxyHeader::xfcc(0), proxies(), "at least 1 hop"),
        ("no name", ProxyHeader::nginx(""), proxies(), "is not the name"),
        ("a bad name", ProxyHeader::haproxy("a b"), proxies(), "is not the name"),
        ("credentials", ProxyHeader::nginx("Authorization"), proxies(), "is not the name"),
    ] {
        let error = builder(trusting(&issuer())).client_certificate_header(header, peers).build();
        let error = error.unwrap_err().to_string();
        assert!(error.contains(problem), "{name}: {error}");
        assert!(!error.contains(short), "{name}: {error}");
    }
    let twice = builder(trusting(&issuer()))
        .client_certificate_header(cert(), proxies())
        .client_certificate_header(ProxyHeader::azure(), proxies());
    assert!(twice.build().unwrap_err().to_string().contains("is set twice"));
    let good =
        [cidrs(&["10.0.0.0/8", "fd00::/8", "192.0.2.1"]), secret("X-Hop", SECRET[..32].to_owned())];
    for peers in good {
        builder(trusting(&issuer())).client_certificate_header(cert(), peers).build().unwrap();
    }
}
