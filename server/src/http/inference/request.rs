//! What requests have in common.

use axum::extract::rejection::JsonRejection;
use latentdb_engine::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::error::ApiError;

/// One text, or several.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    /// The texts, at most so many, and whether the answer is a list of answers.
    pub(super) fn into_list(self, most: usize) -> Result<(Vec<String>, bool), ApiError> {
        match self {
            Self::One(text) => Ok((vec![text], false)),
            Self::Many(texts) if texts.len() > most => Err(ApiError::from(
                Error::new(ErrorKind::InvalidValue, format!("{} texts are more than {most}", texts.len()))
                    .with_hint("bring fewer at a time, ask in SQL, or raise the server's limits.prompts"),
            )),
            Self::Many(texts) => Ok((texts, true)),
        }
    }
}

/// The answer on one text, or a list of answers on a list of texts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The answers to a list, or the answer to a single text.
    pub(super) fn of(answers: impl IntoIterator<Item = T>, is_list: bool) -> Self {
        let mut answers: Vec<T> = answers.into_iter().collect();
        match answers.pop() {
            Some(only) if !is_list => Self::One(only),
            last => {
                answers.extend(last);
                Self::Many(answers)
            }
        }
    }
}

/// Answers on a list of texts.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Results<T> {
    results: Vec<T>,
}

/// The answer on one text, or the answers on a list of texts under `results`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum OneOrResults<T> {
    One(T),
    Many(Results<T>),
}

impl<T> OneOrResults<T> {
    /// The answers to a list, or the answer to a single text.
    pub(super) fn of(answers: impl IntoIterator<Item = T>, is_list: bool) -> Self {
        match OneOrMany::of(answers, is_list) {
            OneOrMany::One(answer) => Self::One(answer),
            OneOrMany::Many(results) => Self::Many(Results { results }),
        }
    }
}

/// A feature's number, which Neuronpedia's clients send as text.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum Index {
    Text(String),
    Number(u32),
}

impl std::fmt::Display for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// The error for a body that cannot be read: what is wrong with it, and where.
pub(super) fn unreadable(rejection: &JsonRejection) -> ApiError {
    ApiError::bad_request(rejection.body_text())
}

/// A number that has to lie in a range.
pub(super) fn within(name: &str, value: i64, least: i64, most: i64) -> Result<i32, ApiError> {
    match i32::try_from(value) {
        Ok(small) if (least..=most).contains(&value) => Ok(small),
        _ => Err(ApiError::from(
            Error::new(ErrorKind::InvalidValue, format!("{name} is {value}"))
                .with_hint(format!("it is between {least} and {most}")),
        )),
    }
}

/// An activation as Neuronpedia's server writes it.
pub(super) fn rounded(value: &Value) -> Value {
    match value.as_f64() {
        Some(value) => Value::from((value * 1e3).round() / 1e3),
        None => Value::Null,
    }
}
