//! Reading GGUF files: header, metadata and single tensors.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. The file may be anything: every
//! length is compared with what is left of the file, and with a limit, before memory is taken for it.
//! candle unpacks the block formats; its own header reader divides by an alignment from the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, ggml_file::qtensor_from_ggml};

const MAX_ENTRIES: u64 = 1 << 16;
const MAX_ARRAY: u64 = 1 << 22;
const MAX_STRING: u64 = 1 << 20;
const MAX_HEADER: u64 = 256 << 20;

/// Why a file cannot be read, in one line.
pub(crate) type Fault = String;

/// A metadata value, in as few types as are used here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
    /// An array of something nothing here reads.
    Other,
}

#[derive(Debug, Clone)]
struct TensorInfo {
    /// Innermost dimension first, as in the file.
    dims: Vec<usize>,
    dtype: GgmlDType,
    /// From the start of the file.
    offset: u64,
    bytes: usize,
}

/// An open file whose header was read.
pub(crate) struct Gguf {
    reader: Header,
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, TensorInfo>,
}

impl Gguf {
    /// Opens a file and reads its header; tensor data is read when asked for.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(|e| e.to_string())?;
        let meta = file.metadata().map_err(|e| e.to_string())?;
        if !meta.is_file() {
            return Err("it is not a file".into());
        }
        let mut reader = Header { inner: BufReader::new(file), left: meta.len(), at: 0 };
        let mut magic = [0; 4];
        if meta.len() < 24 || reader.fill(&mut magic).is_err() || &magic != b"GGUF" {
            return Err("it does not begin like a GGUF file".into());
        }
        let version = reader.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!("GGUF version {version} is not supported (2 and 3 are)"));
        }
        let (tensor_count, entry_count) = (reader.u64()?, reader.u64()?);
        if tensor_count > MAX_ENTRIES || entry_count > MAX_ENTRIES {
            return Err(format!("{tensor_count} tensors and {entry_count} entries: the header is damaged"));
        }
        let mut metadata = HashMap::new();
        for _ in 0..entry_count {
            let key = reader.text()?;
            let kind = reader.u32()?;
            metadata.insert(key, reader.value(kind)?);
        }
        let mut tensors = HashMap::new();
        for _ in 0..tensor_count {
            let name = reader.text()?;
            let info = reader.tensor_info().map_err(|e| format!("tensor `{name}`: {e}"))?;
            tensors.insert(name, info);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Int(n @ 1..=65_536)) => *n as u64,
            Some(_) => return Err("its alignment is damaged".into()),
        };
        let start = reader.at.next_multiple_of(alignment);
        for (name, info) in &mut tensors {
            let end = start.checked_add(info.offset).and_then(|at| at.checked_add(info.bytes as u64));
            if end.is_none_or(|end| end > meta.len()) {
                return Err(format!("tensor `{name}` lies beyond the end of the file: it is cut off"));
            }
            info.offset += start;
        }
        Ok(Self { reader, metadata, tensors })
    }

    fn get(&self, key: &str) -> Result<&Value, Fault> {
        self.metadata.get(key).ok_or_else(|| format!("its metadata has no `{key}`"))
    }

    /// A text entry.
    pub(crate) fn text(&self, key: &str) -> Result<&str, Fault> {
        match self.get(key)? {
            Value::Text(text) => Ok(text),
            _ => Err(format!("its metadata entry `{key}` is no text")),
        }
    }

    /// A whole number within bounds.
    pub(crate) fn count(&self, key: &str, bounds: std::ops::RangeInclusive<usize>) -> Result<usize, Fault> {
        match self.get(key)? {
            Value::Int(n) if usize::try_from(*n).is_ok_and(|n| bounds.contains(&n)) => Ok(*n as usize),
            other => Err(format!("its metadata entry `{key}` is {other:?}, not within {bounds:?}")),
        }
    }

    /// A finite positive number.
    pub(crate) fn positive(&self, key: &str) -> Result<f32, Fault> {
        match self.get(key)? {
            Value::Float(x) if x.is_finite() && *x > 0.0 => Ok(*x as f32),
            other => Err(format!("its metadata entry `{key}` is {other:?}, not a positive number")),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> Result<&[String], Fault> {
        match self.get(key)? {
            Value::Texts(texts) => Ok(texts),
            _ => Err(format!("its metadata entry `{key}` is no list of texts")),
        }
    }

    /// Any entry.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// Names of all tensors.
    pub(crate) fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The dimensions of a tensor, outermost first.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|info| info.dims.iter().rev().copied().collect())
    }

    /// A tensor of the given shape (outermost first) as `f32`.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Fault> {
        let found = self.shape(name).ok_or_else(|| format!("it has no tensor `{name}`"))?;
        if found != shape {
            return Err(format!("tensor `{name}` has shape {found:?} where {shape:?} belongs"));
        }
        let info = self.tensors[name].clone();
        let mut raw = vec![0; info.bytes];
        let file = &mut self.reader.inner;
        file.seek(SeekFrom::Start(info.offset)).map_err(|e| e.to_string())?;
        file.read_exact(&mut raw).map_err(|e| format!("tensor `{name}`: {e}"))?;
        let unpack = || {
            let packed = qtensor_from_ggml(info.dtype, &raw, shape.to_vec(), &Device::Cpu)?;
            packed.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()
        };
        let values = unpack().map_err(|e| format!("tensor `{name}`: {e}"))?;
        match values.iter().all(|x| x.is_finite()) {
            true => Ok(values),
            false => Err(format!("tensor `{name}` holds values that are no numbers: it is damaged")),
        }
    }
}

/// The part of the file that is read in sequence.
struct Header {
    inner: BufReader<File>,
    left: u64,
    at: u64,
}

impl Header {
    fn fill(&mut self, into: &mut [u8]) -> Result<(), Fault> {
        let n = into.len() as u64;
        if n > self.left {
            return Err("its header is cut off".into());
        }
        if self.at + n > MAX_HEADER {
            return Err(format!("its header is larger than {MAX_HEADER} bytes"));
        }
        self.inner.read_exact(into).map_err(|e| e.to_string())?;
        self.left -= n;
        self.at += n;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).map(|()| bytes)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, Fault> {
        let n = self.u64()?;
        if n > MAX_STRING || n > self.left {
            return Err(format!("a text of {n} bytes in its header: it is damaged"));
        }
        let mut bytes = vec![0; n as usize];
        self.fill(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A value of one of the types that the format numbers 0 to 12.
    fn value(&mut self, kind: u32) -> Result<Value, Fault> {
        Ok(match kind {
            0 => Value::Int(self.bytes().map(u8::from_le_bytes)?.into()),
            1 => Value::Int(self.bytes().map(i8::from_le_bytes)?.into()),
            2 => Value::Int(self.bytes().map(u16::from_le_bytes)?.into()),
            3 => Value::Int(self.bytes().map(i16::from_le_bytes)?.into()),
            4 => Value::Int(self.u32()?.into()),
            5 => Value::Int(self.bytes().map(i32::from_le_bytes)?.into()),
            6 => Value::Float(self.bytes().map(f32::from_le_bytes)?.into()),
            7 => Value::Bool(self.bytes::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => self.array()?,
            10 => Value::Int(i64::try_from(self.u64()?).map_err(|e| e.to_string())?),
            11 => Value::Int(self.bytes().map(i64::from_le_bytes)?),
            12 => Value::Float(self.bytes().map(f64::from_le_bytes)?),
            _ => return Err(format!("a value of unknown type {kind} in its metadata")),
        })
    }

    fn array(&mut self) -> Result<Value, Fault> {
        let (kind, n) = (self.u32()?, self.u64()?);
        // Every element takes at least one byte of the file.
        if n > MAX_ARRAY || n > self.left {
            return Err(format!("a list of {n} elements in its metadata: it is damaged"));
        }
        match kind {
            8 => (0..n).map(|_| self.text()).collect::<Result<_, _>>().map(Value::Texts),
            9 => Err("a list of lists in its metadata is not supported".into()),
            6 => {
                let float = |value| if let Value::Float(x) = value { x as f32 } else { 0.0 };
                (0..n).map(|_| self.value(kind).map(float)).collect::<Result<_, _>>().map(Value::Floats)
            }
            0..=5 | 10 | 11 => {
                let int = |value| if let Value::Int(i) = value { i } else { 0 };
                (0..n).map(|_| self.value(kind).map(int)).collect::<Result<_, _>>().map(Value::Ints)
            }
            _ => (0..n).try_for_each(|_| self.value(kind).map(drop)).map(|()| Value::Other),
        }
    }

    fn tensor_info(&mut self) -> Result<TensorInfo, Fault> {
        let n = self.u32()?;
        if !(1..=4).contains(&n) {
            return Err(format!("it has {n} dimensions"));
        }
        let mut dims = Vec::new();
        for _ in 0..n {
            dims.push(usize::try_from(self.u64()?).map_err(|e| e.to_string())?);
        }
        let dtype = dtype_of(self.u32()?)?;
        let offset = self.u64()?;
        let elements = dims.iter().try_fold(1usize, |all, &n| all.checked_mul(n));
        let bytes = elements
            .filter(|n| *n > 0 && dims[0].is_multiple_of(dtype.block_size()))
            .and_then(|n| (n / dtype.block_size()).checked_mul(dtype.type_size()))
            .ok_or_else(|| format!("impossible dimensions {dims:?}"))?;
        Ok(TensorInfo { dims, dtype, offset, bytes })
    }
}

/// The numbers that ggml gives its storage formats.
fn dtype_of(number: u32) -> Result<GgmlDType, Fault> {
    Ok(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return Err(format!("its storage format {number} is not supported")),
    })
}
