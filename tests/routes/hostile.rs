//! Requests that two readers could read differently, and requests that they read in the same way.

/// A request, without its token.
#[derive(Debug)]
pub struct Row {
    pub method: &'static str,
    pub target: &'static str,
    /// Further header fields, each with its line end.
    pub headers: &'static str,
}

/// Requests to listed routes: the method, the target, and the handler.
pub const LISTED: &[(&str, &str, &str)] = &[
    ("GET", "/", "root"),
    ("GET", "/notes", "list"),
    ("HEAD", "/notes", "list"),
    ("POST", "/notes", "create"),
    ("GET", "/notes/7", "note"),
    ("GET", "/notes/a%20b", "note"),
    ("GET", "/notes/a%40b.example", "note"),
    ("GET", "/notes/7?path=/admin/users", "note"),
    ("GET", "/notes/exporter", "note"),
    ("DELETE", "/notes/7", "erase"),
    ("GET", "/notes/export", "export"),
    ("HEAD", "/notes/export", "export"),
    ("GET", "/files/a", "files"),
    ("GET", "/files/a/b.txt", "files"),
    ("GET", "/files/a/b/", "files"),
    ("GET", "/admin/users", "users"),
    ("GET", "/admin/users/7", "user"),
    ("GET", "/acme", "tenant"),
    ("GET", "/slash/", "slash"),
    ("GET", "/any", "any"),
    ("PUT", "/any", "any"),
    ("OPTIONS", "/any", "any"),
    ("any", "/any", "any"),
    ("GET", "/v1/items:batch", "action"),
    ("GET", "http://api.example.com/notes/7", "note"),
    ("GET", "http://api.example.com", "root"),
];

const fn get(target: &'static str) -> Row {
    by("GET", target)
}

const fn by(method: &'static str, target: &'static str) -> Row {
    Row { method, target, headers: "" }
}

pub const HOSTILE: &[Row] = &[
    // A slash, encoded once and twice.
    get("/notes%2f7"),
    get("/notes%2Fexport"),
    get("/notes/7%2f..%2f..%2fadmin%2fusers"),
    get("/notes/x%2fy"),
    get("/notes%252fexport"),
    get("/admin%2fusers"),
    get("/admin%252Fusers"),
    get("/files/..%2fnotes"),
    get("/%2fnotes"),
    get("/notes/%2f"),
    // Dot segments, plain and encoded.
    get("/notes/."),
    get("/notes/.."),
    get("/notes/../admin/users"),
    get("/files/../notes"),
    get("/files/../admin/users"),
    get("/files/a/../../notes/export"),
    get("/files/./a"),
    get("/./notes"),
    get("/../notes"),
    get("/.."),
    get("/."),
    get("/notes/%2e%2e/admin/users"),
    get("/files/%2e%2e/notes/export"),
    get("/files/.%2e/notes"),
    get("/files/%2E./notes"),
    get("/notes/%2e"),
    get("/files/%252e%252e/notes"),
    get("/admin/users/.."),
    get("/admin/users/../../notes"),
    get("/admin/./users"),
    get("/notes/export/."),
    get("/notes/7/../export"),
    // Empty segments and slashes at the end.
    get("//"),
    get("//notes"),
    get("/notes//"),
    get("/notes//7"),
    get("/notes//export"),
    get("/admin//users"),
    get("/files//a"),
    get("/files/a//b"),
    get("///admin/users"),
    get("/notes/"),
    get("/notes/7/"),
    get("/notes/export/"),
    get("/admin/users/"),
    get("/admin/users/7/"),
    get("/acme/"),
    get("/slash"),
    get("/slash//"),
    get("/any/"),
    get("/files"),
    get("/files/"),
    // Backslashes.
    get("/notes\\7"),
    get("/notes\\export"),
    get("/notes/..\\admin\\users"),
    get("/files/..\\..\\notes"),
    get("/files\\..\\notes"),
    get("\\notes"),
    get("/notes%5cexport"),
    get("/notes%5c..%5cadmin%5cusers"),
    // Letter case.
    get("/NOTES"),
    get("/Notes/export"),
    get("/notes/EXPORT"),
    get("/notes/Export"),
    get("/ADMIN/users"),
    get("/admin/Users"),
    get("/Files/a"),
    get("/ANY"),
    get("/Slash/"),
    get("/v1/Items:Batch"),
    // Parameters of segments.
    get("/notes;a=b"),
    get("/notes/export;v=1"),
    get("/notes;/export"),
    get("/notes/;/export"),
    get("/files/..;/notes/export"),
    get("/admin;x/users"),
    get("/notes/export%3Bv=1"),
    get("/notes/7;/../export"),
    // Other characters, encoded.
    get("/notes/%65xport"),
    get("/notes/expor%74"),
    get("/notes/%2565xport"),
    get("/%6eotes"),
    get("/n%6Ftes/export"),
    get("/v1/items%3Abatch"),
    get("/v1/items%3abatch"),
    get("/%61dmin/users"),
    get("/notes%00"),
    get("/notes/export%00"),
    get("/notes/export%00.txt"),
    get("/notes/export%0a"),
    get("/notes/export%0d%0aX-Scope:%20note"),
    get("/notes/export%20"),
    get("/notes/%20export"),
    get("/notes/export."),
    get("/notes/export.%20."),
    get("/admin./users"),
    get("/notes/export%09"),
    get("/notes%3f"),
    get("/notes/export%3fa=b"),
    get("/notes/export%23"),
    // Malformed encoding.
    get("/notes/%"),
    get("/notes/%2"),
    get("/notes/%zz"),
    get("/notes/%u0065xport"),
    get("/notes/%c0%afexport"),
    get("/files/%c0%ae%c0%ae/notes"),
    get("/notes/%ff"),
    get("/notes/%e2%82"),
    get("/notes/export%c2%85"),
    get("/files/%ef%bc%8f..%ef%bc%8fnotes"),
    // Octets as they are.
    get("/notes/é"),
    get("/notés"),
    get("/notes/\u{ff45}xport"),
    get("/files/\u{2215}..\u{2215}notes"),
    get("/notes/\u{7f}"),
    get("/notes/\u{1}"),
    get("/notes/\u{85}"),
    get("/notes/{id}"),
    get("/{tenant}"),
    get("/files/{*rest}"),
    get("/notes/\"export\""),
    get("/notes/a|b"),
    get("/notes/a^b"),
    get("/notes/<export>"),
    get("/notes/[export]"),
    get("/notes/export\t"),
    // Queries and fragments.
    get("/notes?/../admin/users"),
    get("/notes?/export"),
    get("/notes/7?../export"),
    get("/notes??"),
    get("/?/admin/users"),
    get("?/admin/users"),
    get("/notes#/export"),
    get("/acme#/../notes"),
    get("/notes/export?#"),
    // Forms of the target.
    get("http://api.example.com/admin/users"),
    get("http://api.example.com/notes/../admin/users"),
    get("http://api.example.com//notes"),
    get("http://api.example.com/notes%2fexport"),
    get("http://other.example.com/notes"),
    get("http://user:notes@api.example.com/acme"),
    get("http://api.example.com?/notes"),
    get("HTTP://API.EXAMPLE.COM/notes/EXPORT"),
    get("api.example.com:80"),
    get("api.example.com/notes"),
    get("notes"),
    get("*"),
    by("OPTIONS", "*"),
    by("CONNECT", "api.example.com:443"),
    by("CONNECT", "/notes"),
    by("CONNECT", "/any"),
    // Methods.
    by("HEAD", "/notes/EXPORT"),
    by("HEAD", "/notes/7"),
    by("HEAD", "/files/../notes"),
    by("OPTIONS", "/notes"),
    by("OPTIONS", "/notes/7"),
    by("TRACE", "/notes/7"),
    by("get", "/notes"),
    by("Get", "/notes/export"),
    by("delete", "/notes/7"),
    by("POST", "/notes/7"),
    by("POST", "/notes/../notes"),
    by("DELETE", "/notes/export"),
    by("DELETE", "/notes"),
    by("DELETE", "/notes/7%2f.."),
    by("PROPFIND", "/notes"),
    by("GETS", "/notes"),
    by("any", "/any/"),
    Row { method: "POST", target: "/notes", headers: "X-HTTP-Method-Override: DELETE\r\n" },
    Row { method: "GET", target: "/notes/7", headers: "X-HTTP-Method-Override: DELETE\r\n" },
    Row { method: "GET", target: "/notes/7", headers: "X-Method-Override: DELETE\r\n" },
    Row { method: "GET", target: "/notes/7?_method=DELETE", headers: "" },
    Row { method: "GET", target: "/acme", headers: "X-Original-URL: /admin/users\r\n" },
    Row { method: "GET", target: "/acme", headers: "X-Rewrite-URL: /notes/export\r\n" },
    Row { method: "GET", target: "/acme", headers: "X-Forwarded-Prefix: /admin\r\n" },
    Row { method: "GET", target: "/notes", headers: "X-Forwarded-Uri: /notes/export\r\n" },
    Row {
        method: "OPTIONS",
        target: "/notes/7",
        headers: "Origin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n",
    },
    Row {
        method: "OPTIONS",
        target: "/any",
        headers: "Origin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n",
    },
    // Long.
    get(LONG),
    get(LONG_DOTS),
    get(LONG_SLASHES),
];

const LONG: &str = {
    const OCTETS: [u8; 8_000] = long(b"/notes/", b"a");
    as_text(&OCTETS)
};

const LONG_DOTS: &str = {
    const OCTETS: [u8; 6_009] = long(b"/files/", b"../");
    as_text(&OCTETS)
};

const LONG_SLASHES: &str = {
    const OCTETS: [u8; 8_000] = long(b"/notes", b"/");
    as_text(&OCTETS)
};

const fn long<const N: usize>(first: &[u8], again: &[u8]) -> [u8; N] {
    let mut octets = [0; N];
    let mut at = 0;
    while at < N {
        octets[at] =
            if at < first.len() { first[at] } else { again[(at - first.len()) % again.len()] };
        at += 1;
    }
    octets
}

const fn as_text(octets: &'static [u8]) -> &'static str {
    match std::str::from_utf8(octets) {
        Ok(text) => text,
        Err(_) => panic!("ASCII"),
    }
}
