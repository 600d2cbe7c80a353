//! Tokens of workloads: CI jobs, pods, service accounts.
//!
//! These are identity tokens by name, used as bearer tokens for an audience that the workload
//! chooses. None has a scope or a client, so the subject is the client
//! ([`Principal::Client`](crate::Principal::Client)), and a route decides by it and by the
//! claims around it. Where one issuer serves the whole world, `aud` proves nothing about who asks,
//! so the function takes whom to trust.

use crate::config_error::ConfigError;
use crate::crypto::Algorithm;
use crate::issuer::Issuer;
use crate::issuer::providers::pinned;
use crate::profile::{AnswerProfile, Profile};

/// Jobs of GitHub Actions, by the ids of the accounts whose repositories are trusted
/// (`repository_owner_id`: a number that stays when the account is renamed, and is not given to
/// whoever takes the old name; `https://api.github.com/users/<name>` tells it).
///
/// It sends `typ: JWT`, the `aud` that the job asked for, and in `sub` the repository with a ref or
/// an environment. Every repository on GitHub can ask for a token with your audience; a route
/// should narrow further, by `repository`, `ref`, `environment` or `job_workflow_ref`.
///
/// It gives up `typ`, `client_id` and scopes.
///
/// Source: GitHub Docs, "OpenID Connect reference"
/// (<https://docs.github.com/en/actions/reference/security/oidc>).
///
/// # Errors
/// When there are no owners.
pub fn github_actions<V: Into<String>>(
    owner_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let owners = pinned("github repository_owner_id", owner_ids)?;
    Ok(Issuer::discover("https://token.actions.githubusercontent.com")
        .algorithms([Algorithm::RS256])
        .profile(workload().require_one_of("repository_owner_id", owners)))
}

/// Jobs of GitLab CI (`id_tokens`), by the instance's URL (`https://gitlab.com`, no final slash) and
/// the ids of the groups or users whose own projects are trusted (`namespace_id`; that of a
/// subgroup is another).
///
/// It sends `typ: JWT`, the `aud` that the job asked for, and in `sub` the project's path with the
/// ref. Every project of the instance can ask for a token with your audience; a route should
/// narrow further, by `project_id`, `ref` with `ref_type`, `ref_protected` or `environment`. GitLab
/// signs other tokens with the same keys, which lack `namespace_id`.
///
/// It gives up `typ`, `client_id` and scopes.
///
/// Source: GitLab Docs, "OpenID Connect (OIDC) Authentication Using ID Tokens"
/// (<https://docs.gitlab.com/ci/secrets/id_token_authentication/>).
///
/// # Errors
/// When there are no namespaces.
pub fn gitlab_ci<V: Into<String>>(
    instance_url: impl Into<String>,
    namespace_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let namespaces = pinned("gitlab namespace_id", namespace_ids)?;
    Ok(Issuer::discover(instance_url)
        .algorithms([Algorithm::RS256])
        .profile(workload().require_one_of("namespace_id", namespaces)))
}

/// Service accounts of Kubernetes, by the cluster's issuer (`--service-account-issuer`, such as
/// `https://kubernetes.default.svc`), for tokens of a projected volume with your audience.
///
/// It sends no `typ`, `aud` as an array, the account in `sub`
/// (`system:serviceaccount:<namespace>:<name>`) and pod and node under `kubernetes.io`. Every pod
/// can ask for a token with your audience: a route should decide by `sub`.
///
/// The key set of most clusters needs the cluster's CA, and a token to fetch it: inside the cluster,
/// that is what `kubernetes_in_cluster` is for; elsewhere, see `Issuer::only_root_certificates` and
/// `Issuer::bearer_token_file` (feature `remote`).
///
/// It gives up `typ`, `client_id` and scopes. The old tokens of secrets have neither `exp` nor
/// `aud`, and are refused.
///
/// Source: Kubernetes Docs, "Managing Service Accounts"
/// (<https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>) and
/// "Service account issuer discovery".
pub fn kubernetes(issuer: impl Into<String>) -> Issuer {
    Issuer::discover(issuer).profile(workload().require_claim("kubernetes.io"))
}

/// Service accounts of Google Cloud, by their unique ids (`sub`, a number of 21 digits, which is not
/// given again; an e-mail address is), for ID tokens with the called service's URL in `aud`, as
/// Cloud Run takes them.
///
/// It sends `typ: JWT`, and the account in `sub` and `azp`. Every service account of every Google
/// Cloud project can ask for a token with your audience, hence the list. Both spellings of the
/// issuer are taken.
///
/// These are the only tokens of Google that an API of its own can verify. Google's access tokens
/// (`ya29.`) are opaque and for Google's APIs, and its users' ID tokens are for the client that
/// asked; neither is taken here.
///
/// It gives up `typ`, `client_id`, `jti` and scopes.
///
/// Sources: Google Cloud Docs, "Get an ID token" and "Authenticating service-to-service"; Google for
/// Developers, "OpenID Connect", for the two spellings of `iss`.
///
/// # Errors
/// When there are no accounts.
pub fn google_service_accounts<V: Into<String>>(
    account_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let accounts = pinned("google service account id", account_ids)?;
    Ok(Issuer::discover("https://accounts.google.com")
        .alias("accounts.google.com")
        .algorithms([Algorithm::RS256])
        .profile(workload().require_one_of("sub", accounts)))
}

fn workload() -> Profile {
    Profile::jwt()
        .client_claim("sub")
        .require_claim("sub")
        .answers(AnswerProfile::rfc7662().client_claim("sub"))
}
