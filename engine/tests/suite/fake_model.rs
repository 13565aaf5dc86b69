//! A model service for tests: it answers by arithmetic, counts what it is asked, and can be slow or fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Int32Builder, Int64Array, ListArray, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int32Type};
use async_trait::async_trait;
use latentdb_engine::{
    Error, ErrorKind, FunctionParameter, ModelFunction, ModelLimits, ModelRequest, ModelService, Result, Volatility,
};

/// What it was asked, and how it behaves.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) requests: AtomicUsize,
    pub(crate) rows: AtomicUsize,
    pub(crate) largest: AtomicUsize,
    pub(crate) running: AtomicUsize,
    pub(crate) most_running: AtomicUsize,
    pub(crate) delay: Duration,
    pub(crate) budget: Option<usize>,
}

impl Fake {
    /// Requests and rows since the last call.
    pub(crate) fn take(&self) -> (usize, usize) {
        (self.requests.swap(0, Ordering::SeqCst), self.rows.swap(0, Ordering::SeqCst))
    }

    pub(crate) fn rows(&self) -> usize {
        self.take().1
    }
}

/// Counts the requests that run, those that are dropped too.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn row_fields() -> Fields {
    Fields::from(vec![Field::new("rank", DataType::Int32, true), Field::new("word", DataType::Utf8, true)])
}

fn function(
    name: &'static str,
    parameters: Vec<FunctionParameter>,
    result: DataType,
    gives_rows: bool,
) -> ModelFunction {
    ModelFunction { name, summary: "For tests", parameters, result, gives_rows, volatility: Volatility::Stable }
}

#[async_trait]
impl ModelService for Fake {
    fn functions(&self) -> Vec<ModelFunction> {
        let model = || FunctionParameter::required("model", "text", "Model");
        let text = || FunctionParameter::required("text", "text", "Text");
        let rows = DataType::new_list(DataType::Struct(row_fields()), true);
        vec![
            function("weigh", vec![model(), text()], DataType::Int64, false),
            function(
                "shout",
                vec![model(), text(), FunctionParameter::optional("suffix", "text", "'!'", "Ending")],
                DataType::Utf8,
                false,
            ),
            function(
                "words",
                vec![model(), text(), FunctionParameter::optional("top_k", "integer", "10", "How many")],
                rows,
                true,
            ),
            ModelFunction {
                volatility: Volatility::Volatile,
                ..function("dream", vec![text()], DataType::Int64, false)
            },
        ]
    }

    async fn answer(&self, request: ModelRequest) -> Result<ArrayRef> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.rows.fetch_add(request.rows(), Ordering::SeqCst);
        self.largest.fetch_max(request.rows(), Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        let _running = Running(&self.running);
        self.most_running.fetch_max(running, Ordering::SeqCst);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        if request.arguments[0].as_string::<i32>().iter().flatten().any(|model| model == "missing") {
            return Err(Error::new(ErrorKind::UndefinedObject, "there is no model \"missing\"").with_hint("load it"));
        }
        let texts = request.arguments.get(1).unwrap_or(&request.arguments[0]).as_string::<i32>();
        if texts.iter().flatten().any(|text| text == "bad") {
            return Err(Error::new(ErrorKind::InvalidValue, "the text is bad"));
        }
        Ok(match &*request.function {
            "shout" => {
                let suffixes = request.arguments[2].as_string::<i32>();
                let pairs = texts.iter().zip(suffixes.iter());
                Arc::new(
                    pairs.map(|(text, end)| Some(text?.to_uppercase() + end.unwrap_or(""))).collect::<StringArray>(),
                )
            }
            "words" => words(texts, &request.arguments[2]),
            _ => Arc::new(texts.iter().map(|text| text.map(|text| text.len() as i64)).collect::<Int64Array>()),
        })
    }

    fn limits(&self) -> ModelLimits {
        let limits = ModelLimits::default();
        ModelLimits { request_tokens: self.budget.unwrap_or(limits.request_tokens), ..limits }
    }
}

fn words(texts: &StringArray, limits: &ArrayRef) -> ArrayRef {
    let limits = limits.as_primitive::<Int32Type>();
    let (mut ranks, mut words, mut lengths) = (Int32Builder::new(), Vec::new(), Vec::new());
    for row in 0..texts.len() {
        let limit = if limits.is_null(row) { usize::MAX } else { limits.value(row) as usize };
        let found: Vec<&str> = texts.value(row).split_whitespace().take(limit).collect();
        lengths.push(found.len());
        for (rank, word) in (1..).zip(found) {
            ranks.append_value(rank);
            words.push(word.to_owned());
        }
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(ranks.finish()), Arc::new(StringArray::from(words))];
    let structs = StructArray::new(row_fields(), columns, None);
    let element = Arc::new(Field::new_list_field(DataType::Struct(row_fields()), true));
    Arc::new(ListArray::new(element, OffsetBuffer::from_lengths(lengths), Arc::new(structs), None))
}
