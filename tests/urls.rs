//! One reading of a URL: what is compared is what is fetched, and what two readers could take for two
//! URLs is refused.

mod support;

use std::collections::BTreeSet;

use support::{AUDIENCE, ISSUER, api, builder, issuer};
use tower_resource_server::issuer::{IssuerResolver, SourceError};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

/// Trusts the tenants below a prefix, which a look at the beginning of the text is to tell.
struct Prefix {
    prefix: String,
    keys: Keys,
}

#[derive(Clone)]
enum Keys {
    /// By the tenant's metadata.
    #[cfg(feature = "http-client")]
    Discovered,
    /// At a URL made of the tenant's name.
    #[cfg(feature = "http-client")]
    BelowTheName,
    Given(String),
}

impl IssuerResolver for Prefix {
    fn allows(&self, iss: &str) -> bool {
        iss.starts_with(&self.prefix)
    }

    async fn resolve(&self, iss: &str) -> Result<Option<Issuer>, SourceError> {
        let issuer = match &self.keys {
            #[cfg(feature = "http-client")]
            Keys::Discovered => Issuer::new(iss),
            #[cfg(feature = "http-client")]
            Keys::BelowTheName => Issuer::new(iss).jwks_uri(format!("{iss}/jwks")),
            Keys::Given(jwks) => Issuer::new(iss).jwks(jwks.as_str()),
        };
        Ok(Some(issuer))
    }
}

fn platform(prefix: &str, keys: Keys) -> ResourceServer {
    let resolver = Prefix { prefix: prefix.to_owned(), keys };
    let builder = ResourceServer::builder().issuer_resolver(resolver).audience(AUDIENCE);
    builder.allow_http_loopback().build().unwrap()
}

#[cfg(feature = "http-client")]
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "support/scripted.rs"]
mod scripted;

#[cfg(feature = "http-client")]
mod fetched {
    use std::time::Duration;

    use tower_resource_server::introspection::{ClientAuth, Introspection};

    use super::scripted::{OAUTH, OPENID, Scripted};
    use super::*;

    /// One host: its tenant `good`, and beside the tenants someone else, `evil`, who can publish
    /// there whatever he likes.
    struct Host {
        host: Scripted,
        good: TestIssuer,
        evil: TestIssuer,
    }

    impl Host {
        async fn start() -> Self {
            let host = Scripted::start().await;
            let good = TestIssuer::in_process(&format!("{}/tenants/good", host.url));
            let evil = TestIssuer::in_process(&format!("{}/evil", host.url));
            host.set_metadata(
                &format!("{OAUTH}/tenants/good"),
                good.url(),
                &format!("{}/jwks", good.url()),
            );
            host.set_json("/tenants/good/jwks", &good.jwks());
            host.set_json("/evil/jwks", &evil.jwks());
            host.set_json("/evil/", &evil.jwks());
            Self { host, good, evil }
        }

        /// Has `evil` call itself by this name, wherever the metadata of that name may be looked for.
        fn pretend(&self, iss: &str) {
            for path in [
                format!("{OAUTH}/evil"),
                format!("{OPENID}/evil"),
                format!("/evil{OPENID}"),
                format!("{OAUTH}/tenants/evil"),
            ] {
                self.host.set_metadata(&path, iss, &format!("{}/evil/jwks", self.host.url));
            }
        }

        fn asked(&self) -> Vec<String> {
            self.host.requests.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn a_tenants_name_that_leads_elsewhere_is_refused_and_nothing_is_fetched() {
        for keys in [Keys::Discovered, Keys::BelowTheName] {
            let host = Host::start().await;
            let prefix = format!("{}/tenants/", host.host.url);
            let api = api(platform(&prefix, keys).layer());
            for name in [
                "../evil",
                "./../evil",
                "good/../../evil",
                "%2e%2e/evil",
                ".%2E/evil",
                "..\\evil",
                "..%2fevil",
                "..%5cevil",
                "..;/evil",
                "..;x/evil",
                "%2e%2e%3bx/evil",
                ".\t./evil",
                ".\n./evil",
                "/../../evil",
                "%252e%252e/evil",
                "../evil?",
                "../evil#",
            ] {
                let iss = format!("{prefix}{name}");
                host.pretend(&iss);
                let forged = host.evil.token().claim("iss", iss.as_str()).sign();
                api.bearer(&forged).await.assert_invalid_token(&iss);
                assert_eq!(host.asked(), [""; 0], "{iss}");
            }
            api.bearer(&host.good.token().sign()).await.assert_ok("a tenant");
            // The tenant that is known by now opens no way to another.
            let forged = host.evil.token().claim("iss", format!("{prefix}good/../../evil")).sign();
            api.bearer(&forged).await.assert_invalid_token("beside a known tenant");
            assert_eq!(host.host.asked("/tenants/good/jwks"), 1);
            assert_eq!(host.host.asked("/evil/jwks"), 0);
        }
    }

    #[tokio::test]
    async fn what_is_compared_is_what_is_fetched() {
        for path in ["/tenants/t1", "/tenants/%7Et1;v=1/a,b", "/tenants/a..b/...", "/tenants/t%201"]
        {
            let host = Host::start().await;
            let tenant = TestIssuer::in_process(&format!("{}{path}", host.host.url));
            let jwks = format!("{path}/jwks");
            host.host.set_json(&jwks, &tenant.jwks());
            let prefix = format!("{}/tenants/", host.host.url);
            let tenants = api(platform(&prefix, Keys::BelowTheName).layer());
            tenants.bearer(&tenant.token().sign()).await.assert_ok(path);
            assert_eq!(host.asked(), [jwks.as_str()], "to the letter");

            let metadata = format!("{OAUTH}{path}");
            host.host.set_metadata(&metadata, tenant.url(), &format!("{}/jwks", tenant.url()));
            let tenants = api(platform(&prefix, Keys::Discovered).layer());
            tenants.bearer(&tenant.token().sign()).await.assert_ok(path);
            assert_eq!(host.asked()[1..], [metadata.as_str(), &jwks], "to the letter");
        }
    }

    /// A tenant's server can't lead elsewhere by an answer either.
    #[tokio::test]
    async fn a_redirect_of_a_tenant_leads_nowhere() {
        let host = Host::start().await;
        let location = format!("location: {}/evil/jwks\r\n", host.host.url);
        let redirect = Scripted::answer("307 Temporary Redirect", &location, "");
        let prefix = format!("{}/tenants/", host.host.url);
        let api = api(platform(&prefix, Keys::BelowTheName).layer());
        host.host.set("/tenants/moved/jwks", redirect);
        let forged = host.evil.token().claim("iss", format!("{prefix}moved")).sign();
        api.bearer(&forged).await.assert_unavailable("a redirect");
        assert_eq!(host.asked(), ["/tenants/moved/jwks"]);
        api.bearer(&host.good.token().sign()).await.assert_ok("a tenant that answers");
    }

    /// Metadata is believed about where keys are, and the URL is read as the client reads it.
    #[tokio::test]
    async fn a_url_in_metadata_that_two_readers_see_differently_is_not_fetched() {
        for (name, jwks_uri, good) in [
            ("plain", "{host}/tenants/good/jwks", true),
            ("a query", "{host}/tenants/good/jwks?v=1", true),
            ("case of the scheme", "{HOST}/tenants/good/jwks", true),
            ("a dot segment", "{host}/tenants/x/../good/jwks", false),
            ("an encoded one", "{host}/tenants/x/%2e%2e/good/jwks", false),
            ("a backslash", "{host}\\tenants\\good\\jwks", false),
            ("a tab", "{host}/tenants/go\tod/jwks", false),
            ("a blank at the end", "{host}/tenants/good/jwks ", false),
            ("a fragment", "{host}/tenants/good/jwks#", false),
            ("a user name", "http://x@{authority}/tenants/good/jwks", false),
            ("an empty one", "http://@{authority}/tenants/good/jwks", false),
        ] {
            let host = Host::start().await;
            let authority = host.host.url.strip_prefix("http://").unwrap();
            let uri = jwks_uri
                .replace("{host}", &host.host.url)
                .replace("{HOST}", &format!("HTTP://{authority}"))
                .replace("{authority}", authority);
            host.host.set_metadata(&format!("{OAUTH}/tenants/good"), host.good.url(), &uri);
            host.host.set_json("/tenants/good/jwks?v=1", &host.good.jwks());
            let server = builder(host.good.url()).allow_http_loopback().build().unwrap();
            let reply = api(server.layer()).bearer(&host.good.token().sign()).await;
            if good {
                reply.assert_ok(name)
            } else {
                reply.assert_unavailable(name)
            }
            assert_eq!(host.asked().len(), 1 + usize::from(good), "{name}");
        }
    }

    /// Scheme and port as the client reads them, before the first request.
    #[test]
    fn urls_that_cannot_be_fetched_are_build_errors() {
        let jwks = issuer().jwks();
        let basic = || ClientAuth::client_secret_basic("api", "a secret of thirty-two characters");
        let introspecting = |name: &str| {
            Issuer::new(name).jwks(jwks.clone()).introspection(Introspection::new(basic()))
        };
        let at = |endpoint: &str| {
            let introspection = Introspection::new(basic()).endpoint(endpoint);
            Issuer::new(ISSUER).jwks(jwks.clone()).introspection(introspection)
        };
        let keys = |uri: &str| Issuer::new(ISSUER).jwks_uri(uri);
        for (url, good) in [
            ("https://as.example.com/x", true),
            ("HTTPS://AS.example.com/x", true),
            ("https://as.example.com:443/x", true),
            ("http://[::1]:8080/x", true),
            ("https://as.example.com:99999/x", false),
            ("https://as.example.com:/x", false),
            ("http://[::1]evil.example/x", false),
            ("http://2130706433/x", false),
            ("https://as.example.com/y/../x", false),
            ("https://as.example.com/y/%2e%2e/x", false),
            ("https://as.example.com//x", false),
            ("https://as%2eexample.com/x", false),
            (r"https://as.example.com\x", false),
            ("https:as.example.com/x", false),
        ] {
            for (setting, issuer) in [
                ("issuer", Issuer::new(url)),
                ("jwks_uri", keys(url)),
                ("endpoint", at(url)),
                ("issuer whose metadata names the endpoint", introspecting(url)),
            ] {
                let built = builder(issuer).allow_http_loopback().build();
                assert_eq!(built.is_ok(), good, "{setting} {url}: {:?}", built.err());
            }
        }
        for (setting, issuer, good) in [
            ("an endpoint", at("https://as.example.com/i?tenant=t1"), true),
            ("keys", keys("https://as.example.com/keys?tenant=t1"), true),
            ("an issuer", Issuer::new("https://as.example.com/?tenant=t1"), false),
        ] {
            assert_eq!(builder(issuer).build().is_ok(), good, "{setting} with a query");
        }
    }

    #[test]
    fn the_error_shows_the_normal_form_and_nothing_secret() {
        let told =
            |uri: &str| builder(Issuer::new(ISSUER).jwks_uri(uri)).build().unwrap_err().to_string();
        let error = told("https://as.example.com/x/../keys");
        assert!(error.contains("the normal form is `https://as.example.com/keys`"), "{error}");
        let error = told("https://user:secret-value@as.example.com/x/../keys");
        assert!(!error.contains("secret-value"), "{error}");
    }

    /// A name with an upper-case scheme is fetched by TLS like any other: what it needs is told by what
    /// the parser reads.
    #[tokio::test]
    async fn an_issuer_is_asked_by_the_name_it_has_and_its_tokens_have_it_too() {
        let host = Scripted::start().await;
        let name = host.url.replace("http://", "HTTP://");
        let own = TestIssuer::in_process(&name);
        host.set_metadata(OAUTH, &name, &format!("{}/jwks", host.url));
        host.set_json("/jwks", &own.jwks());
        let server = builder(name.as_str()).allow_http_loopback().build().unwrap();
        let api = api(server.layer());
        let other = own.token().claim("iss", host.url.as_str()).sign();
        api.bearer(&other).await.assert_invalid_token("byte by byte, all the same");
        api.bearer(&own.token().sign()).await.assert_ok("as it is configured");
        server.ready(Duration::from_secs(5)).await.unwrap();
    }
}

/// Nothing is fetched, and the text is a stranger's all the same.
#[tokio::test]
async fn a_tenants_name_is_in_normal_form_wherever_its_keys_come_from() {
    let own = issuer();
    let api = api(platform("https://as.example.com/tenants/", Keys::Given(own.jwks())).layer());
    for (name, good) in [
        ("t1", true),
        ("t1/", true),
        ("%7Et1", true),
        ("t1?", false),
        ("t1//", false),
        ("t1/..", false),
        ("t%2f1", false),
        ("t\u{e9}", false),
        ("t|1", false),
    ] {
        let iss = format!("https://as.example.com/tenants/{name}");
        let reply = api.bearer(&own.token().claim("iss", iss.as_str()).sign()).await;
        if good { reply.assert_ok(&iss) } else { reply.assert_invalid_token(&iss) }
    }
}

/// Nobody reads them: they are compared with `iss`.
#[tokio::test]
async fn names_that_are_never_fetched_are_compared_as_bytes() {
    for name in [
        ISSUER,
        "urn:example:as",
        "acme.com",
        "http://adfs.example.com/adfs/services/trust",
        "https://as.example.com/a/../b",
        "https://as.example.com//",
        "https://AS.example.com:443/?x#y",
        "not a URL, \u{fc}",
    ] {
        let own = TestIssuer::in_process(name);
        let token = own.token().sign();
        let given = builder(Issuer::new(name).jwks(own.jwks())).build().unwrap();
        let reply = api(given.layer()).bearer(&token).await;
        reply.assert_ok(name);
        assert_eq!(reply.json()["iss"], name);
        let alias = Issuer::new("https://other.example.com").jwks(own.jwks()).alias(name);
        api(builder(alias).build().unwrap().layer()).bearer(&token).await.assert_ok(name);
        for other in [format!("{name}/"), name.to_uppercase(), format!(" {name}")] {
            let token = own.token().claim("iss", other.as_str()).sign();
            api(given.layer()).bearer(&token).await.assert_invalid_token(&other);
        }
        #[cfg(feature = "http-client")]
        {
            let uri = "https://as.example.com/keys";
            assert!(builder(Issuer::new(name).jwks_uri(uri)).build().is_ok(), "{name}");
        }
    }
    assert!(builder(Issuer::new("").jwks(issuer().jwks())).build().is_err(), "no name at all");
}

#[tokio::test]
async fn a_template_is_a_url_in_normal_form_and_so_are_its_tenants() {
    let own = issuer();
    for (template, good) in [
        ("https://login.example.com/{tenantid}/v2.0", true),
        ("https://login.example.com/{tenantid}", true),
        ("https://{tenantid}.example.com", true),
        ("https://login.example.com/../{tenantid}", false),
        ("https://login.example.com/..;{tenantid}", false),
        ("https://login.example.com/%{tenantid}", false),
        ("https://login.example.com/%2{tenantid}", false),
        ("https://login.example.com//{tenantid}", false),
        ("https://login.example.com/?{tenantid}", false),
        ("https://login.example.com/#{tenantid}", false),
        ("https://login.example.com:{tenantid}/", false),
        ("https://{tenantid}@login.example.com/", false),
        ("https://Login.example.com/{tenantid}", false),
        ("http://login.example.com/{tenantid}", false),
        ("{tenantid}://login.example.com", false),
        ("urn:example:{tenantid}", false),
    ] {
        let issuer = Issuer::new(template).jwks(own.jwks()).tenants("tid", |_| true);
        let built = builder(issuer).build();
        assert_eq!(built.is_ok(), good, "{template}: {:?}", built.as_ref().err());
        let Ok(server) = built else { continue };
        let api = api(server.layer());
        for (tenant, good) in [
            ("t1", true),
            ("t-1.x", true),
            ("T1", !template.contains("//{")),
            (".", false),
            ("..", false),
            ("", false),
            ("a/b", false),
            ("%2e%2e", false),
            ("..;x", false),
            ("t1\n", false),
        ] {
            let iss = template.replace("{tenantid}", tenant);
            let token = own.token().claim("iss", iss.as_str()).claim("tid", tenant).sign();
            let reply = api.bearer(&token).await;
            if good { reply.assert_ok(&iss) } else { reply.assert_invalid_token(&iss) }
        }
    }
}

/// What real servers call themselves: each is good as a configured issuer, and as a tenant's name
/// where it is a URL at all.
#[tokio::test]
async fn the_issuers_of_all_samples_pass() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let sample = std::fs::read_to_string(file.unwrap().path()).unwrap();
        collect(&serde_json::from_str(&sample).unwrap(), &mut names);
    }
    assert!(names.len() >= 20, "{names:?}");
    let keys = issuer();
    for name in &names {
        let token = keys.token().claim("iss", name.as_str()).sign();
        let given = builder(Issuer::new(name).jwks(keys.jwks())).build().unwrap();
        api(given.layer()).bearer(&token).await.assert_ok(name);
        // FusionAuth's is a word; that of AD FS is an http URL, which names nothing that answers.
        let is_url = name.starts_with("https://");
        let listed = ["acme.com", "http://adfs.example.test/adfs/services/trust"];
        assert_eq!(is_url, !listed.contains(&name.as_str()), "{name}");
        let tenants = api(platform("", Keys::Given(keys.jwks())).layer());
        let reply = tenants.bearer(&token).await;
        if is_url {
            reply.assert_ok(name)
        } else {
            reply.assert_invalid_token(name)
        }
        if cfg!(feature = "http-client") {
            assert_eq!(builder(Issuer::new(name)).build().is_ok(), is_url, "{name}");
        }
    }
}

/// All texts under `iss`, at any depth.
fn collect(value: &serde_json::Value, names: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                if let (true, Some(text)) = (name == "iss", member.as_str()) {
                    names.insert(text.to_owned());
                }
                collect(member, names);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}
