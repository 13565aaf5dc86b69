//! What an endpoint answers, checked: one finite vector of the right length for each text.

use serde::Deserialize;

/// The part of an answer that counts.
#[derive(Debug, Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    /// Number of the text. Some servers leave it out and keep the order.
    #[serde(default)]
    index: Option<usize>,
    /// Some servers write null for what is not a number.
    embedding: Vec<Option<f64>>,
}

/// The vectors of `texts` texts in the texts' order, or what is wrong with the answer.
pub(super) fn vectors(body: &[u8], texts: usize, dimension: Option<usize>) -> Result<Vec<Vec<f32>>, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| format!("its answer cannot be read: {error}"))?;
    let found = answer.data.len();
    if found != texts {
        return Err(format!("it gave {found} vectors for {texts} texts"));
    }
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (place, item) in answer.data.into_iter().enumerate() {
        let number = item.index.unwrap_or(place);
        let slot = vectors.get_mut(number).ok_or_else(|| format!("it gave a vector for text {number} of {texts}"))?;
        if slot.is_some() {
            return Err(format!("it gave two vectors for text {number}"));
        }
        *slot =
            Some(finite(&item.embedding).ok_or_else(|| format!("a value of vector {number} is not a finite number"))?);
    }
    // There are as many as texts, and none twice.
    let vectors: Vec<Vec<f32>> = vectors.into_iter().flatten().collect();
    let expected = dimension.or_else(|| vectors.first().map(Vec::len)).unwrap_or_default();
    match vectors.iter().find(|vector| vector.len() != expected || vector.is_empty()) {
        Some(wrong) => Err(format!("it gave a vector of {} values where {expected} were expected", wrong.len())),
        None => Ok(vectors),
    }
}

fn finite(values: &[Option<f64>]) -> Option<Vec<f32>> {
    values.iter().map(|value| value.map(|value| value as f32).filter(|value| value.is_finite())).collect()
}

#[cfg(test)]
mod tests {
    use super::vectors;

    fn read(body: &str, texts: usize, dimension: Option<usize>) -> Result<Vec<Vec<f32>>, String> {
        vectors(body.as_bytes(), texts, dimension)
    }

    #[test]
    fn vectors_come_in_the_order_of_their_numbers() {
        let body = r#"{"data":[{"index":1,"embedding":[2,3]},{"index":0,"embedding":[0.5,1]}],"usage":{}}"#;
        assert_eq!(read(body, 2, Some(2)).unwrap(), [[0.5, 1.0], [2.0, 3.0]]);
        assert_eq!(read(r#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#, 2, None).unwrap(), [[1.0], [2.0]]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_what_is_wrong() {
        let one = r#"{"data":[{"index":0,"embedding":[1,2]}]}"#;
        for (body, texts, dimension, expected) in [
            (one, 2, None, "1 vectors for 2 texts"),
            (one, 0, None, "1 vectors for 0 texts"),
            (one, 1, Some(3), "2 values where 3"),
            (r#"{"data":[{"index":0,"embedding":[]}]}"#, 1, None, "0 values"),
            (r#"{"data":[{"index":3,"embedding":[1]}]}"#, 1, None, "text 3"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#, 2, None, "two vectors"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]}"#, 2, None, "2 values where 1"),
            (r#"{"data":[{"index":0,"embedding":[null]}]}"#, 1, None, "finite"),
            (r#"{"data":[{"index":0,"embedding":[1e39]}]}"#, 1, None, "finite"),
            (r#"{"data":[{"index":0,"embedding":[NaN]}]}"#, 1, None, "cannot be read"),
            (r#"{"data":[{"index":0,"embedding":"AAAA"}]}"#, 1, None, "cannot be read"),
            (r#"{"error":"x"}"#, 1, None, "cannot be read"),
            ("<html>", 1, None, "cannot be read"),
        ] {
            let error = read(body, texts, dimension).unwrap_err();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }
}
