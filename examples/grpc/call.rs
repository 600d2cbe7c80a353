//! A client: calls one method, and prints the status, the messages and the metadata.

use std::error::Error;

use futures::stream::{self, StreamExt as _};
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use crate::proto::{Filter, Note, NoteId, NotesClient};

/// `arguments`: the URL, the method, an id for `get` and `delete`, and optionally a token.
pub async fn call(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [url, method, rest @ ..] = arguments else {
        return Err("usage: grpc call URL METHOD [ID] [TOKEN]".into());
    };
    let mut client = NotesClient::new(Endpoint::from_shared(url.clone())?.connect().await?);
    let result = match (method.as_str(), rest) {
        ("get", [id, token @ ..]) => client
            .get(with(NoteId { id: id.clone() }, token)?)
            .await
            .map(|reply| show(reply.get_ref())),
        ("delete", [id, token @ ..]) => {
            let request = with(NoteId { id: id.clone() }, token)?;
            client.delete(request).await.map(|reply| show(reply.get_ref()))
        }
        ("list", token) => list(&mut client, with(Filter {}, token)?).await,
        ("import", token) => {
            let note = Note { text: "spill milk".to_owned(), ..Note::default() };
            let notes = stream::iter(vec![note.clone(), note]).boxed();
            client.import(with(notes, token)?).await.map(|reply| show(reply.get_ref()))
        }
        _ => return Err("the methods are get, list, import and delete".into()),
    };
    match result {
        Ok(()) => println!("Ok"),
        Err(status) => {
            println!("{:?}: {}", status.code(), status.message());
            for (name, value) in status.metadata().clone().into_headers().iter() {
                println!("{name}: {}", value.to_str()?);
            }
        }
    }
    Ok(())
}

async fn list(client: &mut NotesClient, request: Request<Filter>) -> Result<(), Status> {
    let mut notes = client.list(request).await?.into_inner();
    while let Some(note) = notes.message().await? {
        show(&note);
    }
    Ok(())
}

fn with<T>(message: T, token: &[String]) -> Result<Request<T>, Box<dyn Error>> {
    let mut request = Request::new(message);
    if let [token] = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    }
    Ok(request)
}

fn show(message: &impl std::fmt::Debug) {
    println!("{message:?}");
}
