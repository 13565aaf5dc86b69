//! A scalar function made from a closure over whole columns.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

type Body = dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync;

/// A scalar function. Its arguments arrive as arrays of the declared types, all of one length; two
/// functions are the same if they have one name and signature.
#[derive(Clone)]
pub(crate) struct Function {
    name: &'static str,
    signature: Signature,
    returns: DataType,
    body: Arc<Body>,
}

impl Function {
    /// A function of exactly `arguments`.
    pub(crate) fn exact(
        name: &'static str,
        arguments: &[DataType],
        returns: DataType,
        volatility: Volatility,
        body: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> ScalarUDF {
        Self::one_of(name, &[arguments], returns, volatility, body)
    }

    /// A function that may be called with any of several lists of arguments.
    pub(crate) fn one_of(
        name: &'static str,
        alternatives: &[&[DataType]],
        returns: DataType,
        volatility: Volatility,
        body: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> ScalarUDF {
        let mut forms: Vec<TypeSignature> = alternatives
            .iter()
            .map(|arguments| match arguments {
                [] => TypeSignature::Nullary,
                arguments => TypeSignature::Exact(arguments.to_vec()),
            })
            .collect();
        let form = match forms.pop() {
            Some(only) if forms.is_empty() => only,
            Some(last) => {
                forms.push(last);
                TypeSignature::OneOf(forms)
            }
            None => TypeSignature::Nullary,
        };
        let signature = Signature::new(form, volatility);
        ScalarUDF::new_from_impl(Self { name, signature, returns, body: Arc::new(body) })
    }

    /// A function of any `count` arguments, which the body must look at itself.
    pub(crate) fn any(
        name: &'static str,
        counts: &[usize],
        returns: DataType,
        volatility: Volatility,
        body: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> ScalarUDF {
        let forms = counts
            .iter()
            .map(|count| if *count == 0 { TypeSignature::Nullary } else { TypeSignature::Any(*count) })
            .collect();
        let signature = Signature::new(TypeSignature::OneOf(forms), volatility);
        ScalarUDF::new_from_impl(Self { name, signature, returns, body: Arc::new(body) })
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.signature == other.signature
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.signature.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = call.number_rows;
        let arguments = call.args.iter().map(|argument| argument.to_array(rows)).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array((self.body)(&arguments, rows)?))
    }
}
