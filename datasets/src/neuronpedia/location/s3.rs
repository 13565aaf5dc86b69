//! Listings as S3 writes them: `ListObjectsV2`, at most 1,000 keys a page, with a token for the next.

use serde::Deserialize;

/// One page of a listing.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "ListBucketResult", rename_all = "PascalCase")]
pub(super) struct Page {
    #[serde(default)]
    pub is_truncated: bool,
    #[serde(default)]
    pub next_continuation_token: Option<String>,
    #[serde(default)]
    pub contents: Vec<Object>,
    #[serde(default)]
    pub common_prefixes: Vec<CommonPrefix>,
}

/// One object.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Object {
    pub key: String,
    #[serde(default)]
    pub size: Option<u64>,
    #[serde(rename = "ETag", default)]
    pub etag: Option<String>,
}

/// One folder.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CommonPrefix {
    pub prefix: String,
}

/// Reads a page; `None` if the text is something else, such as an HTML index.
pub(super) fn parse(xml: &str) -> Option<Page> {
    if !xml.get(..xml.len().min(1024)).unwrap_or(xml).contains("<ListBucketResult") {
        return None;
    }
    quick_xml::de::from_str(xml).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_with_more_to_come() {
        let page = parse(
            r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><KeyCount>2</KeyCount>
            <IsTruncated>true</IsTruncated><NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J=</NextContinuationToken>
            <Contents><Key>v1/m&amp;n/s/source.jsonl</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>
            <ETag>&quot;70ee1738b6b21&quot;</ETag><Size>12</Size></Contents>
            <CommonPrefixes><Prefix>v1/m/s/features/</Prefix></CommonPrefixes>
            <Contents><Key>v1/m/s/x</Key><ETag>"a"</ETag><Size>0</Size></Contents></ListBucketResult>"#,
        )
        .unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.next_continuation_token.as_deref(), Some("1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J="));
        assert_eq!(page.contents.len(), 2);
        let first = page.contents.first().unwrap();
        assert_eq!(
            (first.key.as_str(), first.size, first.etag.as_deref()),
            ("v1/m&n/s/source.jsonl", Some(12), Some("\"70ee1738b6b21\""))
        );
        assert_eq!(page.common_prefixes, [CommonPrefix { prefix: "v1/m/s/features/".to_owned() }]);
    }

    #[test]
    fn other_pages_are_not_taken_for_listings() {
        assert_eq!(parse("<html><body><a href=\"x\">x</a></body></html>"), None);
        assert_eq!(parse("<Error><Code>AccessDenied</Code></Error>"), None);
    }
}
