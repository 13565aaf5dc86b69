//! `principal_component(vector [, k])`: the direction in which vectors differ most, or the `k`th of such directions.
//!
//! The vectors are centred, and the direction found by power iteration, with those before it taken out. It has length 1, and its
//! component that is largest in size is positive. Null vectors are left out; of fewer than two different ones there is none.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::columns::list_of;
use crate::{Error, ErrorKind};

/// Most steps of the iteration. Directions whose variances are less than a hundredth apart may then still be mixed a little.
const STEPS: usize = 1000;
/// The iteration ends when a step turns the direction by less.
const STILL: f64 = 1e-10;

/// The aggregate.
pub(super) fn principal_component() -> AggregateUDF {
    AggregateUDF::from(PrincipalComponent { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PrincipalComponent {
    signature: Signature,
}

impl AggregateUDFImpl for PrincipalComponent {
    fn name(&self) -> &'static str {
        "principal_component"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Float32))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let is_vector = |given: &DataType| {
            matches!(given, DataType::Null)
                || matches!(given, DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _)
                    if of.data_type().is_numeric() || of.data_type().is_null())
        };
        match arguments {
            [vector] if is_vector(vector) => Ok(vec![list_of(DataType::Float32)]),
            [vector, k] if is_vector(vector) && k.is_integer() => Ok(vec![list_of(DataType::Float32), DataType::Int64]),
            _ => Err(Error::new(
                ErrorKind::UndefinedFunction,
                "principal_component takes vectors (real[]) and, if not the first component is wanted, its number",
            )
            .into()),
        }
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |what: &str, data_type: DataType| {
            Arc::new(Field::new(format!("{}[{what}]", arguments.name), data_type, true))
        };
        Ok(vec![
            field("vectors", list_of(DataType::Float32)),
            field("width", DataType::Int64),
            field("component", DataType::Int64),
        ])
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Vectors::default()))
    }
}

/// The vectors so far.
#[derive(Debug, Default)]
struct Vectors {
    /// One after another.
    values: Vec<f32>,
    width: Option<usize>,
    /// Which component is asked for, from 1.
    component: Option<usize>,
}

impl Vectors {
    fn add(&mut self, vector: &[f32], width: usize) -> Result<()> {
        let expected = *self.width.get_or_insert(width);
        if expected != width {
            return Err(invalid(format!("principal_component: vectors of {expected} and of {width} components")));
        }
        if vector.iter().any(|value| !value.is_finite()) {
            return Err(invalid("principal_component: a component is not a finite number"));
        }
        self.values.extend_from_slice(vector);
        Ok(())
    }

    fn ask(&mut self, component: i64) -> Result<()> {
        let asked = usize::try_from(component).ok().filter(|component| *component > 0);
        let asked = asked.ok_or_else(|| invalid("principal_component: components are counted from 1"))?;
        if *self.component.get_or_insert(asked) != asked {
            return Err(invalid("principal_component: the number of the component differs from row to row"));
        }
        Ok(())
    }
}

impl Accumulator for Vectors {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let Some(vectors) = columns.first().and_then(|column| column.as_list_opt::<i32>()) else { return Ok(()) };
        let components = columns.get(1).and_then(|column| column.as_primitive_opt::<Int64Type>());
        for row in (0..vectors.len()).filter(|row| vectors.is_valid(*row)) {
            match components {
                Some(components) if components.is_valid(row) => self.ask(components.value(row))?,
                Some(_) => continue,
                None => self.ask(1)?,
            }
            let vector = vectors.value(row);
            let vector = vector.as_primitive::<Float32Type>();
            if vector.null_count() > 0 {
                return Err(invalid("principal_component: a component is null"));
            }
            self.add(vector.values(), vector.len())?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let found = direction(&self.values, self.width.unwrap_or_default(), self.component.unwrap_or(1));
        Ok(match found {
            Some(direction) => {
                let values: Vec<ScalarValue> = direction.into_iter().map(ScalarValue::from).collect();
                ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float32))
            }
            None => ScalarValue::try_from(&list_of(DataType::Float32))?,
        })
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f32>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.drain(..).map(ScalarValue::from).collect();
        let whole = |number: Option<usize>| ScalarValue::Int64(number.and_then(|number| i64::try_from(number).ok()));
        Ok(vec![
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float32)),
            whole(self.width),
            whole(self.component),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [vectors, widths, components] = states else { return Ok(()) };
        let (widths, components) = (widths.as_primitive::<Int64Type>(), components.as_primitive::<Int64Type>());
        let vectors = vectors.as_list::<i32>();
        for row in (0..vectors.len()).filter(|row| widths.is_valid(*row) && components.is_valid(*row)) {
            self.ask(components.value(row))?;
            let width = usize::try_from(widths.value(row)).unwrap_or_default();
            let values = vectors.value(row);
            for vector in values.as_primitive::<Float32Type>().values().chunks_exact(width.max(1)) {
                self.add(vector, width)?;
            }
        }
        Ok(())
    }
}

/// The `component`th principal direction of vectors of `width` components.
fn direction(values: &[f32], width: usize, component: usize) -> Option<Vec<f32>> {
    let count = values.len().checked_div(width)?;
    if component > width.min(count.saturating_sub(1)) {
        return None;
    }
    let mut mean = vec![0.0f64; width];
    for vector in values.chunks_exact(width) {
        mean.iter_mut().zip(vector).for_each(|(mean, value)| *mean += f64::from(*value) / count as f64);
    }
    let centred: Vec<f64> = values.chunks_exact(width).flat_map(|vector| subtracted(vector, &mean)).collect();
    let spread = dot(&centred, &centred);
    let mut found: Vec<Vec<f64>> = Vec::with_capacity(component);
    for _ in 0..component {
        let next = strongest(&centred, width, &found, spread)?;
        found.push(next);
    }
    let mut last = found.pop()?;
    let largest = last.iter().copied().fold(0.0f64, |most, value| if value.abs() > most.abs() { value } else { most });
    last.iter_mut().for_each(|value| *value *= largest.signum());
    Some(last.into_iter().map(|value| value as f32).collect())
}

fn subtracted(vector: &[f32], mean: &[f64]) -> Vec<f64> {
    vector.iter().zip(mean).map(|(value, mean)| f64::from(*value) - mean).collect()
}

/// The direction in which centred vectors vary most, apart from those that were found before; none if they do not vary any more.
fn strongest(centred: &[f64], width: usize, before: &[Vec<f64>], spread: f64) -> Option<Vec<f64>> {
    // Different parts everywhere, so that no direction is missed.
    let start = (1..=width).map(|n| 1.0 + (n as f64 * 0.618_033_988_749_895).fract());
    let mut direction = apart(start.collect(), before);
    normalize(&mut direction)?;
    for _ in 0..STEPS {
        let mut next = vec![0.0f64; width];
        for vector in centred.chunks_exact(width) {
            let along = dot(vector, &direction);
            next.iter_mut().zip(vector).for_each(|(next, value)| *next += along * value);
        }
        let mut next = apart(next, before);
        // What is left of the spread is rounding.
        if normalize(&mut next)? <= spread * 1e-12 {
            return None;
        }
        let turned: f64 = next.iter().zip(&direction).map(|(next, direction)| (next - direction).powi(2)).sum();
        direction = next;
        if turned < STILL * STILL {
            break;
        }
    }
    Some(direction)
}

/// A vector without its parts along directions of length 1.
fn apart(mut vector: Vec<f64>, directions: &[Vec<f64>]) -> Vec<f64> {
    for direction in directions {
        let along = dot(&vector, direction);
        vector.iter_mut().zip(direction).for_each(|(value, direction)| *value -= along * direction);
    }
    vector
}

/// Makes a vector's length 1; gives the length that it had, if it had one.
fn normalize(vector: &mut [f64]) -> Option<f64> {
    let length = dot(vector, vector).sqrt();
    if length <= 0.0 || !length.is_finite() {
        return None;
    }
    vector.iter_mut().for_each(|value| *value /= length);
    Some(length)
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn invalid(message: impl Into<String>) -> datafusion::error::DataFusionError {
    Error::new(ErrorKind::InvalidValue, message).into()
}

#[cfg(test)]
mod tests {
    use super::direction;

    /// Made-up vectors of 5 components, which numpy knows too.
    fn vectors() -> Vec<f32> {
        let scales = [3.0, 1.0, 2.0, 0.5, 1.5];
        let value = |n: u64| ((n * 2_654_435_761 % (1 << 32)) >> 16) % 1000;
        (1..=120u64).map(|n| (value(n) as f32 / 100.0 - 5.0) * scales[(n as usize - 1) % 5]).collect()
    }

    #[test]
    fn directions_are_those_of_a_singular_value_decomposition() {
        // numpy.linalg.svd(x - x.mean(0))[2], each row with its largest component positive.
        let expected = [
            [0.954_193, 0.140_314, -0.210_351, -0.077_084, 0.140_137],
            [0.198_091, 0.184_713, 0.956_213, 0.102_651, -0.041_969],
            [-0.064_109, -0.268_576, 0.086_093, 0.188_726, 0.938_471],
            [-0.181_869, 0.916_787, -0.155_15, 0.235_19, 0.216_883],
            [0.114_41, -0.183_195, -0.099_632, 0.944_769, -0.225_465],
        ];
        for (number, expected) in expected.iter().enumerate() {
            let found = direction(&vectors(), 5, number + 1).unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-4, "component {}: {found}, expected {expected}", number + 1);
            }
        }
        assert_eq!(direction(&vectors(), 5, 6), None);
    }

    #[test]
    fn what_does_not_vary_has_no_direction() {
        assert_eq!(direction(&[], 0, 1), None);
        assert_eq!(direction(&[1.0, 2.0], 2, 1), None);
        assert_eq!(direction(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0], 2, 1), None);
        // Along a line there is one.
        let line = [0.0, 0.0, 3.0, -4.0, 6.0, -8.0];
        let found = direction(&line, 2, 1).unwrap();
        assert!((found[0] + 0.6).abs() < 1e-6 && (found[1] - 0.8).abs() < 1e-6, "{found:?}");
        assert_eq!(direction(&line, 2, 2), None);
    }
}
