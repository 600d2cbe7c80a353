//! Azure AD B2C with several policies: each has a key set of its own, and they share an issuer, or each
//! policy has its own. The key sets are at the vendor's URLs, which a proxy leads to this machine.

use serde_json::Value;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Error, Issuer, Profile, ResourceServer, providers};

use super::ask;
use super::proxy::Tunnels;
use super::scripted::Scripted;
use super::support::*;
use super::tls::{Authority, Tls};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const POLICIES: [&str; 2] = ["B2C_1_signin", "B2C_1_reset"];

/// What B2C publishes, and the way there.
struct World {
    host: Scripted,
    proxy: Tunnels,
    authority: Authority,
    _tls: Tls,
}

impl World {
    async fn start(signers: &[Signer; 2]) -> Self {
        let (authority, host) = (Authority::new(), Scripted::start().await);
        let behind = host.url.strip_prefix("http://").unwrap().parse().unwrap();
        let tls = Tls::start_as(authority.certify("contoso.b2clogin.com"), behind, None).await;
        let proxy = Tunnels::to(tls.address).await;
        let world = Self { host, proxy, authority, _tls: tls };
        for (policy, signer) in POLICIES.into_iter().zip(signers) {
            world.host.set_json(&path(policy), &signer.jwks());
        }
        world
    }

    fn breaks(&self, policy: &str) {
        self.host.set(&path(policy), Scripted::answer("500 Internal Server Error", "", ""));
    }

    fn trusting(&self, issuers: impl IntoIterator<Item = Issuer>) -> ResourceServer {
        let proxy = format!("http://{}", self.proxy.address);
        let mut issuers =
            issuers.into_iter().map(|own| own.only_root_certificates(self.authority.pem()));
        let builder = builder(issuers.next().unwrap()).proxy(proxy);
        issuers.fold(builder, |builder, own| builder.issuer(own)).build().unwrap()
    }
}

fn path(policy: &str) -> String {
    format!("/contoso.onmicrosoft.com/{policy}/discovery/v2.0/keys")
}

/// A key with a kid of its own, which says of itself to be this issuer.
struct Signer {
    issuer: TestIssuer,
    kid: &'static str,
}

impl Signer {
    fn new(name: &str, kid: &'static str) -> Self {
        let issuer = TestIssuer::builder().algorithm(Algorithm::RS256).in_process(name);
        Self { issuer, kid }
    }

    fn jwks(&self) -> String {
        let mut set: Value = serde_json::from_str(&self.issuer.jwks()).unwrap();
        set["keys"][0]["kid"] = self.kid.into();
        set.to_string()
    }

    /// A user's token of this policy.
    fn token(&self, policy: &str) -> String {
        self.signed(self.issuer.url(), policy)
    }

    fn signed(&self, name: &str, policy: &str) -> String {
        let token = self.issuer.token().header("typ", "JWT").header("kid", self.kid);
        let token = token.without("client_id").claim("azp", "app").claim("scp", "read");
        token.claim("iss", name).claim("tfp", policy).sign()
    }
}

/// The name that all policies of the tenant share.
fn shared_name() -> String {
    format!("https://contoso.b2clogin.com/{TENANT}/v2.0/")
}

#[tokio::test]
async fn tokens_of_each_policy_pass_and_those_of_no_policy_are_refused() {
    let signers = ["a", "b"].map(|kid| Signer::new(&shared_name(), kid));
    let [signin, reset] = &signers;
    let world = World::start(&signers).await;
    let both = world.trusting([providers::entra_b2c("contoso", TENANT, POLICIES).unwrap()]);
    ask(&both, &signin.token(POLICIES[0])).await.assert_ok("the first policy");
    ask(&both, &reset.token(POLICIES[1])).await.assert_ok("the second policy");
    let asked = POLICIES.map(|policy| world.host.asked(&path(policy)));
    assert_eq!(asked, [1, 1], "each key set is at its vendor's URL");

    let stranger = Signer::new(&shared_name(), "c");
    ask(&both, &stranger.token(POLICIES[0])).await.assert_invalid_token("a key of none");
    let forger = Signer::new(&shared_name(), "a");
    ask(&both, &forger.token(POLICIES[0]))
        .await
        .assert_invalid_token("a kid of one, a key of none");
    let third = ask(&both, &signin.token("B2C_1_signup")).await;
    third.assert_invalid_token("a policy that is not trusted, though its key is");
    assert_eq!(third.error, Some(Error::UnacceptedValue { claim: "tfp".into() }));

    // The neighbour: who trusts one policy takes nothing of the other.
    let one = world.trusting([providers::entra_b2c("contoso", TENANT, [POLICIES[0]]).unwrap()]);
    ask(&one, &signin.token(POLICIES[0])).await.assert_ok("the only policy");
    ask(&one, &signin.token(POLICIES[1])).await.assert_invalid_token("by the name of another");
    ask(&one, &reset.token(POLICIES[0])).await.assert_invalid_token("by the key of another");
}

#[tokio::test]
async fn a_policy_whose_keys_cannot_be_fetched_costs_another_nothing() {
    let signers = ["a", "b"].map(|kid| Signer::new(&shared_name(), kid));
    let world = World::start(&signers).await;
    for dead in 0..2 {
        POLICIES.iter().zip(&signers).for_each(|(policy, signer)| {
            world.host.set_json(&path(policy), &signer.jwks());
        });
        world.breaks(POLICIES[dead]);
        let both = world.trusting([providers::entra_b2c("contoso", TENANT, POLICIES).unwrap()]);
        let alive = 1 - dead;
        ask(&both, &signers[alive].token(POLICIES[alive])).await.assert_ok(POLICIES[alive]);
        // Nobody could look for its key: an outage, and no bad token.
        ask(&both, &signers[dead].token(POLICIES[dead])).await.assert_unavailable(POLICIES[dead]);
    }
}

/// A setting of B2C has each policy name itself in `iss`.
#[tokio::test]
async fn policies_that_are_issuers_of_their_own_share_no_key() {
    let name = |policy: &str| format!("https://contoso.b2clogin.com/tfp/{TENANT}/{policy}/v2.0/");
    let signers = [(POLICIES[0], "a"), (POLICIES[1], "b")];
    let signers = signers.map(|(policy, kid)| Signer::new(&name(policy), kid));
    let world = World::start(&signers).await;
    let issuer = |policy: &'static str| {
        let keys = format!("https://contoso.b2clogin.com{}", path(policy));
        let profile = Profile::jwt().scope_claim("scp").client_claim("azp");
        let profile = profile.require_claim("scp").require_value("tfp", policy);
        Issuer::new(name(policy)).jwks_uri(keys).algorithms([Algorithm::RS256]).profile(profile)
    };
    world.breaks(POLICIES[1]);
    let both = world.trusting(POLICIES.map(issuer));
    ask(&both, &signers[0].token(POLICIES[0])).await.assert_ok("the other one is dead");
    ask(&both, &signers[1].token(POLICIES[1])).await.assert_unavailable("dead");
    world.host.set_json(&path(POLICIES[1]), &signers[1].jwks());
    let both = world.trusting(POLICIES.map(issuer));
    ask(&both, &signers[1].token(POLICIES[1])).await.assert_ok("alive");
    let crossed = signers[1].signed(&name(POLICIES[0]), POLICIES[0]);
    ask(&both, &crossed).await.assert_invalid_token("the key of another policy");
}
