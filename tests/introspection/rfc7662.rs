//! RFC 7662, token introspection.

use std::time::Duration;

use serde_json::json;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::{Endpoint, Fault, TestClient, TestIssuer};
use tower_resource_server::{Error, Issuer, Profile, scope};

use super::support::*;
use super::tls::{Authority, Tls};
use super::{World, secret, serve, start};

#[tokio::test]
async fn id_7662_2_1_1_the_token_is_posted_byte_for_byte() {
    let world = World::new().await;
    world.says(json!({}));
    for token in ["a+b/c==", "2YotnFZFEjr1zCsicMWpAA", "~a.b_c-d", "a%2Bb"] {
        let reply = world.bearer(token).await;
        if token.contains('%') {
            reply.assert_invalid_request("no token68, so it is sent nowhere");
            continue;
        }
        reply.assert_ok(token);
        let calls = world.issuer.introspections();
        let call = calls.last().unwrap();
        assert_eq!(call.token.as_deref(), Some(token));
        assert_eq!(call.token_type_hint.as_deref(), Some("access_token"));
        let form = "application/x-www-form-urlencoded";
        assert_eq!(call.content_type.as_deref(), Some(form));
        assert_eq!(call.accept.as_deref(), Some("application/json"));
    }
    let asked = world.issuer.requests();
    assert_eq!(asked.iter().filter(|line| *line == "POST /introspect").count(), 3);
    let others: Vec<_> = asked.iter().filter(|line| *line != "POST /introspect").collect();
    assert_eq!(others, ["GET /.well-known/oauth-authorization-server"], "no token in a URL");
}

#[tokio::test]
async fn id_7662_2_1_3_the_server_authenticates_itself() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let keys: Vec<_> = [Algorithm::ES256, Algorithm::RS256, Algorithm::PS256, Algorithm::Ed25519]
        .into_iter()
        .map(|algorithm| {
            let keys = TestIssuer::builder().algorithm(algorithm).in_process("https://client");
            (algorithm, keys.private_key_pem().unwrap(), keys.public_key_pem().unwrap())
        })
        .collect();
    let other_key = TestIssuer::in_process("https://client").private_key_pem().unwrap();
    let secret = |id: &str, secret: &str| TestClient::secret(id, secret);
    let mut cases = vec![
        // RFC 6749 §2.3.1: both are form-encoded first, so a colon in the id is none.
        (
            "client_secret_basic",
            ClientAuth::client_secret_basic("https://app:1/%", "p:%+ é&="),
            ClientAuth::client_secret_basic("https://app:1/%", "p:%+ é&"),
            secret("https://app:1/%", "p:%+ é&="),
        ),
        (
            "client_secret_post",
            ClientAuth::client_secret_post("a:%", "p:%+ &="),
            ClientAuth::client_secret_post("a:%", "p:%+ &"),
            secret("a:%", "p:%+ &="),
        ),
        (
            "client_secret_jwt",
            ClientAuth::client_secret_jwt("app", SECRET),
            ClientAuth::client_secret_jwt("app", format!("{SECRET}x")),
            secret("app", SECRET),
        ),
        (
            "client_secret_jwt",
            ClientAuth::client_secret_jwt("app", SECRET).key_id("k"),
            ClientAuth::client_secret_jwt("app", SECRET).assertion_audience("https://other"),
            secret("app", SECRET),
        ),
        (
            "bearer",
            ClientAuth::bearer_token("token-of-the-api"),
            ClientAuth::bearer_token("another-token"),
            TestClient::bearer("token-of-the-api"),
        ),
    ];
    for (algorithm, private, public) in &keys {
        cases.push((
            "private_key_jwt",
            ClientAuth::private_key_jwt("app", *algorithm, private.clone()),
            ClientAuth::private_key_jwt("app", Algorithm::ES256, other_key.clone()),
            TestClient::public_key("app", public),
        ));
    }
    for (method, good, bad, client) in cases {
        let (clock, issuer) = start().await;
        issuer.register_client(client);
        let token = issuer.token().opaque();
        let with = |auth| {
            let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(auth));
            api(serve(trusted, &clock).layer())
        };
        let good = with(good);
        good.bearer(&token).await.assert_ok(method);
        assert_eq!(issuer.introspections()[0].method, Some(method));
        // Again, for an assertion is good once.
        good.bearer(&issuer.token().opaque()).await.assert_ok(method);
        // That we are refused is no fault of the token.
        with(bad).bearer(&token).await.assert_unavailable(method);
    }
}

#[tokio::test]
async fn id_7662_2_1_4_the_endpoint_is_reached_over_tls_that_is_checked() {
    let (clock, issuer) = start().await;
    let token = issuer.token().opaque();
    let authority = Authority::new();
    let tls = Tls::start(&authority, issuer.address().unwrap(), None).await;
    let at = |endpoint: String| {
        Issuer::new(issuer.url()).introspection(Introspection::new(secret()).endpoint(endpoint))
    };
    let trusted = at(tls.url("/introspect"));
    let untrusting = serve(trusted.clone(), &clock);
    api(untrusting.layer()).bearer(&token).await.assert_unavailable("nobody vouches for it");
    assert_eq!((tls.connections(), issuer.counts().introspection), (0, 0));

    let trusting = |issuer: Issuer| {
        builder(issuer).allow_http_loopback().root_certificates(authority.pem()).build().unwrap()
    };
    let by_address = at(tls.url("/introspect").replace("localhost", "127.0.0.1"));
    let reply = api(trusting(by_address).layer()).bearer(&token).await;
    reply.assert_unavailable("its certificate is of another name");
    assert_eq!((tls.connections(), issuer.counts().introspection), (0, 0));
    api(trusting(trusted).layer()).bearer(&token).await.assert_ok("its certificate is good");
    assert_eq!((tls.connections(), issuer.counts().introspection), (1, 1));

    for (endpoint, good) in [
        ("https://as.example.com/introspect", true),
        ("http://as.example.com/introspect", false),
        ("https://as.example.com/introspect#f", false),
        ("/introspect", false),
    ] {
        assert_eq!(builder(at(endpoint.into())).allow_http_loopback().build().is_ok(), good);
    }
}

#[tokio::test]
async fn a_client_certificate_shows_who_we_are() {
    let (clock, issuer) = start().await;
    issuer.register_client(TestClient::certificate("notes-api"));
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let tls = Tls::start(&authority, issuer.address().unwrap(), Some(&clients)).await;
    let metadata = json!({
        "issuer": issuer.url(),
        "jwks_uri": issuer.jwks_uri(),
        "introspection_endpoint": issuer.introspection_endpoint(),
        "mtls_endpoint_aliases": { "introspection_endpoint": tls.url("/introspect") },
    });
    let faulty = super::Endpoint::Metadata;
    issuer.set_fault(faulty, Fault::Body(metadata.to_string()));
    let token = issuer.token().opaque();
    let with = |auth: ClientAuth| {
        let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(auth));
        let builder = builder(trusted).allow_http_loopback().clock(clock.clone());
        api(builder.root_certificates(authority.pem()).build().unwrap().layer())
    };
    let stranger = ClientAuth::mutual_tls("notes-api", strangers.identity("notes-api"));
    with(stranger).bearer(&token).await.assert_unavailable("a certificate of nobody's");
    assert_eq!(issuer.counts().introspection, 0);
    // RFC 8705 §5: such a client goes to the alias, any other to the endpoint itself.
    with(ClientAuth::mutual_tls("notes-api", clients.identity("notes-api")))
        .bearer(&token)
        .await
        .assert_ok("its own certificate");
    assert_eq!(issuer.introspections()[0].method, Some("tls_client_auth"));
    assert!(tls.connections() > 0);
    let before = tls.connections();
    with(secret()).bearer(&token).await.assert_unavailable("not the way of this client");
    assert_eq!((tls.connections(), issuer.counts().introspection), (before, 2));
}

#[tokio::test]
async fn id_7662_2_1_5_which_server_is_asked_is_configured() {
    let (clock, stranger) = start().await;
    let world = World::with(|own| own.also_for_jwts()).await;
    let all = World::with(|own| own.only()).await;
    let foreign = stranger.token().sign();
    world.bearer(&foreign).await.assert_invalid_token("of a foreign issuer");
    all.bearer(&foreign).await.assert_invalid_token("not known to the only one");
    assert_eq!(stranger.requests(), [""; 0], "nobody went there");
    assert_eq!(world.calls(), 0, "nor is a token sent to whoever did not make it");
    world.bearer(&world.issuer.token().sign()).await.assert_ok("its own");
    assert_eq!((world.calls(), all.calls()), (1, 1));
    drop(clock);
}

#[tokio::test]
async fn id_7662_2_2_1_only_true_is_active() {
    for (name, body, good) in [
        ("true", json!({ "active": true, "aud": AUDIENCE }), true),
        ("text", json!({ "active": "true", "aud": AUDIENCE }), false),
        ("number", json!({ "active": 1, "aud": AUDIENCE }), false),
        ("null", json!({ "active": null, "aud": AUDIENCE }), false),
        ("missing", json!({ "aud": AUDIENCE }), false),
        ("array", json!([{ "active": true, "aud": AUDIENCE }]), false),
    ] {
        let world = World::new().await;
        world.misbehave(Fault::Body(body.to_string()));
        let reply = world.bearer("token").await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
    let world = World::new().await;
    let twice = format!(r#"{{"active":false,"active":true,"aud":"{AUDIENCE}"}}"#);
    world.misbehave(Fault::Body(twice));
    world.bearer("token").await.assert_unavailable("said twice");
}

#[tokio::test]
async fn id_7662_2_2_2_inactive_is_invalid_and_what_an_active_one_carries_is_passed_on() {
    let world = World::new().await;
    world.misbehave(Fault::Body(r#"{"active":false,"sub":"x","exp":"no number"}"#.into()));
    let reply = world.bearer("dead").await;
    reply.assert_invalid_token("inactive");
    assert_eq!(reply.error, Some(Error::Inactive));
    world.says(json!({
        "client_id": "app", "scope": "a b", "username": "al", "x": { "y": [1, 2.5, null] },
        "token_type": "Bearer",
    }));
    let reply = world.bearer("live").await;
    reply.assert_ok("active");
    let echo = reply.json();
    assert_eq!((&echo["sub"], &echo["client_id"]), (&json!("alice"), &json!("app")));
    assert_eq!((&echo["scope"], &echo["iss"]), (&json!("a b"), &json!(world.issuer.url())));
    assert_eq!(echo["claims"]["x"], json!({ "y": [1, 2.5, null] }));
    assert_eq!(echo["claims"]["username"], "al");
    // The scope is evaluated after the answer was found.
    let api = api(world.server.protect(scope("c")));
    api.bearer("live").await.assert_insufficient_scope("no such scope", "c");
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn id_7662_2_2_4_audience_and_issuer_are_ours() {
    let other = "https://other.example.com";
    for (name, members, strict, lenient) in [
        ("ours", json!({}), true, true),
        ("ours among others", json!({ "aud": [other, AUDIENCE] }), true, true),
        ("another", json!({ "aud": other }), false, false),
        ("others", json!({ "aud": [other] }), false, false),
        ("no text", json!({ "aud": [[AUDIENCE]] }), false, false),
        ("none", json!({ "aud": null }), false, true),
        ("none in an array", json!({ "aud": [] }), false, true),
        ("no characters", json!({ "aud": "" }), false, true),
        ("no characters in an array", json!({ "aud": [""] }), false, false),
        ("issuer of another", json!({ "iss": other }), false, false),
        ("issuer no text", json!({ "iss": [other] }), false, false),
    ] {
        for (optional, good) in [(false, strict), (true, lenient)] {
            let world =
                World::with(|own| if optional { own.audience_optional() } else { own }).await;
            world.says(members.clone());
            let reply = world.bearer("token").await;
            if good {
                reply.assert_ok(name)
            } else {
                reply.assert_invalid_token(name)
            }
            // Nor is it admitted from memory.
            let reply = world.bearer("token").await;
            if good {
                reply.assert_ok(name)
            } else {
                reply.assert_invalid_token(name)
            }
            assert_eq!(world.calls(), 1, "{name}");
        }
    }
    let world = World::new().await;
    world.says(json!({ "iss": world.issuer.url() }));
    world.bearer("token").await.assert_ok("its own name");
}

#[tokio::test]
async fn what_is_no_access_token_is_refused_though_it_is_active() {
    for (name, members, good) in [
        ("Bearer", json!({ "token_type": "Bearer" }), true),
        ("bearer", json!({ "token_type": "bearer" }), true),
        ("access token of an older Hydra's", json!({ "token_type": "access_token" }), true),
        ("DPoP, bound to nothing", json!({ "token_type": "DPoP" }), false),
        ("DPoP, bound", json!({ "token_type": "DPoP", "cnf": { "jkt": KEY } }), false),
        ("refresh token", json!({ "token_type": "refresh_token" }), false),
        ("Refresh", json!({ "token_type": "Refresh" }), false),
        ("ID token", json!({ "token_type": "id_token" }), false),
        (
            "ID token by its URN",
            json!({ "token_type": "urn:ietf:params:oauth:token-type:id_token" }),
            false,
        ),
        ("logout token", json!({ "token_type": "logout_token" }), false),
        ("N_A", json!({ "token_type": "N_A" }), false),
        ("no text", json!({ "token_type": 1 }), false),
        ("a list", json!({ "token_type": ["Bearer"] }), false),
        ("bound to a key", json!({ "cnf": { "jkt": KEY } }), false),
        ("bound to no thumbprint", json!({ "cnf": { "jkt": "x" } }), false),
        ("bound to nothing", json!({ "cnf": {} }), false),
        ("access token of Hydra's", json!({ "token_use": "access_token" }), true),
        ("refresh token of Hydra's", json!({ "token_use": "refresh_token" }), false),
        ("access token of Keycloak's", json!({ "typ": "Bearer" }), true),
        ("refresh token of Keycloak's", json!({ "typ": "Refresh" }), false),
        ("ID token of Keycloak's", json!({ "typ": "ID" }), false),
        ("logout token of Keycloak's", json!({ "typ": "Logout" }), false),
        ("offline token of Keycloak's", json!({ "typ": "Offline" }), false),
        ("logout+jwt", json!({ "typ": "logout+jwt" }), false),
        ("at+jwt", json!({ "typ": "at+jwt" }), true),
        ("access token of Cognito's", json!({ "token_use": "access" }), true),
        ("ID token of Cognito's", json!({ "token_use": "id" }), false),
        ("refresh token of Cognito's", json!({ "token_use": "refresh" }), false),
        ("a logout token's use", json!({ "token_use": "logout" }), false),
    ] {
        let world = World::new().await;
        world.says(members);
        for _ in 0..2 {
            let reply = world.bearer("token").await;
            if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
        }
    }
}

#[tokio::test]
async fn what_the_profile_asks_for_by_name_an_answer_must_have() {
    let (clock, issuer) = start().await;
    let profile = Profile::rfc9068().require_claim("plan").require_value("tenant", "mine");
    let trusted = |introspection| {
        Issuer::new(issuer.url()).profile(profile.clone()).introspection(introspection)
    };
    let api_of = |introspection| api(serve(trusted(introspection), &clock).layer());
    let opaque = api_of(Introspection::new(secret()));
    let only = api_of(Introspection::new(secret()).only());
    for (name, plan, tenant, good) in [
        ("both", json!("x"), json!("mine"), true),
        ("no claim", json!(null), json!("mine"), false),
        ("no value", json!("x"), json!(null), false),
        ("another value", json!("x"), json!("other"), false),
    ] {
        let token = || {
            let token = issuer.token().claim("plan", plan.clone());
            token.claim("tenant", tenant.clone()).without("jti").without("iat")
        };
        for (way, api, token) in
            [("opaque", &opaque, token().opaque()), ("only", &only, token().sign())]
        {
            for _ in 0..2 {
                let reply = api.bearer(&token).await;
                let name = format!("{name}, {way}");
                if good { reply.assert_ok(&name) } else { reply.assert_invalid_token(&name) }
            }
        }
    }
    // What the token itself has, the answer need not repeat, and must not contradict.
    let both = api_of(Introspection::new(secret()).also_for_jwts());
    for (name, tenant, good) in [
        ("silent", json!(null), true),
        ("the same", json!("mine"), true),
        ("another", json!("x"), false),
    ] {
        let answer = json!({ "active": true, "tenant": tenant });
        issuer.set_fault(Endpoint::Introspection, Fault::Body(answer.to_string()));
        let token = issuer.token().claim("plan", "x").claim("tenant", "mine").sign();
        let reply = both.bearer(&token).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn id_7662_2_2_5_times_are_enforced_here_too() {
    let world = World::new().await;
    let now = tower_resource_server::clock::Clock::wall(&world.clock).as_secs();
    for (name, members, good) in [
        ("no exp", json!({}), true),
        ("expires later", json!({ "exp": now + 1 }), true),
        ("expired within the leeway", json!({ "exp": now - 59 }), true),
        ("expired", json!({ "exp": now - 60 }), false),
        ("exp as text", json!({ "exp": (now + 600).to_string() }), true),
        ("expired as text", json!({ "exp": (now - 60).to_string() }), false),
        ("nbf as text", json!({ "nbf": now.to_string() }), true),
        ("begins later as text", json!({ "nbf": (now + 61).to_string() }), false),
        ("iat as text", json!({ "iat": now.to_string() }), true),
        ("exp as another text", json!({ "exp": format!("+{}", now + 600) }), false),
        ("exp as no number", json!({ "exp": "never" }), false),
        ("exp as an empty text", json!({ "exp": "" }), false),
        ("exp in milliseconds", json!({ "exp": (now + 600) * 1000 }), false),
        ("exp in milliseconds as text", json!({ "exp": ((now + 600) * 1000).to_string() }), false),
        ("begins within the leeway", json!({ "nbf": now + 60 }), true),
        ("begins later", json!({ "nbf": now + 61 }), false),
        ("issued ahead", json!({ "iat": now + 61 }), false),
    ] {
        world.says(members);
        let reply = world.bearer(name.replace(' ', "-").as_str()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn a_remembered_answer_is_judged_by_the_time_of_each_request() {
    let world = World::new().await;
    let now = tower_resource_server::clock::Clock::wall(&world.clock).as_secs();
    for (name, members, fails_at) in [
        ("nbf", json!({ "nbf": now }), now - 61),
        ("iat", json!({ "iat": now }), now - 61),
        ("exp", json!({ "exp": now + 30 }), now + 90),
    ] {
        let before = world.calls();
        world.says(members);
        world.bearer(name).await.assert_ok(name);
        // Only the wall clock steps, so that the answer stays as young as it is.
        world.clock.set_wall(fails_at);
        world.says(json!({ "aud": "https://other.example.com" }));
        world.bearer(name).await.assert_invalid_token(name);
        world.clock.set_wall(now);
        let asked_again = u32::from(name == "exp");
        assert_eq!(world.calls() - before, 1 + asked_again, "{name}");
        if asked_again == 0 {
            world.bearer(name).await.assert_ok("it is remembered, and in time again");
        }
        assert_eq!(world.calls() - before, 1 + asked_again, "{name}");
    }
}

#[tokio::test]
async fn a_remembered_answer_that_fails_a_check_fails_it_again() {
    let world = World::new().await;
    for (name, members) in [
        ("audience", json!({ "aud": "https://other.example.com" })),
        ("issuer", json!({ "iss": "https://other.example.com" })),
        ("bound", json!({ "cnf": { "jkt": KEY } })),
        ("no_thumbprint", json!({ "cnf": { "jkt": "x" } })),
        ("scope", json!({ "scope": 1 })),
    ] {
        let before = world.calls();
        world.says(members);
        world.bearer(name).await.assert_invalid_token(name);
        world.says(json!({}));
        world.bearer(name).await.assert_invalid_token(name);
        assert_eq!(world.calls() - before, 1, "{name}");
        world.bearer(&format!("{name}2")).await.assert_ok("another token");
    }
}

#[tokio::test]
async fn id_7662_2_2_6_an_answer_is_for_one_client() {
    let (clock, issuer) = start().await;
    let token = issuer.token().opaque();
    let of = |client: &str| {
        let auth = ClientAuth::client_secret_basic(client, "secret");
        let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(auth));
        api(serve(trusted, &clock).layer())
    };
    let (one, other) = (of("one"), of("other"));
    one.bearer(&token).await.assert_ok("asked");
    one.bearer(&token).await.assert_ok("remembered");
    other.bearer(&token).await.assert_ok("asked for itself");
    let asked: Vec<_> =
        issuer.introspections().into_iter().filter_map(|call| call.client_id).collect();
    assert_eq!(asked, ["one", "other"]);
}

#[tokio::test]
async fn id_7662_4_1_an_answer_is_never_used_past_exp() {
    let world = World::new().await;
    let token = world.issuer.token().expires_in(2).opaque();
    for second in 0..2 {
        world.bearer(&token).await.assert_ok("alive");
        assert_eq!(world.calls(), 1, "second {second}");
        world.pass(1);
    }
    // The leeway is for clocks that differ, not for what can be asked.
    world.bearer(&token).await.assert_invalid_token("the issuer says so");
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn id_7662_4_2_a_revoked_token_is_refused_within_the_ttl() {
    for (ttl, lasts) in [(Some(0), 0), (Some(10), 10), (None, 60), (Some(300), 299)] {
        let world = World::with(|own| match ttl {
            Some(seconds) => own.cache_ttl(Duration::from_secs(seconds)),
            None => own,
        })
        .await;
        let token = world.issuer.token().expires_in(600).opaque();
        world.bearer(&token).await.assert_ok("before");
        world.issuer.revoke(&token);
        if lasts > 0 {
            world.pass(lasts - 1);
            world.bearer(&token).await.assert_ok("remembered");
            world.pass(if lasts == 299 { 2 } else { 1 });
        }
        world.bearer(&token).await.assert_invalid_token("revoked");
    }
    // The time counts from the question, since that is what the answer is about.
    let world = World::with(|own| own.cache_ttl(Duration::from_secs(10))).await;
    world.misbehave(Fault::Slow(Duration::from_millis(200)));
    let token = world.issuer.token().opaque();
    let (asked, ()) = futures::join!(world.bearer(&token), async {
        while world.calls() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.issuer.revoke(&token);
        world.pass(4);
    });
    asked.assert_ok("it was alive when asked about");
    world.pass(5);
    world.bearer(&token).await.assert_ok("9 s later");
    world.pass(1);
    world.bearer(&token).await.assert_invalid_token("10 s later");
    let (_, issuer) = start().await;
    for (seconds, good) in [(300, true), (301, false)] {
        let introspection = Introspection::new(secret()).cache_ttl(Duration::from_secs(seconds));
        let trusted = Issuer::new(issuer.url()).introspection(introspection);
        assert_eq!(builder(trusted).allow_http_loopback().build().is_ok(), good);
    }
}

#[tokio::test]
async fn id_7662_4_3_inactive_is_remembered_briefly_and_oversize_not_sent() {
    let world = World::new().await;
    for _ in 0..3 {
        world.bearer("dead").await.assert_invalid_token("dead");
    }
    assert_eq!(world.calls(), 1);
    world.pass(4);
    world.bearer("dead").await.assert_invalid_token("remembered");
    assert_eq!(world.calls(), 1);
    world.pass(1);
    world.bearer("dead").await.assert_invalid_token("asked again");
    assert_eq!(world.calls(), 2);
    world.bearer(&"x".repeat(16 * 1024 + 1)).await.assert_invalid_token("too long");
    assert_eq!(world.calls(), 2);
    world.bearer(&"x".repeat(16 * 1024)).await.assert_invalid_token("at the limit");
    assert_eq!(world.calls(), 3);
    let world = World::with(|own| own.only()).await;
    world.bearer(&"x".repeat(16 * 1024 + 1)).await.assert_invalid_token("too long");
    assert_eq!(world.calls(), 0);
}

#[tokio::test]
async fn id_6750_5_2_2_handles_cannot_be_guessed() {
    let issuer = issuer();
    let handles: std::collections::HashSet<_> =
        (0..1_000).map(|_| issuer.token().opaque()).collect();
    assert_eq!(handles.len(), 1_000);
    assert!(handles.iter().all(|handle| handle.len() == 43), "256 bits as base64url");
}

#[tokio::test]
async fn optional_members_that_are_null_or_empty_are_absent() {
    for (name, members, good) in [
        ("iss", json!({ "iss": null }), true),
        ("exp", json!({ "exp": null }), true),
        ("nbf", json!({ "nbf": null }), true),
        ("iat", json!({ "iat": null }), true),
        ("jti", json!({ "jti": null }), true),
        ("sub", json!({ "sub": null }), true),
        ("sub, empty", json!({ "sub": "" }), true),
        ("sub, no text", json!({ "sub": 5 }), false),
        ("client_id", json!({ "client_id": null }), true),
        ("client_id, empty", json!({ "client_id": "" }), true),
        ("client_id, no text", json!({ "client_id": 5 }), false),
        ("scope", json!({ "scope": null }), true),
        ("username", json!({ "username": null }), true),
        ("token_type", json!({ "token_type": null }), true),
        ("typ", json!({ "typ": null }), true),
        ("token_use", json!({ "token_use": null }), true),
        ("cnf", json!({ "cnf": null }), false),
        ("aud, which is required", json!({ "aud": null }), false),
        ("iss, empty", json!({ "iss": "" }), false),
    ] {
        let world = World::new().await;
        let mut answer = json!({ "active": true, "aud": AUDIENCE, "sub": "alice" });
        for (member, value) in members.as_object().unwrap() {
            answer[member] = value.clone();
        }
        world.misbehave(Fault::Body(answer.to_string()));
        for _ in 0..2 {
            let reply = world.bearer("token").await;
            if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
        }
    }
    // What it lacks so is not what it was asked for, and nobody's subject.
    let (clock, issuer) = start().await;
    let profile = Profile::rfc9068().require_claim("sub");
    let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(secret()));
    let required = api(serve(trusted.profile(profile), &clock).layer());
    for (sub, good) in [("", false), ("alice", true)] {
        let answer = json!({ "active": true, "aud": AUDIENCE, "sub": sub });
        issuer.set_fault(Endpoint::Introspection, Fault::Body(answer.to_string()));
        let reply = required.bearer(&format!("token-of-{sub}")).await;
        if good { reply.assert_ok(sub) } else { reply.assert_invalid_token("required") }
    }
}

#[tokio::test]
async fn an_answer_with_thousands_of_values_is_read() {
    let world = World::new().await;
    let groups: Vec<_> = (0..5_000).map(|n| format!("g{n}")).collect();
    world.says(json!({ "groups": groups }));
    let reply = world.bearer("many").await;
    reply.assert_ok("5,000 groups");
    assert_eq!(reply.json()["claims"]["groups"].as_array().unwrap().len(), 5_000);
    let deep = |depth: usize| {
        format!(
            "{{\"active\":true,\"aud\":\"{AUDIENCE}\",\"x\":{}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    world.misbehave(Fault::Body(deep(31)));
    world.bearer("deep").await.assert_ok("32 deep");
    world.misbehave(Fault::Body(deep(32)));
    let reply = world.bearer("deeper").await;
    reply.assert_unavailable("33 deep");
    let text = reply.error.unwrap().to_string();
    assert!(text.contains("deeper than 32"), "{text}");
}
