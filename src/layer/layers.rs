//! The layers that the handle gives out, each for one place around a service.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::layer::gate::{Gate, Guard, Role};
use crate::layer::service::ResourceServerService;
use crate::policy::Requirement;
use crate::rejection::EmptyBody;
use crate::server::ResourceServer;
use crate::token::Claims;

/// Protects a service; from [`ResourceServer::layer`](crate::ResourceServer::layer) and
/// [`protect`](crate::ResourceServer::protect).
pub struct ResourceServerLayer<C = Claims, R = EmptyBody> {
    gate: Gate<C, R>,
}

/// Protects a service where there are credentials; from
/// [`ResourceServer::optional_layer`](crate::ResourceServer::optional_layer).
pub struct OptionalResourceServerLayer<C = Claims, R = EmptyBody> {
    gate: Gate<C, R>,
}

/// Guards a route inside the layer; from [`ResourceServer::require`](crate::ResourceServer::require).
pub struct RequireLayer<C = Claims, R = EmptyBody> {
    gate: Gate<C, R>,
}

impl<C, R> ResourceServer<C, R> {
    /// Authentication: only requests with a valid access token reach the inner service; others are
    /// answered 400, 401 or 503.
    pub fn layer(&self) -> ResourceServerLayer<C, R> {
        ResourceServerLayer::new(Gate::new(self.clone(), None, Role::Authenticate))
    }

    /// Authentication where there are credentials: requests without any, or with those of another
    /// scheme, pass as anonymous. A bad token is refused as by [`layer`](Self::layer).
    ///
    /// Handlers take `Option<AccessToken>`. Beside protected routes, give the optional routes a router
    /// of their own and merge the two; inside of `layer`, anonymous requests are refused all the same.
    /// The [manual](crate::manual::axum#a-complete-program) has a program.
    pub fn optional_layer(&self) -> OptionalResourceServerLayer<C, R> {
        OptionalResourceServerLayer::new(Gate::new(self.clone(), None, Role::AuthenticateIfPresent))
    }

    /// Authorization for a route inside the layer: 403 unless the token meets the requirement.
    ///
    /// It looks only at what this server's layer concluded; without that layer it answers 500 and
    /// logs the fix.
    pub fn require(&self, requirement: impl Into<Requirement<C>>) -> RequireLayer<C, R> {
        let guard = self.guard(requirement.into());
        RequireLayer::new(Gate::new(self.clone(), Some(guard), Role::Require))
    }

    /// Authentication and authorization in one, so that a 401, too, names the route's scopes.
    pub fn protect(&self, requirement: impl Into<Requirement<C>>) -> ResourceServerLayer<C, R> {
        let guard = self.guard(requirement.into());
        ResourceServerLayer::new(Gate::new(self.clone(), Some(guard), Role::Authenticate))
    }

    fn guard(&self, requirement: Requirement<C>) -> Arc<Guard<C>> {
        if requirement.asks_now() {
            self.keep_tokens();
        }
        let challenges = self.challenges_for(&requirement.scopes());
        Arc::new(Guard { requirement, challenges })
    }
}

macro_rules! layer {
    ($layer:ident) => {
        impl<C, R> $layer<C, R> {
            pub(crate) fn new(gate: Gate<C, R>) -> Self {
                Self { gate }
            }
        }

        impl<S, C, R> Layer<S> for $layer<C, R> {
            type Service = ResourceServerService<S, C, R>;

            fn layer(&self, inner: S) -> Self::Service {
                ResourceServerService::new(inner, self.gate.clone())
            }
        }

        impl<C, R> Clone for $layer<C, R> {
            fn clone(&self) -> Self {
                Self { gate: self.gate.clone() }
            }
        }

        impl<C, R> fmt::Debug for $layer<C, R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($layer)).field("gate", &self.gate).finish()
            }
        }
    };
}

layer!(ResourceServerLayer);
layer!(OptionalResourceServerLayer);
layer!(RequireLayer);
