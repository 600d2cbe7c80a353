//! The handlers. When a handler runs, the requirement in the table is already checked.

use axum::Json;
use axum::extract::Path;
use axum::response::Result;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use tower_resource_server::AccessToken;
use tower_resource_server::extract::{LoadedUser, Scopes, Subject};
use tower_resource_server::policy::{Requirement, subject};

/// A note. In production, it comes from a database.
#[derive(Clone, Copy, Serialize)]
struct Note {
    id: u32,
    owner: &'static str,
    tenant: &'static str,
    text: &'static str,
}

const NOTES: [Note; 3] = [
    Note { id: 1, owner: "alice", tenant: "acme", text: "buy milk" },
    Note { id: 2, owner: "bob", tenant: "globex", text: "sell milk" },
    Note { id: 3, owner: "alice", tenant: "acme", text: "drink milk" },
];

fn find(id: u32) -> Result<Note, StatusCode> {
    NOTES.into_iter().find(|note| note.id == id).ok_or(StatusCode::NOT_FOUND)
}

/// The API's own user.
pub struct User {
    pub name: &'static str,
    pub notes_left: u32,
}

pub async fn list(Scopes(scopes): Scopes) -> Json<Value> {
    Json(json!({ "notes": NOTES, "scope": scopes }))
}

/// The handler checks the owner itself, because the owner is known only after the note is read.
///
/// `axum::response::Result` accepts both errors: the refusal, which is the same response as that of a layer,
/// and the 404.
pub async fn edit(Path(id): Path<u32>, token: AccessToken, text: String) -> Result<Json<Value>> {
    let note = find(id)?;
    // This API trusts one issuer. With several issuers, also store the owner's issuer: a subject is unique only
    // within its issuer.
    token.require(&Requirement::from(subject(token.issuer(), note.owner)))?;
    Ok(Json(json!({ "edited": id, "text": text })))
}

pub async fn delete(Path(id): Path<u32>, token: AccessToken) -> Result<Json<Value>> {
    let note = find(id)?;
    token.require(&Requirement::from(subject(token.issuer(), note.owner)))?;
    Ok(Json(json!({ "deleted": id })))
}

pub async fn publish(Path(id): Path<u32>, editor: Subject) -> Result<Json<Value>> {
    let note = find(id)?;
    Ok(Json(json!({ "published": note.id, "by": editor.subject })))
}

pub async fn share(Path(id): Path<u32>) -> Result<Json<Value>> {
    let note = find(id)?;
    Ok(Json(json!({ "shared": note.id })))
}

pub async fn export() -> Json<Value> {
    Json(json!({ "export": NOTES.len() }))
}

pub async fn drafts() -> Json<Value> {
    Json(json!({ "drafts": ["spill milk"] }))
}

pub async fn list_of_tenant(Path(tenant): Path<String>) -> Json<Value> {
    let notes: Vec<_> = NOTES.into_iter().filter(|note| note.tenant == tenant).collect();
    Json(json!({ "tenant": tenant, "notes": notes }))
}

pub async fn me(user: LoadedUser<User>) -> Json<Value> {
    Json(json!({ "name": user.name, "notes_left": user.notes_left }))
}
