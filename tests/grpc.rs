//! Refusals as gRPC statuses, as tonic's client and as plain HTTP clients see them, over TCP.

#[path = "../examples/grpc/notes.rs"]
mod notes;
#[allow(dead_code, reason = "shared with the example")]
#[path = "../examples/grpc/proto.rs"]
mod proto;
mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt as _};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response};
use tonic::body::Body;
use tonic::service::Routes as Services;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};
use tower::util::{BoxCloneSyncService, MapRequestLayer};
use tower::{Layer, Service, ServiceExt as _, service_fn};
use tower_resource_server::policy::{Requirement, Routes, authenticated, claim};
use tower_resource_server::refusal::{ProblemJson, Refusal};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, ResourceServer, scope};

use notes::MyNotes;
use proto::{Filter, Note, NoteId, NotesClient, NotesServer};
use support::{builder, issuer, parse_challenge, server, trusting};

type Inner = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A layer around the notes, over HTTP/2 on a port of this machine.
struct Served {
    url: String,
    runs: Arc<AtomicUsize>,
    task: tokio::task::AbortHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<L>(layer: L) -> Served
where
    L: Layer<Inner>,
    L::Service: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let count = MapRequestLayer::new(move |request: Request<Body>| {
        counted.fetch_add(1, Ordering::SeqCst);
        request
    });
    let services = Services::new(NotesServer::new(MyNotes)).prepare();
    let service = layer.layer(Inner::new(count.layer(services)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder().serve_with_incoming(service, TcpIncoming::from(listener));
    Served { url, runs, task: tokio::spawn(server).abort_handle() }
}

fn methods() -> Routes {
    Routes::for_raw_paths()
        .post("/notes.v1.Notes/Get", scope("notes:read"))
        .post("/notes.v1.Notes/List", scope("notes:read"))
        .post("/notes.v1.Notes/Import", scope("notes:write"))
        .post("/notes.v1.Notes/Delete", Requirement::from(scope("notes:admin")).hidden())
}

/// A call: the status of a refused call, or the number of messages of the answer.
type Called = Result<usize, Status>;

impl Served {
    async fn client(&self) -> NotesClient {
        let channel: Channel =
            Endpoint::from_shared(self.url.clone()).unwrap().connect().await.unwrap();
        NotesClient::new(channel)
    }

    async fn call(&self, method: &str, authorization: &[&str]) -> Called {
        let runs = self.runs.load(Ordering::SeqCst);
        let mut client = self.client().await;
        let id = || NoteId { id: "1".to_owned() };
        let called = match method {
            "Get" => client.get(with(id(), authorization)).await.map(|_| 1),
            "GetOther" => {
                let other = NoteId { id: "2".to_owned() };
                client.get(with(other, authorization)).await.map(|_| 1)
            }
            "Delete" => client.delete(with(id(), authorization)).await.map(|_| 1),
            "List" => match client.list(with(Filter {}, authorization)).await {
                Ok(notes) => Ok(notes.into_inner().count().await),
                Err(status) => Err(status),
            },
            "Import" => {
                let notes = stream::iter(vec![Note::default(); 3]).boxed();
                let imported = client.import(with(notes, authorization)).await;
                imported.map(|imported| imported.get_ref().count as usize)
            }
            _ => panic!("{method}"),
        };
        // The handler runs for a call that passes, and for a refusal of its own.
        let ran = self.runs.load(Ordering::SeqCst) - runs;
        let expected = usize::from(called.is_ok() || method == "GetOther");
        assert_eq!(ran, expected, "{method}: {called:?}");
        called
    }

    /// A call without a gRPC client.
    async fn post(&self, types: &[&str], token: Option<&str>) -> reqwest::Response {
        let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let mut request = client.post(format!("{}/notes.v1.Notes/Get", self.url));
        for content_type in types {
            request = request.header(CONTENT_TYPE, *content_type);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        // The message `NoteId { id: "1" }`.
        request.body(&b"\0\0\0\0\x03\x0a\x011"[..]).send().await.unwrap()
    }
}

fn with<T>(message: T, authorization: &[&str]) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    for value in authorization {
        request.metadata_mut().append("authorization", value.parse().unwrap());
    }
    request
}

fn bearer(issuer: &TestIssuer, scope: &str) -> String {
    format!("Bearer {}", issuer.token().subject("alice").scope(scope).sign())
}

/// The challenges in the metadata.
fn challenges(status: &Status) -> Vec<support::Challenge> {
    let lines = status.metadata().get_all("www-authenticate");
    lines.iter().map(|line| parse_challenge(line.to_str().unwrap())).collect()
}

#[track_caller]
fn assert_refused(name: &str, called: Called, code: Code, error: Option<&str>) -> Status {
    let status = called.unwrap_err();
    assert_eq!(status.code(), code, "{name}: {status:?}");
    assert_eq!(status.metadata().get("cache-control").unwrap(), "no-store", "{name}");
    assert!(!status.metadata().contains_key("grpc-retry-pushback-ms"), "{name}: {status:?}");
    let challenges = challenges(&status);
    assert_eq!(challenges.len(), 1, "{name}: {status:?}");
    assert_eq!(challenges[0].param("error"), error, "{name}: {status:?}");
    // The message of a challenge with a code is its description.
    let description = challenges[0].param("error_description");
    assert_eq!(description, error.map(|_| status.message()), "{name}");
    assert!(!status.message().is_empty(), "{name}");
    status
}

#[tokio::test]
async fn each_refusal_of_a_call_is_a_status_and_its_challenge_is_metadata() {
    let issuer = issuer();
    let served = serve(server(&issuer).protect_routes(methods()).grpc()).await;
    let good = [("Get", "notes:read", 1), ("List", "notes:read", 1), ("Import", "notes:write", 3)];
    let expired = issuer.token().scope("notes:read notes:write").expires_in(-600).sign();
    let expired = format!("Bearer {expired}");
    for (method, scope, messages) in good {
        let token = bearer(&issuer, scope);
        assert_eq!(served.call(method, &[&token]).await.unwrap(), messages, "{method}");

        let called = served.call(method, &[]).await;
        let status = assert_refused(method, called, Code::Unauthenticated, None);
        assert_eq!(challenges(&status)[0].param("scope"), Some(scope), "{method}");

        let called = served.call(method, &[&expired]).await;
        assert_refused(method, called, Code::Unauthenticated, Some("invalid_token"));

        let called = served.call(method, &[&token, &token]).await;
        assert_refused(method, called, Code::InvalidArgument, Some("invalid_request"));

        let called = served.call(method, &[&bearer(&issuer, "other")]).await;
        let error = Some("insufficient_scope");
        let status = assert_refused(method, called, Code::PermissionDenied, error);
        assert_eq!(challenges(&status)[0].param("scope"), Some(scope), "{method}");
    }
}

#[tokio::test]
async fn the_refusal_of_a_handler_is_the_status_of_the_call() {
    let issuer = issuer();
    let served = serve(server(&issuer).protect_routes(methods()).grpc()).await;
    let token = bearer(&issuer, "notes:read");
    let called = served.call("GetOther", &[&token]).await;
    assert_refused("another user's", called, Code::PermissionDenied, None);
    assert_eq!(served.call("Get", &[&token]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_hidden_method_is_not_found_and_has_no_challenge() {
    let issuer = issuer();
    let served = serve(server(&issuer).protect_routes(methods()).grpc()).await;
    let status = served.call("Delete", &[&bearer(&issuer, "other")]).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "Not found"));
    for name in ["www-authenticate", "cache-control", "grpc-retry-pushback-ms"] {
        assert!(!status.metadata().contains_key(name), "{status:?}");
    }
    assert_eq!(served.call("Delete", &[&bearer(&issuer, "notes:admin")]).await.unwrap(), 1);
}

#[cfg(feature = "http-client")]
#[tokio::test]
async fn an_outage_is_unavailable_and_says_when_to_come_back() {
    let issuer = TestIssuer::start().await.unwrap();
    let token = bearer(&issuer, "notes:read notes:write");
    for method in ["Get", "List", "Import"] {
        // A server without keys.
        let api = builder(issuer.url()).allow_http_loopback().build().unwrap();
        issuer.stop();
        let served = serve(api.protect_routes(methods()).grpc()).await;
        let status = served.call(method, &[&token]).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{method}: {status:?}");
        assert!(!status.metadata().contains_key("www-authenticate"), "{method}");
        let number = |name: &str| -> u64 {
            status.metadata().get(name).unwrap().to_str().unwrap().parse().unwrap()
        };
        assert!(number("retry-after") >= 1);
        assert_eq!(number("grpc-retry-pushback-ms"), number("retry-after") * 1_000);

        issuer.restart().await.unwrap();
        let api = builder(issuer.url()).allow_http_loopback().build().unwrap();
        let served = serve(api.protect_routes(methods()).grpc()).await;
        served.call(method, &[&token]).await.unwrap();
    }
}

#[tokio::test]
async fn only_grpc_calls_get_grpc_answers_and_only_where_the_layer_says_so() {
    let issuer = issuer();
    let server = server(&issuer);
    let grpc = serve(server.protect_routes(methods()).grpc()).await;
    let http = serve(server.protect_routes(methods())).await;
    let token = issuer.token().subject("alice").scope("notes:read").sign();
    for (types, is_grpc) in [
        (&["application/grpc"][..], true),
        (&["application/grpc+proto"], true),
        (&["Application/GRPC+json"], true),
        (&["application/grpc;charset=utf-8"], true),
        (&["application/grpc-web"], false),
        (&["application/grpc-web+proto"], false),
        (&["application/grpc-web-text"], false),
        (&["application/grpc+"], false),
        (&["application/grpcx"], false),
        (&["application/grp"], false),
        (&["application/json"], false),
        (&["text/plain, application/grpc"], false),
        (&["application/grpc", "application/grpc"], false),
        (&[], false),
    ] {
        let answer = grpc.post(types, None).await;
        let status = if is_grpc { 200 } else { 401 };
        assert_eq!(answer.status().as_u16(), status, "{types:?}");
        assert_eq!(answer.headers().contains_key("grpc-status"), is_grpc, "{types:?}");
        assert_eq!(answer.headers().get_all(WWW_AUTHENTICATE).iter().count(), 1, "{types:?}");

        let answer = http.post(types, None).await;
        assert_eq!(answer.status().as_u16(), 401, "{types:?}");
        assert!(!answer.headers().contains_key("grpc-status"), "{types:?}");

        // With a token, the call reaches the service in both.
        for served in [&grpc, &http] {
            assert_eq!(served.post(types, Some(&token)).await.status().as_u16(), 200, "{types:?}");
        }
    }
    assert_eq!(grpc.runs.load(Ordering::SeqCst), http.runs.load(Ordering::SeqCst));
}

/// "gRPC over HTTP/2", Trailers-Only.
#[tokio::test]
async fn a_refusal_is_one_block_of_headers() {
    let issuer = issuer();
    let api = builder(trusting(&issuer))
        .refusal_body(ProblemJson)
        .other_challenge(r#"ApiKey realm="partners""#)
        .build()
        .unwrap();
    let inner = |_: Request<support::Body>| async {
        Ok::<_, Infallible>(Response::new(support::Body::default()))
    };
    let service = api.layer().grpc().layer(service_fn(inner));
    let request = |content_type: &str| {
        Request::post("/a.B/C").header(CONTENT_TYPE, content_type).body(support::Body::default())
    };
    let http = service.clone().oneshot(request("application/grpc-web").unwrap()).await.unwrap();
    assert_eq!(http.status(), 401);
    assert_eq!(http.headers()[CONTENT_TYPE], "application/problem+json");

    let grpc = service.oneshot(request("application/grpc").unwrap()).await.unwrap();
    assert_eq!(grpc.status(), 200);
    assert!(http_body::Body::is_end_stream(grpc.body()));
    let headers = grpc.headers();
    assert_eq!(headers[CONTENT_TYPE], "application/grpc");
    assert_eq!(headers["grpc-status"], "16");
    assert_eq!(headers["grpc-message"], "The call needs an access token");
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers.get_all(WWW_AUTHENTICATE).iter().count(), 2);
    assert_eq!(headers.len(), 6, "{headers:?}");

    // And on the wire.
    let served = serve(server(&issuer).layer().grpc()).await;
    let answer = served.post(&["application/grpc"], None).await;
    let mut names: Vec<_> = answer.headers().keys().map(|name| name.as_str()).collect();
    names.retain(|name| *name != "date");
    names.sort_unstable();
    let expected =
        ["cache-control", "content-type", "grpc-message", "grpc-status", "www-authenticate"];
    assert_eq!(names, expected);
    assert_eq!(answer.bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn every_layer_can_answer_grpc_and_the_outermost_is_enough() {
    let issuer = issuer();
    let api = server(&issuer);
    let (reader, other) = (bearer(&issuer, "notes:read"), bearer(&issuer, "other"));
    let bad = "Bearer x".to_owned();
    let guard = || scope("notes:read");

    let served = serve(api.optional_layer().grpc()).await;
    let called = served.call("Import", &[&bad]).await;
    assert_refused("optional", called, Code::Unauthenticated, Some("invalid_token"));
    assert_eq!(served.call("Import", &[]).await.unwrap(), 3);

    let denied = async |served: Served, name: &str| {
        let called = served.call("Import", &[&other]).await;
        assert_refused(name, called, Code::PermissionDenied, Some("insufficient_scope"));
        assert_eq!(served.call("Import", &[&reader]).await.unwrap(), 3, "{name}");
    };
    denied(serve(api.protect(guard()).grpc()).await, "protect").await;
    denied(serve((api.layer(), api.require(guard()).grpc())).await, "the inner one").await;
    denied(serve((api.layer().grpc(), api.require(guard()))).await, "the outer one").await;
    denied(serve((api.layer().grpc(), api.require(guard()).grpc())).await, "both").await;

    // Without the server's own layer around it.
    let status =
        serve(api.require(guard()).grpc()).await.call("Get", &[&reader]).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "Internal error"));
    assert!(challenges(&status).is_empty());
}

#[cfg(feature = "http-client")]
#[tokio::test]
async fn the_refusal_of_a_loader_is_a_status() {
    use tower_resource_server::policy::LookupError;

    let issuer = issuer();
    let api = server(&issuer);
    let load = api.load_user(|token: AccessToken| async move {
        match token.subject() {
            Some("alice") => Ok(()),
            Some("bob") => Err(LookupError::refused("no such user")),
            _ => Err(LookupError::unavailable("the database is down")),
        }
    });
    let served = serve((api.layer(), load.grpc())).await;
    let called = async |subject: &str| {
        let token = issuer.token().subject(subject).sign();
        served.call("Import", &[&format!("Bearer {token}")]).await
    };
    assert_eq!(called("alice").await.unwrap(), 3);
    assert_refused("refused", called("bob").await, Code::PermissionDenied, None);
    let status = called("carol").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
}

/// The layer around one service of several: the other services are open.
#[tokio::test]
async fn a_layer_around_one_service_keeps_its_name() {
    use tonic::service::LayerExt as _;

    let issuer = issuer();
    let notes = server(&issuer).layer().grpc().named_layer(NotesServer::new(MyNotes));
    let services = Services::new(notes);
    let token = issuer.token().subject("alice").sign();
    for (authorization, path, status) in [
        (Some(format!("Bearer {token}")), "/notes.v1.Notes/Delete", None),
        (None, "/notes.v1.Notes/Delete", Some("16")),
        // No service has this name, so no layer is around it.
        (None, "/other.v1.Notes/Delete", Some("12")),
    ] {
        let mut request = Request::post(path).header(CONTENT_TYPE, "application/grpc");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let body = Body::new("\0\0\0\0\0".to_owned());
        let response = services.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let found = response.headers().get("grpc-status").map(|value| value.to_str().unwrap());
        assert_eq!(found, status, "{path}");
    }
}

/// An axum handler returns a refusal with `?`. The layer of its server would add a body.
#[cfg(feature = "axum")]
#[tokio::test]
async fn the_refusal_of_an_axum_handler_is_a_status_too() {
    use axum::Router;
    use axum::routing::post;

    let issuer = issuer();
    let api = builder(trusting(&issuer)).refusal_body(ProblemJson).build().unwrap();
    let handler = async |token: AccessToken| -> Result<&'static str, Refusal> {
        token.require(&Requirement::from(scope("notes:read")))?;
        Ok("message")
    };
    let app = Router::new().route("/a.B/C", post(handler)).layer(api.layer().grpc());
    let send = async |content_type: &str, scope: &str| {
        let request = Request::post("/a.B/C")
            .header(CONTENT_TYPE, content_type)
            .header(AUTHORIZATION, bearer(&issuer, scope));
        app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap()
    };
    let refused = send("application/grpc", "other").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["grpc-status"]),
        (200, &"7".parse().unwrap())
    );
    assert_eq!(refused.headers()[CONTENT_TYPE], "application/grpc");
    assert!(http_body::Body::is_end_stream(refused.body()));

    let http = send("application/json", "other").await;
    assert_eq!(http.status(), 403);
    assert_eq!(http.headers()[CONTENT_TYPE], "application/problem+json");
    let passed = send("application/grpc", "notes:read").await;
    assert!(passed.status() == 200 && !passed.headers().contains_key("grpc-status"));
}

/// What the services inside answer: a refusal of this crate becomes a status, all else passes unchanged.
#[tokio::test]
async fn answers_from_inside_pass_unchanged_unless_they_are_refusals() {
    let issuer = issuer();
    let api = server(&issuer);
    let requirement = Requirement::from(claim("tenant").equals("acme"));
    let refused = move |request: &Request<Body>| -> Refusal {
        let token: AccessToken = AccessToken::from_extensions(request.extensions()).unwrap();
        token.require(&requirement).unwrap_err()
    };
    let answer = move |request: Request<Body>| {
        let refusal = refused(&request);
        let mut response: Response<Body> = match request.uri().path() {
            "/refusal" => refusal.into_response(),
            "/grpc" => refusal.into_grpc_response(),
            "/replaced" => refusal.into_response(),
            "/own" => Status::permission_denied("mine").into_http(),
            _ => Response::new(Body::new("text".to_owned())),
        };
        match request.uri().path() {
            "/replaced" => *response.status_mut() = http::StatusCode::IM_A_TEAPOT,
            "/forbidden" => *response.status_mut() = http::StatusCode::FORBIDDEN,
            _ => {}
        }
        async { Ok::<_, Infallible>(response) }
    };
    let service = api.layer().grpc().layer(service_fn(answer));
    let token = issuer.token().sign();
    for (path, status, grpc_status, message) in [
        ("/refusal", 200, Some("7"), Some("The access token does not allow this call")),
        ("/grpc", 200, Some("7"), Some("The access token does not allow this call")),
        ("/own", 200, Some("7"), Some("mine")),
        ("/replaced", 418, None, None),
        ("/forbidden", 403, None, None),
        ("/", 200, None, None),
    ] {
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/grpc")
            .header(AUTHORIZATION, format!("Bearer {token}"));
        let response = service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(header("grpc-status"), grpc_status, "{path}");
        assert_eq!(header("grpc-message"), message, "{path}");
    }
}

#[tokio::test]
async fn a_refusal_gives_its_status_and_its_metadata() {
    let issuer = issuer();
    let api = server(&issuer);
    let (head, ()) = Request::post("/").body(()).unwrap().into_parts();
    let refusal = api.authenticate(&head).await.unwrap_err();
    assert_eq!(refusal.grpc_status(), 16);
    let status = Status::from_header_map(&refusal.grpc_headers()).unwrap();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(challenges(&status).len(), 1);
    let response: Response<String> = refusal.clone().into_grpc_response();
    assert_eq!((response.status().as_u16(), response.body().as_str()), (200, ""));
    let mut headers = refusal.grpc_headers();
    headers.insert(CONTENT_TYPE, "application/grpc".parse().unwrap());
    assert_eq!(*response.headers(), headers);
    assert!(!headers.contains_key(RETRY_AFTER));
}

/// Methods of a service differ by dots and by case.
#[tokio::test]
async fn a_table_of_raw_paths_has_the_methods_of_services() {
    let issuer = issuer();
    let api: ResourceServer = server(&issuer);
    let table = Routes::for_raw_paths()
        .post("/notes.v1.Notes/Get", scope("a"))
        .post("/notes.v1.NotesAdmin/Get", scope("b"))
        .post("/grpc.health.v1.Health/{method}", authenticated());
    let inner = |_: Request<Body>| async { Ok::<_, Infallible>(Response::<Body>::default()) };
    let service = api.protect_routes(table).grpc().layer(service_fn(inner));
    let token = issuer.token().scope("a").sign();
    for (method, path, passes) in [
        ("POST", "/notes.v1.Notes/Get", true),
        ("POST", "/grpc.health.v1.Health/Check", true),
        ("GET", "/notes.v1.Notes/Get", false),
        ("POST", "/notes.v1.Notes/get", false),
        ("POST", "/notes.v1.notes/Get", false),
        ("POST", "/notes.v1.Notes/Get/", false),
        ("POST", "/notes.v1.Notes/Get.", false),
        ("POST", "/notes.v1.Notes//Get", false),
        ("POST", "/notes%2Ev1.Notes/Get", false),
        ("POST", "/x/../notes.v1.Notes/Get", false),
        ("POST", "/notes.v1.NotesAdmin/Get", false),
        ("POST", "/notes.v1.Notes/Unlisted", false),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, "application/grpc")
            .header(AUTHORIZATION, format!("Bearer {token}"));
        let response = service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.headers().get("grpc-status").map(|value| value.to_str().unwrap());
        assert_eq!(status, (!passes).then_some("7"), "{method} {path}");
    }
}
