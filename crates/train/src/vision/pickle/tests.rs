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

/// What describes the storage of a tensor, with a long key, kept as value 0.
fn described() -> Vec<u8> {
    let key = "k".repeat(MAX_STRING);
    let text = |t: &str| [&b"X"[..], &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat();
    let class = b"ctorch\nFloatStorage\n".to_vec();
    [b"(".to_vec(), text("storage"), class, text(&key), text("cpu"), b"K\x01tq\x00".to_vec()].concat()
}

#[test]
fn what_is_referred_to_is_shared() {
    let pickle = [&described()[..], b"Qh\x00Q\x86."].concat();
    let Value::Tuple(both, _) = Reader::new(&pickle).next().unwrap() else { panic!("a tuple") };
    let [Value::Storage(a), Value::Storage(b)] = &both[..] else { panic!("two storages") };
    assert!(Rc::ptr_eq(&a.storage, &b.storage) && Rc::ptr_eq(&a.global, &b.global));
    assert_eq!((a.storage.len(), a.class()), (MAX_STRING, "FloatStorage"));
    let pickle = [&[0x8a, 9][..], &[1; 9], b"q\x00h\x00\x86."].concat();
    let Value::Tuple(both, _) = Reader::new(&pickle).next().unwrap() else { panic!("a tuple") };
    let [Value::Long(a), Value::Long(b)] = &both[..] else { panic!("two integers") };
    assert!(Rc::ptr_eq(a, b));
}

/// A few bytes make each value, so that no limit on the file is one on the memory.
#[test]
fn values_calls_and_references_are_counted() {
    let refusal = |begin: &[u8], again: &[u8], times: usize| {
        let pickle = [begin, &again.repeat(times), b"."].concat();
        Reader::new(&pickle).next().unwrap_err()
    };
    assert!(refusal(&described(), b"h\x00Q", MAX_CALLS + 1).contains("storages and calls"));
    let dicts = refusal(b"ccollections\nOrderedDict\nq\x00)q\x01", b"h\x00h\x01Rb", MAX_CALLS + 1);
    assert!(dicts.contains("storages and calls"), "{dicts}");
    // Also those that are dropped at once, and marks.
    assert!(refusal(b"N", b"Nb", MAX_VALUES).contains("values"));
    assert!(refusal(b"", b"(", MAX_VALUES + 1).contains("values"));
    let references: Vec<u8> =
        (0..=MAX_MEMO as u32).flat_map(|i| [&b"r"[..], &i.to_le_bytes()].concat()).collect();
    assert!(refusal(b"N", &references, 1).contains("refers to"));
}

#[test]
fn pickles_are_limited_in_all() {
    let text =
        [&b"X"[..], &(MAX_STRING as u32).to_le_bytes(), "t".repeat(MAX_STRING).as_bytes(), b"b"].concat();
    let one = [&b"N"[..], &text.repeat(MAX_PICKLE / MAX_STRING / 2), b"."].concat();
    let both = [&one[..], &one].concat();
    let mut reader = Reader::new(&both);
    assert!(matches!(reader.next(), Ok(Value::None)));
    assert!(reader.next().unwrap_err().contains("bytes"));
}
