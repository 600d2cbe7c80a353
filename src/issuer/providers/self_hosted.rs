//! Authorization servers that one runs oneself, as a program or as a library.

use crate::config_error::ConfigError;
use crate::issuer::Issuer;
use crate::issuer::providers::pinned;
use crate::profile::Profile;

/// Duende IdentityServer (and IdentityServer4 where it writes `at+jwt`), by the issuer as it writes
/// it: `https://id.example.com`, in lower case and without a final slash.
///
/// It sends `typ: at+jwt`, `client_id`, `scope` as an array, and in `aud` the names of the API
/// resources whose scopes were asked for. Scopes that belong to no API resource bring no `aud`: such a
/// token is refused. A client's own token has no `sub`.
///
/// It gives up `sub`, for clients. `typ` is kept, so no ID token passes.
///
/// With `EmitScopesAsSpaceDelimitedStringInJwt`, replace the profile by
/// `Profile::rfc9068().claim_optional("sub")`. With an `AccessTokenJwtType` of `JWT`, `typ` is lost as
/// well: `Profile::jwt().scope_array_claim("scope").require_claim("client_id")`.
///
/// Source: Duende IdentityServer Docs, "IdentityServer Options"
/// (<https://docs.duendesoftware.com/identityserver/reference/options>) and "API Resources".
pub fn duende(issuer: impl Into<String>) -> Issuer {
    Issuer::discover(issuer)
        .profile(Profile::rfc9068().scope_array_claim("scope").claim_optional("sub"))
}

/// Spring Authorization Server with its own token format, by the issuer of its settings and the ids
/// of the clients that may call this API.
///
/// It sends no `typ`, `scope` as an array, and in `aud` the client that the token was given to. No
/// claim names this API.
///
/// It gives up `typ`, `client_id` and, above all, `aud`: an API that shares a client with another has
/// only the scopes to tell its tokens by. ID tokens have the same `aud`; they are kept out by `nbf`,
/// which is required and not in them.
///
/// Where an `OAuth2TokenCustomizer` writes this API into `aud` and the client into `client_id`, that
/// is better: `Profile::jwt().scope_array_claim("scope").require_claim("nbf").require_claim("client_id")`.
///
/// Source: its class `JwtGenerator`, and its reference, "Core Model / Components",
/// "OAuth2TokenCustomizer".
///
/// # Errors
/// When the list of clients is empty.
pub fn spring_authorization_server<V: Into<String>>(
    issuer: impl Into<String>,
    client_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let profile =
        Profile::jwt().scope_array_claim("scope").client_claim("aud").require_claim("nbf");
    let issuer = Issuer::discover(issuer).profile(profile);
    Ok(pinned("spring client_ids", client_ids)?.into_iter().fold(issuer, Issuer::audience))
}

/// WSO2 Identity Server, or Asgardeo, with JWT access tokens, by the issuer as the tenant has it:
/// `https://is.example.com/oauth2/token`, or `https://is.example.com/t/example.com/oauth2/token`.
///
/// It sends what RFC 9068 asks for, `azp` beside `client_id`, `scope` as a string, and in `aud` the
/// client, then the audiences that the application is set to. A client's own token has the `sub` of
/// an account and says `APPLICATION` in `aut`.
///
/// It gives up nothing. The audience to configure is one of the application's own, since every
/// application has its client id in `aud`.
///
/// Source: the class `JWTTokenIssuer` of its component `identity-inbound-auth-oauth`.
pub fn wso2(issuer: impl Into<String>) -> Issuer {
    Issuer::discover(issuer).profile(Profile::rfc9068().client_if_value("aut", "APPLICATION"))
}

/// LemonLDAP::NG, by the issuer of its OpenID Connect service, for relying parties whose access tokens
/// are set to JWT. By default access tokens are opaque, which needs introspection.
///
/// It sends `typ: JWT` (`at+JWT` since 2.17), `client_id`, `scope` as a string, and in `aud` the
/// client, then the "additional audiences" of the relying party: this API has to be one of these. A
/// client's own token has its client id as `sub`, or none.
///
/// It gives up `typ`, `sub` and `jti`. ID tokens have the same `aud`; they are kept out by `client_id`,
/// which is required and not in them.
///
/// Its introspection answers have no `aud`: [`Introspection::audience_optional`] takes them.
///
/// Sources: LemonLDAP::NG Documentation, "OpenID Connect Provider"; `makeJWT` and `introspection` of
/// its version 2.16.
///
/// [`Introspection::audience_optional`]: https://docs.rs/tower-resource-server/latest/tower_resource_server/struct.Introspection.html#method.audience_optional
pub fn lemonldap(issuer: impl Into<String>) -> Issuer {
    Issuer::discover(issuer).profile(Profile::jwt().require_claim("client_id"))
}

/// Canaille, by the issuer as its metadata names it: `https://id.example.com` where `SERVER_NAME` is
/// set, and the URL of the request with a final slash where it is not.
///
/// Clients get opaque access tokens for themselves, and for a user a JWT that is written as an ID token
/// is: no type, no scope, no client. So no token can be judged here: give it an introspection that is
/// asked about every token, [`Introspection::only`] (feature `remote`). The client that asks has to be
/// in the audience of the client that the token was given to, and its id is the audience to configure.
/// A client's own token has no `sub`; a user's `sub` is the login name.
///
/// It gives up nothing: its JWTs are refused where they are not introspected.
///
/// Source: `generate_access_token` and `IntrospectionEndpoint` of its version 0.3.6.
///
/// [`Introspection::only`]: https://docs.rs/tower-resource-server/latest/tower_resource_server/struct.Introspection.html#method.only
pub fn canaille(issuer: impl Into<String>) -> Issuer {
    Issuer::discover(issuer).profile(Profile::rfc9068())
}

/// Rauthy, by its issuer (`https://iam.example.com/auth/v1`, older versions with a final slash) and
/// the ids of the clients that may call this API.
///
/// It sends `typ: JWT`, a claim `typ` that says `Bearer` or `DPoP`, the client in `azp` and `aud`, and
/// `scope` as a string. A client's own token has no `sub`, and the scopes that the client is set to
/// have by default. Keys are Ed25519 unless a client is set to RSA.
///
/// It gives up the header's `typ`, `client_id`, `jti` and, above all, `aud`: a token says which client
/// it was given to, not which API it is for. An API that shares a client with another has only the
/// scopes to tell its tokens by. ID and refresh tokens have the same `aud`; they are kept out by the
/// claim `typ`, which is required.
///
/// Source: `build_access_token` in its `token_set.rs`.
///
/// # Errors
/// When the list of clients is empty.
pub fn rauthy<V: Into<String>>(
    issuer: impl Into<String>,
    client_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let profile = Profile::jwt().client_claim("azp").require_one_of("typ", ["Bearer", "DPoP"]);
    let issuer = Issuer::discover(issuer).profile(profile);
    Ok(pinned("rauthy client_ids", client_ids)?.into_iter().fold(issuer, Issuer::audience))
}
