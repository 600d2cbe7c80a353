//! The messages and the service of `notes.proto`. In your program, `tonic-prost-build` generates
//! them, which needs protoc. Here they are written by hand, so that the example needs only cargo.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use tonic::body::Body;
use tonic::client;
use tonic::codegen::{BoxFuture, http};
use tonic::server::{self, NamedService};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

#[derive(Clone, PartialEq, prost::Message)]
pub struct NoteId {
    #[prost(string, tag = "1")]
    pub id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Filter {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Note {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub owner: String,
    #[prost(string, tag = "3")]
    pub text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Imported {
    #[prost(uint32, tag = "1")]
    pub count: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Deleted {}

pub type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
pub trait Notes: Send + Sync + 'static {
    async fn get(&self, request: Request<NoteId>) -> Reply<Note>;
    async fn list(
        &self,
        request: Request<Filter>,
    ) -> Reply<BoxStream<'static, Result<Note, Status>>>;
    async fn import(&self, request: Request<Streaming<Note>>) -> Reply<Imported>;
    async fn delete(&self, request: Request<NoteId>) -> Reply<Deleted>;
}

pub struct NotesServer<T> {
    notes: Arc<T>,
}

impl<T> NotesServer<T> {
    pub fn new(notes: T) -> Self {
        Self { notes: Arc::new(notes) }
    }
}

impl<T> Clone for NotesServer<T> {
    fn clone(&self) -> Self {
        Self { notes: Arc::clone(&self.notes) }
    }
}

impl<T> NamedService for NotesServer<T> {
    const NAME: &'static str = "notes.v1.Notes";
}

/// Calls one method of the service.
macro_rules! call {
    ($notes:ident, $request:ident, $kind:ident, $method:ident) => {
        server::Grpc::new(ProstCodec::default())
            .$kind(
                service_fn(|request| {
                    let notes = Arc::clone(&$notes);
                    async move { notes.$method(request).await }
                }),
                $request,
            )
            .await
    };
}

impl<T: Notes> Service<http::Request<Body>> for NotesServer<T> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let notes = Arc::clone(&self.notes);
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/notes.v1.Notes/Get" => call!(notes, request, unary, get),
                "/notes.v1.Notes/List" => call!(notes, request, server_streaming, list),
                "/notes.v1.Notes/Import" => call!(notes, request, client_streaming, import),
                "/notes.v1.Notes/Delete" => call!(notes, request, unary, delete),
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

pub struct NotesClient {
    grpc: client::Grpc<Channel>,
}

impl NotesClient {
    pub fn new(channel: Channel) -> Self {
        Self { grpc: client::Grpc::new(channel) }
    }

    pub async fn get(&mut self, request: Request<NoteId>) -> Reply<Note> {
        let path = self.ready("/notes.v1.Notes/Get").await?;
        self.grpc.unary(request, path, ProstCodec::default()).await
    }

    pub async fn list(&mut self, request: Request<Filter>) -> Reply<Streaming<Note>> {
        let path = self.ready("/notes.v1.Notes/List").await?;
        self.grpc.server_streaming(request, path, ProstCodec::default()).await
    }

    pub async fn import(&mut self, request: Request<BoxStream<'static, Note>>) -> Reply<Imported> {
        let path = self.ready("/notes.v1.Notes/Import").await?;
        self.grpc.client_streaming(request, path, ProstCodec::default()).await
    }

    pub async fn delete(&mut self, request: Request<NoteId>) -> Reply<Deleted> {
        let path = self.ready("/notes.v1.Notes/Delete").await?;
        self.grpc.unary(request, path, ProstCodec::default()).await
    }

    async fn ready(&mut self, path: &'static str) -> Result<http::uri::PathAndQuery, Status> {
        let unready = |error| Status::unknown(format!("no connection: {error}"));
        self.grpc.ready().await.map_err(unready)?;
        Ok(http::uri::PathAndQuery::from_static(path))
    }
}
