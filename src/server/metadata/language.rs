//! Language tags (BCP 47).

/// Whether the text is a well-formed language tag (RFC 5646 §2.1). The irregular tags of that section,
/// such as `i-klingon`, are not accepted: most of them have a modern replacement.
pub(super) fn is_language_tag(tag: &str) -> bool {
    let subtags: Vec<_> = tag.split('-').collect();
    let mut rest = Subtags(&subtags);
    if !subtags.iter().all(|subtag| subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return false;
    }
    if !rest.next_is(is_private) {
        if rest.next_is(|subtag| is_alphabetic(subtag, 2..=3)) {
            // Extended language subtags.
            let _ = (0..3).all(|_| rest.next_is(|subtag| is_alphabetic(subtag, 3..=3)));
        } else if !rest.next_is(|subtag| is_alphabetic(subtag, 4..=8)) {
            return false;
        }
        rest.next_is(is_script);
        rest.next_is(is_region);
        let mut seen = Vec::new();
        while let Some(variant) = rest.next_if(is_variant) {
            seen.push(variant);
        }
        while let Some(singleton) = rest.next_if(|subtag| subtag.len() == 1 && !is_private(subtag))
        {
            seen.push(singleton);
            if !rest.next_is(|subtag| (2..=8).contains(&subtag.len())) {
                return false;
            }
            while rest.next_is(|subtag| (2..=8).contains(&subtag.len())) {}
        }
        // RFC 5646 §2.2.9: no variant and no extension occurs twice.
        let twice = |(at, one): (usize, &&str)| {
            seen.iter().take(at).any(|other| other.eq_ignore_ascii_case(one))
        };
        if seen.iter().enumerate().any(twice) {
            return false;
        }
        if rest.0.is_empty() {
            return true;
        }
        if !rest.next_is(is_private) {
            return false;
        }
    }
    // Private use: at least one subtag.
    !rest.0.is_empty() && rest.0.iter().all(|subtag| (1..=8).contains(&subtag.len()))
}

/// The subtags that were not read yet.
struct Subtags<'s, 't>(&'s [&'t str]);

impl<'t> Subtags<'_, 't> {
    fn next_if(&mut self, is_it: impl Fn(&str) -> bool) -> Option<&'t str> {
        let (first, rest) = self.0.split_first()?;
        is_it(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn next_is(&mut self, is_it: impl Fn(&str) -> bool) -> bool {
        self.next_if(is_it).is_some()
    }
}

fn is_alphabetic(subtag: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_private(subtag: &str) -> bool {
    subtag.eq_ignore_ascii_case("x")
}

fn is_script(subtag: &str) -> bool {
    is_alphabetic(subtag, 4..=4)
}

fn is_region(subtag: &str) -> bool {
    is_alphabetic(subtag, 2..=2)
        || subtag.len() == 3 && subtag.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_variant(subtag: &str) -> bool {
    (5..=8).contains(&subtag.len())
        || subtag.len() == 4 && subtag.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (tag, good) in [
            ("de", true),
            ("DE-at", true),
            ("zh-Hant-TW", true),
            ("zh-cmn-Hans-CN", true),
            ("es-419", true),
            ("sl-rozaj-biske", true),
            ("de-CH-1901", true),
            ("de-1901-1901", false),
            ("en-a-bbb-x-a-ccc", true),
            ("en-u-ca-gregory", true),
            ("en-a-bbb-a-ccc", false),
            ("x-whatever", true),
            ("de-x-y", true),
            ("gsw", true),
            ("abcd", true),
            ("abcdefgh", true),
            ("abcdefghi", false),
            ("i-klingon", false),
            ("a", false),
            ("", false),
            ("de-", false),
            ("-de", false),
            ("de--AT", false),
            ("de_AT", false),
            ("de-x", false),
            ("de-u", false),
            ("x", false),
            ("d3", false),
            ("de-AT-DE", false),
            ("de#en", false),
            ("d\u{e9}", false),
            ("de AT", false),
            ("de-abcdefghi", false),
        ] {
            assert_eq!(is_language_tag(tag), good, "{tag:?}");
        }
    }
}
