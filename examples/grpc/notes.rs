//! The methods of the service.

use futures::stream::{self, BoxStream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};
use tower_resource_server::policy::{Requirement, subject};
use tower_resource_server::refusal::Refusal;
use tower_resource_server::{AccessToken, Claims};

use crate::proto::{Deleted, Filter, Imported, Note, NoteId, Notes, Reply};

/// One note for each of two users.
pub struct MyNotes;

#[tonic::async_trait]
impl Notes for MyNotes {
    async fn get(&self, request: Request<NoteId>) -> Reply<Note> {
        let token = token(&request)?;
        let id = &request.get_ref().id;
        let note = all().into_iter().find(|note| note.id == *id);
        let note = note.ok_or_else(|| Status::not_found("no such note"))?;
        // Only the handler knows the owner. This refusal has the same form as a refusal of the
        // layer.
        let owner = Requirement::from(subject(token.issuer(), &note.owner));
        token.require(&owner).map_err(status)?;
        Ok(Response::new(note))
    }

    async fn list(
        &self,
        request: Request<Filter>,
    ) -> Reply<BoxStream<'static, Result<Note, Status>>> {
        let token = token(&request)?;
        let own = move |note: &Note| token.subject() == Some(note.owner.as_str());
        let notes: Vec<_> = all().into_iter().filter(own).map(Ok).collect();
        Ok(Response::new(stream::iter(notes).boxed()))
    }

    async fn import(&self, request: Request<Streaming<Note>>) -> Reply<Imported> {
        let mut notes = request.into_inner();
        let mut count = 0;
        while notes.message().await?.is_some() {
            count += 1;
        }
        Ok(Response::new(Imported { count }))
    }

    async fn delete(&self, _: Request<NoteId>) -> Reply<Deleted> {
        Ok(Response::new(Deleted {}))
    }
}

/// The token that the layer has validated.
fn token<T>(request: &Request<T>) -> Result<AccessToken, Status> {
    AccessToken::<Claims>::from_extensions(request.extensions())
        .ok_or_else(|| Status::internal("no layer around this service"))
}

/// Converts a refusal to the status of a call.
fn status(refusal: Refusal) -> Status {
    Status::from_header_map(&refusal.grpc_headers()).expect("it has `grpc-status`")
}

fn all() -> Vec<Note> {
    let note = |id: &str, owner: &str, text: &str| Note {
        id: id.to_owned(),
        owner: owner.to_owned(),
        text: text.to_owned(),
    };
    vec![note("1", "alice", "buy milk"), note("2", "bob", "sell milk")]
}
