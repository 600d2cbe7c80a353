//! Requests whose token only its authorization server can read, and which it was asked about a
//! moment ago.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use tokio::runtime::Runtime;
use tower::{Layer as _, Service};
use tower_resource_server::builder::{Builder, Ready};
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::policy::{all_of, role};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

use super::{
    AUDIENCE, BARE, Base, Batch, Body, Build, Case, Small, bearer, call, describe, runtime, send,
    service,
};

const NO_POLICY: &str = "policy: none, the same token";

/// A token is used for so long: much less than an answer is remembered, active or not.
const USED_FOR: Duration = Duration::from_secs(2);

/// An issuer that is asked over HTTP, on a runtime that runs only while it is.
pub struct World {
    runtime: Runtime,
    issuer: TestIssuer,
}

impl World {
    pub fn new() -> Self {
        let runtime = runtime();
        let issuer = runtime.block_on(TestIssuer::start()).unwrap();
        Self { runtime, issuer }
    }

    pub fn issuer(&self) -> &TestIssuer {
        &self.issuer
    }

    /// A server that introspects opaque tokens.
    pub fn server<T>(&self, build: impl FnOnce(Builder<Ready>) -> T) -> T {
        let auth = ClientAuth::client_secret_basic("bench", "secret");
        let introspection = Introspection::new(auth).endpoint(self.issuer.introspection_endpoint());
        let issuer = Issuer::new(self.issuer.url()).jwks(self.issuer.jwks());
        let builder = ResourceServer::builder().issuer(issuer.introspection(introspection));
        build(builder.audience(AUDIENCE).allow_http_loopback())
    }

    /// Has the authorization server asked about a request's token.
    pub fn warm(&self, service: &mut impl Protected, build: Build, status: u16) {
        assert_eq!(self.runtime.block_on(call(service, build)), status);
    }
}

/// What a layer makes of the service.
pub trait Protected:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + 'static
{
}

impl<S> Protected for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + 'static
{
}

pub fn add_to(cases: &mut Vec<Case>) {
    let world = Rc::new(World::new());
    let default = world.server(|builder| builder.build().unwrap()).layer().layer(service());
    let small = world.server(|builder| builder.claims::<Small>().build().unwrap());
    let small = small.layer().layer(service());
    let live = |issuer: &TestIssuer| describe(issuer).opaque();
    let dead = |issuer: &TestIssuer| {
        let token = describe(issuer).opaque();
        issuer.revoke(&token);
        token
    };
    cases.push(case("introspected, cached, default claims", &world, default.clone(), live, 200));
    cases.push(case("introspected, cached, small claims", &world, small, live, 200));
    cases.push(case("introspected, inactive, cached", &world, default, dead, 401));
    // What a policy costs on top of a verified request: the same token with and without it.
    let server = world.server(|builder| builder.build().unwrap());
    let with_role = |issuer: &TestIssuer| {
        describe(issuer).claim("roles", serde_json::json!(["reader", "editor"])).opaque()
    };
    let policy = all_of([all_of(["openid", "notes:read", "notes:write"]), role("editor")]);
    let (plain, protected) = (server.layer(), server.protect(policy));
    cases.push(case(NO_POLICY, &world, plain.layer(service()), with_role, 200));
    let name = "policy: three scopes and a role";
    let case = case(name, &world, protected.layer(service()), with_role, 200);
    cases.push(Case { base: Base::Service(NO_POLICY), ..case });
}

/// A case whose answer is remembered whenever it is measured.
fn case(
    name: &'static str,
    world: &Rc<World>,
    service: impl Protected,
    mint: impl Fn(&TestIssuer) -> String + 'static,
    status: u16,
) -> Case {
    let (world, token) = (Rc::clone(world), RefCell::new(None::<(String, Instant)>));
    let prepare = move |calls: usize| -> Batch {
        let mut token = token.borrow_mut();
        let (token, _) = match token.take().filter(|(_, since)| since.elapsed() < USED_FOR) {
            Some(own) => token.insert(own),
            None => {
                let fresh = mint(world.issuer());
                world.warm(&mut service.clone(), bearer(&fresh), status);
                token.insert((fresh, Instant::now()))
            }
        };
        send(name, service.clone(), &mut bearer(token), calls, status)
    };
    Case { name, base: Base::Service(BARE), prepare: Box::new(prepare) }
}
