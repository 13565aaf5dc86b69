//! A machine that builds a pickle's values and does nothing else.

use std::collections::HashMap;

use super::instructions::{Instruction, Instructions, damaged};
use crate::{Error, ErrorKind, Result};

/// Values that a pickle may build: a source has dozens of tensors, an optimizer's state thousands.
const MOST_VALUES: usize = 4 << 20;
/// Depth of marks that may be open at once. Python's own pickler stops far earlier.
const MOST_MARKS: usize = 1000;

/// Place of a value in the heap.
pub(super) type Id = usize;

/// A value; containers hold the places of what is in them.
#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Name(Name),
    Storage(Storage),
    Tensor(Layout),
}

/// The only names that a pickle may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Set,
    Size,
    Bytes,
    /// How protocol 2 writes bytes: as a text of the characters 0 to 255.
    Encode,
    /// A storage's class, or a type of elements.
    Elements(Elements),
}

/// What a storage holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elements {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// A stretch of memory that is kept as a file of its own.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub elements: Elements,
    pub key: String,
    pub count: usize,
}

/// A tensor as a view of a storage.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// All values that a pickle built, and the one it stands for.
#[derive(Debug)]
pub(super) struct Heap {
    values: Vec<Value>,
    pub root: Id,
}

impl Heap {
    pub(super) fn get(&self, id: Id) -> &Value {
        self.values.get(id).unwrap_or(&Value::None)
    }
}

/// Runs a pickle to its end.
pub(super) fn run(bytes: &[u8]) -> Result<Heap> {
    let mut machine = Machine::default();
    let mut instructions = Instructions::new(bytes);
    loop {
        let instruction = instructions.next()?;
        if instruction == Instruction::Stop {
            let root = machine.pop()?;
            return Ok(Heap { values: machine.values, root });
        }
        machine.step(instruction)?;
    }
}

#[derive(Debug, Default)]
struct Machine {
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// References held by containers, all together.
    references: usize,
}

impl Machine {
    fn step(&mut self, instruction: Instruction) -> Result<()> {
        use Instruction as I;
        match instruction {
            I::Nothing | I::Stop => Ok(()),
            I::Mark => self.mark(),
            I::Pop => self.pop().map(drop),
            I::PopMark => self.pop_mark().map(drop),
            I::Dup => self.top().and_then(|id| self.push_id(id)),
            I::None => self.push(Value::None),
            I::Bool(value) => self.push(Value::Bool(value)),
            I::Int(value) => self.push(Value::Int(value)),
            I::Float(value) => self.push(Value::Float(value)),
            I::Text(value) => self.push(Value::Text(value)),
            I::Bytes(value) => self.push(Value::Bytes(value)),
            I::EmptyTuple => self.push(Value::Tuple(Vec::new())),
            I::Tuple | I::FrozenSet => self.pop_mark().and_then(|items| self.push(Value::Tuple(items))),
            I::TupleOf(count) => self.pop_many(count).and_then(|items| self.push(Value::Tuple(items))),
            I::EmptyList | I::EmptySet => self.push(Value::List(Vec::new())),
            I::List => self.pop_mark().and_then(|items| self.push(Value::List(items))),
            I::Append => self.pop_many(1).and_then(|items| self.extend_list(items)),
            I::Appends | I::AddItems => self.pop_mark().and_then(|items| self.extend_list(items)),
            I::EmptyDict => self.push(Value::Dict(Vec::new())),
            I::Dict => {
                let items = self.pop_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.extend_dict(&items)
            }
            I::SetItem => self.pop_many(2).and_then(|items| self.extend_dict(&items)),
            I::SetItems => self.pop_mark().and_then(|items| self.extend_dict(&items)),
            I::Put(slot) => self.keep(slot),
            I::Memoize => self.keep(u32::try_from(self.memo.len()).unwrap_or(u32::MAX)),
            I::Get(slot) => {
                let id = self.memo.get(&slot).copied();
                id.ok_or_else(|| damaged(format!("the pickle recalls {slot}, which it has not kept")))
                    .and_then(|id| self.push_id(id))
            }
            I::Global(module, name) => name_of(&module, &name).and_then(|name| self.push(Value::Name(name))),
            I::StackGlobal => self.stack_global(),
            I::Reduce | I::NewObject => self.call(),
            I::Build => self.build(),
            I::PersistentId => self.storage(),
        }
    }

    fn keep(&mut self, slot: u32) -> Result<()> {
        let id = self.top()?;
        self.memo.insert(slot, id);
        Ok(())
    }

    fn mark(&mut self) -> Result<()> {
        if self.marks.len() >= MOST_MARKS {
            return Err(Error::new(ErrorKind::Unsupported, "refused: the pickle is nested too deeply"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn push(&mut self, value: Value) -> Result<()> {
        let references = match &value {
            Value::Tuple(items) | Value::List(items) => items.len(),
            _ => 0,
        };
        self.count(1 + references)?;
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
        Ok(())
    }

    fn push_id(&mut self, id: Id) -> Result<()> {
        self.count(1)?;
        self.stack.push(id);
        Ok(())
    }

    /// Bounds all that a pickle can make us hold.
    fn count(&mut self, references: usize) -> Result<()> {
        self.references += references;
        match self.references > MOST_VALUES {
            true => Err(Error::new(ErrorKind::Unsupported, "refused: the pickle builds too many values")),
            false => Ok(()),
        }
    }

    /// The lowest height that instructions may pop to: what lies below the last mark is not theirs.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        match self.stack.len() > self.floor() {
            true => self.stack.last().copied().ok_or_else(underflow),
            false => Err(underflow()),
        }
    }

    fn pop(&mut self) -> Result<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        let start = self.stack.len().checked_sub(count).filter(|start| *start >= self.floor());
        Ok(self.stack.split_off(start.ok_or_else(underflow)?))
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let start = self.marks.pop().filter(|start| *start <= self.stack.len()).ok_or_else(underflow)?;
        Ok(self.stack.split_off(start))
    }

    fn value(&self, id: Id) -> &Value {
        self.values.get(id).unwrap_or(&Value::None)
    }

    fn extend_list(&mut self, items: Vec<Id>) -> Result<()> {
        self.count(items.len())?;
        let id = self.top()?;
        match self.values.get_mut(id) {
            Some(Value::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(damaged("the pickle appends to what is no list")),
        }
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<()> {
        self.count(items.len())?;
        let id = self.top()?;
        match self.values.get_mut(id) {
            Some(Value::Dict(dict)) if items.len().is_multiple_of(2) => {
                dict.extend(items.chunks_exact(2).filter_map(|pair| match pair {
                    [key, value] => Some((*key, *value)),
                    _ => None,
                }));
                Ok(())
            }
            _ => Err(damaged("the pickle sets an item of what is no mapping")),
        }
    }

    fn stack_global(&mut self) -> Result<()> {
        let parts = self.pop_many(2)?;
        let texts: Vec<&Value> = parts.iter().map(|id| self.value(*id)).collect();
        let name = match texts.as_slice() {
            [Value::Text(module), Value::Text(name)] => name_of(module, name)?,
            _ => return Err(damaged("the pickle names something by what is no text")),
        };
        self.push(Value::Name(name))
    }

    /// Applies one of the few known names to its arguments.
    fn call(&mut self) -> Result<()> {
        let parts = self.pop_many(2)?;
        let [callee, arguments] = parts.as_slice() else { return Err(underflow()) };
        let Value::Tuple(arguments) = self.value(*arguments) else {
            return Err(damaged("the pickle calls something with what are no arguments"));
        };
        let first = arguments.first().map(|id| self.value(*id).clone());
        match (self.value(*callee), first) {
            (Value::Name(Name::OrderedDict), None) => self.push(Value::Dict(Vec::new())),
            (Value::Name(Name::OrderedDict), Some(Value::List(pairs))) => self.ordered_dict(&pairs),
            (Value::Name(Name::RebuildTensor), _) => {
                let layout = self.layout(arguments)?;
                self.push(Value::Tensor(layout))
            }
            (Value::Name(Name::RebuildParameter), Some(Value::Tensor(layout))) => self.push(Value::Tensor(layout)),
            (Value::Name(Name::Size | Name::Set), Some(Value::Tuple(items) | Value::List(items))) => {
                self.push(Value::Tuple(items))
            }
            (Value::Name(Name::Encode), Some(Value::Text(text))) => {
                let bytes = text.chars().map(u8::try_from).collect::<Result<_, _>>();
                self.push(Value::Bytes(bytes.map_err(|_| damaged("bytes in the pickle are larger than 255"))?))
            }
            (Value::Name(Name::Bytes), None) => self.push(Value::Bytes(Vec::new())),
            (Value::Name(name), _) => Err(damaged(format!("the pickle calls {name:?} with unknown arguments"))),
            _ => Err(Error::new(ErrorKind::Unsupported, "refused: the pickle calls what is no known name")),
        }
    }

    fn ordered_dict(&mut self, pairs: &[Id]) -> Result<()> {
        let mut items = Vec::with_capacity(pairs.len() * 2);
        for pair in pairs {
            match self.value(*pair) {
                Value::Tuple(pair) | Value::List(pair) if pair.len() == 2 => items.extend(pair),
                _ => return Err(damaged("the pickle makes a mapping of what are no pairs")),
            }
        }
        self.push(Value::Dict(Vec::new()))?;
        self.extend_dict(&items)
    }

    /// `_rebuild_tensor_v2(storage, offset, shape, strides, …)`: nothing that follows changes the values.
    fn layout(&self, arguments: &[Id]) -> Result<Layout> {
        let malformed = || damaged("a tensor in the pickle has unknown arguments");
        let [storage, offset, shape, strides, ..] = arguments else { return Err(malformed()) };
        let Value::Storage(storage) = self.value(*storage) else { return Err(malformed()) };
        let size = |id: &Id| match self.value(*id) {
            Value::Int(value) => usize::try_from(*value).map_err(|_| malformed()),
            _ => Err(malformed()),
        };
        let sizes = |id: &Id| match self.value(*id) {
            Value::Tuple(items) if items.len() <= 8 => items.iter().map(size).collect::<Result<Vec<_>>>(),
            _ => Err(malformed()),
        };
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        match shape.len() == strides.len() {
            true => Ok(Layout { storage: storage.clone(), offset: size(offset)?, shape, strides }),
            false => Err(malformed()),
        }
    }

    /// A state is set only on mappings, where PyTorch keeps version numbers; it is left out.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        match self.value(self.top()?) {
            Value::Dict(_) => Ok(()),
            _ => Err(Error::new(ErrorKind::Unsupported, "refused: the pickle sets the state of an object")),
        }
    }

    /// `("storage", class, key, device, count)`.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let malformed = || damaged("a storage in the pickle has unknown arguments");
        let Value::Tuple(parts) = self.value(id) else { return Err(malformed()) };
        let parts: Vec<&Value> = parts.iter().map(|id| self.value(*id)).collect();
        let storage = match parts.as_slice() {
            [Value::Text(kind), Value::Name(Name::Elements(elements)), Value::Text(key), _, Value::Int(count), ..]
                if kind == "storage" =>
            {
                let count = usize::try_from(*count).map_err(|_| malformed())?;
                Storage { elements: *elements, key: key.clone(), count }
            }
            _ => return Err(malformed()),
        };
        self.push(Value::Storage(storage))
    }
}

/// What a name stands for; anything but PyTorch's tensors and plain containers is refused.
fn name_of(module: &str, name: &str) -> Result<Name> {
    use Elements as E;
    let elements = |elements| Ok(Name::Elements(elements));
    match (module, name) {
        ("collections", "OrderedDict") => Ok(Name::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Ok(Name::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Ok(Name::RebuildParameter),
        ("torch", "Size") => Ok(Name::Size),
        ("builtins" | "__builtin__", "set" | "frozenset") => Ok(Name::Set),
        ("builtins" | "__builtin__", "bytes") => Ok(Name::Bytes),
        ("_codecs", "encode") => Ok(Name::Encode),
        ("torch", "DoubleStorage" | "float64") => elements(E::F64),
        ("torch", "FloatStorage" | "float32") => elements(E::F32),
        ("torch", "HalfStorage" | "float16") => elements(E::F16),
        ("torch", "BFloat16Storage" | "bfloat16") => elements(E::Bf16),
        ("torch", "LongStorage" | "int64") => elements(E::I64),
        ("torch", "IntStorage" | "int32") => elements(E::I32),
        ("torch", "ShortStorage" | "int16") => elements(E::I16),
        ("torch", "CharStorage" | "int8") => elements(E::I8),
        ("torch", "ByteStorage" | "uint8") => elements(E::U8),
        ("torch", "BoolStorage" | "bool") => elements(E::Bool),
        _ => Err(Error::new(ErrorKind::Unsupported, format!("refused: the pickle names {module}.{name}"))
            .with_hint("only tensors and plain containers are read; save the tensors as safetensors")),
    }
}

fn underflow() -> Error {
    damaged("the pickle takes more values than it has made")
}
