//! Authorization servers that you run yourself, as a program or as a library.

use crate::config_error::ConfigError;
use crate::issuer::Issuer;
use crate::profile::Profile;
use crate::providers::pinned;

/// Duende IdentityServer, and IdentityServer4 if it writes `at+jwt`. The argument is the issuer
/// exactly as the server writes it: `https://id.example.com`, in lower case and without a final
/// slash.
///
/// The server sends `typ: at+jwt`, `client_id`, `scope` as an array, and in `aud` the names of the API resources of the
/// requested scopes. If the scopes belong to no API resource, there is no `aud` and the token is refused. A client's
/// own token has no `sub`.
///
/// Roles are in `role`: a string for one role, an array for several. The server writes the claim if
/// the API resource or a requested scope lists `role` in its `UserClaims`. Claims of clients have
/// another name, `client_role` by default, and are not read.
///
/// This function gives up `sub`, for clients. It checks `typ`, so no ID token passes.
///
/// With `EmitScopesAsSpaceDelimitedStringInJwt`, replace the profile by `Profile::rfc9068().claim_optional("sub")`.
/// With an `AccessTokenJwtType` of `JWT`, you must also give up `typ`:
/// `Profile::jwt().scope_array_claim("scope").require_claim("client_id")`. Add `.without_roles().roles_claim("role")`
/// to such a profile.
///
/// Source: Duende IdentityServer Docs, "IdentityServer Options"
/// (<https://docs.duendesoftware.com/identityserver/reference/options>) and "API Resources".
pub fn duende(issuer: impl Into<String>) -> Issuer {
    let profile = Profile::rfc9068().without_roles().roles_claim("role");
    Issuer::new(issuer).profile(profile.scope_array_claim("scope").claim_optional("sub"))
}

/// Spring Authorization Server with its own token format. The arguments are the issuer of its
/// settings and the ids of the clients that may call this API.
///
/// The server sends no `typ`, `scope` as an array, and in `aud` the client that got the token. No claim names this API.
///
/// Roles are read from `roles`. The server writes no roles itself. An `OAuth2TokenCustomizer` adds
/// them, and the guide of the server uses this name.
///
/// This function gives up `typ`, `client_id` and, most importantly, `aud`. If two APIs share a client, only the scopes
/// show which API a token is for. ID tokens have the same `aud`. They are refused because `nbf` is required and ID
/// tokens do not have it.
///
/// A better setup: let an `OAuth2TokenCustomizer` write this API into `aud` and the client into `client_id`. Then use
/// `Profile::jwt().scope_array_claim("scope").require_claim("nbf").require_claim("client_id")`.
///
/// Sources: the server's class `JwtGenerator`; its reference, "Core Model / Components", "OAuth2TokenCustomizer"; its
/// guide "Add authorities as custom claims in JWT access tokens".
///
/// # Errors
/// If the list of clients is empty.
pub fn spring_authorization_server<V: Into<String>>(
    issuer: impl Into<String>,
    client_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let profile = Profile::jwt()
        .without_roles()
        .roles_claim("roles")
        .scope_array_claim("scope")
        .client_claim("aud")
        .require_claim("nbf");
    let issuer = Issuer::new(issuer).profile(profile);
    Ok(pinned("spring client_ids", client_ids)?.into_iter().fold(issuer, Issuer::audience))
}

/// WSO2 Identity Server or Asgardeo, with JWT access tokens. The argument is the issuer of the
/// tenant: `https://is.example.com/oauth2/token`, or
/// `https://is.example.com/t/example.com/oauth2/token`.
///
/// The server sends all claims that RFC 9068 requires, and also `azp`. `scope` is a string. `aud` has the client, then
/// the audiences that are configured for the application. In a client's own token, `sub` is the id of an account, and
/// `aut` is `APPLICATION`.
///
/// Roles are in `roles` and `groups`: an array, or a string for a single one. The server writes them
/// if they are access token attributes of the application. Some versions write all roles of the user
/// instead of those of the application.
///
/// This function gives up nothing. As the audience of this API, configure one of the audiences of the application, not
/// its client id: the `aud` of every application also contains its client id.
///
/// Source: the class `JWTTokenIssuer` of the server's component `identity-inbound-auth-oauth`.
pub fn wso2(issuer: impl Into<String>) -> Issuer {
    let profile = Profile::rfc9068().without_roles().roles_claim("roles").roles_claim("groups");
    Issuer::new(issuer).profile(profile.client_if_value("aut", "APPLICATION"))
}

/// LemonLDAP::NG, for relying parties whose access tokens are set to JWT. By default, access tokens
/// are opaque and need introspection. The argument is the issuer of its OpenID Connect service.
///
/// The server sends `typ: JWT` (`at+JWT` since 2.17), `client_id`, `scope` as a string, and in `aud` the client, then
/// the "additional audiences" of the relying party. This API must be one of these. A client's own token has its client
/// id as `sub`, or no `sub`.
///
/// Roles are the user's groups, in `groups`. The server writes them if the relying party exports the
/// attribute `groups`, and "Release claims in Access Token" is on. Set the type of the attribute to
/// an array. If you export it under another name, add
/// `.map_profile(|profile| profile.roles_claim("<name>"))`.
///
/// This function gives up `typ`, `sub` and `jti`. ID tokens have the same `aud`. They are refused because `client_id`
/// is required and ID tokens do not have it.
///
/// The server's introspection answers have no `aud`: set [`Introspection::audience_optional`].
///
/// Sources: LemonLDAP::NG Documentation, "OpenID Connect Provider"; `makeJWT` and `introspection` of
/// its version 2.16.
///
/// [`Introspection::audience_optional`]: https://docs.rs/tower-resource-server/latest/tower_resource_server/struct.Introspection.html#method.audience_optional
pub fn lemonldap(issuer: impl Into<String>) -> Issuer {
    let profile = Profile::jwt().without_roles().roles_claim("groups");
    Issuer::new(issuer).profile(profile.require_claim("client_id"))
}

/// Canaille. The argument is the issuer in the server's metadata: `https://id.example.com` if `SERVER_NAME` is set,
/// otherwise the URL of the request with a final slash.
///
/// A client's own token is opaque. A user's token is a JWT in the form of an ID token: no type, no scope, no client. So
/// this crate can't validate the tokens itself. Set [`Introspection::only`] (feature `http-client`), which introspects
/// every token. The client that introspects must be in the audience of the client that got the token. Configure the id
/// of the introspecting client as the audience. A client's own token has no `sub`; a user's `sub` is the login name.
/// The answers have no roles.
///
/// This function gives up nothing: without introspection, the server's JWTs are refused.
///
/// Source: `generate_access_token` and `IntrospectionEndpoint` of version 0.3.6.
///
/// [`Introspection::only`]: https://docs.rs/tower-resource-server/latest/tower_resource_server/struct.Introspection.html#method.only
pub fn canaille(issuer: impl Into<String>) -> Issuer {
    Issuer::new(issuer).profile(Profile::rfc9068().without_roles())
}

/// Rauthy. The arguments are the server's issuer (`https://iam.example.com/auth/v1`, in older versions with a final
/// slash) and the ids of the clients that may call this API.
///
/// The server sends `typ: JWT`, a claim `typ` with `Bearer` or `DPoP`, the client in `azp` and `aud`, and `scope` as a
/// string. A client's own token has no `sub`, and has the client's default scopes. Keys are Ed25519 unless the client
/// is set to RSA. Roles are in `roles`, and in `groups` if the client requests the scope `groups`.
///
/// This function gives up the header's `typ`, `client_id`, `jti` and, most importantly, `aud`: a token names the client
/// that got it, not the API. If two APIs share a client, only the scopes show which API a token is for. ID and refresh
/// tokens have the same `aud`. They are refused because of the claim `typ`, which is required.
///
/// Source: `build_access_token` in the server's `token_set.rs`.
///
/// # Errors
/// If the list of clients is empty.
pub fn rauthy<V: Into<String>>(
    issuer: impl Into<String>,
    client_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let profile = Profile::jwt()
        .without_roles()
        .roles_claim("roles")
        .roles_claim("groups")
        .client_claim("azp")
        .require_one_of("typ", ["Bearer", "DPoP"]);
    let issuer = Issuer::new(issuer).profile(profile);
    Ok(pinned("rauthy client_ids", client_ids)?.into_iter().fold(issuer, Issuer::audience))
}
