//! The Kubernetes cluster that the API itself runs in.

use std::path::Path;

use crate::config_error::ConfigError;
use crate::issuer::Issuer;
use crate::issuer::providers::kubernetes;

/// What a pod finds of its service account, unless `automountServiceAccountToken` is off.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The API server, as its own certificate names it.
const JWKS_URI: &str = "https://kubernetes.default.svc/openid/v1/jwks";

/// Bytes of the cluster's CA file: one certificate, or a few while they rotate.
const MAX_CA: usize = 256 * 1024;

/// Service accounts of the Kubernetes cluster that this API runs in: as
/// [`kubernetes`](super::kubernetes()), with the keys of the API server, reached as a pod reaches it.
///
/// The CA of the cluster (`ca.crt`) is read by this function and is the only one trusted; the
/// pod's own token (`token`) is read at each fetch, and is sent to the API server alone. Both are in
/// `/var/run/secrets/kubernetes.io/serviceaccount`. `issuer` is what the cluster writes into `iss`,
/// commonly `https://kubernetes.default.svc.cluster.local`.
///
/// A pod may read the keys by the role `system:service-account-issuer-discovery`, which clusters
/// give to all service accounts unless someone has taken it away. With
/// [`Builder::proxy`](crate::Builder::proxy), the proxy is asked for the API server, too. A new CA
/// needs a restart or a [`reload`](crate::ResourceServer::reload).
///
/// It gives up what [`kubernetes`](super::kubernetes()) does.
///
/// Sources: Kubernetes Docs, "Accessing the Kubernetes API from a Pod"
/// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>) and "Configure Service
/// Accounts for Pods", "Service account issuer discovery".
///
/// # Errors
/// When there is no `ca.crt` to read: this is no pod, or its token is not mounted.
pub fn kubernetes_in_cluster(issuer: impl Into<String>) -> Result<Issuer, ConfigError> {
    of_mount(issuer.into(), Path::new(MOUNT))
}

fn of_mount(issuer: String, mount: &Path) -> Result<Issuer, ConfigError> {
    let ca = crate::keys::read_file(&mount.join("ca.crt"), MAX_CA)
        .map_err(|problem| ConfigError::one(format!("kubernetes_in_cluster: {problem}")))?;
    Ok(kubernetes(issuer)
        .jwks_uri(JWKS_URI)
        .only_root_certificates(ca)
        .bearer_token_file(mount.join("token")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::KeyConfig;

    #[test]
    fn what_is_mounted_is_used() {
        let name = format!("mount-{}", std::process::id());
        let mount = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&mount).unwrap();
        let missing = of_mount("https://c".to_owned(), &mount).unwrap_err().to_string();
        assert!(missing.contains(mount.join("ca.crt").to_str().unwrap()), "{missing}");
        std::fs::write(mount.join("ca.crt"), "a certificate").unwrap();
        let issuer = of_mount("https://c".to_owned(), &mount);
        std::fs::remove_dir_all(&mount).unwrap();
        let issuer = issuer.unwrap();
        assert_eq!(issuer.name, "https://c");
        assert!(matches!(&issuer.keys, KeyConfig::JwksUris(uris) if *uris == [JWKS_URI]));
        assert_eq!(issuer.transport.roots, [b"a certificate"]);
        assert_eq!(issuer.transport.bearer_token_file, Some(mount.join("token")));
        let as_ever = format!("{:?}", kubernetes("https://c").profile);
        assert_eq!(format!("{:?}", issuer.profile), as_ever);
    }

    #[test]
    fn outside_a_pod_the_path_is_named() {
        if Path::new(MOUNT).exists() {
            return;
        }
        let error = kubernetes_in_cluster("https://c").unwrap_err().to_string();
        assert!(error.contains("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"), "{error}");
    }
}
