//! A reader of the few pickle opcodes that a PyTorch state dict needs. It builds plain values and executes nothing.
//!
//! The only "calls" are an ordered dict, a tensor over a storage, and a parameter around a tensor; every other
//! global is refused. Values nest at most [`MAX_DEPTH`] deep and are counted, and what is referred to is shared, so that hostile
//! files can exhaust neither the stack nor the memory.

use std::collections::HashMap;
use std::rc::Rc;

/// Bytes of the pickles of a file, at most.
pub(crate) const MAX_PICKLE: usize = 64 << 20;

/// Tensors of a state dict, at most.
pub(crate) const MAX_TENSORS: usize = 100_000;

/// Values and marks of a pickle, at most: a tensor takes some thirty, with its name and what is noted of its module.
const MAX_VALUES: usize = 40 * MAX_TENSORS;

/// Values kept to be referred to, at most: a tensor keeps ten.
const MAX_MEMO: usize = 12 * MAX_TENSORS;

/// Storages and calls, at most: a tensor has its storage, an empty dict of hooks, itself, and perhaps a parameter around it.
const MAX_CALLS: usize = 4 * MAX_TENSORS;

const MAX_DEPTH: u8 = 12;
const MAX_STRING: usize = 4096;

/// Where classes of storages are.
const MODULE: &str = "torch.";

/// A tensor as a state dict describes it: a view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Key of the storage.
    pub storage: Rc<str>,
    /// Name of the storage's class, such as `torch.FloatStorage`.
    global: Rc<str>,
    /// Values in the storage.
    pub values: u64,
    /// First value of the tensor in the storage.
    pub offset: u64,
    /// Extents.
    pub size: Vec<u64>,
    /// Distance between neighbours along each dimension, in values.
    pub stride: Vec<u64>,
}

impl View {
    /// Class of the storage, such as `FloatStorage`.
    pub(crate) fn class(&self) -> &str {
        self.global.strip_prefix(MODULE).unwrap_or(&self.global)
    }
}

/// What a pickle may hold here.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    None,
    Bool,
    Int(i64),
    /// An integer of more than 8 bytes, little-endian.
    Long(Rc<[u8]>),
    Text(Rc<str>),
    Global(Rc<str>),
    Tuple(Rc<Vec<Value>>, u8),
    List(Vec<Value>, u8),
    Dict(Vec<(Value, Value)>, u8),
    Storage(Rc<View>),
    Tensor(Rc<View>),
    /// A dict or list fetched from the memo: known to exist, not readable from there.
    Opaque,
}

impl Value {
    fn depth(&self) -> u8 {
        match self {
            Self::Tuple(_, depth) | Self::List(_, depth) | Self::Dict(_, depth) => *depth,
            _ => 0,
        }
    }
}

/// Reads one pickle after another from a slice.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    /// Values and marks that were made, whatever became of them.
    made: usize,
    /// Storages and calls among them.
    calls: usize,
}

type Fault = String;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next byte is.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("the file ends inside a pickle")?;
        if end > MAX_PICKLE {
            return Err(format!("pickles of more than {MAX_PICKLE} bytes"));
        }
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn number(&mut self, n: usize) -> Result<u32, Fault> {
        Ok(self.take(n)?.iter().rev().fold(0, |sum, b| sum << 8 | u32::from(*b)))
    }

    fn text(&mut self, n: usize) -> Result<Rc<str>, Fault> {
        if n > MAX_STRING {
            return Err(format!("a text of {n} bytes"));
        }
        std::str::from_utf8(self.take(n)?).map(Rc::from).map_err(|e| e.to_string())
    }

    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().take(MAX_STRING).position(|b| *b == b'\n').ok_or("a name without end")?;
        let line = std::str::from_utf8(self.take(n)?).map_err(|e| e.to_string())?;
        self.at += 1;
        Ok(line)
    }

    /// The value of the next pickle.
    pub(crate) fn next(&mut self) -> Result<Value, Fault> {
        let mut machine = Machine::default();
        loop {
            let opcode = self.take(1)?[0];
            if opcode == b'.' {
                return machine.pop();
            }
            self.step(opcode, &mut machine)?;
        }
    }

    fn step(&mut self, opcode: u8, m: &mut Machine) -> Result<(), Fault> {
        match opcode {
            0x80 => {
                self.take(1)?;
            }
            b'N' => m.push(Value::None)?,
            0x88 | 0x89 => m.push(Value::Bool)?,
            b'K' => m.push(Value::Int(self.number(1)?.into()))?,
            b'M' => m.push(Value::Int(self.number(2)?.into()))?,
            b'J' => m.push(Value::Int(i64::from(self.number(4)? as i32)))?,
            0x8a => {
                let n = self.number(1)? as usize;
                m.push(long(self.take(n)?))?;
            }
            b'X' => {
                let n = self.number(4)? as usize;
                m.push(Value::Text(self.text(n)?))?;
            }
            0x8c => {
                let n = self.number(1)? as usize;
                m.push(Value::Text(self.text(n)?))?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                m.push(Value::Global(format!("{module}.{name}").into()))?;
            }
            b'q' => m.put(self.number(1)?)?,
            b'r' => m.put(self.number(4)?)?,
            b'h' => m.get(self.number(1)?)?,
            b'j' => m.get(self.number(4)?)?,
            _ => m.build(opcode)?,
        }
        Ok(())
    }
}

/// A little-endian two's-complement integer.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Long(bytes.into());
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}

impl Machine {
    /// Counts a value or a mark: a few bytes of a file could make any number of them, of what is in the memo.
    fn count(&mut self) -> Result<(), Fault> {
        self.made += 1;
        if self.made > MAX_VALUES {
            return Err(format!("a pickle of more than {MAX_VALUES} values"));
        }
        Ok(())
    }

    fn push(&mut self, value: Value) -> Result<(), Fault> {
        self.count()?;
        self.stack.push(value);
        Ok(())
    }

    /// Puts a storage or what came of a call on the stack. Each is a value of its own, even where it is made of the same ones.
    fn push_made(&mut self, value: Value) -> Result<(), Fault> {
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Err(format!("a pickle of more than {MAX_CALLS} storages and calls"));
        }
        self.push(value)
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() > floor { self.stack.pop() } else { None }
            .ok_or_else(|| "a pickle that takes more than it has".into())
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, Fault> {
        let mark = self.marks.pop().ok_or("a pickle without the mark that it needs")?;
        Ok(self.stack.split_off(mark))
    }

    fn put(&mut self, at: u32) -> Result<(), Fault> {
        let value = match self.stack.last().ok_or("an empty stack")? {
            Value::Dict(..) | Value::List(..) => Value::Opaque,
            value => value.clone(),
        };
        self.memo.insert(at, value);
        if self.memo.len() > MAX_MEMO {
            return Err(format!("a pickle that refers to more than {MAX_MEMO} values"));
        }
        Ok(())
    }

    fn get(&mut self, at: u32) -> Result<(), Fault> {
        let value = self.memo.get(&at).ok_or("a reference to nothing")?.clone();
        self.push(value)
    }

    fn tuple(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let depth = deeper(items.iter())?;
        self.push(Value::Tuple(Rc::new(items), depth))
    }

    /// Opcodes that combine what is on the stack.
    fn build(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            b'(' => {
                self.count()?;
                self.marks.push(self.stack.len());
            }
            b')' => self.tuple(Vec::new())?,
            b'}' => self.push(Value::Dict(Vec::new(), 1))?,
            b']' => self.push(Value::List(Vec::new(), 1))?,
            b't' => {
                let items = self.since_mark()?;
                self.tuple(items)?;
            }
            0x85..=0x87 => {
                let mut items = (0x85..=opcode).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                self.tuple(items)?;
            }
            b'a' | b'e' => {
                let items = if opcode == b'a' { vec![self.pop()?] } else { self.since_mark()? };
                self.append(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(items)?;
            }
            // The attributes of a state dict (`_metadata`) are of no use here.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let value = self.pop()?;
                self.push_made(storage(&value)?)?;
            }
            b'R' => {
                let arguments = self.pop()?;
                let callee = self.pop()?;
                self.push_made(call(&callee, &arguments)?)?;
            }
            other => {
                return Err(format!("the pickle opcode 0x{other:02x}, which no state dict needs"));
            }
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let deep = deeper(items.iter())?;
        match self.stack.last_mut() {
            Some(Value::List(list, depth)) => {
                *depth = deep.max(*depth);
                list.extend(items);
                Ok(())
            }
            _ => Err("an append to something that is no list".into()),
        }
    }

    fn set(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let deep = deeper(items.iter())?;
        let Some(Value::Dict(dict, depth)) = self.stack.last_mut() else {
            return Err("an entry of something that is no dict".into());
        };
        *depth = deep.max(*depth);
        let mut items = items.into_iter();
        while let Some(key) = items.next() {
            dict.push((key, items.next().ok_or("a key without a value")?));
        }
        Ok(())
    }
}

/// One more than the deepest of `items`.
fn deeper<'v>(items: impl Iterator<Item = &'v Value>) -> Result<u8, Fault> {
    match items.map(Value::depth).max().unwrap_or(0) + 1 {
        depth if depth <= MAX_DEPTH => Ok(depth),
        _ => Err("values nested too deeply".into()),
    }
}

/// `("storage", class, key, location, values, ...)`.
fn storage(value: &Value) -> Result<Value, Fault> {
    if let Value::Tuple(items, _) = value
        && let [Value::Text(kind), Value::Global(class), Value::Text(key), _, Value::Int(values), rest @ ..] =
            &items[..]
        && &**kind == "storage"
        && matches!(rest, [] | [Value::None])
        && class.starts_with(MODULE)
    {
        return Ok(Value::Storage(Rc::new(View {
            storage: key.clone(),
            global: class.clone(),
            values: u64::try_from(*values).map_err(|_| "a storage of negative length")?,
            offset: 0,
            size: Vec::new(),
            stride: Vec::new(),
        })));
    }
    Err("a storage that is described in an unknown way".into())
}

fn extents(value: &Value) -> Result<Vec<u64>, Fault> {
    let Value::Tuple(items, _) = value else { return Err("extents that are no tuple".into()) };
    let one = |v: &Value| match v {
        Value::Int(n) => u64::try_from(*n).map_err(|_| Fault::from("a negative extent")),
        _ => Err("an extent that is no integer".into()),
    };
    if items.len() > 8 {
        Err("a tensor of more than 8 dimensions".into())
    } else {
        items.iter().map(one).collect()
    }
}

fn call(callee: &Value, arguments: &Value) -> Result<Value, Fault> {
    let (Value::Global(name), Value::Tuple(arguments, _)) = (callee, arguments) else {
        return Err("a call of something that is no name".into());
    };
    match (&**name, &arguments[..]) {
        ("collections.OrderedDict", []) => Ok(Value::Dict(Vec::new(), 1)),
        ("torch._utils._rebuild_parameter", [Value::Tensor(view), ..]) => Ok(Value::Tensor(view.clone())),
        (
            "torch._utils._rebuild_tensor_v2",
            [Value::Storage(whole), Value::Int(offset), size, stride, ..],
        ) => {
            let (size, stride) = (extents(size)?, extents(stride)?);
            if size.len() != stride.len() {
                return Err("a tensor whose extents and strides differ in number".into());
            }
            let offset = u64::try_from(*offset).map_err(|_| "a negative offset")?;
            Ok(Value::Tensor(Rc::new(View { offset, size, stride, ..(**whole).clone() })))
        }
        _ => Err(format!("a call of `{name}`, which is not allowed")),
    }
}

#[cfg(test)]
mod tests;
