//! Pretrained weights from `.pth` and `.safetensors` files: verified by sha256 before anything is parsed.
//!
//! No converted copy is kept: parsing takes a few milliseconds more than reading, and a copy would be one more file
//! that could differ from what its name says.

use super::torch_file;
use capwright_backbones::Backbone;
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
        if let Some((name, _)) = tensors.iter().find(|(_, t)| t.values.iter().any(|x| !x.is_finite())) {
            return Err(format(format!("`{name}` holds values that are no numbers")));
        }
        Ok(Self { sha256: found, tensors })
    }

    /// The weights of a backbone of the zoo: of an older file with today's names, and without what only training needs.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn of(backbone: &Backbone, path: impl AsRef<Path>, sha256: &str) -> Result<Self, WeightsError> {
        let Self { sha256, tensors } = Self::open(path, sha256)?;
        let kept = tensors
            .into_iter()
            .filter(|(name, _)| !backbone.unused.iter().any(|part| name.starts_with(part)));
        let today =
            |name: String| backbone.renamed.iter().fold(name, |name, (old, new)| name.replace(old, new));
        Ok(Self { sha256, tensors: kept.map(|(name, tensor)| (today(name), tensor)).collect() })
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

    /// What is wrong with the tensor of a parameter or buffer, if anything.
    pub(crate) fn fault(&self, param: &Param) -> Option<String> {
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

/// Whether a tensor of whole numbers is none that a network needs: batches counted in training, or places that follow from shapes.
pub(super) fn is_counter(name: &str) -> bool {
    name.ends_with("num_batches_tracked") || name.ends_with("relative_position_index")
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
            if is_counter(&name) {
                continue;
            }
            return Err(format!("`{name}` has {:?} instead of 32-bit floats", view.dtype()));
        }
        let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        all.insert(name, Tensor32 { shape: view.shape().to_vec(), values });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_blueprint::{Op, Shape};

    fn graph() -> Graph {
        let mut graph = Graph::new(Shape::new(2, 1, 1));
        let x = graph.add("norm", Op::BatchNorm { channels: 2, eps_micro: 10, fixed: false }, &[0]).unwrap();
        graph.add("fc", Op::Linear { input: 2, output: 3, bias: true }, &[x]).unwrap();
        graph
    }

    fn tensor(shape: &[usize]) -> Tensor32 {
        Tensor32 { shape: shape.to_vec(), values: vec![0.5; shape.iter().product()] }
    }

    /// A state dict in the old format: tensor `a` `[2, 2]`, stored transposed, and a counter.
    fn old_file() -> Vec<u8> {
        let text = |t: &str| [&b"X"[..], &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat();
        let stored = |class: &str, key: &str, n: u8| {
            let global = format!("ctorch\n{class}\n");
            [&b"ctorch._utils\n_rebuild_tensor_v2\n(("[..], &text("storage"), global.as_bytes(), &text(key)]
                .concat()
                .into_iter()
                .chain(text("cpu"))
                .chain([b'K', n, b'N', b't', b'Q', b'K', 0])
                .collect::<Vec<u8>>()
        };
        let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
        file.extend(b"\x80\x02M\xe9\x03.\x80\x02}.");
        file.extend(b"\x80\x02ccollections\nOrderedDict\n)Rq\x00(");
        file.extend(text("a"));
        file.extend(stored("FloatStorage", "7", 4));
        file.extend(b"K\x02K\x02\x86K\x01K\x02\x86\x89h\x00tR");
        file.extend(text("n.num_batches_tracked"));
        file.extend(stored("LongStorage", "8", 1));
        file.extend(b"))\x89h\x00tRu.");
        file.extend(b"\x80\x02](");
        file.extend(text("7"));
        file.extend(text("8"));
        file.extend(b"e.");
        file.extend(4u64.to_le_bytes());
        (0..4).for_each(|i| file.extend((i as f32).to_le_bytes()));
        file.extend(1u64.to_le_bytes());
        file.extend(9i64.to_le_bytes());
        file
    }

    #[test]
    fn reads_the_old_torch_format_with_strides() {
        let all = parse(&old_file()).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all["a"], Tensor32 { shape: vec![2, 2], values: vec![0.0, 2.0, 1.0, 3.0] });
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_an_error_or_a_result_but_no_panic() {
        let file = old_file();
        for end in 0..file.len() {
            assert!(parse(&file[..end]).is_err(), "cut at {end}");
        }
        for at in 0..file.len() {
            for value in [0, 1, b'(', b'R', b't', 0x7f, 0xff] {
                let mut changed = file.clone();
                changed[at] = value;
                let _ = parse(&changed);
            }
        }
    }

    #[test]
    fn files_are_refused_by_digest_before_they_are_parsed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.pth");
        std::fs::write(&path, old_file()).unwrap();
        let Err(WeightsError::Sha { found, .. }) = Weights::open(&path, &"0".repeat(64)) else {
            panic!("another digest must be refused")
        };
        assert!(matches!(Weights::open(&path, ""), Err(WeightsError::Sha { .. })));
        assert_eq!(Weights::open(&path, &found[..8]).unwrap().sha256(), found);
        std::fs::write(&path, b"hello").unwrap();
        assert!(matches!(Weights::open(&path, "2cf24dba"), Err(WeightsError::Format { .. })));
    }

    #[test]
    fn safetensors_are_read_too() {
        let data: Vec<u8> = [1.0f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![2], &data).unwrap();
        let all = parse(&safetensors::serialize([("b", view)], None).unwrap()).unwrap();
        assert_eq!(all["b"], Tensor32 { shape: vec![2], values: vec![1.0, 2.0] });
    }

    #[test]
    fn all_that_does_not_fit_is_told_at_once() {
        let weights = Weights::from_tensors([
            ("norm.weight".into(), tensor(&[2])),
            ("norm.bias".into(), tensor(&[3])),
            ("norm.running_mean".into(), tensor(&[2])),
            ("norm.running_var".into(), tensor(&[2])),
            ("fc.weight".into(), tensor(&[3, 2])),
            ("head.weight".into(), tensor(&[1])),
        ]);
        let Err(WeightsError::Mismatch { problems }) = weights.matches(&graph()) else { panic!("no fit") };
        assert_eq!(
            problems,
            [
                "norm.bias should be [2] and is [3]",
                "fc.bias [3] is missing",
                "head.weight [1] belongs to no layer",
            ]
        );
        let Err(WeightsError::Mismatch { problems }) = weights.fits(&graph()) else { panic!("no fit") };
        assert_eq!(problems.len(), 2);
    }
}
