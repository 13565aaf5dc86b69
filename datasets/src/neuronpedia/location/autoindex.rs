//! Listings as web servers write them: an HTML page of links (`python -m http.server`, nginx, Apache).

use percent_encoding::percent_decode_str;

/// Names that an index page links to within its own folder; those of folders end with `/`.
pub(super) fn entries(html: &str) -> Vec<String> {
    let mut names: Vec<String> = links(html).filter_map(entry).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The values of every `href`, quoted either way.
fn links(html: &str) -> impl Iterator<Item = &str> {
    html.match_indices("href=").filter_map(|(at, word)| {
        let rest = html.get(at + word.len()..)?;
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.get(1..)?.split(quote).next()
    })
}

/// The name a link stands for, if it points to something directly within the folder.
fn entry(link: &str) -> Option<String> {
    let path = link.split(['?', '#']).next()?.replace("&amp;", "&");
    let path = path.strip_prefix("./").unwrap_or(&path);
    let name = path.strip_suffix('/').unwrap_or(path);
    if name.is_empty() || name == "." || name == ".." || name.contains('/') || name.contains(':') {
        return None;
    }
    let name = percent_decode_str(name).decode_utf8().ok()?;
    // A decoded name may have become a path: it must not lead out of the folder.
    if name.contains('/') || name == ".." {
        return None;
    }
    Some(if path.ends_with('/') { format!("{name}/") } else { name.into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_index() {
        let page = r#"<ul><li><a href="features/">features/</a></li>
            <li><a href="source.jsonl">source.jsonl</a></li>
            <li><a href="a%20b%26c.jsonl">a b&amp;c.jsonl</a></li></ul>"#;
        assert_eq!(entries(page), ["a b&c.jsonl", "features/", "source.jsonl"]);
    }

    #[test]
    fn nginx_and_apache_indexes() {
        let page = r#"<a href="../">../</a> <a href='?C=N;O=D'>Name</a> <a href="/v1/">Parent Directory</a>
            <a href="batch-0.jsonl.gz">batch-0.jsonl.gz</a> 12-Jan-2026 10:00 1234 <a href="./batch-1.jsonl.gz">x</a>
            <a href="https://elsewhere.example/x">x</a> <a href="..%2f..%2fetc">x</a>"#;
        assert_eq!(entries(page), ["batch-0.jsonl.gz", "batch-1.jsonl.gz"]);
    }
}
