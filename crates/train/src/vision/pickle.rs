//! A reader of the few pickle opcodes that a PyTorch state dict needs. It builds plain values and executes nothing.
//!
//! The only "calls" are an ordered dict, a tensor over a storage, and a parameter around a tensor; every other
//! global is refused. Values nest at most [`MAX_DEPTH`] deep, so that hostile files can exhaust neither the stack
//! nor, through shared references, the memory.

use std::collections::HashMap;
use std::rc::Rc;

const MAX_DEPTH: u8 = 12;
const MAX_STRING: usize = 4096;

/// A tensor as a state dict describes it: a view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Key of the storage.
    pub storage: String,
    /// Class of the storage, such as `FloatStorage`.
    pub class: String,
    /// Values in the storage.
    pub values: u64,
    /// First value of the tensor in the storage.
    pub offset: u64,
    /// Extents.
    pub size: Vec<u64>,
    /// Distance between neighbours along each dimension, in values.
    pub stride: Vec<u64>,
}

/// What a pickle may hold here.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    None,
    Bool,
    Int(i64),
    /// An integer of more than 8 bytes, little-endian.
    Long(Vec<u8>),
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

struct Machine {
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
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
        let mut machine = Machine { stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
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
            b'N' => m.stack.push(Value::None),
            0x88 | 0x89 => m.stack.push(Value::Bool),
            b'K' => m.stack.push(Value::Int(self.number(1)?.into())),
            b'M' => m.stack.push(Value::Int(self.number(2)?.into())),
            b'J' => m.stack.push(Value::Int(i64::from(self.number(4)? as i32))),
            0x8a => {
                let n = self.number(1)? as usize;
                m.stack.push(long(self.take(n)?));
            }
            b'X' => {
                let n = self.number(4)? as usize;
                m.stack.push(Value::Text(self.text(n)?));
            }
            0x8c => {
                let n = self.number(1)? as usize;
                m.stack.push(Value::Text(self.text(n)?));
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                m.stack.push(Value::Global(format!("{module}.{name}").into()));
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
        return Value::Long(bytes.to_vec());
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}

impl Machine {
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
        Ok(())
    }

    fn get(&mut self, at: u32) -> Result<(), Fault> {
        let value = self.memo.get(&at).ok_or("a reference to nothing")?.clone();
        self.stack.push(value);
        Ok(())
    }

    fn tuple(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let depth = deeper(items.iter())?;
        self.stack.push(Value::Tuple(Rc::new(items), depth));
        Ok(())
    }

    /// Opcodes that combine what is on the stack.
    fn build(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.tuple(Vec::new())?,
            b'}' => self.stack.push(Value::Dict(Vec::new(), 1)),
            b']' => self.stack.push(Value::List(Vec::new(), 1)),
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
                self.stack.push(storage(&value)?);
            }
            b'R' => {
                let arguments = self.pop()?;
                let callee = self.pop()?;
                self.stack.push(call(&callee, &arguments)?);
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
        && let Some(class) = class.strip_prefix("torch.")
    {
        return Ok(Value::Storage(Rc::new(View {
            storage: key.to_string(),
            class: class.to_owned(),
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
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_texts_and_dicts() {
        let mut reader =
            Reader::new(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00bJ\xff\xff\xff\xffu.");
        let Value::Dict(entries, _) = reader.next().unwrap() else { panic!("a dict") };
        assert!(matches!(entries[0], (Value::Text(ref t), Value::Int(7)) if &**t == "a"));
        assert!(matches!(entries[1].1, Value::Int(-1)));
    }

    #[test]
    fn refuses_calls_of_anything_else() {
        let error = Reader::new(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.").next().unwrap_err();
        assert!(error.contains("os.system"), "{error}");
    }

    #[test]
    fn refuses_deep_nesting_missing_marks_and_unknown_opcodes() {
        let mut deep = b")".to_vec();
        deep.extend([0x85; 100_000]);
        deep.push(b'.');
        assert!(Reader::new(&deep).next().unwrap_err().contains("deeply"));
        assert!(Reader::new(b"t.").next().unwrap_err().contains("mark"));
        assert!(Reader::new(b"(u.").next().is_err());
        assert!(Reader::new(b"\x93.").next().unwrap_err().contains("0x93"));
        assert!(Reader::new(b".").next().is_err());
        assert!(Reader::new(b"X\xff\xff\xff\xff").next().is_err());
    }
}
