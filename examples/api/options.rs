//! The options of the command line.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use tower_resource_server::keys::Algorithm;

/// Protects GET /api/read, POST /api/write, GET /api/whoami, and the MCP server at POST /mcp; GET /open is open.
// Not `Debug`, because it contains a secret.
#[derive(Parser)]
pub struct Options {
    /// The URL of the authorization server, exactly as in `iss`.
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// Another name of the authorization server in `iss`; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub alias: Vec<String>,
    /// The name of this API in `aud`; may be given more than once. Not with --allowed-client.
    #[arg(
        long,
        value_name = "AUD",
        required_unless_present_any = ["allowed_client", "resource"],
        conflicts_with = "allowed_client"
    )]
    pub audience: Vec<String>,
    /// The URL that clients use for this API: another name in `aud`. Serves the metadata of this resource (RFC
    /// 9728), and names the metadata in each challenge.
    #[arg(long, value_name = "URL")]
    pub resource: Option<String>,
    /// The address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// The URL of the keys, for an authorization server without metadata; may be given more than once.
    #[arg(long, value_name = "URL")]
    pub jwks_uri: Vec<String>,
    /// The algorithms to accept, separated by commas.
    #[arg(long, value_name = "ALG", value_delimiter = ',')]
    pub algorithms: Vec<Algorithm>,
    /// How many seconds the clocks of the authorization server and this API may differ: at most 300.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub leeway: u64,
    /// The scope that GET /api/read and POST /mcp require.
    #[arg(long, value_name = "SCOPE", default_value = "read")]
    pub scope_read: String,
    /// The scope that POST /api/write requires.
    #[arg(long, value_name = "SCOPE", default_value = "write")]
    pub scope_write: String,
    /// Accept an issuer at http://127.0.0.1, http://[::1] or http://localhost.
    #[arg(long)]
    pub allow_http_loopback: bool,

    #[command(flatten)]
    pub of_provider: OfProvider,
    #[command(flatten)]
    pub written: Written,
    #[command(flatten)]
    pub asked: Asked,
    #[cfg(feature = "mtls")]
    #[command(flatten)]
    pub proxy: crate::proxy::Proxy,
    #[cfg(feature = "dpop")]
    #[command(flatten)]
    pub proofs: crate::dpop::Proofs,
}

/// The product of the authorization server, and the arguments of its function in `providers`.
#[derive(clap::Args)]
#[command(next_help_heading = "A known server")]
pub struct OfProvider {
    /// The product: one of the functions in `providers`.
    #[arg(long, value_enum, value_name = "NAME")]
    pub provider: Option<Provider>,
    /// auth0: the tenant's domain.
    #[arg(long, value_name = "HOST", requires = "provider")]
    pub domain: Option<String>,
    /// entra-*: the tenant's id, a GUID; with entra-v2-multitenant, may be given more than once.
    #[arg(long, value_name = "GUID", requires = "provider")]
    pub tenant_id: Vec<String>,
    /// entra-b2c: the first label of the tenant's host name.
    #[arg(long, value_name = "NAME", requires = "provider")]
    pub tenant: Option<String>,
    /// entra-b2c: a user flow or custom policy; may be given more than once.
    #[arg(long, value_name = "NAME", requires = "provider")]
    pub policy: Vec<String>,
    /// cognito: the id of the user pool.
    #[arg(long, value_name = "ID", requires = "provider")]
    pub user_pool: Option<String>,
    /// cognito, spring-authorization-server, rauthy: a client that may call this API, because tokens
    /// name the client and not the API; may be given more than once.
    #[arg(long, value_name = "ID", requires = "provider")]
    pub allowed_client: Vec<String>,
    /// fusionauth: the server's URL. Then `--issuer` is the tenant's issuer.
    #[arg(long, value_name = "URL", requires = "provider")]
    pub server_url: Option<String>,
    /// github-actions: the id of an owner of repositories; may be given more than once.
    #[arg(long, value_name = "ID", requires = "provider")]
    pub owner_id: Vec<String>,
    /// gitlab-ci: the id of a group or user that owns projects; may be given more than once.
    #[arg(long, value_name = "ID", requires = "provider")]
    pub namespace_id: Vec<String>,
    /// google-service-accounts: the unique id of an account; may be given more than once.
    #[arg(long, value_name = "ID", requires = "provider")]
    pub account_id: Vec<String>,
}

/// The form of the tokens, if the authorization server is not a known product.
#[derive(clap::Args)]
#[command(next_help_heading = "How tokens are written (not with --provider)")]
pub struct Written {
    /// The kind of the access tokens.
    #[arg(long, value_enum, default_value_t = ProfileName::Rfc9068, conflicts_with = "provider")]
    pub profile: ProfileName,
    /// The claim that names the client, instead of `client_id`.
    #[arg(long, value_name = "CLAIM", conflicts_with = "provider")]
    pub client_claim: Option<String>,
    /// The claim that has the scope as a string, instead of `scope`.
    #[arg(long, value_name = "CLAIM", conflicts_with_all = ["provider", "scope_array_claim"])]
    pub scope_claim: Option<String>,
    /// The claim that has the scope as an array.
    #[arg(long, value_name = "CLAIM", conflicts_with = "provider")]
    pub scope_array_claim: Option<String>,
    /// The claim that names the audience, instead of `aud`.
    #[arg(long, value_name = "CLAIM", conflicts_with = "provider")]
    pub audience_claim: Option<String>,
    /// A claim that RFC 9068 requires, but that this server leaves out; may be given more than once.
    #[arg(long, value_name = "CLAIM", conflicts_with = "provider")]
    pub claim_optional: Vec<String>,
    /// A claim that every token must have; may be given more than once.
    #[arg(long, value_name = "CLAIM", conflicts_with = "provider")]
    pub require_claim: Vec<String>,
}

/// Introspection (RFC 7662).
#[derive(clap::Args)]
#[command(next_help_heading = "Introspection")]
pub struct Asked {
    /// The client id of this API at the authorization server, for the introspection of opaque tokens.
    #[arg(long, value_name = "ID", requires = "client_secret")]
    pub client_id: Option<String>,
    /// The client secret. Other users of this machine can see a command line, so prefer the
    /// environment variable.
    #[arg(long, value_name = "SECRET", env = "CLIENT_SECRET", hide_env_values = true)]
    pub client_secret: Option<String>,
    /// How the secret is sent.
    #[arg(long, value_enum, default_value_t = SecretIn::Basic, requires = "client_id")]
    pub client_secret_in: SecretIn,
    /// The URL of the introspection endpoint, if it is not in the server's metadata.
    #[arg(long, value_name = "URL", requires = "client_id")]
    pub introspection_endpoint: Option<String>,
    /// Validate JWTs here, and also introspect them, so that revoked tokens are refused.
    #[arg(long, requires = "client_id")]
    pub jwt_and_introspect: bool,
    /// Introspect every token, including JWTs: only the authorization server validates it.
    #[arg(long, requires = "client_id", conflicts_with = "jwt_and_introspect")]
    pub introspect_only: bool,
    /// Accept answers without an audience: a token of another API may then be accepted.
    #[arg(long, requires = "client_id")]
    pub audience_optional: bool,
    /// Request signed answers (RFC 9701), and accept no other answers.
    #[arg(long, requires = "client_id")]
    pub signed_answers: bool,
    /// How many seconds an answer is cached.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "client_id")]
    pub introspection_ttl: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileName {
    /// JWT access tokens as defined in RFC 9068.
    Rfc9068,
    /// JWT access tokens that do not follow RFC 9068: `typ` is `at+jwt`, `JWT` or absent.
    Jwt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecretIn {
    /// In the Authorization field, form-encoded (client_secret_basic).
    Basic,
    /// In the Authorization field, not form-encoded, for a server that does not form-decode it.
    BasicAsIs,
    /// In the body (client_secret_post).
    Post,
}

/// The functions of `providers`, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    Auth0,
    #[value(alias = "auth0_rfc9068")]
    Auth0Rfc9068,
    Canaille,
    Cognito,
    #[value(alias = "cognito_resource_bound")]
    CognitoResourceBound,
    Duende,
    #[value(alias = "entra_b2c")]
    EntraB2c,
    #[value(alias = "entra_v1")]
    EntraV1,
    #[value(aliases = ["entra", "entra_v2"])]
    EntraV2,
    #[value(alias = "entra_v2_multitenant")]
    EntraV2Multitenant,
    Fusionauth,
    #[value(alias = "fusionauth_entities")]
    FusionauthEntities,
    #[value(alias = "github_actions")]
    GithubActions,
    #[value(alias = "gitlab_ci")]
    GitlabCi,
    #[value(alias = "google_service_accounts")]
    GoogleServiceAccounts,
    Hydra,
    Keycloak,
    Kubernetes,
    #[value(alias = "kubernetes_in_cluster")]
    KubernetesInCluster,
    Lemonldap,
    Okta,
    Pingfederate,
    Pingone,
    Rauthy,
    #[value(alias = "spring_authorization_server")]
    SpringAuthorizationServer,
    Wso2,
    Zitadel,
}
