//! RFC 9449 through several layers: one request uses up one proof.

use std::convert::Infallible;

use http::header::AUTHORIZATION;
use http_body_util::BodyExt as _;
use tower::util::MapRequestLayer;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_resource_server::layer::McpBody;
use tower_resource_server::policy::{McpPolicy, dpop_bound};
use tower_resource_server::{Error, scope};

use super::*;

const INVALID: &str = "invalid_dpop_proof";

/// Sends a request with a good proof, then the same request.
macro_rules! once {
    ($name:expr, $world:expr, $layers:expr) => {
        let (name, world) = ($name, &$world);
        let api = api($layers);
        let token = world.issuer.token().bound_to_key(&world.client).scope("a b").sign();
        let proof = world.client.proof("GET", URL).token(&token).sign();
        api.send(request(&token, &[&proof])).await.assert_ok(name);
        api.send(request(&token, &[&proof])).await.assert_dpop(name, INVALID);
        let bad = world.client.proof("GET", URL).sign();
        api.send(request(&token, &[&bad])).await.assert_dpop(name, INVALID);
        api.send(as_bearer(&token, &[])).await.assert_invalid_token(name);
    };
}

#[tokio::test]
async fn id_9449_11_1_2_layers_of_one_server_use_a_proof_once() {
    let world = World::new();
    let server = || world.server(optional());
    let own = server();
    once!("one", world, own.layer());
    let own = server();
    once!("optional", world, own.optional_layer());
    let own = server();
    once!("twice", world, ServiceBuilder::new().layer(own.layer()).layer(own.layer()));
    let own = server();
    let layers = ServiceBuilder::new()
        .layer(own.optional_layer())
        .layer(own.layer())
        .layer(own.protect(scope("a")))
        .layer(own.require(dpop_bound()))
        .layer(own.protect(scope("b")));
    once!("all kinds", world, layers);
    let strict = builder(trusting(&world.issuer)).clock(world.clock.clone()).dpop(optional());
    let own = strict.strip_authorization().build().unwrap();
    let layers = ServiceBuilder::new().layer(own.layer()).layer(own.protect(scope("a")));
    once!("the field is stripped", world, layers);
    let seen = service_fn(|request: Request<Body>| async move {
        let headers = request.headers();
        assert!(!headers.contains_key(AUTHORIZATION) && !headers.contains_key("dpop"));
        Ok::<_, Infallible>(http::Response::new(Body::default()))
    });
    let reply = own.layer().layer(seen).oneshot(world.good()).await.unwrap();
    assert_eq!(reply.status(), 200, "the handler sees neither the token nor the proof");
    // Two servers have two stores.
    let (one, two) = (server(), server());
    let layers = ServiceBuilder::new().layer(one.layer()).layer(two.layer());
    once!("two servers", world, layers);
    // Each server knows which proof it has used, also with another server in between.
    let (one, two) = (server(), server());
    let layers =
        ServiceBuilder::new().layer(one.layer()).layer(two.layer()).layer(one.protect(scope("a")));
    once!("another server in between", world, layers);
}

/// A reload between two layers judges the token again, and not its proof.
#[tokio::test]
async fn id_9449_11_1_2_a_reload_between_two_layers_uses_no_proof_again() {
    let world = World::new();
    for (name, strips, keeps, next, error) in [
        ("still trusted", false, false, trusting(&world.issuer), None),
        ("stripped", true, false, trusting(&world.issuer), None),
        ("kept", false, true, trusting(&world.issuer), None),
        (
            "no longer trusted",
            false,
            false,
            trusting(&TestIssuer::in_process("https://other.example.com")),
            Some("invalid_token"),
        ),
    ] {
        let own = builder(trusting(&world.issuer)).clock(world.clock.clone()).dpop(optional());
        let own = if strips { own.strip_authorization() } else { own };
        let own = if keeps { own.keep_raw_tokens() } else { own };
        let own = own.build().unwrap();
        let reloaded = own.clone();
        let reload = MapRequestLayer::new(move |request: Request<Body>| {
            reloaded.reload([next.clone()], [AUDIENCE]).unwrap();
            request
        });
        let layers =
            ServiceBuilder::new().layer(own.layer()).layer(reload).layer(own.protect(scope("a")));
        let token = world.issuer.token().bound_to_key(&world.client).scope("a").sign();
        let proof = world.client.proof("GET", URL).token(&token).sign();
        let reply = api(layers).send(request(&token, &[&proof])).await;
        match error {
            None => reply.assert_ok(name),
            Some(error) => reply.assert_dpop(name, error),
        }
        let reply = api(own.layer()).send(request(&token, &[&proof])).await;
        reply.assert_dpop(name, if error.is_none() { INVALID } else { "invalid_token" });
    }
}

/// The layers that need the text of the token.
#[cfg(feature = "http-client")]
#[tokio::test]
async fn id_9449_11_1_2_a_token_that_is_asked_about_again_needs_no_other_proof() {
    use tower_resource_server::Issuer;
    use tower_resource_server::introspection::{ClientAuth, Introspection};
    use tower_resource_server::policy::introspected_now;
    use tower_resource_server::{AccessToken, Claims};

    let issuer = TestIssuer::start().await.unwrap();
    let client = TestProver::generate(Algorithm::ES256);
    let introspection = Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"));
    let trusted = Issuer::new(issuer.url()).introspection(introspection.also_for_jwts());
    let own = builder(trusted.clone()).allow_http_loopback().dpop(optional()).build().unwrap();
    let load = own.load_user(async |token: AccessToken<Claims>| {
        Ok(token.subject().unwrap_or_default().to_owned())
    });
    let reloaded = own.clone();
    let reload = MapRequestLayer::new(move |request: Request<Body>| {
        reloaded.reload([trusted.clone()], [AUDIENCE]).unwrap();
        request
    });
    let layers = ServiceBuilder::new()
        .layer(own.layer())
        .layer(load)
        .layer(own.protect(introspected_now()))
        .layer(reload)
        .layer(own.protect(scope("a")))
        .layer(own.require(dpop_bound()));
    let api = api(layers);
    let make = || issuer.token().bound_to_key(&client).scope("a");
    for (kind, token) in [("a JWT", make().sign()), ("opaque", make().opaque())] {
        let proof = client.proof("GET", URL).token(&token).sign();
        api.send(request(&token, &[&proof])).await.assert_ok(kind);
        api.send(request(&token, &[&proof])).await.assert_dpop(kind, INVALID);
        issuer.revoke(&token);
        let proof = client.proof("GET", URL).token(&token).sign();
        api.send(request(&token, &[&proof])).await.assert_dpop(kind, "invalid_token");
    }
}

#[tokio::test]
async fn id_9449_7_1_1_the_optional_layer_refuses_a_bad_proof() {
    let world = World::new();
    let server = world.server(with_nonces());
    let api = api(server.optional_layer());
    let reply = api.anonymous().await;
    reply.assert_ok("no credentials");
    assert_eq!(reply.json()["anonymous"], true);
    let mut alone = get().body(Body::default()).unwrap();
    alone.headers_mut().insert("dpop", world.proof().sign().parse().unwrap());
    api.send(alone).await.assert_ok("a proof without a token");
    api.send(request(&world.token, &[])).await.assert_dpop("no proof", INVALID);
    api.send(request(&world.token, &["x"])).await.assert_dpop("not a proof", INVALID);
    api.send(request("x", &["x"])).await.assert_dpop("a bad token", "invalid_token");
    api.send(as_bearer(&world.token, &[])).await.assert_invalid_token("as Bearer");
    let reply = api.send(world.good()).await;
    reply.assert_dpop("no nonce", "use_dpop_nonce");
    assert!(world.client.remember_nonce(&reply.headers));
    let reply = api.send(world.good()).await;
    reply.assert_ok("good");
    assert_eq!(reply.json()["anonymous"], false);
}

/// The inner layers of an accepted request see neither more nor less.
#[tokio::test]
async fn id_9449_7_1_1_a_fresh_nonce_passes_through_all_layers() {
    let world = World::new();
    let own = world.server(with_nonces());
    let layers =
        ServiceBuilder::new().layer(own.layer()).layer(own.layer()).layer(own.protect(scope("a")));
    let api = api(layers);
    let token = world.issuer.token().bound_to_key(&world.client).scope("a").sign();
    let good = || request(&token, &[&world.client.proof("GET", URL).token(&token).sign()]);
    let reply = api.send(good()).await;
    reply.assert_dpop("no nonce", "use_dpop_nonce");
    assert!(world.client.remember_nonce(&reply.headers));
    world.pass(60);
    let reply = api.send(good()).await;
    reply.assert_ok("an old nonce");
    assert_eq!(reply.headers.get_all("dpop-nonce").iter().count(), 1);
    assert_eq!(reply.headers["cache-control"], "no-store");
}

/// MCP: the body is read after the token was accepted, and the proof is used once.
#[tokio::test]
async fn id_9449_7_1_1_an_mcp_server_accepts_bound_tokens() {
    let world = World::new();
    let endpoint = "https://api.example.com/mcp";
    let own = ResourceServer::builder()
        .issuer(trusting(&world.issuer))
        .resource(endpoint)
        .clock(world.clock.clone())
        .dpop(with_nonces())
        .build()
        .unwrap();
    let policy = McpPolicy::new().require(scope("mcp")).tool("add", scope("add"));
    let service = own.protect_mcp(policy).layer(service_fn(async |_: Request<McpBody<Body>>| {
        let response = http::Response::builder().header("x-ran", "yes");
        Ok::<_, Infallible>(response.body(Body::default()).unwrap())
    }));
    let send = async |request| {
        let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
        let body = Body::new(body.collect().await.unwrap().to_bytes());
        let ran = head.headers.contains_key("x-ran");
        Reply::read(http::Response::from_parts(head, body), ran).await
    };
    let of = |scope: &str| {
        let token = world.issuer.token().audience(endpoint).bound_to_key(&world.client);
        token.scope(scope).sign()
    };
    let call = |token: &str, proof: &str| {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#;
        Request::post(endpoint)
            .header(AUTHORIZATION, format!("DPoP {token}"))
            .header("dpop", proof)
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap()
    };
    let proof = |token: &str| world.client.proof("POST", endpoint).token(token).sign();
    let (token, little) = (of("mcp add"), of("mcp"));
    let reply = send(call(&token, &proof(&token))).await;
    reply.assert_dpop("no nonce", "use_dpop_nonce");
    assert!(world.client.remember_nonce(&reply.headers));
    let own = proof(&token);
    send(call(&token, &own)).await.assert_ok("good");
    send(call(&token, &own)).await.assert_dpop("again", INVALID);
    let elsewhere = world.client.proof("POST", "https://api.example.com").token(&token).sign();
    send(call(&token, &elsewhere)).await.assert_dpop("another URL", INVALID);
    let reply = send(call(&little, &proof(&little))).await;
    reply.assert_insufficient_scope("too little", "mcp add");
    assert_eq!(reply.challenges[0].scheme, "DPoP");
    world.pass(60);
    let reply = send(call(&token, &proof(&token))).await;
    reply.assert_ok("an old nonce");
    assert!(reply.headers.contains_key("dpop-nonce"));
}

/// gRPC: the path is that of the method, and a nonce is in the metadata.
#[tokio::test]
async fn id_9449_7_1_1_grpc_calls_accept_bound_tokens() {
    let world = World::new();
    let own = world.server(with_nonces());
    let url = "https://api.example.com/notes.v1.Notes/Get";
    let call = |proof: &str| {
        let mut request = request(&world.token, &[proof]);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = url.parse().unwrap();
        with(request, "content-type", "application/grpc")
    };
    let proof = || world.client.proof("POST", url).token(&world.token).sign();
    let service = own.layer().grpc().layer(service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(http::Response::new(Body::from("ran")))
    }));
    let send = async |request| service.clone().oneshot(request).await.unwrap();
    let refused = send(call(&proof())).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["grpc-status"]),
        (200, &"16".parse().unwrap())
    );
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert_eq!(parse_challenge(&challenge).param("error"), Some("use_dpop_nonce"));
    assert_eq!(refused.headers().get_all("dpop-nonce").iter().count(), 1);
    assert!(world.client.remember_nonce(refused.headers()));
    let own = proof();
    let passed = send(call(&own)).await;
    assert_eq!(passed.headers().get("grpc-status"), None);
    let replayed = send(call(&own)).await;
    let challenge = replayed.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert_eq!(parse_challenge(&challenge).param("error"), Some(INVALID));
    assert_eq!(replayed.extensions().get::<Error>(), Some(&Error::ReplayedProof));
}
