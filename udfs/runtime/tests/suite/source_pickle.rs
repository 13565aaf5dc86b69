//! PyTorch's files are read as values, and a pickle that would do anything else is refused without doing it.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use latentdb_runtime::source::pickle::{Item, TorchFile};
use latentdb_runtime::source::{OpenOptions, Source};
use latentdb_runtime::{Error, ErrorKind};

use crate::source_cases::golden;

/// Writes an archive of stored entries, as `torch.save` does.
fn archive(path: &Path, entries: &[(&str, &[u8])]) {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let offset = body.len() as u32;
        let sizes = [crc.sum(), content.len() as u32, content.len() as u32];
        let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        let name_length = (name.len() as u16).to_le_bytes();
        body.extend(b"PK\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00");
        body.extend(&sizes);
        body.extend(name_length);
        body.extend([0, 0]);
        body.extend(name.as_bytes());
        body.extend(*content);
        directory.extend(b"PK\x01\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00");
        directory.extend(&sizes);
        directory.extend(name_length);
        directory.extend([0; 12]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let mut file = std::fs::File::create(path).unwrap();
    let count = (entries.len() as u16).to_le_bytes();
    file.write_all(&body).unwrap();
    file.write_all(&directory).unwrap();
    file.write_all(b"PK\x05\x06\x00\x00\x00\x00").unwrap();
    file.write_all(&[count, count].concat()).unwrap();
    file.write_all(&(directory.len() as u32).to_le_bytes()).unwrap();
    file.write_all(&(body.len() as u32).to_le_bytes()).unwrap();
    file.write_all(&[0, 0]).unwrap();
}

/// A file whose pickle is `pickle`, and one storage of 16 bytes.
fn file(folder: &Path, pickle: &[u8]) -> PathBuf {
    let path = folder.join("hostile.pt");
    archive(&path, &[("hostile/data.pkl", pickle), ("hostile/data/0", &[0; 16])]);
    path
}

fn open(pickle: &[u8]) -> Result<TorchFile, Error> {
    let folder = tempfile::tempdir().unwrap();
    TorchFile::open(&file(folder.path(), pickle))
}

fn refused(pickle: &[u8], words: &[&str]) {
    let error = open(pickle).map(|_| pickle.to_vec()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::BadFile), "{error}");
    for word in ["hostile.pt"].iter().chain(words) {
        assert!(error.message().contains(word), "{word:?} is not in: {error}");
    }
}

/// A text as protocol 2 writes it.
fn text(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_pickle_that_calls_a_function_is_refused_and_calls_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("was-run");
    let command = text(&format!("touch {}", witness.display()));
    let call = |name: &[u8]| [b"\x80\x02", name, b"(", &command, b"tR."].concat();
    let new = |name: &[u8]| [b"\x80\x02", name, b"(", &command, b"t\x81."].concat();
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("__builtin__", "eval"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("torch.serialization", "load"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("collections", "OrderedDict.__init__"),
        ("functools", "partial"),
    ] {
        let global = format!("c{module}\n{name}\n").into_bytes();
        let named = format!("{module}.{name}");
        let stack_global = [text(module), text(name), b"\x93".to_vec()].concat();
        for pickle in [call(&global), new(&global), call(&stack_global), new(&stack_global)] {
            refused(&pickle, &["refused", &named]);
        }
    }
    assert!(!witness.exists());
    let path = file(folder.path(), &call(b"cos\nsystem\n"));
    let error = Source::open(&path, &OpenOptions::default()).map(|_| ()).unwrap_err();
    assert!(error.message().contains("os.system") && error.hint().unwrap().contains("safetensors"), "{error}");
    assert!(!witness.exists());
}

#[test]
fn instructions_that_make_objects_are_refused() {
    refused(b"\x80\x02(X\x02\x00\x00\x00idios\nsystem\n.", &["refused", "class"]);
    refused(b"\x80\x02(X\x02\x00\x00\x00ido.", &["refused", "class"]);
    refused(b"\x80\x02\x82\x01.", &["refused", "extensions"]);
    refused(b"\x80\x04ccollections\nOrderedDict\n)}\x92.", &["refused", "named arguments"]);
    refused(b"\x80\x02Psomething\n.", &["refused"]);
    refused(b"\x80\x05\x97.", &["refused", "buffers"]);
    refused(b"\x80\x02\xff.", &["refused", "0xff"]);
}

#[test]
fn a_state_is_set_on_mappings_only_and_changes_nothing() {
    refused(b"\x80\x02]}b.", &["refused", "state"]);
    refused(b"\x80\x02X\x01\x00\x00\x00a}b.", &["refused", "state"]);
    let file = open(b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb.").unwrap();
    assert!(file.root().is_mapping() && file.root().entries().count() == 0);
}

#[test]
fn calls_with_other_callees_or_arguments_are_refused() {
    refused(b"\x80\x02K\x01)R.", &["refused", "no known name"]);
    refused(b"\x80\x02])R.", &["refused", "no known name"]);
    refused(b"\x80\x02ccollections\nOrderedDict\nK\x01R.", &["no arguments"]);
    refused(b"\x80\x02ccollections\nOrderedDict\n(K\x01tR.", &["unknown arguments"]);
    refused(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", &["unknown arguments"]);
    refused(b"\x80\x02K\x01Q.", &["storage"]);
}

#[test]
fn sizes_that_the_file_cannot_have_are_refused() {
    refused(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", &["ends early"]);
    refused(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", &["ends early"]);
    refused(b"\x80\x02X\xff\xff\xff\xffabc.", &["ends early"]);
    refused(b"\x80\x02\x8a\xffabc.", &["ends early"]);
    refused(b"\x80\x02\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.", &["64 bits"]);
    refused(b"\x80\x02cos", &["ends early"]);
    refused(b"", &["ends early"]);
}

#[test]
fn a_machine_out_of_balance_is_refused() {
    for pickle in
        [b"\x80\x02.".as_slice(), b"0.", b"(.", b"t.", b"K\x01a.", b"}K\x01s.", b"2.", b"(K\x01K\x02u.", b"q\x00."]
    {
        refused(pickle, &["more values than it has made"]);
    }
    refused(b"K\x01(K\x02\x86.", &["more values"]);
    refused(b"h\x05.", &["recalls 5"]);
    refused(b"}(K\x01u.", &["no mapping"]);
    refused(b"K\x01K\x02a.", &["no list"]);
}

#[test]
fn depth_and_number_are_bounded() {
    refused(&[b"\x80\x02".as_slice(), &b"(".repeat(2000), b"."].concat(), &["nested too deeply"]);
    refused(&[b"\x80\x02K\x01".as_slice(), &b"2".repeat(5 << 20), b"."].concat(), &["too many values"]);
    // Lists within lists are no depth to a heap.
    let nested = open(&[b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()].concat()).unwrap();
    assert_eq!(nested.root().items().count(), 1);
}

#[test]
fn references_to_references_do_not_grow() {
    // Each list holds the one before it ten times: written out, the last would have 10^40 items.
    let mut pickle = b"\x80\x02]q\x00".to_vec();
    for level in 1..=40u8 {
        pickle.extend(b"(");
        pickle.extend([b'h', level - 1].repeat(10));
        pickle.extend([b'l', b'q', level]);
    }
    pickle.extend(b".");
    assert_eq!(open(&pickle).unwrap().root().items().count(), 10);
    // A mapping that holds itself.
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.");
    assert!(Source::open(&path, &OpenOptions::default()).is_err());
}

/// A tensor of single-precision elements in the storage `0`; numbers are written in full.
fn tensor(count: &str, offset: &str, shape: &[&str], strides: &[&str]) -> Vec<u8> {
    let number = |number: &str| format!("I{number}\n").into_bytes();
    let tuple = |numbers: &[&str]| {
        [b"(".to_vec(), numbers.iter().flat_map(|one| number(one)).collect(), b"t".to_vec()].concat()
    };
    let storage = [
        b"(".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        number(count),
        b"tQ".to_vec(),
    ]
    .concat();
    let rebuild = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    [rebuild, storage, number(offset), tuple(shape), tuple(strides), b"\x89}tR.".to_vec()].concat()
}

fn root_tensor(pickle: &[u8]) -> Result<Option<Tensor>, Error> {
    open(pickle).and_then(|file| file.root().to_tensor())
}

#[test]
fn a_tensor_that_leaves_its_storage_is_refused() {
    let good = root_tensor(&tensor("4", "0", &["2", "2"], &["1", "2"])).unwrap().unwrap();
    assert_eq!(good.dims(), [2, 2]);
    let huge = "9223372036854775807";
    for pickle in [
        tensor("4", "0", &["2", "3"], &["3", "1"]),
        tensor("4", "1", &["2", "2"], &["2", "1"]),
        tensor("4", "0", &["2", "2"], &["9", "1"]),
        tensor("4", "0", &["1000000", "1000000"], &["0", "0"]),
        tensor("4", huge, &["1"], &["1"]),
        tensor("4", "0", &["2"], &[huge]),
        tensor("4", "0", &[huge, huge], &["1", "1"]),
        tensor("4", "0", &["-1"], &["1"]),
        tensor("4", "0", &["2"], &["1", "1"]),
        tensor("400", "0", &["400"], &["1"]),
        tensor(huge, "0", &[huge], &["1"]),
    ] {
        assert_eq!(root_tensor(&pickle).unwrap_err().kind(), ErrorKind::BadFile);
    }
}

#[test]
fn archives_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lie.pt");
    archive(&path, &[("lie/other", b"")]);
    let error = TorchFile::open(&path).map(|_| ()).unwrap_err();
    assert!(error.message().contains("data.pkl"), "{error}");
    archive(&path, &[("lie/data.pkl", b"\x80\x02}."), ("lie/byteorder", b"big")]);
    assert_eq!(TorchFile::open(&path).map(|_| ()).unwrap_err().kind(), ErrorKind::Unsupported);
    std::fs::write(&path, b"PK\x05\x06").unwrap();
    assert_eq!(TorchFile::open(&path).map(|_| ()).unwrap_err().kind(), ErrorKind::BadFile);
}

#[test]
fn every_kind_of_value_is_read_in_both_protocols() {
    for protocol in [2, 4] {
        let file = TorchFile::open(&golden("pickles").join(format!("protocol_{protocol}.pt"))).unwrap();
        let get = |key: &str| file.root().get(key).unwrap();
        let integers: Vec<Option<i64>> = get("integers").items().map(Item::as_i64).collect();
        let expected = [0, 255, 65535, -1, 1 << 31, -(1 << 40), 1];
        assert_eq!(integers, expected.map(Some));
        assert_eq!(get("float").as_f64(), Some(-0.125));
        assert_eq!(get("text").as_str(), Some("naïve"));
        assert_eq!(get("bytes").as_bytes(), Some(b"abc".as_slice()));
        assert_eq!(get("none").as_i64(), None);
        assert_eq!(get("ordered").get("b").unwrap().as_f64(), Some(2.5));
        let lengths: Vec<usize> = get("tuple").items().map(|item| item.items().count()).collect();
        assert_eq!(lengths, [0, 1, 2, 3, 4]);
        assert_eq!(get("set").items().map(Item::as_i64).collect::<Vec<_>>(), [Some(5)]);
        assert_eq!(get("size").items().map(Item::as_i64).collect::<Vec<_>>(), [Some(4), Some(6)]);
        let layers: Vec<Option<i64>> = get("J").entries().map(|(key, _)| key.as_i64()).collect();
        assert_eq!(layers, [Some(0), Some(7), Some(-2)]);
    }
}

#[test]
fn tensors_of_every_type_and_stride_are_read() {
    let base: Vec<Vec<f32>> = (0..4).map(|row| (0..6).map(|column| (row * 6 + column) as f32).collect()).collect();
    for protocol in [2, 4] {
        let file = TorchFile::open(&golden("pickles").join(format!("protocol_{protocol}.pt"))).unwrap();
        let get = |key: &str| file.root().get(key).unwrap().to_tensor().unwrap().unwrap();
        let rows = |tensor: &Tensor| tensor.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
        for (key, dtype) in [("f64", DType::F64), ("bf16", DType::BF16), ("parameter", DType::F32)] {
            assert_eq!((get(key).dtype(), rows(&get(key))), (dtype, base.clone()), "{key}");
        }
        for key in ["i64", "i32", "i16", "i8"] {
            assert_eq!(get(key).to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap(), [1.0, -2.0], "{key}");
        }
        assert_eq!(get("u8").to_vec1::<u8>().unwrap(), [1, 254]);
        assert_eq!(get("bool").to_vec1::<u8>().unwrap(), [1, 0]);
        assert_eq!(get("scalar").to_scalar::<f32>().unwrap(), 3.5);
        assert_eq!(get("empty").dims(), [0, 3]);
        let columns: Vec<Vec<f32>> = base.iter().map(|row| vec![row[1], row[3], row[5]]).collect();
        assert_eq!(rows(&get("columns")), columns);
        assert_eq!(get("row").to_vec1::<f32>().unwrap(), base[2]);
        assert_eq!(rows(&get("transposed").t().unwrap()), base);
        let lens = file.root().get("J").unwrap();
        let (_, transposed) = lens.entries().nth(2).unwrap();
        assert_eq!(rows(&transposed.to_tensor().unwrap().unwrap().t().unwrap()), base);
    }
}
