//! What a stranger's token may take of the memory, before anything vouches for it.

#[path = "support/mod.rs"]
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use support::*;

/// A token of this many inner objects, signed by nobody.
fn forged(objects: usize) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"at+jwt","kid":"x"}"#);
    let inner = vec![r#"{"a":1}"#; objects].join(",");
    let claims = format!(r#"{{"iss":"{ISSUER}","x":[{inner}]}}"#);
    format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(claims), URL_SAFE_NO_PAD.encode([0; 64]))
}

#[test]
fn a_forged_token_takes_little_more_than_its_size() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for (name, objects) in [("a few", 10), ("many", 400)] {
        let token = forged(objects);
        // What is taken once is not the token's.
        let send = || at_once(api.bearer(&token)).expect("it does not wait");
        send().assert_invalid_token(name);
        let taken = allocation_counter::measure(|| drop(send())).bytes_max;
        let limit = 40 * token.len() as u64 + 20_000;
        assert!(taken < limit, "{name}: {taken} octets for a token of {}", token.len());
    }
}
