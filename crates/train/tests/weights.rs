//! Files of weights from strangers: whatever they hold, they end in weights or in a clear error, nothing is executed, and memory is
//! bounded by the file.

use capwright_backbones::find;
use capwright_train::peak_memory;
use capwright_train::vision::{Weights, WeightsError};
use sha2::{Digest, Sha256};
use std::io::{Cursor, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A text in a pickle.
fn text(t: &str) -> Vec<u8> {
    [&b"X"[..], &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat()
}

/// A number of 64 bits in a pickle.
fn long(n: u64) -> Vec<u8> {
    [&[0x8a, 8][..], &n.to_le_bytes()].concat()
}

fn pair(numbers: [u64; 2]) -> Vec<u8> {
    [long(numbers[0]), long(numbers[1]), vec![0x86]].concat()
}

/// The pickle of a state dict with one tensor `a`, in storage `0` of so many values.
fn state_dict(values: u64, shape: [u64; 2], stride: [u64; 2]) -> Vec<u8> {
    let mut all = b"\x80\x02}(".to_vec();
    all.extend(text("a"));
    all.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    all.extend(
        [text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text("0"), text("cpu"), long(values)].concat(),
    );
    all.extend(b"tQK\x00");
    all.extend([pair(shape), pair(stride)].concat());
    all.extend(b"\x89ccollections\nOrderedDict\n)RtRu.");
    all
}

/// torch's archive: the pickle, and the one storage.
fn archive(pickle: &[u8], storage: &[u8], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, data) in [("m/data.pkl", pickle), ("m/data/0", storage)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn good() -> Vec<u8> {
    archive(&state_dict(4, [2, 2], [2, 1]), &floats(&[1.0, 2.0, 3.0, 4.0]), CompressionMethod::Stored)
}

/// What is read of a file with this content, whose digest is right.
fn open(dir: &Path, content: &[u8]) -> Result<Weights, WeightsError> {
    let path = dir.join("weights.pth");
    std::fs::write(&path, content).unwrap();
    let sha256: String = Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect();
    Weights::open(&path, &sha256)
}

fn refusal(dir: &Path, content: &[u8]) -> String {
    open(dir, content).map(|_| ()).expect_err("this must be refused").to_string()
}

#[test]
fn every_cut_is_refused_and_every_changed_bit_too_where_it_matters() {
    let dir = tempfile::tempdir().unwrap();
    let file = good();
    let whole = open(dir.path(), &file).unwrap();
    let values = |weights: &Weights| weights.get("a").map(|t| (t.shape.clone(), t.values.clone()));
    assert_eq!(values(&whole), Some((vec![2, 2], vec![1.0, 2.0, 3.0, 4.0])));
    for end in 0..file.len() {
        refusal(dir.path(), &file[..end]);
    }
    for bit in 0..8 * file.len() {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Times and versions in the archive's directory say nothing; all else is under a checksum.
        if let Ok(weights) = open(dir.path(), &changed) {
            assert_eq!(values(&weights), values(&whole), "bit {bit}");
        }
    }
}

#[test]
fn a_changed_file_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.pth");
    std::fs::write(&path, good()).unwrap();
    let error = Weights::open(&path, &"0".repeat(64)).unwrap_err().to_string();
    assert!(error.contains("has sha256") && error.contains("delete it and fetch it again"), "{error}");
}

#[test]
fn nothing_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let sign = dir.path().join("called");
    let command = format!("touch {}", sign.display());
    for callee in [
        "os\nsystem",
        "posix\nsystem",
        "builtins\neval",
        "builtins\nexec",
        "subprocess\nPopen",
        "torch\nload",
    ] {
        let call = [format!("c{callee}\n").into_bytes(), text(&command), b"\x85R.".to_vec()].concat();
        let pickle = [&b"\x80\x02"[..], &call].concat();
        let error = refusal(dir.path(), &archive(&pickle, &[], CompressionMethod::Stored));
        assert!(error.contains(&callee.replace('\n', ".")) && error.contains("not allowed"), "{error}");
        // The same as the value of an entry, where a reader might look less closely.
        let entry = [&b"\x80\x02}"[..], &text("a"), &call[..call.len() - 1], b"s."].concat();
        assert!(
            refusal(dir.path(), &archive(&entry, &[], CompressionMethod::Stored)).contains("not allowed")
        );
    }
    assert!(!sign.exists());
}

#[test]
fn what_is_larger_than_its_file_is_refused_in_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let before = peak_memory().unwrap_or_default();
    let zeros = vec![0u8; 128 << 20];
    let bomb = archive(&state_dict(32 << 20, [1, 32 << 20], [1, 1]), &zeros, CompressionMethod::Deflated);
    drop(zeros);
    assert!(bomb.len() < 1 << 20);
    let made = peak_memory().unwrap_or_default();
    let error = refusal(dir.path(), &bomb);
    assert!(error.contains("is larger than"), "{error}");
    let huge = |shape, stride| {
        let pickle = state_dict(4, shape, stride);
        refusal(dir.path(), &archive(&pickle, &floats(&[0.0; 4]), CompressionMethod::Stored))
    };
    for stride in [[0, 0], [1, 1], [u64::MAX >> 1, 1]] {
        for shape in [[1 << 32, 1 << 32], [1 << 32, 1], [1 << 20, 1]] {
            let error = huge(shape, stride);
            assert!(error.contains("too large") || error.contains("more values"), "{error}");
        }
    }
    assert!(huge([2, 2], [1 << 40, 1]).contains("outside"));
    let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    for file in [
        header(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#),
        header(r#"{"a":{"dtype":"F32","shape":[4294967296],"data_offsets":[0,17179869184]}}"#),
        [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat(),
        header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#),
    ] {
        refusal(dir.path(), &file);
    }
    let after = peak_memory().unwrap_or_default();
    println!("peak {before} before, {made} with the bomb made, {after} behind all");
    assert!(after <= made + (64 << 20), "{made} bytes grew to {after}");
}

#[test]
fn values_that_are_no_numbers_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let storage = floats(&[1.0, bad, 3.0, 4.0]);
        let file = archive(&state_dict(4, [2, 2], [2, 1]), &storage, CompressionMethod::Stored);
        let error = refusal(dir.path(), &file);
        assert!(error.contains("`a` holds values that are no numbers"), "{error}");
    }
}

/// All that is wrong is told at once; parts that only training needs are no fault.
#[test]
fn tensors_of_another_network_are_all_listed() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), &good()).unwrap();
    let backbone = find("mobilenet_v3_small").unwrap();
    let graph = backbone.graph(224).unwrap().graph;
    let path = dir.path().join("weights.pth");
    let sha256: String = Sha256::digest(good()).iter().map(|b| format!("{b:02x}")).collect();
    let weights = Weights::of(backbone, &path, &sha256).unwrap();
    let Err(WeightsError::Mismatch { problems }) = weights.matches(&graph) else { panic!("no fit") };
    assert_eq!(problems.len(), graph.parameters().len() + graph.buffers().len() + 1);
    assert_eq!(problems.last().unwrap(), "a [2, 2] belongs to no layer");
}

/// An older file of DenseNet has other names, one of GoogLeNet more parts.
#[test]
fn older_names_and_parts_of_training_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.safetensors");
    let data = 1.0f32.to_le_bytes();
    let names = ["features.denseblock1.denselayer1.norm.1.weight", "features.norm0.weight", "aux1.fc.bias"];
    let view = || safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &data).unwrap();
    let file = safetensors::serialize(names.map(|name| (name, view())), None).unwrap();
    std::fs::write(&path, &file).unwrap();
    let sha256: String = Sha256::digest(&file).iter().map(|b| format!("{b:02x}")).collect();
    let names = |backbone: &str| -> Vec<String> {
        Weights::of(find(backbone).unwrap(), &path, &sha256).unwrap().names().map(str::to_owned).collect()
    };
    let renamed = "features.denseblock1.denselayer1.norm1.weight";
    assert_eq!(names("densenet121"), ["aux1.fc.bias", renamed, "features.norm0.weight"]);
    assert_eq!(names("googlenet").len(), 2);
}
