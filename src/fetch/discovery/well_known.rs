//! The well-known URLs of an issuer's metadata.

const RFC8414: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// The URLs at which an issuer's metadata may be. Each URL has a name for the log.
pub(super) fn well_known_urls(issuer: &str) -> Vec<(&'static str, String)> {
    // RFC 8414 §3.1 and OpenID Connect Discovery §4.1: a final slash of the issuer is dropped.
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    let host_end = issuer.find("://").map_or(0, |at| at + "://".len());
    let path_at = issuer[host_end..].find('/').map_or(issuer.len(), |at| host_end + at);
    let (host, path) = issuer.split_at(path_at);
    let mut urls = vec![
        ("RFC 8414", format!("{host}{RFC8414}{path}")),
        ("OpenID", format!("{host}{OPENID}{path}")),
    ];
    if !path.is_empty() {
        urls.push(("OpenID in the path", format!("{issuer}{OPENID}")));
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_locations() {
        for (issuer, expected) in [
            (
                "https://as",
                &[
                    "https://as/.well-known/oauth-authorization-server",
                    "https://as/.well-known/openid-configuration",
                ][..],
            ),
            (
                "https://as/",
                &[
                    "https://as/.well-known/oauth-authorization-server",
                    "https://as/.well-known/openid-configuration",
                ],
            ),
            (
                "https://as:8443/t1/",
                &[
                    "https://as:8443/.well-known/oauth-authorization-server/t1",
                    "https://as:8443/.well-known/openid-configuration/t1",
                    "https://as:8443/t1/.well-known/openid-configuration",
                ],
            ),
            (
                "https://as/a/b",
                &[
                    "https://as/.well-known/oauth-authorization-server/a/b",
                    "https://as/.well-known/openid-configuration/a/b",
                    "https://as/a/b/.well-known/openid-configuration",
                ],
            ),
        ] {
            let urls = well_known_urls(issuer).into_iter().map(|(_, url)| url);
            assert_eq!(urls.collect::<Vec<_>>(), expected, "{issuer}");
        }
    }
}
