//! The results that the layers of this crate store in the extensions of a request: the last layer's
//! authentication, the users that were loaded for it, and the form tokens of each server.

use std::sync::Arc;

use http::Extensions;

use crate::credentials::{FormToken, Presentation};
use crate::server_id::ServerId;
use crate::token::{AccessToken, AnyToken, RawToken, Thumbprint};
#[cfg(feature = "http-client")]
use crate::users::{AnyUser, LoadedUser};

/// The result of a layer for a request. It replaces the result of an outer layer, so that a request has
/// at most one result.
#[derive(Clone)]
pub(crate) struct Authentication {
    /// The server of the layer that stored this result.
    pub(crate) server: ServerId,
    /// The generation of the configuration that was used: a number that each reload increases.
    pub(crate) generation: u64,
    /// The token, or `None` for an anonymous request behind an optional layer.
    pub(crate) token: Option<AnyToken>,
    /// The token as the client sent it. A route with `introspected_now` sends its text to the
    /// authorization server. `load_user` uses its text as the key of the user cache.
    pub(crate) presented: Presented,
    /// Whether the authorization server was asked about the token after the request arrived.
    pub(crate) asked_now: bool,
}

/// The keys whose proofs were confirmed and stored as used for a request, one for each server. If a server validates
/// the token again for the same request, the server does not check the proof again.
#[derive(Clone, Default)]
pub(crate) struct ConfirmedKeys(Vec<(ServerId, Thumbprint)>);

impl ConfirmedKeys {
    pub(crate) fn note(&mut self, server: &ServerId, key: Thumbprint) {
        self.0.push((server.clone(), key));
    }

    pub(crate) fn of(extensions: &Extensions, server: &ServerId) -> Option<Thumbprint> {
        let keys = &extensions.get::<Self>()?.0;
        keys.iter().find(|(own, _)| own == server).map(|(_, key)| *key)
    }
}

/// The token as the client presented it, with the parts of the request that a new validation needs.
#[derive(Clone)]
pub(crate) enum Presented {
    /// The presented token is not kept, because no route of the server needs it.
    Unkept,
    Kept(Arc<Presentation<'static>>),
    /// A test injected claims, so the token has no text. The authorization server counts as asked.
    #[cfg(feature = "test-issuer")]
    Injected,
}

impl<C: Send + Sync + 'static> AccessToken<C> {
    /// The token that a layer of this crate stored in the request's extensions. Returns `None` if there
    /// is no layer, if the request is anonymous (behind an optional layer), or if the token has another
    /// type of claims.
    pub fn from_extensions(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Authentication>()?.token.as_ref().and_then(AnyToken::downcast)
    }
}

impl RawToken {
    /// The text of the token that a layer of this crate accepted. It is `None` without
    /// [`Builder::keep_raw_tokens`](crate::builder::Builder::keep_raw_tokens), for an anonymous request,
    /// and for a token that a test injected.
    pub fn from_extensions(extensions: &Extensions) -> Option<Self> {
        let outcome = extensions.get::<Authentication>()?;
        match &outcome.presented {
            Presented::Kept(presentation) if outcome.server.gives_raw_tokens => {
                Some(Self::new(presentation.token.text()))
            }
            _ => None,
        }
    }
}

/// The users that were loaded for the token of a request, one for each type. They belong to one server,
/// because an inner layer of another server authenticates the request again, perhaps with another token.
#[cfg(feature = "http-client")]
#[derive(Clone)]
pub(crate) struct LoadedUsers {
    server: ServerId,
    users: Vec<AnyUser>,
}

#[cfg(feature = "http-client")]
impl LoadedUsers {
    /// Stores a user in the request's extensions. The user replaces an earlier user of the same type.
    pub(crate) fn note(extensions: &mut Extensions, server: &ServerId, user: AnyUser) {
        if let Some(loaded) = extensions.get_mut::<Self>()
            && loaded.server == *server
        {
            let type_id = (*user).type_id();
            loaded.users.retain(|other| (**other).type_id() != type_id);
            loaded.users.push(user);
            return;
        }
        extensions.insert(Self { server: server.clone(), users: vec![user] });
    }
}

#[cfg(feature = "http-client")]
impl<U: Send + Sync + 'static> LoadedUser<U> {
    /// The user that [`load_user`](crate::ResourceServer::load_user) stored in the request's extensions.
    /// Returns `None` if the request is anonymous (behind an optional layer), or if there is no
    /// `load_user` that loads a `U` for the server of the innermost layer.
    pub fn from_extensions(extensions: &Extensions) -> Option<Self> {
        let outcome = extensions.get::<Authentication>()?;
        let loaded = extensions.get::<LoadedUsers>()?;
        if outcome.token.is_none() || outcome.server != loaded.server {
            return None;
        }
        let user = loaded.users.iter().find_map(|user| Arc::clone(user).downcast().ok())?;
        Some(Self::new(user))
    }
}

/// The tokens that the form layers around a request found, one for each server. If two servers read
/// the body, each of them must see the token (RFC 6750 §2).
#[derive(Clone, Default)]
pub(crate) struct FormTokens(Vec<(ServerId, FormToken)>);

impl FormTokens {
    pub(crate) fn note(&mut self, server: ServerId, token: FormToken) {
        self.0.push((server, token));
    }

    pub(crate) fn of(&self, server: &ServerId) -> Option<&FormToken> {
        self.0.iter().find(|(own, _)| own == server).map(|(_, token)| token)
    }
}
