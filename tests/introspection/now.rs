//! Routes that ask about the token at each request anew.

use http::StatusCode;
use serde_json::json;
use tower::ServiceBuilder;
use tower_resource_server::introspection::Introspection;
use tower_resource_server::policy::{Requirement, Routes, authenticated, introspected_now};
use tower_resource_server::test_issuer::{Fault, inject};
use tower_resource_server::{Error, Issuer, danger, scope};

use super::support::*;
use super::{World, serve, start};

/// What a client sees of a route that requires this, inside the server's layer.
async fn required(world: &World, requirement: impl Into<Requirement>, token: &str) -> Reply {
    let layers =
        ServiceBuilder::new().layer(world.server.layer()).layer(world.server.require(requirement));
    api(layers).bearer(token).await
}

#[tokio::test]
async fn a_revoked_jwt_is_refused_at_once_where_the_route_asks() {
    let world = World::new().await;
    let token = world.issuer.token().scope("transfer").sign();
    let transfer = || scope("transfer").and_introspected_now();
    required(&world, transfer(), &token).await.assert_ok("active");
    assert_eq!(world.calls(), 1);
    world.issuer.revoke(&token);
    required(&world, scope("transfer"), &token).await.assert_ok("a route that does not ask");
    required(&world, transfer(), &token).await.assert_invalid_token("revoked");
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn a_table_of_routes_asks_where_its_route_asks() {
    let world = World::new().await;
    let token = world.issuer.token().scope("transfer").sign();
    let routes = Routes::for_raw_paths()
        .get("/notes", scope("transfer"))
        .post("/notes", scope("transfer").and_introspected_now());
    // An outer layer has authenticated the request before, or not.
    let table = || world.server.protect_routes(routes.clone());
    let (alone, inside) =
        (api(table()), api(ServiceBuilder::new().layer(world.server.layer()).layer(table())));
    let request = |method: &str| {
        let request = http::Request::builder().method(method).uri("/notes");
        request.header("authorization", format!("Bearer {token}")).body(Body::default()).unwrap()
    };
    alone.send(request("GET")).await.assert_ok("a route that does not ask");
    assert_eq!(world.calls(), 0);
    alone.send(request("POST")).await.assert_ok("active");
    inside.send(request("POST")).await.assert_ok("active");
    assert_eq!(world.calls(), 2);
    world.issuer.revoke(&token);
    alone.send(request("GET")).await.assert_ok("a route that does not ask");
    alone.send(request("POST")).await.assert_invalid_token("revoked");
    inside.send(request("POST")).await.assert_invalid_token("revoked");
    assert_eq!(world.calls(), 4);
}

#[tokio::test]
async fn nothing_that_was_said_before_will_do() {
    let world = World::new().await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    world.bearer(&token).await.assert_ok("remembered");
    assert_eq!(world.calls(), 1);
    for calls in 2..5 {
        required(&world, introspected_now(), &token).await.assert_ok("asked anew");
        assert_eq!(world.calls(), calls);
    }
    world.issuer.revoke(&token);
    world.bearer(&token).await.assert_ok("remembered");
    required(&world, introspected_now(), &token).await.assert_invalid_token("revoked");
    // What was learned there counts everywhere.
    world.bearer(&token).await.assert_invalid_token("known to be revoked");
    assert_eq!(world.calls(), 5);
}

#[tokio::test]
async fn a_call_that_began_before_the_request_will_not_do() {
    use std::time::Duration;

    let world = World::new().await;
    let token = world.issuer.token().opaque();
    world.misbehave(Fault::Slow(Duration::from_millis(300)));
    let early = tokio::spawn({
        let (api, token) = (api(world.server.layer()), token.clone());
        async move { api.bearer(&token).await }
    });
    while world.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The question is on its way; the answer to it was settled before the token was revoked.
    let late = required(&world, introspected_now(), &token).await;
    late.assert_ok("asked by a call of its own");
    early.await.unwrap().assert_ok("the early one");
    assert!(world.calls() >= 2, "the early call answered for the late request");
}

#[tokio::test]
async fn an_answer_that_was_overtaken_is_not_remembered() {
    use std::time::Duration;

    for (name, revoked) in [("revoked meanwhile", true), ("still active", false)] {
        let stale = Duration::from_secs(600);
        let world = World::with(|own| danger::accept_stale_answers(own, stale)).await;
        let token = world.issuer.token().opaque();
        // The early question is answered before the late one is put, and arrives after it.
        world.misbehave(Fault::Slow(Duration::from_millis(400)));
        let early = tokio::spawn({
            let (api, token) = (api(world.server.layer()), token.clone());
            async move { api.bearer(&token).await }
        });
        while world.calls() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.misbehave(Fault::None);
        world.clock.advance(Duration::from_millis(1));
        if revoked {
            world.issuer.revoke(&token);
        }
        let late = api(world.server.protect(introspected_now())).bearer(&token).await;
        if revoked {
            late.assert_invalid_token(name)
        } else {
            late.assert_ok(name)
        }
        assert!(!early.is_finished(), "{name}: the early answer came too soon");
        early.await.unwrap().assert_ok("asked before");
        let reply = world.bearer(&token).await;
        if revoked {
            reply.assert_invalid_token(name)
        } else {
            reply.assert_ok(name)
        }
        assert_eq!(world.calls(), 2, "{name}: what the later call brought is remembered");
        world.pass(100);
        world.misbehave(Fault::Status(500));
        let reply = world.bearer(&token).await;
        if revoked { reply.assert_unavailable(name) } else { reply.assert_ok(name) }
    }
}

#[tokio::test]
async fn protect_asks_once_in_all() {
    let world = World::new().await;
    let api = api(world.server.protect(scope("transfer").and_introspected_now()));
    let token = world.issuer.token().scope("transfer").opaque();
    api.bearer(&token).await.assert_ok("active");
    assert_eq!(world.calls(), 1);
    api.bearer(&token).await.assert_ok("asked anew");
    assert_eq!(world.calls(), 2);
    world.issuer.revoke(&token);
    api.bearer(&token).await.assert_invalid_token("revoked");
}

#[tokio::test]
async fn one_fresh_answer_is_enough_for_a_request() {
    let world = World::new().await;
    let twice = || {
        ServiceBuilder::new()
            .layer(world.server.protect(introspected_now()))
            .layer(world.server.require(scope("transfer").and_introspected_now()))
            .layer(world.server.protect(introspected_now()))
    };
    let api = api(twice());
    for (n, token) in [
        world.issuer.token().scope("transfer").opaque(),
        world.issuer.token().scope("transfer").sign(),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = 2 * n as u32;
        api.bearer(&token).await.assert_ok("active");
        assert_eq!(world.calls(), asked + 1, "once for a request");
        api.bearer(&token).await.assert_ok("the next request");
        assert_eq!(world.calls(), asked + 2, "once for each");
    }
    let token = world.issuer.token().opaque();
    api.bearer(&token).await.assert_insufficient_scope("the inner requirement", "transfer");
    world.issuer.revoke(&token);
    api.bearer(&token).await.assert_invalid_token("revoked");
}

/// An answer under another configuration, or one that another server was given, will not do.
#[tokio::test]
async fn an_answer_of_before_a_reload_or_of_another_server_is_not_enough() {
    let (clock, issuer) = start().await;
    let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(super::secret()));
    let (one, two) = (serve(trusted.clone(), &clock), serve(trusted.clone(), &clock));
    let token = issuer.token().opaque();
    let calls = || issuer.counts().introspection;

    let layers = ServiceBuilder::new()
        .layer(one.protect(introspected_now()))
        .layer(two.protect(introspected_now()));
    api(layers).bearer(&token).await.assert_ok("two servers");
    assert_eq!(calls(), 2);

    let reloading = one.clone();
    let reload = tower::util::MapRequestLayer::new(move |request: http::Request<Body>| {
        reloading.reload([trusted.clone()], [AUDIENCE]).unwrap();
        request
    });
    let layers = ServiceBuilder::new()
        .layer(one.protect(introspected_now()))
        .layer(reload.clone())
        .layer(one.require(introspected_now()));
    api(layers).bearer(&token).await.assert_ok("a reload in between");
    assert_eq!(calls(), 4);
    let layers = ServiceBuilder::new()
        .layer(one.protect(introspected_now()))
        .layer(reload)
        .layer(one.protect(introspected_now()));
    api(layers).bearer(&token).await.assert_ok("a reload in between, judged again");
    assert_eq!(calls(), 6);
}

#[tokio::test]
async fn the_answer_can_narrow_the_scope_and_the_handler_sees_it() {
    let world = World::new().await;
    let token = world.issuer.token().scope("read transfer").sign();
    world.says(json!({ "scope": "transfer other" }));
    let reply = required(&world, scope("transfer").and_introspected_now(), &token).await;
    reply.assert_ok("both say transfer");
    assert_eq!(reply.json()["scope"], "transfer");
    world.says(json!({ "scope": "read" }));
    let reply = required(&world, scope("transfer").and_introspected_now(), &token).await;
    reply.assert_insufficient_scope("narrowed", "transfer");
}

#[tokio::test]
async fn who_lacks_the_scope_is_refused_without_a_question() {
    let world = World::new().await;
    let token = world.issuer.token().scope("read").sign();
    let reply = required(&world, scope("transfer").and_introspected_now(), &token).await;
    reply.assert_insufficient_scope("no scope", "transfer");
    assert_eq!(world.calls(), 0);
}

#[tokio::test]
async fn an_outage_is_ours_and_no_old_answer_stands_in() {
    let stale = std::time::Duration::from_secs(600);
    let world =
        World::with(|introspection| danger::accept_stale_answers(introspection, stale)).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    world.pass(100);
    world.misbehave(Fault::Status(500));
    world.bearer(&token).await.assert_ok("an old answer stands in");
    required(&world, introspected_now(), &token).await.assert_unavailable("asked now");
    world.misbehave(Fault::None);
    world.pass(60);
    required(&world, introspected_now(), &token).await.assert_ok("it answers again");
}

#[tokio::test]
async fn without_introspection_it_is_a_mistake_of_ours() {
    let (clock, issuer) = start().await;
    let server = serve(Issuer::new(issuer.url()), &clock);
    let api = api(server.protect(introspected_now()));
    let reply = api.bearer(&issuer.token().sign()).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!reply.ran && matches!(reply.error, Some(Error::Wiring { .. })));
}

#[tokio::test]
async fn anonymous_requests_are_refused_and_injected_tokens_pass() {
    let world = World::new().await;
    let layers = ServiceBuilder::new()
        .layer(world.server.optional_layer())
        .layer(world.server.require(introspected_now()));
    api(layers).anonymous().await.assert_invited("anonymous");

    let injected = inject(&world.server, json!({ "scope": "transfer" }));
    let layers = ServiceBuilder::new()
        .layer(injected)
        .layer(world.server.require(scope("transfer").and_introspected_now()));
    api(layers).anonymous().await.assert_ok("injected");
    assert_eq!(world.calls(), 0);
}

#[tokio::test]
async fn every_request_of_many_gets_an_answer_of_its_own_time() {
    let world = World::with(Introspection::also_for_jwts).await;
    let token = world.issuer.token().sign();
    let layers = || {
        ServiceBuilder::new()
            .layer(world.server.layer())
            .layer(world.server.require(authenticated().and_introspected_now()))
    };
    let requests = (0..100).map(|_| {
        let (api, token) = (api(layers()), token.clone());
        async move { api.bearer(&token).await }
    });
    for reply in futures::future::join_all(requests).await {
        reply.assert_ok("asked");
    }
    // Those that came together share calls; no call serves a request that came after it began.
    let calls = world.calls();
    assert!((2..=100).contains(&calls), "{calls}");
}

#[tokio::test]
async fn what_an_answer_says_of_a_claim_restricts_a_jwt() {
    use tower_resource_server::policy::{Policy, audience, authorization_details, claim, not};
    let world = World::new().await;
    let pay = json!([{ "type": "pay" }]);
    let conditions: [(&str, Policy); 4] = [
        ("details", authorization_details("pay").into()),
        ("audience", audience("https://other.example.com")),
        ("claim", claim("tenant").equals("acme")),
        ("not", not(claim("status").equals("suspended"))),
    ];
    let jwt = || {
        let audiences = json!([AUDIENCE, "https://other.example.com"]);
        let token = world.issuer.token().claim("aud", audiences).claim("tenant", "acme");
        token.claim("status", "ok").claim("authorization_details", pay.clone()).sign()
    };
    for (name, policy) in conditions {
        let ask = async |members: serde_json::Value| {
            let token = jwt();
            world.says(members);
            required(&world, policy.clone().and_introspected_now(), &token).await.status
        };
        let all = json!([AUDIENCE, "https://other.example.com"]);
        assert_eq!(ask(json!({ "sub": null, "aud": all })).await, 200, "{name}: it says nothing");
        let other = json!({
            "tenant": "globex", "status": "suspended", "authorization_details": []
        });
        assert_ne!(ask(other).await, 200, "{name}: it says otherwise");
        let same = json!({
            "aud": all, "tenant": "acme", "status": "ok", "authorization_details": pay, "sub": null
        });
        assert_eq!(ask(same).await, 200, "{name}: it says the same");
    }
}

/// In the body of a request to an MCP server, one call or several.
#[tokio::test]
async fn calls_of_mcp_ask_where_one_of_them_asks() {
    use tower::Layer as _;
    use tower_resource_server::layer::McpBody;
    use tower_resource_server::policy::McpPolicy;

    let issuer = tower_resource_server::test_issuer::TestIssuer::start().await.unwrap();
    let credentials =
        tower_resource_server::introspection::ClientAuth::client_secret_basic("a", "b");
    let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(credentials));
    let resource = "https://api.example.com/mcp";
    let server = tower_resource_server::ResourceServer::builder()
        .issuer(trusted)
        .resource(resource)
        .allow_http_loopback()
        .build()
        .unwrap();
    let inner = tower::service_fn(async |_: http::Request<McpBody<Body>>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::from("ran")))
    });
    let policy = McpPolicy::new()
        .require(scope("mcp"))
        .tool("free", authenticated())
        .tool("pay", scope("pay").and_introspected_now())
        .tool_with("ruled", |_, _| Ok(scope("mcp").into()));
    let service = server.protect_mcp(policy).layer(inner);
    let call =
        |tool: &str| format!(r#"{{"id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
    let send = async |token: &str, body: String| {
        let request =
            http::Request::post(resource).header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::from(body)).unwrap();
        tower::ServiceExt::oneshot(service.clone(), request).await.unwrap().status().as_u16()
    };
    let token = |scope: &str| issuer.token().audience(resource).scope(scope).sign();
    let calls = || issuer.counts().introspection;
    let good = token("mcp pay");
    let both = || format!("[{},{},{}]", call("free"), call("pay"), call("ruled"));
    assert_eq!((send(&good, call("free")).await, calls()), (200, 0));
    assert_eq!((send(&good, call("pay")).await, calls()), (200, 1));
    assert_eq!((send(&good, both()).await, calls()), (200, 2));
    // A token that lacks a scope is not asked about.
    let poor = token("mcp");
    assert_eq!((send(&poor, call("pay")).await, calls()), (403, 2));
    assert_eq!((send(&poor, both()).await, calls()), (403, 2));
    issuer.revoke(&good);
    assert_eq!((send(&good, call("free")).await, calls()), (200, 2));
    assert_eq!((send(&good, call("pay")).await, calls()), (401, 3));
    assert_eq!((send(&good, both()).await, calls()), (401, 4));
}
