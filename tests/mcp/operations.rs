//! Tools, resources, prompts and methods, each with a requirement of its own.

use tower_resource_server::policy::{
    LookupError, McpCall, McpPolicy, Policy, Requirement, acr, authenticated, claim, role,
};
use tower_resource_server::{AccessToken, Claims, ConfigError, scope};

use crate::server::{Mcp, api, call, of_uri};
use crate::support::issuer;

const NOTHING: [&str; 0] = [];

/// The operation is refused for its scope, and passes with it.
async fn needs(mcp: &Mcp, name: &str, body: &str, own: &str) {
    let reply = mcp.ask("mcp", body).await;
    reply.assert_insufficient_scope(name, &format!("mcp {own}"));
    assert_eq!(mcp.ran(), NOTHING, "{name}");
    mcp.ask(&format!("mcp {own}"), body).await.assert_ok(name);
    assert_eq!(mcp.ran().len(), 1, "{name}");
}

/// The operation is refused, whatever the scope.
async fn refused(mcp: &Mcp, name: &str, body: &str) {
    let reply = mcp.ask("mcp admin notes:7 notes:8 tool res tmpl prompt all", body).await;
    assert_eq!(reply.status, 403, "{name}: {:?}", reply.error);
    assert_eq!((reply.status.as_u16(), reply.challenges[0].param("error")), (403, None), "{name}");
    assert_eq!(reply.challenges[0].param("scope"), None, "{name}");
    assert_eq!(mcp.ran(), NOTHING, "{name}");
}

async fn passes(mcp: &Mcp, name: &str, body: &str) {
    mcp.ask("mcp", body).await.assert_ok(name);
    assert_eq!(mcp.ran().len(), 1, "{name}");
}

fn by_id(call: &McpCall, _: &AccessToken<Claims>) -> Result<Requirement, ConfigError> {
    let id = call.variable("id").unwrap_or_default();
    Ok(Policy::try_scope(&format!("notes:{id}"))?.into())
}

#[test]
fn id_mcp_10_offline_access_is_in_no_challenge() {
    let issuer = issuer();
    let error = |server: &tower_resource_server::ResourceServer, policy| {
        server.try_protect_mcp(policy).err().map(|error| error.to_string())
    };
    let new = McpPolicy::new;
    let server = api(&issuer);
    for (name, policy) in [
        ("of every request", new().require(scope("offline_access"))),
        ("of a tool", new().tool("a", scope("offline_access"))),
        ("of other resources", new().other_resources(scope("offline_access"))),
    ] {
        let error = error(&server, policy).unwrap();
        assert!(error.contains("offline_access"), "{name}: {error}");
    }
    assert_eq!(error(&server, new().require(scope("offline_accesses"))), None);
    let builder = |scope| {
        let builder = crate::support::Fresh::issuer(
            tower_resource_server::ResourceServer::builder(),
            crate::support::trusting(&issuer),
        );
        builder.resource(crate::server::RESOURCE).challenge_scope([scope]).build().unwrap()
    };
    assert!(error(&builder("offline_access"), new()).is_some());
    assert_eq!(error(&builder("online_access"), new()), None);
}

/// The four kinds of the conformance case `scope-challenge` (SEP-2350).
#[tokio::test]
async fn sep_2350_a_challenge_for_a_tool_a_resource_a_template_and_a_prompt() {
    let mcp = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .tool("guarded", scope("tool"))
            .resource("config://app", scope("res"))
            .resource_with("note://{id}", by_id)
            .prompt("review", scope("prompt")),
    );
    needs(&mcp, "a tool", &call("guarded"), "tool").await;
    needs(&mcp, "a static resource", &of_uri("resources/read", "config://app"), "res").await;
    needs(&mcp, "a template, 7", &of_uri("resources/read", "note://7"), "notes:7").await;
    needs(&mcp, "a template, 8", &of_uri("resources/read", "note://8"), "notes:8").await;
    let get = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"review"}}"#;
    needs(&mcp, "a prompt", get, "prompt").await;
    // The scope for one id does not open another.
    let reply = mcp.ask("mcp notes:8", &of_uri("resources/read", "note://7")).await;
    reply.assert_insufficient_scope("another id", "mcp notes:7");
    // Without the scope of every request, the challenge still has all scopes.
    let reply = mcp.ask("other", &call("guarded")).await;
    reply.assert_insufficient_scope("no scope of every request", "mcp tool");
    let reply = mcp.ask("other", &of_uri("resources/read", "note://7")).await;
    reply.assert_insufficient_scope("no scope of every request", "mcp notes:7");
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    mcp.ask("other", ping).await.assert_insufficient_scope("ping", "mcp");
    // All scopes of a batch.
    let batch = format!("[{},{},{get}]", call("guarded"), of_uri("resources/read", "note://7"));
    mcp.ask("mcp tool", &batch)
        .await
        .assert_insufficient_scope("a batch", "mcp tool notes:7 prompt");
    mcp.ask("mcp tool notes:7 prompt", &batch).await.assert_ok("a batch");
    mcp.ran();
    // Lists and other methods need only what every request needs.
    for method in ["tools/list", "resources/list", "ping", "server/discover", "a/later/method"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        passes(&mcp, method, &body).await;
    }
    // Responses and notifications of the client.
    passes(&mcp, "a response", r#"{"jsonrpc":"2.0","id":1,"result":{"name":"guarded"}}"#).await;
    passes(&mcp, "an error", r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#).await;
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    passes(&mcp, "a notification", initialized).await;
}

/// The conformance case `auth-token-audience`.
#[tokio::test]
async fn id_mcp_12_a_token_for_another_resource_is_refused() {
    let mcp = Mcp::new(McpPolicy::new().require(scope("mcp")));
    let body = call("any");
    for (name, audience, good) in [
        ("this endpoint", "https://api.example.com/mcp", true),
        ("the origin alone", "https://api.example.com", false),
        ("a slash more", "https://api.example.com/mcp/", false),
        ("another endpoint", "https://api.example.com/mcp2", false),
        ("another server", "https://other.example.com/mcp", false),
    ] {
        let token = mcp.issuer.token().audience(audience).scope("mcp").sign();
        let request = http::Request::post("https://api.example.com/mcp")
            .header("authorization", format!("Bearer {token}"));
        let reply = mcp.send(request.body(body.clone().into_bytes().into()).unwrap()).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_invalid_token(name),
        }
        assert_eq!(mcp.ran().len(), usize::from(good), "{name}");
    }
}

#[tokio::test]
async fn what_is_not_listed_is_refused_unless_others_are_listed() {
    let strict = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .tool("guarded", scope("tool"))
            .prompt("review", scope("prompt"))
            .resource("note://{id}", scope("res")),
    );
    let prompt = |name: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{{"name":"{name}"}}}}"#)
    };
    refused(&strict, "a tool", &call("other")).await;
    refused(&strict, "a prompt", &prompt("other")).await;
    refused(&strict, "a resource", &of_uri("resources/read", "file:///etc/passwd")).await;
    needs(&strict, "a listed tool", &call("guarded"), "tool").await;

    let open = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .tool("guarded", scope("tool"))
            .other_tools(authenticated())
            .prompt("review", scope("prompt"))
            .other_prompts(scope("all"))
            .resource("note://{id}", scope("res"))
            .other_resources(authenticated()),
    );
    passes(&open, "a tool", &call("other")).await;
    needs(&open, "a prompt", &prompt("other"), "all").await;
    passes(&open, "a resource", &of_uri("resources/read", "file:///etc/passwd")).await;
    needs(&open, "the listed tool", &call("guarded"), "tool").await;
    // A lenient program could take these for the listed ones.
    for name in [
        "Guarded",
        "GUARDED",
        " guarded",
        "guarded ",
        "guarded\\t",
        "guarded\\u0000",
        "guarded\\u00a0",
    ] {
        refused(&open, name, &call(name)).await;
    }
    refused(&open, "a prompt in capitals", &prompt("Review")).await;

    // A kind without any entry is open.
    let tools = Mcp::new(McpPolicy::new().require(scope("mcp")).tool("guarded", scope("tool")));
    passes(&tools, "a prompt", &prompt("other")).await;
    passes(&tools, "a resource", &of_uri("resources/read", "NOTE://%2e#x")).await;
}

#[tokio::test]
async fn a_uri_that_two_programs_read_differently_is_refused() {
    let mcp = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .resource("note://public/{id}{?full,raw}", authenticated())
            .resource("note://private/{id}", scope("res"))
            .resource("file:///srv/{+path}", scope("tmpl"))
            .resource("urn:note:{id}", scope("res"))
            .other_resources(authenticated()),
    );
    let read = |uri: &str| of_uri("resources/read", uri);
    passes(&mcp, "public", &read("note://public/7")).await;
    passes(&mcp, "a query", &read("note://public/7?full=true")).await;
    passes(&mcp, "two names", &read("note://public/7?raw=a%20b&full=")).await;
    passes(&mcp, "another scheme", &read("https://example.com/")).await;
    passes(&mcp, "an escape that is not ambiguous", &read("note://public/a%20b")).await;
    needs(&mcp, "private", &read("note://private/7"), "res").await;
    needs(&mcp, "rest", &read("file:///srv/a/b/c"), "tmpl").await;
    for uri in [
        "NOTE://private/7",
        "Note://private/7",
        "note://PRIVATE/7",
        "note://private/",
        "note://private//7",
        "note://public/../private/7",
        "note://public/%2e%2e/private/7",
        "note://public/..%2fprivate%2f7",
        "note://private/7#public",
        "note://%70rivate/7",
        "note://private%2f7",
        "note://private\\\\7",
        "note://public/7/../../private/7",
        "note://private/7;a",
        " note://private/7",
        "note://private/7 ",
        "note://private/\\u00e9",
        "note://private/7\\u0000",
        "file:///srv/",
        "file:///srv/../etc/passwd",
        "file:///SRV/a",
        "file:///srv//a",
        "urn:NOTE:7",
        "urn:note/7",
        "urn:note:7:",
        "no-scheme",
        "",
        // A query that the template does not have, or that hides a path.
        "note://private/7?x=1",
        "note://private/7?",
        "note://public/7?",
        "note://public/7?other=1",
        "note://public/7?full=1&full=2",
        "note://public/7?full",
        "note://public/7?full=/../private/7",
        "note://public/7?full=..",
        "note://public/7?full=%2e%2e",
        "note://public/7?/../../private/7",
        "note://public/7?full=a?raw=b",
        // Other spellings of a listed scheme are never another resource.
        "file:/srv/x",
        "file://localhost/srv/x",
        "file:///etc/passwd",
        "note:/private/7",
        "note:///private/7",
        "note://u@private/7",
        "note://private:80/7",
        "note:private/7",
        "urn:other",
    ] {
        refused(&mcp, uri, &read(uri)).await;
    }
}

#[tokio::test]
async fn every_method_that_names_a_resource_or_a_prompt_needs_the_same() {
    let mcp = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .resource("config://app", scope("res"))
            .resource("note://{id}", scope("tmpl"))
            .prompt("review", scope("prompt"))
            .method("logging/setLevel", scope("admin")),
    );
    for method in [
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "resources/directory/read",
        "a/later/method",
    ] {
        needs(&mcp, method, &of_uri(method, "config://app"), "res").await;
        needs(&mcp, method, &of_uri(method, "note://7"), "tmpl").await;
    }
    // A method of a later revision under a known prefix may name its target in another way.
    for method in [
        "resources/read_many",
        "prompts/render",
        "tools/call_stream",
        "tasks/steal",
        "Resources/Watch",
    ] {
        refused(&mcp, method, &of_uri(method, "config://app")).await;
        let hidden = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"uris":["config://app"]}}}}"#
        );
        refused(&mcp, method, &hidden).await;
    }
    for method in ["tools/list", "resources/templates/list", "tasks/result"] {
        passes(&mcp, method, &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#)).await;
    }
    let complete = |reference: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{{"ref":{reference},"argument":{{}}}}}}"#
        )
    };
    let prompt = |name: &str| complete(&format!(r#"{{"type":"ref/prompt","name":"{name}"}}"#));
    let template = |uri: &str| complete(&format!(r#"{{"type":"ref/resource","uri":"{uri}"}}"#));
    needs(&mcp, "a prompt's argument", &prompt("review"), "prompt").await;
    needs(&mcp, "a template's variable", &template("note://{id}"), "tmpl").await;
    needs(&mcp, "a resource", &template("config://app"), "res").await;
    refused(&mcp, "another prompt", &prompt("other")).await;
    refused(&mcp, "another template", &template("note://{other}")).await;
    let both = complete(r#"{"type":"ref/prompt","name":"review","uri":"note://{id}"}"#);
    mcp.ask("mcp prompt tmpl", &both).await.assert_invalid_request("both");

    let listen = |uris: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{uris}}}}}"#
        )
    };
    needs(&mcp, "a subscription", &listen(r#"{"resourceSubscriptions":["note://7"]}"#), "tmpl")
        .await;
    let reply = mcp
        .ask("mcp tmpl", &listen(r#"{"resourceSubscriptions":["note://7","config://app"]}"#))
        .await;
    reply.assert_insufficient_scope("two subscriptions", "mcp tmpl res");
    passes(&mcp, "no subscription", &listen(r#"{"toolsListChanged":true}"#)).await;
    for (name, wrong) in [
        ("another spelling", r#"{"ResourceSubscriptions":["note://7"]}"#),
        ("not a list", r#"{"resourceSubscriptions":"note://7"}"#),
        ("not a URI", r#"{"resourceSubscriptions":[7]}"#),
    ] {
        mcp.ask("mcp tmpl", &listen(wrong)).await.assert_invalid_request(name);
        assert_eq!(mcp.ran(), NOTHING);
    }
    let level =
        r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}"#;
    needs(&mcp, "a method", level, "admin").await;
    refused(&mcp, "a method in capitals", &level.replace("setLevel", "SETLEVEL")).await;
}

#[tokio::test]
async fn a_rule_reads_the_call() {
    let by_argument = |call: &McpCall, token: &AccessToken<Claims>| {
        assert_eq!(call.method(), "tools/call");
        assert_eq!(token.issuer(), "https://as.example.com");
        let folder = call.arguments().and_then(|arguments| arguments["folder"].as_str());
        let folder = folder.ok_or_else(|| ConfigError::new("the call names no folder"))?;
        Ok(Policy::try_scope(&format!("folder:{folder}"))?.into())
    };
    let mcp = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .tool_with("write", by_argument)
            .prompt_with("summary", |call, _| Ok(Policy::try_scope(call.name())?.into())),
    );
    let write = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"write","arguments":{arguments}}}}}"#
        )
    };
    needs(&mcp, "a folder", &write(r#"{"folder":"inbox"}"#), "folder:inbox").await;
    needs(&mcp, "another", &write(r#"{"folder":"sent"}"#), "folder:sent").await;
    for wrong in [
        r#"{"folder":"a b"}"#,
        r#"{"folder":"\""}"#,
        r#"{"folder":7}"#,
        "{}",
        r#"{"folder":"\u0080"}"#,
    ] {
        refused(&mcp, wrong, &write(wrong)).await;
    }
    for (name, wrong) in [
        ("a folder twice", r#"{"folder":"inbox","folder":"sent"}"#.to_owned()),
        ("too deep", format!(r#"{{"folder":"inbox","x":{}{}}}"#, "[".repeat(110), "]".repeat(110))),
        ("too large for a rule", format!(r#"{{"folder":"inbox","x":"{}"}}"#, "x".repeat(66_000))),
        ("a second spelling", r#"{"folder":"inbox","Folder":"sent"}"#.to_owned()),
        ("a second spelling inside", r#"{"folder":"inbox","x":[{"a":1,"A":2}]}"#.to_owned()),
    ] {
        let reply = mcp.ask("mcp folder:inbox folder:sent", &write(&wrong)).await;
        reply.assert_invalid_request(name);
        assert_eq!(mcp.ran(), NOTHING, "{name}");
    }
    let get = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"summary"}}"#;
    needs(&mcp, "a prompt", get, "summary").await;
    // The budget is that of the whole body.
    let half = format!(r#"{{"folder":"inbox","x":"{}"}}"#, "x".repeat(40_000));
    mcp.ask("mcp folder:inbox", &write(&half)).await.assert_ok("one");
    let reply = mcp.ask("mcp folder:inbox", &format!("[{},{}]", write(&half), write(&half))).await;
    reply.assert_invalid_request("two");
    mcp.ran();
    // A scope that would make a header of any length.
    let long = |length| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"note://{}"}}}}"#,
            "a".repeat(length)
        )
    };
    let notes =
        Mcp::new(McpPolicy::new().require(scope("mcp")).resource_with("note://{id}", by_id));
    let reply = notes.ask("mcp", &long(1_000)).await;
    assert_eq!(reply.status, 403);
    notes.ask("mcp", &long(1_100)).await.assert_invalid_request("too long for a rule");
    let batch = format!("[{},{}]", long(600), long(601));
    notes.ask("mcp", &batch).await.assert_invalid_request("too long together");
}

/// A box by any name is free, and one box is guarded: a program that parses a URI finds the guarded host in other
/// spellings of the authority.
#[tokio::test]
async fn another_spelling_of_a_host_does_not_match_a_variable() {
    let mcp = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .resource("note://private/{id}", scope("res"))
            .resource("note://{box}/{id}", authenticated())
            .resource("https://h:8443/{+path}", authenticated()),
    );
    let read = |uri: &str| of_uri("resources/read", uri);
    passes(&mcp, "a box", &read("note://public/7")).await;
    passes(&mcp, "a port of the template", &read("https://h:8443/a")).await;
    needs(&mcp, "the guarded one", &read("note://private/7"), "res").await;
    for uri in [
        "note://u@private/7",
        "note://@private/7",
        "note://u:p@private/7",
        "note://private:80/7",
        "note://private:/7",
        "https://h/a",
        "https://u@h:8443/a",
    ] {
        refused(&mcp, uri, &read(uri)).await;
    }
}

/// A question about the values of an argument has no arguments: those beside it are not the ones that count.
#[tokio::test]
async fn a_completion_brings_no_arguments() {
    let rule = |call: &McpCall, _: &AccessToken<Claims>| {
        let folder = call.arguments().and_then(|arguments| arguments["folder"].as_str());
        let folder = folder.ok_or_else(|| ConfigError::new("no folder"))?;
        Ok(Policy::try_scope(&format!("folder:{folder}"))?.into())
    };
    let mcp = Mcp::new(McpPolicy::new().require(scope("mcp")).prompt_with("summary", rule));
    let get = r#"{"id":1,"method":"prompts/get","params":{"name":"summary","arguments":{"folder":"mine"}}}"#;
    mcp.ask("mcp folder:mine", get).await.assert_ok("get");
    mcp.ran();
    let complete = r#"{"id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"summary"},"arguments":{"folder":"mine"},"context":{"arguments":{"folder":"theirs"}}}}"#;
    let reply = mcp.ask("mcp folder:mine", complete).await;
    assert_eq!((reply.status.as_u16(), mcp.ran().len()), (403, 0));
}

/// One request asks each question once, however often its body repeats the call.
#[tokio::test]
async fn a_batch_of_equal_calls_is_evaluated_once() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lookups);
    let check = move |_: &http::request::Parts, _: &AccessToken<Claims>| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    };
    let mcp = Mcp::new(
        McpPolicy::new().require(scope("mcp")).tool("slow", authenticated().and_check_async(check)),
    );
    let batch = format!("[{}]", vec![call("slow"); 40].join(","));
    mcp.ask("mcp", &batch).await.assert_ok("40 calls");
    assert_eq!((mcp.ran().len(), lookups.load(Ordering::SeqCst)), (40, 1));
    // The same by a rule.
    let rules = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&rules);
    let rule = move |_: &McpCall, _: &AccessToken<Claims>| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(authenticated().into())
    };
    let mcp = Mcp::new(McpPolicy::new().require(scope("mcp")).tool_with("slow", rule));
    mcp.ask("mcp", &batch).await.assert_ok("40 calls");
    assert_eq!((mcp.ran().len(), rules.load(Ordering::SeqCst)), (40, 1));
}

/// A tool that waits for the whole response to fail is refused in time.
#[tokio::test(start_paused = true)]
async fn the_checks_of_one_request_have_one_deadline() {
    let hang = |_: &http::request::Parts, _: &AccessToken<Claims>| std::future::pending();
    let mut policy = McpPolicy::new().require(scope("mcp"));
    for n in 0..50 {
        policy = policy.tool(&format!("t{n}"), authenticated().and_check_async(hang));
    }
    let mcp = Mcp::new(policy);
    let batch: Vec<_> = (0..50).map(|n| call(&format!("t{n}"))).collect();
    let began = tokio::time::Instant::now();
    let reply = mcp.ask("mcp", &format!("[{}]", batch.join(","))).await;
    reply.assert_unavailable("50 checks that hang");
    assert!(began.elapsed() <= std::time::Duration::from_secs(8));
    assert_eq!(mcp.ran(), NOTHING);
}

/// What one body can make the layer allocate.
#[test]
fn a_small_body_does_not_cost_much_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let any = |_: &McpCall, _: &AccessToken<Claims>| Ok(scope("own").into());
    let mcp = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .resource_with("note://{id}", any)
            .tool_with("t", any),
    );
    let objects = |size: usize| vec!["{\"\":0}"; size / 7].join(",");
    let uris: Vec<_> = (0..90).map(|n| format!("\"note://{n}\"")).collect();
    let listen = format!(
        r#"{{"method":"subscriptions/listen","params":{{"arguments":[{}],"notifications":{{"resourceSubscriptions":[{}]}}}}}}"#,
        objects(260_000),
        uris.join(","),
    );
    let tool = format!(
        r#"{{"method":"tools/call","params":{{"name":"t","arguments":[{}]}}}}"#,
        objects(60_000)
    );
    for (name, body, limit) in
        [("subscriptions", listen, 3_000_000), ("arguments", tool, 20_000_000)]
    {
        let used = allocation_counter::measure(|| {
            // Refused, so that only the layer reads the body.
            runtime.block_on(mcp.ask("mcp", &body)).assert_insufficient_scope(name, "mcp own");
        });
        assert!(used.bytes_max < limit, "{name}: {used:?}");
    }
}

#[tokio::test]
async fn id_mcp_4_5_6_7_of_the_layer_itself() {
    let mcp = Mcp::new(McpPolicy::new().require(scope("mcp")).tool("a", scope("x")));
    let metadata = "https://api.example.com/.well-known/oauth-protected-resource/mcp";
    let request =
        http::Request::post(crate::server::RESOURCE).body(call("a").into_bytes().into()).unwrap();
    let reply = mcp.send(request).await;
    reply.assert_invited("no token");
    assert_eq!(reply.challenges[0].param("scope"), Some("mcp"));
    assert_eq!(reply.challenges[0].param("resource_metadata"), Some(metadata));
    let reply = mcp.ask("", &call("a")).await;
    reply.assert_insufficient_scope("no scope", "mcp x");
    assert_eq!(reply.challenges[0].param("resource_metadata"), Some(metadata));
    mcp.ask("mcp x", &call("a")).await.assert_ok("both");
}

#[tokio::test]
async fn all_kinds_of_requirements_work_for_a_tool() {
    let asynchronous = |_: &http::request::Parts, token: &AccessToken<Claims>| {
        let subject = token.subject().unwrap_or_default().to_owned();
        async move {
            tokio::task::yield_now().await;
            match subject.as_str() {
                "alice" => Ok(()),
                "down" => Err(LookupError::unavailable("down")),
                _ => Err(LookupError::refused("not alice")),
            }
        }
    };
    let mcp = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .tool("role", role("editor"))
            .tool("login", acr(["mfa"]))
            .tool("claim", claim("tenant").equals("acme"))
            .tool(
                "check",
                scope("mcp")
                    .and_check(|token: &AccessToken<Claims>| token.subject() == Some("alice")),
            )
            .tool("lookup", authenticated().and_check_async(asynchronous))
            .tool("hidden", Requirement::from(role("editor")).hidden()),
    );
    let send = async |tool: &str, subject: &str, claims: &[(&str, serde_json::Value)]| {
        let mut token =
            mcp.issuer.token().audience(crate::server::RESOURCE).scope("mcp").subject(subject);
        for (name, value) in claims {
            token = token.claim(name, value.clone());
        }
        let request = http::Request::post(crate::server::RESOURCE)
            .header("authorization", format!("Bearer {}", token.sign()));
        let reply = mcp.send(request.body(call(tool).into_bytes().into()).unwrap()).await;
        (reply.status.as_u16(), mcp.ran().len())
    };
    let editor = [("roles", serde_json::json!(["editor"]))];
    assert_eq!(send("role", "bob", &editor).await, (200, 1));
    assert_eq!(send("role", "bob", &[]).await, (403, 0));
    assert_eq!(send("login", "bob", &[("acr", "mfa".into())]).await, (200, 1));
    assert_eq!(send("login", "bob", &[]).await, (401, 0));
    assert_eq!(send("claim", "bob", &[("tenant", "acme".into())]).await, (200, 1));
    assert_eq!(send("claim", "bob", &[("tenant", "other".into())]).await, (403, 0));
    assert_eq!(send("check", "alice", &[]).await, (200, 1));
    assert_eq!(send("check", "bob", &[]).await, (403, 0));
    assert_eq!(send("lookup", "alice", &[]).await, (200, 1));
    assert_eq!(send("lookup", "bob", &[]).await, (403, 0));
    assert_eq!(send("lookup", "down", &[]).await, (503, 0));
    assert_eq!(send("hidden", "bob", &editor).await, (200, 1));
    assert_eq!(send("hidden", "bob", &[]).await, (404, 0));
}

#[test]
fn a_policy_that_cannot_be_is_a_config_error() {
    let issuer = issuer();
    let server = api(&issuer);
    let problems = |policy: McpPolicy| {
        server.try_protect_mcp(policy).map_or_else(|error| error.problems().len(), |_| 0)
    };
    let new = McpPolicy::new;
    assert_eq!(problems(new().tool("a", scope("x")).prompt("a", scope("x"))), 0);
    for (name, policy) in [
        ("a tool twice", new().tool("a", scope("x")).tool("a", scope("y"))),
        ("a tool in two spellings", new().tool("a", scope("x")).tool("A", scope("y"))),
        ("a tool without a name", new().tool(" ", scope("x"))),
        ("a template twice", new().resource("n://{a}", scope("x")).resource("n://{b}", scope("x"))),
        ("no scheme", new().resource("notes/{id}", scope("x"))),
        ("a scheme in capitals", new().resource("Note://{id}", scope("x"))),
        ("a variable in a segment", new().resource("note://a-{id}", scope("x"))),
        ("a rest in the middle", new().resource("note://{+rest}/a", scope("x"))),
        ("a query", new().resource("note://a?x=1", scope("x"))),
        ("a fragment", new().resource("note://a#b", scope("x"))),
        (
            "two that conflict",
            new().resource("n://{a}/b", scope("x")).resource("n://a/{b}", scope("x")),
        ),
        ("not an origin", new().allow_origin("https://app.example.com/")),
        ("an origin without a scheme", new().allow_origin("app.example.com")),
    ] {
        assert_eq!(problems(policy), 1, "{name}");
    }
    assert_eq!(problems(new().resource("note://{id}{?full,raw}", scope("x"))), 0);
    let many = new().tool("a", scope("x")).tool("a", scope("x")).resource("x", scope("x"));
    assert_eq!(problems(many.allow_origin("x")), 3);
    // Without a resource, there is nothing that tokens could be for.
    let error = crate::support::server(&issuer).try_protect_mcp(new()).unwrap_err();
    assert!(error.problems()[0].contains(".resource("), "{error}");
}

/// Policies whose branches together are too many for one policy are evaluated one by one.
#[tokio::test]
async fn many_branches_in_one_body_are_evaluated() {
    use tower_resource_server::policy::any_of;

    let either = |n: usize| any_of((0..9).map(move |m| format!("s{n}.{m}")).map(|own| scope(&own)));
    let mut policy = McpPolicy::new().require(scope("mcp")).method("tools/call", either(100));
    for n in 0..6 {
        policy = policy.tool(&format!("t{n}"), either(n));
    }
    policy = policy.tool_with("ruled", |_, _| Ok(scope("ruled").into()));
    let mcp = Mcp::new(policy);
    let all: Vec<_> = (0..6).map(|n| call(&format!("t{n}"))).chain([call("ruled")]).collect();
    let body = format!("[{}]", all.join(","));
    let scopes = |left_out: &str| {
        let own = (0..6).map(|n| format!("s{n}.8")).chain([
            "mcp".into(),
            "s100.3".into(),
            "ruled".into(),
        ]);
        own.filter(|own| own != left_out).collect::<Vec<_>>().join(" ")
    };
    mcp.ask(&scopes(""), &body).await.assert_ok("everything");
    assert_eq!(mcp.ran().len(), 7);
    for left_out in ["s0.8", "s5.8", "s100.3", "ruled", "mcp"] {
        let reply = mcp.ask(&scopes(left_out), &body).await;
        assert_eq!(reply.status, 403, "{left_out}");
        assert_eq!(reply.challenges[0].param("error"), Some("insufficient_scope"), "{left_out}");
        assert_eq!(mcp.ran(), NOTHING, "{left_out}");
    }
}

#[tokio::test]
async fn a_rule_reads_the_variables_of_a_query() {
    let by_table = |call: &McpCall, _: &AccessToken<Claims>| {
        let variable = |name| call.variable(name).ok_or_else(|| ConfigError::new("missing"));
        Ok(Policy::try_scope(&format!("{}:{}", variable("db")?, variable("table")?))?.into())
    };
    let mcp = Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .resource_with("db://{db}/rows{?table,limit}", by_table),
    );
    let read = |uri: &str| of_uri("resources/read", uri);
    needs(&mcp, "a table", &read("db://one/rows?table=users"), "one:users").await;
    needs(&mcp, "another order", &read("db://one/rows?limit=5&table=logs"), "one:logs").await;
    refused(&mcp, "no table", &read("db://one/rows")).await;
    refused(&mcp, "two tables", &read("db://one/rows?table=users&table=logs")).await;
    let twice = McpPolicy::new().resource("db://{table}{?table}", scope("x"));
    assert!(api(&issuer()).try_protect_mcp(twice).is_err());
}
