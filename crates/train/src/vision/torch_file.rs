//! PyTorch's two file formats for state dicts: the old one (pickles, then storages) and the zip archive.

use super::pickle::{MAX_PICKLE, MAX_TENSORS, Reader, Value, View};
use super::weights::{Tensor32, is_counter};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use std::rc::Rc;

/// Ten bytes that begin the old format: 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// All 32-bit tensors of a state dict; integer counters are left out.
pub(crate) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor32>, String> {
    if bytes.starts_with(b"PK") { read_zip(bytes) } else { read_old(bytes) }
}

fn read_old(bytes: &[u8]) -> Result<BTreeMap<String, Tensor32>, String> {
    let mut reader = Reader::new(bytes);
    match reader.next()? {
        Value::Long(magic) if *magic == MAGIC => {}
        _ => return Err("it is no PyTorch file".into()),
    }
    let Value::Int(1001) = reader.next()? else { return Err("an unknown protocol".into()) };
    reader.next()?;
    let views = state_dict(reader.next()?)?;
    let Value::List(keys, _) = reader.next()? else { return Err("no list of storages".into()) };
    let used: HashMap<&str, &View> = views.iter().map(|(_, v)| (&*v.storage, &**v)).collect();
    let mut at = reader.position();
    let mut storages: HashMap<&str, &[u8]> = HashMap::new();
    for key in &keys {
        let Value::Text(key) = key else { return Err("a storage key that is no text".into()) };
        let view = used.get(&**key).ok_or_else(|| format!("storage {key} belongs to no tensor"))?;
        let ended = || format!("the file ends inside storage {key}");
        let head = bytes.get(at..at.saturating_add(8)).and_then(|b| b.try_into().ok()).ok_or_else(ended)?;
        if u64::from_le_bytes(head) != view.values {
            return Err(format!("storage {key} has another length than its description"));
        }
        let length = byte_length(view)?;
        let data = bytes.get(at + 8..(at + 8).saturating_add(length)).ok_or_else(ended)?;
        storages.insert(key, data);
        at += 8 + length;
    }
    collect(&views, |key| Ok(Cow::Borrowed(storages.get(key).copied().unwrap_or_default())))
}

fn read_zip(bytes: &[u8]) -> Result<BTreeMap<String, Tensor32>, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let pickle = archive.file_names().flatten().find(|n| n.ends_with("/data.pkl")).map(|n| n.into_owned());
    let pickle = pickle.ok_or("the archive has no data.pkl")?;
    let folder = pickle.trim_end_matches("data.pkl").to_owned();
    let mut member = |name: &str, max: u64| -> Result<Vec<u8>, String> {
        let file = archive.by_name(name).map_err(|e| format!("{name}: {e}"))?;
        let mut data = Vec::new();
        file.take(max + 1).read_to_end(&mut data).map_err(|e| format!("{name}: {e}"))?;
        if data.len() as u64 > max { Err(format!("{name} is larger than {max} bytes")) } else { Ok(data) }
    };
    let views = state_dict(Reader::new(&member(&pickle, MAX_PICKLE as u64)?).next()?)?;
    // Storages can hold no more together than the whole file does: torch stores without compression.
    let mut left = bytes.len() as u64;
    collect(&views, |key| {
        let storage = member(&format!("{folder}data/{key}"), left)?;
        left -= storage.len() as u64;
        Ok(Cow::Owned(storage))
    })
}

/// Tensors by name, in the order of the file.
type Views = Vec<(Rc<str>, Rc<View>)>;

fn state_dict(value: Value) -> Result<Views, String> {
    let Value::Dict(entries, _) = value else { return Err("it holds no state dict".into()) };
    if entries.len() > MAX_TENSORS {
        return Err(format!("{} tensors", entries.len()));
    }
    let one = |(key, value): (Value, Value)| match (key, value) {
        (Value::Text(name), Value::Tensor(view)) => Ok((name, view)),
        (Value::Text(name), _) => Err(format!("`{name}` is no tensor")),
        _ => Err("a key that is no text".into()),
    };
    entries.into_iter().map(one).collect()
}

fn byte_length(view: &View) -> Result<usize, String> {
    let width = match view.class() {
        "FloatStorage" | "IntStorage" => 4,
        "DoubleStorage" | "LongStorage" => 8,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
        other => return Err(format!("a storage of the unknown class {other}")),
    };
    usize::try_from(view.values)
        .ok()
        .and_then(|n| n.checked_mul(width))
        .ok_or_else(|| "a huge storage".into())
}

/// The tensors of these views. Many of them may share a storage: each is asked for once.
fn collect<'a>(
    views: &[(Rc<str>, Rc<View>)],
    mut storage: impl FnMut(&str) -> Result<Cow<'a, [u8]>, String>,
) -> Result<BTreeMap<String, Tensor32>, String> {
    let mut sharing: BTreeMap<&str, Vec<(&str, &View)>> = BTreeMap::new();
    for (name, view) in views {
        match view.class() {
            "FloatStorage" => sharing.entry(&view.storage).or_default().push((name, view)),
            _ if is_counter(name) => {}
            other => return Err(format!("`{name}` has {other} instead of 32-bit floats")),
        }
    }
    let mut all = BTreeMap::new();
    // What the tensors of small storages would take together is limited too.
    let mut room = super::weights::MAX_BYTES / 4;
    for (key, views) in sharing {
        let bytes = storage(key)?;
        for (name, view) in views {
            let count = view.size.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
            room = count.and_then(|n| room.checked_sub(n)).ok_or("tensors too large in all")?;
            let values = gather(&bytes, view).map_err(|e| format!("`{name}`: {e}"))?;
            let shape = view.size.iter().map(|n| *n as usize).collect();
            all.insert(name.to_owned(), Tensor32 { shape, values });
        }
    }
    Ok(all)
}

/// The values of a strided view, row-major.
fn gather(bytes: &[u8], view: &View) -> Result<Vec<f32>, String> {
    let (words, _) = bytes.as_chunks::<4>();
    let product = view.size.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
    let count =
        product.filter(|n| *n <= words.len() as u64).ok_or("more values than its storage has")? as usize;
    if count == 0 {
        return Ok(Vec::new());
    }
    let reach =
        view.size.iter().zip(&view.stride).try_fold(view.offset, |sum, (d, s)| {
            (d - 1).checked_mul(*s).and_then(|last| sum.checked_add(last))
        });
    reach.filter(|last| *last < words.len() as u64).ok_or("values outside its storage")?;
    let mut index = vec![0u64; view.size.len()];
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let at: u64 = index.iter().zip(&view.stride).map(|(i, s)| i * s).sum();
        values.push(f32::from_le_bytes(words[(view.offset + at) as usize]));
        for (i, d) in index.iter_mut().zip(&view.size).rev() {
            *i += 1;
            if *i < *d {
                break;
            }
            *i = 0;
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn text(t: &str) -> Vec<u8> {
        [&b"X"[..], &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat()
    }

    /// The pickle of tensors of one value each, by name, storage and place in it.
    fn state_dict_of(tensors: &[(&str, &str, u8)]) -> Vec<u8> {
        let mut all = b"\x80\x02}(".to_vec();
        for (name, key, place) in tensors {
            all.extend(text(name));
            all.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            all.extend(
                [text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text(key), text("cpu")].concat(),
            );
            all.extend([&b"K\x02tQK"[..], &[*place], b"K\x01\x85K\x01\x85\x89Nt", b"R"].concat());
        }
        all.extend(b"u.");
        all
    }

    /// torch's archive of them, compressed, with so many bytes that nobody reads.
    fn archive(pickle: &[u8], storages: &[(&str, Vec<u8>)], unread: usize) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let mut add = |name: &str, data: &[u8], method| {
            let options = zip::write::SimpleFileOptions::default().compression_method(method);
            zip.start_file(name, options).unwrap();
            zip.write_all(data).unwrap();
        };
        add("m/data.pkl", pickle, zip::CompressionMethod::Stored);
        add("m/version", &vec![b'3'; unread], zip::CompressionMethod::Stored);
        for (key, data) in storages {
            add(&format!("m/data/{key}"), data, zip::CompressionMethod::Deflated);
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn tensors_that_share_a_storage_have_it_read_once() {
        let pickle = state_dict_of(&[("a", "0", 0), ("b", "1", 1), ("c", "0", 1), ("d", "0", 0)]);
        let views = state_dict(Reader::new(&pickle).next().unwrap()).unwrap();
        let mut asked = Vec::new();
        let all = collect(&views, |key| {
            asked.push(key.to_owned());
            let first: f32 = key.parse().unwrap();
            Ok(Cow::Owned([first, first + 10.0].iter().flat_map(|x| x.to_le_bytes()).collect()))
        });
        assert_eq!(asked, ["0", "1"]);
        let values: Vec<f32> = all.unwrap().into_values().flat_map(|tensor| tensor.values).collect();
        assert_eq!(values, [0.0, 11.0, 10.0, 0.0]);
    }

    /// Each of many storages could take as long as the file has bytes.
    #[test]
    fn storages_hold_no_more_together_than_the_file() {
        let pickle = state_dict_of(&[("a", "0", 0), ("b", "1", 0)]);
        let storages = [("0", vec![0; 4096]), ("1", vec![0; 4096])];
        let read = |unread| read(&archive(&pickle, &storages, unread));
        assert_eq!(read(8192).unwrap().len(), 2);
        let error = read(4096).unwrap_err();
        assert!(error.contains("m/data/1 is larger than"), "{error}");
    }
}
