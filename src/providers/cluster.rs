//! The Kubernetes cluster that the API itself runs in.

use std::path::Path;

use crate::config_error::ConfigError;
use crate::issuer::Issuer;
use crate::providers::kubernetes;

/// The folder of a pod's service account. It exists unless `automountServiceAccountToken` is off.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The key set at the API server. The host name is in the server's certificate.
const JWKS_URI: &str = "https://kubernetes.default.svc/openid/v1/jwks";

/// The limit of the cluster's CA file in bytes: one certificate, or a few during a rotation.
const MAX_CA: usize = 256 * 1024;

/// Service accounts of the Kubernetes cluster that this API runs in. This function is like
/// [`kubernetes`](super::kubernetes()), but the keys are fetched from the API server, with the CA and
/// the token of the pod.
///
/// This function reads the CA of the cluster (`ca.crt`), which is the only CA that is trusted. The
/// pod's own token (`token`) is read at each fetch and sent only to the API server. Both are in
/// `/var/run/secrets/kubernetes.io/serviceaccount`. `issuer` is the `iss` of the cluster's tokens,
/// usually `https://kubernetes.default.svc.cluster.local`.
///
/// The role `system:service-account-issuer-discovery` allows a pod to read the keys. By default, all
/// service accounts of a cluster have this role. If [`Builder::proxy`](crate::builder::Builder::proxy)
/// is set, requests to the API server also use the proxy. A new CA needs a restart or a
/// [`reload`](crate::ResourceServer::reload).
///
/// This function gives up the same checks as [`kubernetes`](super::kubernetes()).
///
/// Sources: Kubernetes Docs, "Accessing the Kubernetes API from a Pod"
/// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>) and "Configure Service
/// Accounts for Pods", "Service account issuer discovery".
///
/// # Errors
/// If `ca.crt` can't be read: the program does not run in a pod, or the service account is not mounted.
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
