//! Model Context Protocol, authorization.

use http::Request;
use http::header::AUTHORIZATION;
use http::request::Parts;
use tower::{ServiceBuilder, service_fn};
use tower_resource_server::policy::{Policy, Requirement, all_of};
use tower_resource_server::{AccessToken, scope};

use crate::support::*;

const METADATA: &str = "https://api.example.com/.well-known/oauth-protected-resource";

#[tokio::test]
async fn id_mcp_9_a_broader_scope_suffices_by_an_explicit_rule() {
    let issuer = issuer();
    let with_rule =
        builder(trusting(&issuer)).scope_implies("files", ["files:read"]).build().unwrap();
    let without = server(&issuer);
    let broad = issuer.token().scope("files").sign();
    let ruled = api(with_rule.protect(scope("files:read")));
    ruled.bearer(&broad).await.assert_ok("the broader one");
    ruled.bearer(&issuer.token().scope("files:read").sign()).await.assert_ok("the narrower one");
    let reply = ruled.bearer(&issuer.token().scope("notes").sign()).await;
    reply.assert_insufficient_scope("another one", "files:read");
    let reply = api(with_rule.protect(scope("files")))
        .bearer(&issuer.token().scope("files:read").sign())
        .await;
    reply.assert_insufficient_scope("upwards", "files");
    let reply = api(without.protect(scope("files:read"))).bearer(&broad).await;
    reply.assert_insufficient_scope("without the rule", "files:read");
}

/// All scopes that this file needs, whose id is known from the request alone.
fn needed(id: &str) -> Result<Requirement, tower_resource_server::ConfigError> {
    let of = |action: &str| Policy::try_scope(&format!("files:{id}:{action}"));
    Ok(Policy::try_all_of([of("read")?, of("write")?])?.into())
}

#[tokio::test]
async fn id_mcp_24_a_challenge_has_all_scopes_that_one_operation_needs() {
    let issuer = issuer();
    let server =
        builder(trusting(&issuer)).challenge_param("resource_metadata", METADATA).build().unwrap();
    let rule = server.require_with(|parts: &Parts, _: &AccessToken| {
        needed(parts.uri.path().trim_start_matches("/files/"))
    });
    let by_rule = api(ServiceBuilder::new().layer(server.layer()).layer(rule));
    let layer = server.layer();
    let by_handler = api(tower::layer::layer_fn(|inner: EchoService| {
        let handler = service_fn(move |request: Request<Body>| {
            let inner = inner.clone();
            async move {
                let token: AccessToken =
                    AccessToken::from_extensions(request.extensions()).unwrap();
                let id = request.uri().path().trim_start_matches("/files/").to_owned();
                match token.require(&needed(&id).unwrap()) {
                    Ok(()) => tower::ServiceExt::oneshot(inner, request).await,
                    Err(refusal) => Ok(refusal.into_response()),
                }
            }
        });
        tower::Layer::layer(&layer, EchoService::new(handler))
    }));
    for way in ["a rule", "a handler"] {
        for (name, scope, good) in [
            ("one of both", "files:7:read", false),
            ("none", "", false),
            ("of another file", "files:8:read files:8:write", false),
            ("both", "files:7:write files:7:read", true),
        ] {
            let request = Request::get("https://api.example.com/files/7");
            let token = issuer.token().scope(scope).sign();
            let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            let request = request.body(Body::default()).unwrap();
            let reply = match way {
                "a rule" => by_rule.send(request).await,
                _ => by_handler.send(request).await,
            };
            let name = format!("{way}: {name}");
            match good {
                true => reply.assert_ok(&name),
                false => {
                    reply.assert_insufficient_scope(&name, "files:7:read files:7:write");
                    let metadata = reply.challenges[0].param("resource_metadata");
                    assert_eq!(metadata, Some(METADATA), "{name}");
                }
            }
        }
    }
    let fixed = api(server.protect(all_of(["a", "b", "c"])));
    let reply = fixed.bearer(&issuer.token().scope("b").sign()).await;
    reply.assert_insufficient_scope("a fixed route", "a b c");
}
