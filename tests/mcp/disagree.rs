//! Headers that disagree with the body, and bodies that two programs read differently. The guarded tool never
//! runs.

use tower_resource_server::policy::{McpPolicy, authenticated};
use tower_resource_server::scope;

use crate::server::{Mcp, call};

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const CALL: (&str, &str) = ("mcp-method", "tools/call");

type Headers<'a> = Vec<(&'a str, &'a str)>;

fn mcp() -> Mcp {
    Mcp::new(
        McpPolicy::new()
            .require(scope("mcp"))
            .tool("free", authenticated())
            .tool("guarded", scope("admin"))
            .prompt("guarded", scope("admin"))
            .prompt("free", authenticated()),
    )
}

/// The headers of a call of the free tool.
fn free<'a>(more: &[(&'a str, &'a str)]) -> Headers<'a> {
    [&[VERSION, CALL], more].concat()
}

fn body(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
}

#[tokio::test]
async fn id_mcp_23_a_name_that_differs_from_the_body_never_runs_the_tool_of_the_body() {
    let mcp = mcp();
    let guarded = call("guarded");
    let rows: Vec<(&str, Headers<'_>, String)> = vec![
        ("another name", free(&[("mcp-name", "free")]), guarded.clone()),
        ("no name", free(&[]), guarded.clone()),
        ("an empty name", free(&[("mcp-name", "")]), guarded.clone()),
        ("two lines, free first", free(&[("mcp-name", "free"), ("mcp-name", "guarded")]), guarded.clone()),
        ("two lines, free last", free(&[("mcp-name", "guarded"), ("mcp-name", "free")]), guarded.clone()),
        ("two equal lines", free(&[("mcp-name", "guarded"), ("mcp-name", "guarded")]), guarded.clone()),
        ("a list", free(&[("mcp-name", "free, guarded")]), guarded.clone()),
        ("another letter case", free(&[("mcp-name", "Guarded")]), guarded.clone()),
        ("encoded: another name", free(&[("mcp-name", "=?base64?ZnJlZQ==?=")]), guarded.clone()),
        ("encoded without padding", free(&[("mcp-name", "=?base64?Z3VhcmRlZA?=")]), guarded.clone()),
        ("encoded: spare bits", free(&[("mcp-name", "=?base64?Z3VhcmRlZB==?=")]), guarded.clone()),
        ("encoded in another alphabet", free(&[("mcp-name", "=?base64?Z3VhcmRlZA%3D%3D?=")]), guarded.clone()),
        ("encoding in capitals", free(&[("mcp-name", "=?BASE64?Z3VhcmRlZA==?=")]), guarded.clone()),
        ("encoded by quoted-printable", free(&[("mcp-name", "=?utf-8?Q?guarded?=")]), guarded.clone()),
        ("encoded twice", free(&[("mcp-name", "=?base64?PT9iYXNlNjQ/WjNWaGNtUmxaQT09Pz0=?=")]), guarded.clone()),
        ("percent-encoded", free(&[("mcp-name", "%67uarded")]), guarded.clone()),
        ("not ASCII", free(&[("mcp-name", "gu\u{e4}rded")]), guarded.clone()),
        ("the name in another header", free(&[("mcp-tool", "guarded")]), guarded.clone()),
        ("another method", vec![VERSION, ("mcp-method", "tools/list"), ("mcp-name", "guarded")], guarded.clone()),
        ("a method in capitals", vec![VERSION, ("mcp-method", "Tools/Call"), ("mcp-name", "guarded")], guarded.clone()),
        ("no method", vec![VERSION, ("mcp-name", "guarded")], guarded.clone()),
        ("two methods", vec![VERSION, CALL, ("mcp-method", "tools/list"), ("mcp-name", "guarded")], guarded.clone()),
        ("the method of prompts", vec![VERSION, ("mcp-method", "prompts/get"), ("mcp-name", "free")], guarded.clone()),
        ("a batch of both", free(&[("mcp-name", "free")]), format!("[{},{}]", call("free"), guarded)),
        ("a batch of both, guarded first", free(&[("mcp-name", "guarded")]), format!("[{guarded},{}]", call("free"))),
        ("a batch in a batch", free(&[("mcp-name", "free")]), format!("[{},[{guarded}]]", call("free"))),
        ("the name twice, free first", free(&[("mcp-name", "free")]), body(r#"{"name":"free","name":"guarded"}"#)),
        ("the name twice, free last", free(&[("mcp-name", "free")]), body(r#"{"name":"guarded","name":"free"}"#)),
        ("the name twice, one escaped", free(&[("mcp-name", "free")]), body(r#"{"name":"free","n\u0061me":"guarded"}"#)),
        ("a second name in capitals", free(&[("mcp-name", "free")]), body(r#"{"name":"free","Name":"guarded"}"#)),
        ("only a name in capitals", free(&[("mcp-name", "free")]), body(r#"{"NAME":"guarded"}"#)),
        ("parameters twice", free(&[("mcp-name", "free")]),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"free"},"params":{"name":"guarded"}}"#.to_owned()),
        ("parameters in another spelling", free(&[("mcp-name", "free")]),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"free"},"Params":{"name":"guarded"}}"#.to_owned()),
        ("parameters with a long s", free(&[("mcp-name", "free")]),
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"free\"},\"param\u{17f}\":{\"name\":\"guarded\"}}".to_owned()),
        ("the method twice", free(&[("mcp-name", "free")]),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"guarded"}}"#.to_owned()),
        ("the method in capitals in the body", vec![VERSION, ("mcp-method", "TOOLS/CALL"), ("mcp-name", "guarded")],
            r#"{"jsonrpc":"2.0","id":1,"method":"TOOLS/CALL","params":{"name":"guarded"}}"#.to_owned()),
        ("a prompt of the header, a tool of the body", vec![VERSION, ("mcp-method", "prompts/get"), ("mcp-name", "guarded")], guarded.clone()),
        ("text behind the message", free(&[("mcp-name", "free")]), format!("{}{guarded}", call("free"))),
        ("a name that is a list", free(&[("mcp-name", "free")]), body(r#"{"name":["guarded"]}"#)),
        ("parameters that are a list", free(&[("mcp-name", "free")]), body(r#"["guarded"]"#)),
        ("a byte order mark", free(&[("mcp-name", "guarded")]), format!("\u{feff}{guarded}")),
    ];
    assert!(rows.len() >= 20);
    for (name, headers, body) in &rows {
        // Neither without the scope of the tool, nor with it.
        for scope in ["mcp", "mcp admin"] {
            let reply = mcp.post(scope, headers, body).await;
            reply.assert_invalid_request(&format!("{name}, {scope}"));
            assert_eq!(mcp.ran(), Vec::<String>::new(), "{name}, {scope}");
            let error = &reply.json()["error"];
            assert!(
                [-32020, -32600].map(Some).contains(&error["code"].as_i64()),
                "{name}: {error}"
            );
        }
    }
    // The neighbours: the header agrees.
    for (name, header) in [("plain", "guarded"), ("encoded", "=?base64?Z3VhcmRlZA==?=")] {
        let headers = free(&[("mcp-name", header)]);
        mcp.post("mcp admin", &headers, &guarded).await.assert_ok(name);
        assert_eq!(mcp.ran(), ["tools/call guarded"], "{name}");
        let reply = mcp.post("mcp", &headers, &guarded).await;
        reply.assert_insufficient_scope(name, "mcp admin");
        assert_eq!(mcp.ran(), Vec::<String>::new(), "{name}");
    }
    mcp.post("mcp", &free(&[("mcp-name", "free")]), &call("free")).await.assert_ok("free");
    assert_eq!(mcp.ran(), ["tools/call free"]);
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-type", "application/json; charset=UTF-8"),
        ("content-type", "application/json;charset=\"utf-8\";x=y"),
        ("content-encoding", "identity"),
    ] {
        mcp.post("mcp", &[(name, value)], &call("free")).await.assert_ok(value);
        assert_eq!(mcp.ran(), ["tools/call free"]);
    }
}

#[tokio::test]
async fn id_mcp_22_a_version_without_the_headers_is_judged_by_the_body_alone() {
    let mcp = mcp();
    let free = [("mcp-method", "tools/call"), ("mcp-name", "free")];
    let versions: [(&str, Headers<'_>); 8] = [
        ("no version", vec![]),
        ("an older version", vec![("mcp-protocol-version", "2025-11-25")]),
        ("the oldest version", vec![("mcp-protocol-version", "2025-06-18")]),
        ("an unknown version", vec![("mcp-protocol-version", "2099-01-01")]),
        ("an empty version", vec![("mcp-protocol-version", "")]),
        ("the version twice", vec![VERSION, VERSION]),
        ("two versions", vec![VERSION, ("mcp-protocol-version", "2025-06-18")]),
        ("not ASCII", vec![("mcp-protocol-version", "\u{e4}")]),
    ];
    for (name, version) in versions {
        for headers in [[version.clone(), free.to_vec()].concat(), version] {
            let reply = mcp.post("mcp", &headers, &call("guarded")).await;
            reply.assert_insufficient_scope(name, "mcp admin");
            assert_eq!(mcp.ran(), Vec::<String>::new(), "{name}");
            mcp.post("mcp admin", &headers, &call("guarded")).await.assert_ok(name);
            assert_eq!(mcp.ran(), ["tools/call guarded"], "{name}");
            // A batch passes if each of its calls passes.
            let batch = format!("[{},{}]", call("free"), call("guarded"));
            let reply = mcp.post("mcp", &headers, &batch).await;
            reply.assert_insufficient_scope(name, "mcp admin");
            assert_eq!(mcp.ran(), Vec::<String>::new(), "{name}");
            mcp.post("mcp admin", &headers, &batch).await.assert_ok(name);
            assert_eq!(mcp.ran(), ["tools/call free", "tools/call guarded"], "{name}");
        }
    }
    // The first request of a client does not know the version yet.
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
    mcp.post("mcp", &[VERSION], initialize).await.assert_ok("initialize");
    mcp.ran();
    let reply = mcp.post("mcp", &[VERSION, CALL], initialize).await;
    reply.assert_invalid_request("initialize under another method");
}

#[tokio::test]
async fn a_refusal_of_a_header_names_the_id_of_the_message() {
    let mcp = mcp();
    for (id, expected) in [
        ("7", "7"),
        ("\"a\"", "\"a\""),
        ("\"\\u0061\\\"\"", "\"a\\\"\""),
        ("null", "null"),
        ("{\"a\":1}", "null"),
        (&format!("\"{}\"", "x".repeat(300)), "null"),
    ] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"guarded"}}}}"#
        );
        let reply = mcp.post("mcp", &free(&[("mcp-name", "free")]), &body).await;
        reply.assert_invalid_request(id);
        assert_eq!(reply.headers["content-type"], "application/json");
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(reply.json()["id"], expected, "{id}");
        assert_eq!(reply.json()["error"]["code"], -32020);
        assert_eq!(reply.json()["jsonrpc"], "2.0");
    }
}
