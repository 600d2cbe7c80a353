//! Keys in a file: every form, and every way in which whoever mounts it replaces it.

#[path = "support/scratch.rs"]
mod scratch;
#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use tower_resource_server::clock::TestClock;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

use scratch::Scratch;
use support::*;

struct World {
    scratch: Scratch,
    clock: TestClock,
    server: ResourceServer,
    issuer: TestIssuer,
}

impl World {
    /// A server whose keys are in the file `keys`, which is not there yet.
    fn new() -> Self {
        let (scratch, clock) = (Scratch::new(), TestClock::starting_now());
        let server = reading(scratch.path("keys"), &clock);
        Self { scratch, clock, server, issuer: issuer() }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn token(&self) -> String {
        self.issuer.token().expires_in(100_000).sign()
    }

    async fn bearer(&self, token: &str) -> Reply {
        api(self.server.layer()).bearer(token).await
    }

    /// Sends a request until it is answered as `expected`, by what the file holds.
    async fn becomes(&self, name: &str, expected: u16, token: &str) {
        for _ in 0..1_000 {
            if self.bearer(token).await.status == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("{name}: never {expected}");
    }
}

fn reading(path: PathBuf, clock: &TestClock) -> ResourceServer {
    builder(Issuer::new(ISSUER).file(path)).clock(clock.clone()).build().unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn a_file_is_a_key_set_or_one_key() {
    let world = World::new();
    let (set, pem) = (world.issuer.jwks(), world.issuer.public_key_pem().unwrap());
    let key = rcgen::KeyPair::from_pem(&world.issuer.private_key_pem().unwrap()).unwrap();
    let params = rcgen::CertificateParams::new(vec!["as.example.com".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let largest = |set: &str, limit: usize| format!("{set}{}", " ".repeat(limit - set.len()));
    for (name, content, good) in [
        ("a key set", set.clone().into_bytes(), true),
        ("a key set behind white space", format!("\n {set}\n").into_bytes(), true),
        ("a key set of 512 KiB", largest(&set, 512 * 1024).into_bytes(), true),
        ("a key set of 512 KiB and 1", largest(&set, 512 * 1024 + 1).into_bytes(), false),
        ("a key set behind a byte order mark", format!("\u{feff}{set}").into_bytes(), true),
        ("a key set behind two", format!("\u{feff}\u{feff}{set}").into_bytes(), false),
        ("a key as PEM", pem.clone().into_bytes(), true),
        ("a key as PEM behind text", format!("the key of as\n{pem}").into_bytes(), true),
        ("two keys as PEM", pem.repeat(2).into_bytes(), false),
        ("half of it", pem.as_bytes()[..pem.len() / 2].to_vec(), false),
        ("a private key as PEM", world.issuer.private_key_pem().unwrap().into_bytes(), false),
        ("a key as DER", der(&pem), true),
        ("half of it, as DER", der(&pem)[..40].to_vec(), false),
        ("a certificate as PEM", certificate.pem().into_bytes(), true),
        ("a certificate as DER", certificate.der().to_vec(), true),
        ("half a key set", set.as_bytes()[..set.len() / 2].to_vec(), false),
        ("one JWK, no set", set.as_bytes()[set.find('[').unwrap() + 1..].to_vec(), false),
        ("an array", b"[]".to_vec(), false),
        ("HTML", b"<!doctype html>".to_vec(), false),
        ("nothing", Vec::new(), false),
    ] {
        world.scratch.write("keys", content);
        let server = reading(world.scratch.path("keys"), &world.clock);
        let reply = api(server.layer()).bearer(&world.token()).await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
}

#[tokio::test]
async fn a_file_is_read_when_it_is_needed_and_a_missing_one_is_waited_for() {
    let world = World::new();
    let token = world.token();
    world.bearer(&token).await.assert_unavailable("missing");
    world.scratch.write("keys", world.issuer.jwks());
    world.pass(31);
    world.bearer(&token).await.assert_ok("there");
}

#[tokio::test]
async fn an_unknown_kid_has_the_file_read_again() {
    let world = World::new();
    world.scratch.write("keys", world.issuer.jwks());
    let old = world.token();
    world.bearer(&old).await.assert_ok("before");
    world.issuer.rotate();
    world.bearer(&world.token()).await.assert_invalid_token("not in the file yet");
    world.scratch.write("keys", world.issuer.jwks());
    world.bearer(&world.token()).await.assert_ok("the first request with the new key");
    world.bearer(&old).await.assert_invalid_token("no longer in the file");
}

#[tokio::test]
async fn a_file_is_looked_at_again_within_a_minute() {
    let world = World::new();
    let token = world.token();
    world.scratch.write("keys", world.issuer.jwks());
    world.bearer(&token).await.assert_ok("before");
    let other = issuer();
    other.rotate();
    world.scratch.write("keys", other.jwks());
    world.pass(40);
    for _ in 0..5 {
        world.bearer(&token).await.assert_ok("fresh");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    world.pass(20);
    world.becomes("withdrawn", 401, &token).await;
    world.bearer(&other.token().sign()).await.assert_ok("what replaced it");
}

#[tokio::test]
async fn a_key_without_a_kid_is_replaced_too() {
    let world = World::new();
    let other = issuer();
    world.scratch.write("keys", world.issuer.public_key_pem().unwrap());
    world.bearer(&world.token()).await.assert_ok("before");
    world.scratch.write("keys", other.public_key_pem().unwrap());
    let token = other.token().expires_in(100_000).sign();
    world.bearer(&token).await.assert_invalid_token("at once");
    world.becomes("by a signature that failed", 200, &token).await;
    world.bearer(&world.token()).await.assert_invalid_token("the old key");
}

#[tokio::test]
async fn what_is_no_key_set_takes_no_keys_away() {
    let world = World::new();
    let token = world.token();
    let set = world.issuer.jwks();
    world.scratch.write("keys", &set);
    world.bearer(&token).await.assert_ok("before");
    let path = world.scratch.path("keys");
    type Break = fn(&Path, &str);
    let breaks: [(&str, Break); 5] = [
        ("half written", |path, set| std::fs::write(path, &set[..set.len() / 2]).unwrap()),
        ("empty", |path, _| std::fs::write(path, "").unwrap()),
        ("no keys", |path, _| std::fs::write(path, r#"{"keys":[]}"#).unwrap()),
        ("gone", |path, _| std::fs::remove_file(path).unwrap()),
        ("a folder", |path, _| std::fs::create_dir(path).unwrap()),
    ];
    for (name, break_it) in breaks {
        break_it(&path, &set);
        world.pass(61);
        for _ in 0..5 {
            world.bearer(&token).await.assert_ok(name);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // Not for ever: the file is as an issuer that is down.
    world.pass(3_600);
    world.bearer(&token).await.assert_unavailable("past the cap");
    std::fs::remove_dir(&path).unwrap();
    world.scratch.write("keys", set);
    world.pass(31);
    world.bearer(&token).await.assert_ok("healed");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_is_swapped_is_followed() {
    use std::os::unix::fs::symlink;

    // As Kubernetes mounts secrets: keys -> ..data/keys, ..data -> a folder, swapped as one.
    let world = World::new();
    let (first, second) = (world.scratch.path("..1"), world.scratch.path("..2"));
    std::fs::create_dir(&first).unwrap();
    std::fs::create_dir(&second).unwrap();
    std::fs::write(first.join("keys"), world.issuer.jwks()).unwrap();
    symlink("..1", world.scratch.path("..data")).unwrap();
    symlink("..data/keys", world.scratch.path("keys")).unwrap();
    let old = world.token();
    world.bearer(&old).await.assert_ok("the first folder");
    world.issuer.rotate();
    std::fs::write(second.join("keys"), world.issuer.jwks()).unwrap();
    symlink("..2", world.scratch.path("..tmp")).unwrap();
    std::fs::rename(world.scratch.path("..tmp"), world.scratch.path("..data")).unwrap();
    std::fs::remove_dir_all(&first).unwrap();
    world.bearer(&world.token()).await.assert_ok("the second folder");
    world.bearer(&old).await.assert_invalid_token("the first key");
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_not_opened() {
    let world = World::new();
    let fifo = world.scratch.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::create_dir(world.scratch.path("folder")).unwrap();
    let token = world.token();
    for path in [fifo, world.scratch.path("folder"), "/dev/zero".into(), "/dev/null".into()] {
        let server = reading(path.clone(), &world.clock);
        // Were it opened, the answer would be that of a wait that is over.
        let reply = api(server.layer()).bearer(&token).await;
        reply.assert_unavailable(&path.display().to_string());
        let next = at_once(api(server.layer()).bearer(&token));
        next.expect("the attempt has ended").assert_unavailable("the pause after it");
    }
}

#[test]
fn settings_that_cannot_be_are_build_errors() {
    assert!(builder(Issuer::new(ISSUER).file("")).build().is_err());
    assert!(builder(Issuer::new(ISSUER).file("/nowhere/keys")).build().is_ok(), "nothing is read");
}

#[tokio::test]
async fn a_reload_keeps_the_keys_of_the_same_file_alone() {
    let world = World::new();
    let path = world.scratch.write("keys", world.issuer.jwks());
    let token = world.token();
    world.bearer(&token).await.assert_ok("before");
    std::fs::remove_file(&path).unwrap();
    world.server.reload([Issuer::new(ISSUER).file(&path)], [AUDIENCE]).unwrap();
    world.bearer(&token).await.assert_ok("the same file");
    let other = world.scratch.path("other");
    world.server.reload([Issuer::new(ISSUER).file(other)], [AUDIENCE]).unwrap();
    world.bearer(&token).await.assert_unavailable("another file, which is missing");
}
