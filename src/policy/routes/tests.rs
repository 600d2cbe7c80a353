//! The rules for raw paths and patterns. The rules are also tested through the layer, in
//! `tests/routes.rs`.

use std::panic::catch_unwind;

use http::Method;

use crate::policy::routes::path::has_one_reading;
use crate::policy::routes::table::{Reading, Table};
use crate::policy::{Routes, authenticated};

/// A table with these routes for GET. Each value is its own pattern.
fn table(patterns: &[&'static str]) -> Table<&'static str> {
    let mut table = Table::new(Reading::Path);
    for &pattern in patterns {
        table.insert(Some(Method::GET), pattern, pattern).unwrap();
    }
    table
}

fn found(table: &Table<&'static str>, path: &str) -> Option<&'static str> {
    table.find(path).and_then(|entry| entry.of(&Method::GET).copied())
}

#[test]
fn the_most_specific_pattern_is_chosen() {
    let all = [
        "/",
        "/{a}",
        "/notes",
        "/notes/",
        "/notes/{id}",
        "/notes/export",
        "/notes/{id}/parts",
        "/files/{*rest}",
        "/files/{name}",
        "/v1/items:batch",
        "/v1/{item}",
        "/notes/{id}/{part}/{*rest}",
    ];
    let table = table(&all);
    let rows = [
        ("root", "/", Some("/")),
        ("parameter", "/other", Some("/{a}")),
        ("literal beats parameter", "/notes", Some("/notes")),
        ("a listed slash at the end", "/notes/", Some("/notes/")),
        ("parameter below a literal", "/notes/7", Some("/notes/{id}")),
        ("a literal beside it", "/notes/export", Some("/notes/export")),
        ("below the parameter", "/notes/7/parts", Some("/notes/{id}/parts")),
        ("below a literal that has nothing", "/notes/export/parts", Some("/notes/{id}/parts")),
        (
            "back to an earlier parameter",
            "/notes/export/other/x",
            Some("/notes/{id}/{part}/{*rest}"),
        ),
        ("parameter beats rest", "/files/a", Some("/files/{name}")),
        ("rest", "/files/a/b", Some("/files/{*rest}")),
        ("rest with a slash at the end", "/files/a/b/", Some("/files/{*rest}")),
        ("a colon", "/v1/items:batch", Some("/v1/items:batch")),
        ("an encoded blank", "/v1/a%20b", Some("/v1/{item}")),
        ("an encoded letter of another alphabet", "/v1/caf%C3%A9", Some("/v1/{item}")),
        ("an encoded at sign", "/v1/a%40b.example", Some("/v1/{item}")),
        ("a segment of three dots", "/v1/...", Some("/v1/{item}")),
        // Another reading leads to another entry.
        ("letter case", "/NOTES", None),
        ("letter case below a literal", "/notes/Export", None),
        ("an encoded colon", "/v1/items%3Abatch", None),
        ("a dot at the end", "/notes/export.", None),
        ("a blank at the end", "/notes/export%20", None),
        ("a blank before it", "/notes/%20export", None),
        ("the long s, whose capital letter is S", "/note%C5%BF/7", None),
        ("a dot at the end of another", "/notes/7.", Some("/notes/{id}")),
        ("an encoded colon and letter case", "/v1/Items%3abatch", None),
        ("a slash at the end", "/other/", None),
        ("a slash at the end, with a rest beside it", "/files/a/", None),
        ("an empty rest", "/files/", None),
        ("no rest", "/files", None),
        // Nothing matches.
        ("too short", "/v1", Some("/{a}")),
        ("too long", "/v1/a/b", None),
    ];
    for (name, path, expected) in rows {
        assert_eq!(found(&table, path), expected, "{name}: {path}");
    }
}

#[test]
fn a_pattern_that_does_not_stand_alone_takes_nothing_from_another() {
    // The same paths as above, where the other entry does not exist.
    let rows = [
        ("letter case", "/{a}", "/NOTES"),
        ("an encoded colon", "/v1/{item}", "/v1/items%3Abatch"),
        ("a slash at the end", "/files/{*rest}", "/files/a/"),
        ("no rest", "/{a}", "/files"),
    ];
    for (name, pattern, path) in rows {
        assert_eq!(found(&table(&[pattern]), path), Some(pattern), "{name}");
    }
}

#[test]
fn a_path_with_two_readings_is_refused() {
    let rows = [
        ("plain", "/a/b-c_d.e~f/!$&'()*+,=:@", true),
        ("a slash at the end", "/a/", true),
        ("encoded blank", "/a%20b", true),
        ("encoded UTF-8", "/%E2%82%AC", true),
        ("dots in a name", "/.a/..b/c..", true),
        ("empty", "", false),
        ("asterisk form", "*", false),
        ("no slash", "a", false),
        ("empty segment", "/a//b", false),
        ("empty segment first", "//a", false),
        ("empty segments at the end", "/a//", false),
        ("dot", "/./a", false),
        ("dot at the end", "/a/.", false),
        ("dots", "/a/../b", false),
        ("dots at the end", "/a/..", false),
        ("encoded dots", "/a/%2e%2e/b", false),
        ("a dot and an encoded dot", "/a/.%2E/b", false),
        ("encoded slash", "/a%2fb", false),
        ("encoded slash, capital", "/a%2Fb", false),
        ("backslash", "/a\\b", false),
        ("encoded backslash", "/a%5cb", false),
        ("encoded letter", "/%61", false),
        ("encoded digit", "/%37", false),
        ("encoded tilde", "/%7E", false),
        ("encoded percent", "/%2561", false),
        ("semicolon", "/a;b=c", false),
        ("encoded semicolon", "/a%3Bb", false),
        ("encoded question mark", "/a%3Fb", false),
        ("encoded number sign", "/a%23b", false),
        ("encoded NUL", "/a%00", false),
        ("encoded line feed", "/a%0A", false),
        ("encoded DEL", "/a%7F", false),
        ("encoded C1 control", "/a%C2%85", false),
        ("overlong slash", "/a%C0%AFb", false),
        ("octet that is not UTF-8", "/a%FF", false),
        ("half a UTF-8 sequence", "/a%E2%82/b", false),
        ("percent alone", "/a%", false),
        ("percent and one digit", "/a%2", false),
        ("percent and no digits", "/a%zz", false),
        ("percent and a sign", "/a%+2", false),
        ("u form", "/a%u002fb", false),
        ("non-ASCII", "/é", false),
        ("blank", "/a b", false),
        ("control", "/a\u{1}", false),
        ("quote", "/a\"b", false),
        ("braces", "/{id}", false),
        ("circumflex", "/a^b", false),
        ("vertical line", "/a|b", false),
        ("grave accent", "/a`b", false),
        ("brackets", "/a[b]", false),
        ("question mark", "/a?b", false),
    ];
    for (name, path, expected) in rows {
        assert_eq!(has_one_reading(path), expected, "{name}: {path}");
    }
}

#[test]
fn a_table_that_cannot_be_is_a_mistake() {
    let rows: [(&str, &[&str], &str, &str); 25] = [
        ("empty", &[], "", "begin with `/`"),
        ("no slash", &[], "notes", "begin with `/`"),
        ("empty segment", &[], "/a//b", "empty segment"),
        ("dot", &[], "/a/.", "`.`"),
        ("dots", &[], "/../a", "`..`"),
        ("percent", &[], "/caf%C3%A9", "`caf%C3%A9`"),
        ("non-ASCII", &[], "/café", "café"),
        ("blank", &[], "/a b", "`a b`"),
        ("query", &[], "/a?b=c", "`a?b=c`"),
        ("semicolon", &[], "/a;b", "`a;b`"),
        ("colon of older routers", &[], "/notes/:id", "`{name}`"),
        ("asterisk of older routers", &[], "/notes/*rest", "`{*rest}`"),
        ("no name", &[], "/{}", "`{}`"),
        ("no name of a rest", &[], "/{*}", "`{*}`"),
        ("open", &[], "/{id", "`{id`"),
        ("suffix", &[], "/{id}.json", "`{id}.json`"),
        ("prefix", &[], "/note-{id}", "`note-{id}`"),
        ("two", &[], "/{a}{b}", "`{a}{b}`"),
        ("rest in the middle", &[], "/{*rest}/a", "not at the end"),
        ("twice", &["/a"], "/a", "twice"),
        ("another name", &["/{a}"], "/{b}", "same paths"),
        ("another case", &["/a"], "/A", "same paths"),
        ("a dot at the end", &["/a"], "/a.", "same paths"),
        ("no winner", &["/{a}/b"], "/a/{b}", "neither"),
        ("no winner with a rest", &["/a/{*rest}"], "/{a}/b", "neither"),
    ];
    for (name, before, pattern, expected) in rows {
        let mut table = table(&[]);
        for before in before {
            table.insert(Some(Method::GET), before, "").unwrap();
        }
        let problem = table.insert(Some(Method::GET), pattern, "").unwrap_err();
        assert!(problem.contains(expected), "{name}: {problem}");
    }
    // Neighbours that differ in one thing.
    let mut table = table(&["/a", "/{a}/b", "/a/"]);
    for pattern in ["/b", "/{a}/c", "/a/b", "/y/b/{*rest}", "/{a}"] {
        table.insert(Some(Method::GET), pattern, "").unwrap();
    }
    table.insert(Some(Method::POST), "/a", "").unwrap();
    table.insert(None, "/a", "").unwrap();
    assert!(table.insert(None, "/a", "").is_err());
}

#[test]
fn the_method_is_chosen_after_the_pattern() {
    let mut table = Table::new(Reading::Path);
    let mut insert = |method: Option<&str>, pattern, value| {
        let method = method.map(|method| Method::from_bytes(method.as_bytes()).unwrap());
        table.insert(method, pattern, value).unwrap();
    };
    insert(Some("GET"), "/{a}", "get");
    insert(Some("GET"), "/head", "get");
    insert(Some("HEAD"), "/head", "head");
    insert(Some("POST"), "/post", "post");
    insert(Some("GET"), "/any", "get");
    insert(None, "/any", "any");
    let rows = [
        ("GET", "/x", Some("get")),
        ("HEAD is GET", "/x", Some("get")),
        ("HEAD", "/head", Some("head")),
        ("GET", "/head", Some("get")),
        ("GET", "/post", None),
        ("HEAD", "/post", None),
        ("POST", "/post", Some("post")),
        ("POST", "/x", None),
        ("get", "/x", None),
        ("OPTIONS", "/x", None),
        ("GET", "/any", Some("get")),
        ("HEAD", "/any", Some("get")),
        ("OPTIONS", "/any", Some("any")),
        ("get", "/any", Some("any")),
    ];
    for (method, path, expected) in rows {
        let method = method.split(' ').next().unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let found = table.find(path).and_then(|entry| entry.of(&method).copied());
        assert_eq!(found, expected, "{method} {path}");
    }
}

/// The tree against a plain search: among the patterns that match, the most specific one.
#[test]
fn the_tree_finds_nothing_that_a_plain_search_does_not_find() {
    use crate::policy::routes::pattern::{End, Pattern, Segment};
    let rank = |pattern: &Pattern| {
        let mut ranks: Vec<u8> = pattern
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(_) => 0,
                Segment::Any => 1,
            })
            .collect();
        if pattern.end == End::Rest {
            ranks.push(2);
        }
        ranks
    };
    let segments = ["a", "b", "{x}", "{*r}", ""];
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let (mut hits, mut conflicts) = (0, 0);
    for _ in 0..3_000 {
        let mut table = Table::new(Reading::Path);
        let mut patterns = Vec::new();
        for _ in 0..8 {
            let text: String =
                (0..=next(3)).map(|_| format!("/{}", segments[next(segments.len())])).collect();
            match table.insert(Some(Method::GET), &text, text.clone()) {
                Ok(()) => patterns.push((Pattern::parse(&text).unwrap(), text)),
                Err(_) => conflicts += 1,
            }
        }
        for _ in 0..10 {
            let path: String =
                (0..=next(4)).map(|_| format!("/{}", ["a", "b", "c", "A", ""][next(5)])).collect();
            let matching = patterns.iter().filter(|(pattern, _)| pattern.matches(&path));
            let best = matching.min_by_key(|(pattern, _)| rank(pattern)).map(|(_, text)| text);
            let found = table.find(&path).and_then(|entry| entry.of(&Method::GET));
            if let Some(found) = found {
                hits += 1;
                assert_eq!(Some(found), best, "{path} in {table:?}");
            }
        }
    }
    assert!(hits > 3_000 && conflicts > 3_000, "{hits} {conflicts}");
}

#[test]
fn a_mistake_panics_where_it_is_written_and_try_says_why() {
    let routes = || Routes::<()>::for_raw_paths().get("/a", authenticated());
    let panic = catch_unwind(|| routes().get("/a", authenticated())).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("`/a` lists GET twice"), "{text}");
    assert!(catch_unwind(|| routes().any("/:a", authenticated())).is_err());
    assert!(routes().try_route(Method::GET, "/a", authenticated()).is_err());
    assert!(routes().try_route(Method::POST, "/a", authenticated()).is_ok());
    assert!(routes().try_any("a", authenticated()).is_err());
    assert!(routes().try_any("/b", authenticated()).is_ok());
}

#[cfg(feature = "axum")]
#[test]
fn patterns_of_axum_are_compared_as_text() {
    let routes = Routes::<()>::for_axum()
        .get("/notes/{id}", authenticated())
        .get("/notes/{id}.json", authenticated())
        .get("/{a}/b", authenticated())
        .get("/a/{b}", authenticated());
    let rows = [
        ("/notes/{id}", true),
        ("/notes/{id}.json", true),
        ("/a/{b}", true),
        ("/notes/{note}", false),
        ("/notes/7", false),
        ("/notes/{id}/", false),
        ("/Notes/{id}", false),
        ("", false),
    ];
    for (text, listed) in rows {
        assert_eq!(routes.table.find(text).is_some(), listed, "{text}");
    }
    for pattern in ["", "notes", "/notes/:id", "/*rest", "/notes/{id}"] {
        assert!(
            routes.clone().try_route(Method::GET, pattern, authenticated()).is_err(),
            "{pattern}"
        );
    }
}
