//! Who is trusted, and how that changes: reload, tenants by a resolver, tenants by a template.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{AUDIENCE, Counted, ISSUER, api, builder, issuer, trusting};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{
    Issuer, IssuerFuture, IssuerResolver, IssuerResolverError, ResourceServer, TestClock,
};

const OTHER: &str = "https://as2.example.com";

#[tokio::test]
async fn a_removed_issuer_is_refused_with_the_next_request() {
    let (first, second) = (issuer(), TestIssuer::in_process(OTHER));
    let server = builder(trusting(&first)).issuer(trusting(&second)).build().unwrap();
    let api = api(server.layer());
    api.bearer(&first.token().sign()).await.assert_ok("trusted");
    api.bearer(&second.token().sign()).await.assert_ok("trusted");

    server.reload([trusting(&first)], [AUDIENCE]).unwrap();
    api.bearer(&first.token().sign()).await.assert_ok("still trusted");
    api.bearer(&second.token().sign()).await.assert_invalid_token("removed");

    server.reload([trusting(&second)], [AUDIENCE]).unwrap();
    api.bearer(&first.token().sign()).await.assert_invalid_token("removed");
    api.bearer(&second.token().sign()).await.assert_ok("trusted again");
}

#[tokio::test]
async fn audiences_are_replaced_with_the_issuers() {
    let issuer = issuer();
    let server = support::server(&issuer);
    let api = api(server.layer());
    let other = "https://api2.example.com";
    api.bearer(&issuer.token().audience(other).sign()).await.assert_invalid_token("foreign");

    server.reload([trusting(&issuer)], [other]).unwrap();
    api.bearer(&issuer.token().audience(other).sign()).await.assert_ok("ours now");
    api.bearer(&issuer.token().sign()).await.assert_invalid_token("foreign now");
}

#[tokio::test]
async fn a_reload_that_cannot_be_changes_nothing() {
    let issuer = issuer();
    let server = support::server(&issuer);
    let none: [Issuer; 0] = [];
    assert!(server.reload(none, [AUDIENCE]).is_err());
    assert!(server.reload([trusting(&issuer)], [""]).is_err());
    assert!(server.reload([trusting(&issuer), trusting(&issuer)], [AUDIENCE]).is_err());
    let error = server.reload([Issuer::new("http://as.example.com")], [""; 0]).unwrap_err();
    assert!(error.problems().len() >= 2, "{error}");
    api(server.layer()).bearer(&issuer.token().sign()).await.assert_ok("as before");
}

#[cfg(feature = "remote")]
#[tokio::test]
async fn an_issuer_that_stays_keeps_its_keys_through_a_reload() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = builder(issuer.url()).allow_http_loopback().build().unwrap();
    let api = api(server.layer());
    api.bearer(&issuer.token().sign()).await.assert_ok("fetched");
    issuer.stop();
    server.reload([Issuer::discover(issuer.url())], [AUDIENCE]).unwrap();
    api.bearer(&issuer.token().sign()).await.assert_ok("keys at hand");

    // From another place, they have to be fetched.
    server.reload([Issuer::new(issuer.url()).jwks_uri(issuer.jwks_uri())], [AUDIENCE]).unwrap();
    api.bearer(&issuer.token().sign()).await.assert_unavailable("keys from elsewhere");
}

#[cfg(feature = "remote")]
#[tokio::test]
async fn a_request_that_waits_is_judged_by_what_is_trusted_afterwards() {
    use futures::FutureExt as _;
    use tower_resource_server::test_issuer::{Endpoint, Fault};

    let issuer = TestIssuer::start().await.unwrap();
    let slow = Fault::Slow(Duration::from_millis(300));
    issuer.set_fault(Endpoint::Jwks, slow);
    let server = builder(issuer.url()).allow_http_loopback().build().unwrap();
    let api = api(server.layer());
    let token = issuer.token().sign();
    let mut waiting = Box::pin(api.bearer(&token));
    assert!((&mut waiting).now_or_never().is_none());
    let other = TestIssuer::in_process(OTHER);
    server.reload([trusting(&other)], [AUDIENCE]).unwrap();
    waiting.await.assert_invalid_token("removed while it waited");
}

/// Resolves `https://t<n>.example.com`, each an issuer in process, and counts what it is asked.
struct Directory {
    tenants: Vec<TestIssuer>,
    asked: Arc<AtomicUsize>,
}

impl IssuerResolver for Directory {
    fn allows(&self, iss: &str) -> bool {
        let rest = iss.strip_prefix("https://t").and_then(|rest| rest.strip_suffix(".example.com"));
        let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        rest.is_some_and(|tenant| tenant.bytes().all(is_label))
    }

    fn resolve<'a>(&'a self, iss: &'a str) -> IssuerFuture<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            tokio::task::yield_now().await;
            if iss.contains("down") {
                return Err(IssuerResolverError::new("the directory is down"));
            }
            if iss.contains("wrong") {
                return Ok(Some(trusting(&self.tenants[0])));
            }
            // Signed by the tenant's own keys, and called what an issuer of the API is called.
            if let Some(name) = iss.strip_prefix("https://t-as-").and(Some(ISSUER)) {
                return Ok(Some(Issuer::new(name).jwks(self.tenants[0].jwks()).alias(iss)));
            }
            if iss.contains("both") {
                return Ok(Some(Issuer::new(iss).jwks(self.tenants[0].jwks()).alias(ISSUER)));
            }
            if iss.contains("panic") {
                panic!("a bug of the directory");
            }
            Ok(self.tenants.iter().find(|tenant| tenant.url() == iss).map(trusting))
        })
    }
}

fn platform(tenants: usize) -> (Vec<TestIssuer>, Arc<AtomicUsize>, ResourceServer) {
    platform_with(tenants, TestClock::starting_now())
}

fn platform_with(
    tenants: usize,
    clock: TestClock,
) -> (Vec<TestIssuer>, Arc<AtomicUsize>, ResourceServer) {
    let tenants: Vec<_> = (0..tenants)
        .map(|n| TestIssuer::in_process(&format!("https://t{n}.example.com")))
        .collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let directory = Directory { tenants: tenants.clone(), asked: Arc::clone(&asked) };
    let builder = ResourceServer::builder().issuer_resolver(directory).audience(AUDIENCE);
    (tenants, asked, builder.clock(clock).build().unwrap())
}

#[tokio::test]
async fn a_tenant_is_resolved_once_and_judged_by_its_own_keys() {
    let (tenants, asked, server) = platform(2);
    let api = api(server.layer());
    let reply = api.bearer(&tenants[0].token().sign()).await;
    reply.assert_ok("resolved");
    assert_eq!(reply.json()["iss"], tenants[0].url());
    api.bearer(&tenants[0].token().sign()).await.assert_ok("at hand");
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    // Another tenant's key does not sign for this one, even under its kid.
    let forged = tenants[1].token().claim("iss", tenants[0].url()).sign();
    api.bearer(&forged).await.assert_invalid_token("key of another tenant");
    api.bearer(&tenants[1].token().sign()).await.assert_ok("the other tenant itself");
}

#[tokio::test]
async fn the_rule_is_asked_before_anything_is() {
    let (tenants, asked, server) = platform(1);
    let api = api(server.layer());
    let foreign = tenants[0].token().claim("iss", "https://evil.example.net").sign();
    api.bearer(&foreign).await.assert_invalid_token("not allowed");
    assert_eq!(asked.load(Ordering::SeqCst), 0);

    let absent = tenants[0].token().claim("iss", "https://t999.example.com").sign();
    api.bearer(&absent).await.assert_invalid_token("no such tenant");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_directory_that_fails_is_our_outage() {
    let (tenants, _, server) = platform(1);
    let api = api(server.layer());
    for name in ["down", "wrong", "panic"] {
        let iss = format!("https://t-{name}.example.com");
        let token = tenants[0].token().claim("iss", iss).sign();
        api.bearer(&token).await.assert_unavailable(name);
    }
    api.bearer(&tenants[0].token().sign()).await.assert_ok("another tenant");
}

#[tokio::test]
async fn a_resolver_gives_no_tenant_the_name_of_a_configured_issuer() {
    let own = issuer();
    for (name, configured, good) in [
        ("its name", Some(trusting(&own)), false),
        ("its alias", Some(trusting(&TestIssuer::in_process(OTHER)).alias(ISSUER)), false),
        ("a name of nobody's", None, true),
    ] {
        let (tenants, _, server) = platform(1);
        server.reload(configured, [AUDIENCE]).unwrap();
        let api = api(server.layer());
        for iss in ["https://t-as-own.example.com", "https://t-both.example.com"] {
            let reply = api.bearer(&tenants[0].token().claim("iss", iss).sign()).await;
            if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
        }
    }
}

#[tokio::test]
async fn requests_for_one_tenant_ask_once() {
    let (tenants, asked, server) = platform(1);
    let api = api(server.layer());
    let token = tenants[0].token().sign();
    let requests = (0..200).map(|_| api.bearer(&token));
    for reply in futures::future::join_all(requests).await {
        reply.assert_ok("resolved");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn made_up_tenants_do_not_push_out_real_ones() {
    let clock = TestClock::starting_now();
    let (tenants, asked, server) = platform_with(140, clock.clone());
    let api = api(server.layer());
    let (real, made_up) = tenants.split_at(99);
    let resolve = async |issuer: &TestIssuer, genuine: bool| {
        // The budget is one more name each 100 ms.
        clock.advance(Duration::from_millis(100));
        if genuine {
            api.bearer(&issuer.token().sign()).await.assert_ok("a tenant");
        } else {
            let forged = issuer.token().header("kid", "forged").sign();
            api.bearer(&forged).await.assert_invalid_token("a forged token");
        }
    };
    for tenant in real {
        resolve(tenant, true).await;
    }
    for tenant in made_up {
        resolve(tenant, false).await;
    }
    let before = asked.load(Ordering::SeqCst);
    for tenant in real {
        api.bearer(&tenant.token().sign()).await.assert_ok("still at hand");
    }
    assert_eq!(asked.load(Ordering::SeqCst), before, "nobody had to be resolved again");
}

#[tokio::test]
async fn a_flood_of_names_asks_no_more_than_the_budget() {
    let clock = TestClock::starting_now();
    let (tenants, asked, server) = platform_with(1, clock.clone());
    let api = api(server.layer());
    api.bearer(&tenants[0].token().sign()).await.assert_ok("resolved");
    for n in 0..200 {
        let iss = format!("https://t-flood-{n}.example.com");
        let reply = api.bearer(&tenants[0].token().claim("iss", iss).sign()).await;
        // A name that can't be asked for now is not known to be wrong.
        if n < 49 { reply.assert_invalid_token("asked") } else { reply.assert_unavailable("spent") }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 50);
    api.bearer(&tenants[0].token().sign()).await.assert_ok("at hand");
    clock.advance(Duration::from_millis(100));
    let iss = "https://t-late.example.com";
    let reply = api.bearer(&tenants[0].token().claim("iss", iss).sign()).await;
    reply.assert_invalid_token("one more");
}

#[tokio::test]
async fn tenants_survive_a_reload() {
    let (tenants, _, server) = platform(1);
    let api = api(server.layer());
    api.bearer(&tenants[0].token().sign()).await.assert_ok("resolved");
    let own = issuer();
    server.reload([trusting(&own)], [AUDIENCE]).unwrap();
    api.bearer(&own.token().sign()).await.assert_ok("configured");
    api.bearer(&tenants[0].token().sign()).await.assert_ok("resolved again");
}

const TEMPLATE: &str = "https://login.example.com/{tenantid}/v2.0";

/// A server that trusts tenants `a` and `b` of a template, and a token of one of them.
fn shared() -> (TestIssuer, ResourceServer) {
    let issuer = TestIssuer::in_process("https://login.example.com/a/v2.0");
    let template = Issuer::new(TEMPLATE)
        .jwks(issuer.jwks())
        .tenants("tid", |tenant| ["a", "b"].contains(&tenant));
    let server = builder(template).build().unwrap();
    (issuer, server)
}

#[tokio::test]
async fn a_shared_key_set_binds_iss_to_the_claim_of_the_tenant() {
    let (issuer, server) = shared();
    let api = api(server.layer());
    let iss = |tenant: &str| TEMPLATE.replace("{tenantid}", tenant);
    for (name, tenant, tid, good) in [
        ("a tenant", "a", Some("a"), true),
        ("another", "b", Some("b"), true),
        ("claim of another", "a", Some("b"), false),
        ("no claim", "a", None, false),
        ("not allowed", "c", Some("c"), false),
        ("the template itself", "{tenantid}", Some("{tenantid}"), false),
    ] {
        let mut token = issuer.token().claim("iss", iss(tenant));
        if let Some(tid) = tid {
            token = token.claim("tid", tid);
        }
        let reply = api.bearer(&token.sign()).await;
        if good {
            reply.assert_ok(name);
            assert_eq!(reply.json()["iss"], iss(tenant), "{name}");
        } else {
            reply.assert_invalid_token(name);
        }
    }
}

#[tokio::test]
async fn equal_subjects_of_two_tenants_are_two_principals() {
    let (issuer, server) = shared();
    let api = api(server.layer());
    let principal = async |tenant: &str| {
        let iss = TEMPLATE.replace("{tenantid}", tenant);
        let token = issuer.token().claim("iss", iss).claim("tid", tenant).sign();
        api.bearer(&token).await.json()["principal"].clone()
    };
    assert_ne!(principal("a").await, principal("b").await);
    assert_eq!(principal("a").await, principal("a").await);
}

#[tokio::test]
async fn a_key_published_for_one_tenant_serves_no_other() {
    let issuer = TestIssuer::in_process("https://login.example.com/a/v2.0");
    for (name, of_key, good) in [
        ("for all", TEMPLATE.to_owned(), true),
        ("for this one", TEMPLATE.replace("{tenantid}", "a"), true),
        ("for another", TEMPLATE.replace("{tenantid}", "b"), false),
    ] {
        let mut keys: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
        keys["keys"][0]["issuer"] = of_key.into();
        let template = Issuer::new(TEMPLATE).jwks(keys.to_string()).tenants("tid", |_| true);
        let api = api(builder(template).build().unwrap().layer());
        let reply = api.bearer(&issuer.token().claim("tid", "a").sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[test]
fn templates_that_cannot_be_are_build_errors() {
    let keys = issuer().jwks();
    let build = |issuer: Issuer| builder(issuer).build().is_ok();
    let tenants = |name: &str| Issuer::new(name).jwks(keys.clone()).tenants("tid", |_| true);
    assert!(build(tenants(TEMPLATE)));
    assert!(!build(tenants(ISSUER)), "no place for the tenant");
    assert!(!build(tenants("https://{tenantid}.example.com/{tenantid}")), "two places");
    assert!(!build(tenants(TEMPLATE).alias("x")), "an alias of no tenant");
    assert!(!build(Issuer::new(TEMPLATE).jwks(keys.clone())), "no rule");
    assert!(!build(Issuer::new(TEMPLATE).tenants("tid", |_| true)), "no metadata");
}

#[test]
fn an_issuer_that_a_template_before_it_stands_for_is_a_build_error() {
    let keys = issuer().jwks();
    let build = |issuers: [Issuer; 2]| {
        let [first, second] = issuers;
        builder(first).issuer(second).build().is_ok()
    };
    let template = || {
        let allow = |tenant: &str| ["a", "b"].contains(&tenant);
        Issuer::new(TEMPLATE).jwks(keys.clone()).tenants("tid", allow)
    };
    let one = |tenant: &str| Issuer::new(TEMPLATE.replace("{tenantid}", tenant)).jwks(keys.clone());
    assert!(!build([template(), one("a")]), "its rules would never count");
    assert!(build([one("a"), template()]), "rules of its own for one tenant");
    assert!(build([template(), one("c")]), "a tenant that the rule leaves out");
    let alias = TEMPLATE.replace("{tenantid}", "a");
    assert!(!build([template(), one("c").alias(alias)]), "by its alias");
}

/// `Builder::new_current_thread().build()`, say: no deadline can be kept, so nothing is fetched.
#[test]
fn a_runtime_without_a_timer_is_an_outage_and_no_panic() {
    let issuer = issuer();
    let clock = TestClock::starting_now();
    let keys = Counted { document: issuer.jwks(), fetches: Arc::default() };
    let fetches = Arc::clone(&keys.fetches);
    let server = builder(Issuer::new(ISSUER).key_source(keys)).clock(clock.clone()).build();
    let server = server.unwrap();
    let (tenants, _, platform) = platform(1);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let (bare, whole) = (runtime.build().unwrap(), runtime.enable_time().build().unwrap());
    let token = issuer.token().sign();
    bare.block_on(async {
        for _ in 0..3 {
            api(server.layer()).bearer(&token).await.assert_unavailable("without a timer");
        }
        let reply = api(platform.layer()).bearer(&tenants[0].token().sign()).await;
        reply.assert_unavailable("a tenant, without a timer");
        assert!(server.ready(Duration::from_secs(3_600)).await.is_err(), "at once");
    });
    assert_eq!(fetches.load(Ordering::SeqCst), 0);
    clock.advance(Duration::from_secs(31));
    whole.block_on(async {
        api(server.layer()).bearer(&token).await.assert_ok("with a timer");
        let reply = api(platform.layer()).bearer(&tenants[0].token().sign()).await;
        reply.assert_ok("a tenant, with a timer");
    });
    bare.block_on(async {
        api(server.layer()).bearer(&token).await.assert_ok("keys at hand");
        let unknown = issuer.token().header("kid", "unknown").sign();
        api(server.layer()).bearer(&unknown).await.assert_unavailable("no fetch for a new kid");
    });
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}
