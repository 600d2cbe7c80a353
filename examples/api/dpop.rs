//! Tokens that are bound to a key of the client (DPoP, RFC 9449).

use axum::Router;
use axum::routing::get;
use clap::ValueEnum;
use tower_resource_server::builder::Builder;
use tower_resource_server::policy::{Policy, all_of, dpop_bound};
use tower_resource_server::refusal::ProblemJson;
use tower_resource_server::sender::{Dpop, Nonces, Replay};
use tower_resource_server::{Claims, ResourceServer};

use crate::echo;

type Server = ResourceServer<Claims, ProblemJson>;

/// Proofs of a key.
#[derive(clap::Args)]
#[command(next_help_heading = "Tokens that are bound to a key (DPoP)")]
pub struct Proofs {
    /// Whether tokens must be bound to a key. Adds GET /api/dpop, for bound tokens only, and GET /api/nonce, where a
    /// nonce in each proof is also required.
    #[arg(long, value_enum, value_name = "WHETHER", requires = "public_url")]
    pub dpop: Option<Whether>,
    /// The URL of this API as clients write it, before `/api`: https://api.example.com
    #[arg(long, value_name = "URL", requires = "dpop")]
    pub public_url: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Whether {
    /// Accept tokens that are bound to a key, and tokens that are not.
    Optional,
    /// Accept only tokens that are bound to a key.
    Required,
}

impl Proofs {
    pub fn set<S, C, R>(&self, builder: Builder<S, C, R>, nonces: Nonces) -> Builder<S, C, R> {
        let Some((whether, url)) = self.dpop.zip(self.public_url.as_ref()) else { return builder };
        let replay = Replay::in_process();
        let dpop = match whether {
            Whether::Optional => Dpop::optional(url, replay),
            Whether::Required => Dpop::required(url, replay),
        };
        builder.dpop(dpop.nonces(nonces))
    }

    /// The checks that will be made, one line for each.
    pub fn described(&self, scope: &str) -> Vec<String> {
        let Some((whether, url)) = self.dpop.zip(self.public_url.as_ref()) else {
            return vec![
                "tokens that are bound to a key are refused: there is no --dpop".to_owned(),
            ];
        };
        let whether = match whether {
            Whether::Optional => "tokens may be bound to a key",
            Whether::Required => "tokens must be bound to a key",
        };
        vec![
            format!("{whether}; proofs name a URL that begins with {url}"),
            format!("GET /api/dpop asks for `{scope}` and a bound token"),
            "GET /api/nonce asks for the same, and for a nonce in each proof".to_owned(),
        ]
    }
}

/// The routes for bound tokens. Whether proofs need a nonce is a setting of a whole `ResourceServer`. So the route
/// that requires nonces has its own `ResourceServer`.
pub fn routes(api: &Server, with_nonces: &Server, scope: &Policy) -> Router {
    let bound = all_of([scope.clone(), dpop_bound()]);
    Router::new()
        .route("/api/dpop", get(echo).layer(api.protect(bound.clone())))
        .route("/api/nonce", get(echo).layer(with_nonces.protect(bound)))
}
