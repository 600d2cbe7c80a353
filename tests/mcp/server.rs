//! An MCP server that reads a message in the most lenient way: it ignores headers and the letter case, uses the last
//! of several members, and runs whatever it finds. It records what ran.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_resource_server::ResourceServer;
use tower_resource_server::layer::{McpBody, McpService};
use tower_resource_server::policy::McpPolicy;
use tower_resource_server::test_issuer::TestIssuer;

use crate::support::{Body, Reply, issuer, trusting};

pub const RESOURCE: &str = "https://api.example.com/mcp";

pub type Inner =
    tower::util::BoxCloneSyncService<Request<McpBody<Body>>, Response<Body>, Infallible>;

pub struct Mcp {
    pub issuer: TestIssuer,
    service: McpService<Inner>,
    ran: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

pub fn api(issuer: &TestIssuer) -> ResourceServer {
    ResourceServer::builder().issuer(trusting(issuer)).resource(RESOURCE).build().unwrap()
}

impl Mcp {
    pub fn new(policy: McpPolicy) -> Self {
        let issuer = issuer();
        let (ran, bodies) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<Bytes>>>::default());
        let (record, keep) = (Arc::clone(&ran), Arc::clone(&bodies));
        let inner = Inner::new(service_fn(move |request: Request<McpBody<Body>>| {
            let (record, keep) = (Arc::clone(&record), Arc::clone(&keep));
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                keep.lock().unwrap().push(body.clone());
                if let Ok(value) = serde_json::from_slice::<Json>(&body) {
                    let messages = match value {
                        Json::Array(messages) => messages,
                        message => vec![message],
                    };
                    record.lock().unwrap().extend(messages.iter().map(run));
                }
                Ok(Response::new(Full::new(Bytes::from("ran"))))
            }
        }));
        let service = api(&issuer).protect_mcp(policy).layer(inner);
        Self { issuer, service, ran, bodies }
    }

    pub fn token(&self, scope: &str) -> String {
        self.issuer.token().audience(RESOURCE).scope(scope).sign()
    }

    /// Posts a body with a token of this scope.
    pub async fn post(&self, scope: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = Request::post(RESOURCE);
        for (name, value) in headers {
            request =
                request.header(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let request = request.header(AUTHORIZATION, format!("Bearer {}", self.token(scope)));
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// A request without any header of MCP.
    pub async fn ask(&self, scope: &str, body: &str) -> Reply {
        self.post(scope, &[], body).await
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let before = self.bodies.lock().unwrap().len();
        let Ok(response) = self.service.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = Full::new(body.collect().await.unwrap().to_bytes());
        let ran = self.bodies.lock().unwrap().len() > before;
        Reply::read(Response::from_parts(parts, body), ran).await
    }

    /// What has run since the last call.
    pub fn ran(&self) -> Vec<String> {
        std::mem::take(&mut self.ran.lock().unwrap())
    }

    /// The bodies that the server has seen since the last call.
    pub fn bodies(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.bodies.lock().unwrap())
    }
}

/// JSON whose objects keep their members in the order of the text, the repeated ones too.
enum Json {
    Text(String),
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Other,
}

impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> serde::de::Visitor<'de> for Any {
            type Value = Json;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut all = Vec::new();
                while let Some(value) = seq.next_element()? {
                    all.push(value);
                }
                Ok(Json::Array(all))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Json::Object(all))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// What a lenient program reads: up to a NUL, without blanks at the ends, in any letter case.
fn lenient(text: &str) -> String {
    text.split('\0').next().unwrap().trim().to_uppercase().to_lowercase()
}

/// The last member that a lenient program finds.
fn member<'a>(value: &'a Json, name: &str) -> Option<&'a Json> {
    let Json::Object(members) = value else { return None };
    members.iter().rfind(|(own, _)| lenient(own) == lenient(name)).map(|(_, value)| value)
}

fn text(value: Option<&Json>) -> String {
    match value {
        Some(Json::Text(text)) => lenient(text),
        _ => "?".to_owned(),
    }
}

fn run(message: &Json) -> String {
    let method = text(member(message, "method"));
    let params = member(message, "params").unwrap_or(&Json::Other);
    match method.as_str() {
        "tools/call" | "prompts/get" => format!("{method} {}", text(member(params, "name"))),
        _ => format!("{method} {}", text(member(params, "uri"))),
    }
}

/// A call of a tool.
pub fn call(tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
    )
}

/// Any request with a URI.
pub fn of_uri(method: &str, uri: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"uri":"{uri}"}}}}"#)
}
