//! Parameters at the end of somebody else's URL.

use url::{Url, form_urlencoded};

/// `url` with `pairs` behind the query that it has, which stays byte for byte. Spaces are `%20`: there are providers that read `+` as itself.
pub(super) fn extended<N: AsRef<str>, V: AsRef<str>>(url: &Url, pairs: impl IntoIterator<Item = (N, V)>) -> Url {
    let ours = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    // What was serialized here has no other plus sign than those for spaces.
    let ours = ours.replace('+', "%20");
    let mut url = url.clone();
    let query = match url.query() {
        Some(theirs) if !theirs.is_empty() => format!("{theirs}&{ours}"),
        Some(_) | None => ours,
    };
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-137.
    #[test]
    fn a_query_that_is_there_stays_as_it_is() {
        for (url, expected) in [
            ("https://op/x", "https://op/x?a=b%20c&d=%2B%26"),
            ("https://op/x?", "https://op/x?a=b%20c&d=%2B%26"),
            ("https://op/x?realm=/alpha", "https://op/x?realm=/alpha&a=b%20c&d=%2B%26"),
            ("https://op/x?realm=/a+b&x=%2B&y", "https://op/x?realm=/a+b&x=%2B&y&a=b%20c&d=%2B%26"),
            ("https://op/x?fields=id,name", "https://op/x?fields=id,name&a=b%20c&d=%2B%26"),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(extended(&url, [("a", "b c"), ("d", "+&")]).as_str(), expected);
        }
    }
}
