//! Pretrained weights from `.pth` and `.safetensors` files: verified by sha256 before anything is parsed.
//!
//! No converted copy is kept: parsing takes a few milliseconds more than reading, and a copy would be one more file
//! that could differ from what its name says.

use super::torch_file;
use capwright_blueprint::{Graph, Param};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Largest weights file that is read, in bytes.
pub const MAX_BYTES: u64 = 2 << 30;

/// A 32-bit tensor on the host, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor32 {
    /// Extents in PyTorch's order.
    pub shape: Vec<usize>,
    /// Values.
    pub values: Vec<f32>,
}

/// Named tensors of a weights file.
#[derive(Debug, Clone)]
pub struct Weights {
    sha256: String,
    tensors: BTreeMap<String, Tensor32>,
}

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("cannot read the weights {}: {source}; check the path, or fetch the file again", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any that is read.
    #[error("{} has {bytes} bytes; weights files of at most {MAX_BYTES} bytes are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Another content than was asked for.
    #[error("{} has sha256 {found}, but {expected} is wanted; delete it and fetch it again", path.display())]
    Sha {
        /// The file.
        path: PathBuf,
        /// Digest, or its first digits, that was asked for.
        expected: String,
        /// Digest of the content.
        found: String,
    },
    /// The content is no weights file that can be read.
    #[error("{} is no readable weights file: {reason}; use a .pth state dict or .safetensors", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Tensors do not fit the network; the list is complete.
    #[error("the weights do not fit the network:\n  {}", problems.join("\n  "))]
    Mismatch {
        /// One line for each tensor that is missing, left over or has another shape.
        problems: Vec<String>,
    },
}

impl Weights {
    /// Reads a file whose content has this sha256: 64 hexadecimal digits, or at least the first 8.
    ///
    /// # Errors
    /// [`WeightsError`] where the file is missing, too large, has another content or no readable one.
    pub fn open(path: impl AsRef<Path>, sha256: &str) -> Result<Self, WeightsError> {
        let path = path.as_ref();
        let io = |source| WeightsError::Io { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_BYTES {
            return Err(WeightsError::TooLarge { path: path.to_owned(), bytes });
        }
        let content = std::fs::read(path).map_err(io)?;
        let found: String = Sha256::digest(&content).iter().map(|b| format!("{b:02x}")).collect();
        let expected = sha256.to_ascii_lowercase();
        if expected.len() < 8 || !found.starts_with(&expected) {
            return Err(WeightsError::Sha { path: path.to_owned(), expected, found });
        }
        let format = |reason| WeightsError::Format { path: path.to_owned(), reason };
        let tensors = parse(&content).map_err(format)?;
        Ok(Self { sha256: found, tensors })
    }

    /// Weights that are made, not read; for tests and examples.
    pub fn from_tensors(tensors: impl IntoIterator<Item = (String, Tensor32)>) -> Self {
        let tensors: BTreeMap<String, Tensor32> = tensors.into_iter().collect();
        let mut hash = Sha256::new();
        for (name, tensor) in &tensors {
            hash.update(name);
            tensor.values.iter().for_each(|v| hash.update(v.to_le_bytes()));
        }
        Self { sha256: hash.finalize().iter().map(|b| format!("{b:02x}")).collect(), tensors }
    }

    /// Full sha256 of the file in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor32> {
        self.tensors.get(name)
    }

    /// Names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether every parameter and buffer of `graph` is here with its shape; other tensors may be here too.
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`] with all that is missing or has another shape.
    pub fn fits(&self, graph: &Graph) -> Result<(), WeightsError> {
        let problems: Vec<String> = wanted(graph).iter().filter_map(|param| self.fault(param)).collect();
        if problems.is_empty() { Ok(()) } else { Err(WeightsError::Mismatch { problems }) }
    }

    /// Whether the tensors are exactly those of `graph` (counters such as `num_batches_tracked` aside).
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`] with all that is missing, has another shape or is left over.
    pub fn matches(&self, graph: &Graph) -> Result<(), WeightsError> {
        let wanted = wanted(graph);
        let names: BTreeSet<&str> = wanted.iter().map(|p| p.name.as_str()).collect();
        let mut problems: Vec<String> = wanted.iter().filter_map(|param| self.fault(param)).collect();
        let extra = self.tensors.iter().filter(|(name, _)| !names.contains(name.as_str()));
        problems.extend(extra.map(|(name, t)| format!("{name} {:?} belongs to no layer", t.shape)));
        if problems.is_empty() { Ok(()) } else { Err(WeightsError::Mismatch { problems }) }
    }

    fn fault(&self, param: &Param) -> Option<String> {
        match self.tensors.get(&param.name) {
            None => Some(format!("{} {:?} is missing", param.name, param.shape)),
            Some(t) if t.shape != param.shape => {
                Some(format!("{} should be {:?} and is {:?}", param.name, param.shape, t.shape))
            }
            Some(_) => None,
        }
    }
}

fn wanted(graph: &Graph) -> Vec<Param> {
    let mut all = graph.parameters();
    all.extend(graph.buffers());
    all
}

fn parse(content: &[u8]) -> Result<BTreeMap<String, Tensor32>, String> {
    // Safetensors begin with the length of a JSON header; a pickle and a zip archive begin otherwise.
    if content.get(8) != Some(&b'{') {
        return torch_file::read(content);
    }
    let file = SafeTensors::deserialize(content).map_err(|e| e.to_string())?;
    let mut all = BTreeMap::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            if name.ends_with("num_batches_tracked") {
                continue;
            }
            return Err(format!("`{name}` has {:?} instead of 32-bit floats", view.dtype()));
        }
        let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        all.insert(name, Tensor32 { shape: view.shape().to_vec(), values });
    }
    Ok(all)
}
