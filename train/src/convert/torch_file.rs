//! The archive of `torch.save`: a zip with a pickle (`data.pkl`) and one file of bytes for each storage (`data/KEY`).
//!
//! A tensor is a view of a storage: type, number of elements, offset, shape and strides stand in the pickle. All of
//! them are checked against the bytes of the storage before a tensor is made.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use mimir_files::Bounded;
use tch::{Kind, Tensor};
use zip::ZipArchive;
use zip::result::ZipError;

use super::error::ConvertError;
use crate::pickle::{self, Node, Pickle, Value};

/// Longest pickle in bytes; that of a checkpoint with optimiser has a few million.
const MAX_PICKLE: u64 = 32 << 20;
/// Longest storage in bytes, far above that of any layer.
const MAX_STORAGE: u64 = 4 << 30;

/// Types of storages by their names in `torch`.
const STORAGES: [(&str, Kind); 10] = [
    ("FloatStorage", Kind::Float),
    ("DoubleStorage", Kind::Double),
    ("HalfStorage", Kind::Half),
    ("BFloat16Storage", Kind::BFloat16),
    ("LongStorage", Kind::Int64),
    ("IntStorage", Kind::Int),
    ("ShortStorage", Kind::Int16),
    ("CharStorage", Kind::Int8),
    ("ByteStorage", Kind::Uint8),
    ("BoolStorage", Kind::Bool),
];

/// Other functions and classes that checkpoints of tensors and plain values name. MAE saves its command line.
const ALLOWED: [(&str, &str); 7] = [
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    ("torch", "device"),
    ("argparse", "Namespace"),
    ("pathlib", "PosixPath"),
];

/// An open checkpoint whose pickle has been read.
pub(super) struct TorchFile {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    /// Folder inside the archive, with its slash.
    prefix: String,
    pickle: Pickle,
}

/// Bytes that are read to find the entries of an archive.
const MOST_SEARCHED: u64 = 1 << 26;

/// A tensor as the pickle describes it.
struct View {
    kind: Kind,
    key: String,
    elements: usize,
    offset: i64,
    shape: Vec<i64>,
    strides: Vec<i64>,
}

impl TorchFile {
    pub(super) fn open(path: &Path) -> Result<Self, ConvertError> {
        let opened =
            mimir_files::open(path).map_err(|source| ConvertError::Io { path: path.to_owned(), source })?;
        // Once with an end to the search for its directory, so that the second time is as short.
        ZipArchive::new(Bounded::new(BufReader::new(&opened.file), MOST_SEARCHED))
            .map_err(|error| no_archive(path, &error))?;
        let archive =
            ZipArchive::new(BufReader::new(opened.file)).map_err(|error| no_archive(path, &error))?;
        let name =
            archive.file_names().find(|name| name.ends_with("/data.pkl") && name.matches('/').count() == 1);
        let prefix = name.and_then(|name| name.strip_suffix("data.pkl")).map(str::to_owned);
        let prefix =
            prefix.ok_or_else(|| format_error(path, "a zip archive without data.pkl".to_owned(), ARCHIVE))?;
        let pickle = Pickle { root: Value::None, nodes: Vec::new() };
        let mut this = Self { path: path.to_owned(), archive, prefix, pickle };
        if this.entry("byteorder", 16)?.is_some_and(|order| order != b"little") {
            return Err(this.refuse("big-endian numbers".to_owned(), "little-endian ones"));
        }
        let bytes = this.entry("data.pkl", MAX_PICKLE)?.unwrap_or_default();
        let parsed = pickle::parse(&bytes, is_allowed);
        this.pickle = parsed.map_err(|source| ConvertError::Pickle { path: path.to_owned(), source })?;
        Ok(this)
    }

    /// The bytes of an entry, if there is one.
    fn entry(&mut self, name: &str, most: u64) -> Result<Option<Vec<u8>>, ConvertError> {
        let path = self.path.clone();
        let entry = match self.archive.by_name(&format!("{}{name}", self.prefix)) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(no_archive(&path, &error)),
        };
        let size = entry.size();
        if size > most {
            return Err(format_error(&path, format!("{size} bytes in {name}"), "fewer"));
        }
        // Memory grows with what is there, not with what the archive claims.
        let mut bytes = Vec::new();
        entry.take(most).read_to_end(&mut bytes).map_err(|source| ConvertError::Io { path, source })?;
        Ok(Some(bytes))
    }

    pub(super) fn refuse(&self, found: String, wanted: &'static str) -> ConvertError {
        format_error(&self.path, found, wanted)
    }

    /// What the file holds.
    pub(super) fn root(&self) -> Value {
        self.pickle.root.clone()
    }

    /// Keys and values of a dictionary. Keys that are no text are named by their type.
    pub(super) fn entries(&self, value: &Value) -> Option<Vec<(String, Value)>> {
        let items = match self.pickle.node(value)? {
            Node::Dict(items) => items,
            Node::Call { function, items, .. } if is_global(function, "collections", "OrderedDict") => items,
            _ => return None,
        };
        let key = |key: &Value| match key {
            Value::Text(text) => text.to_string(),
            Value::Int(number) => number.to_string(),
            other => format!("({})", self.type_name(other)),
        };
        Some(items.iter().map(|(name, value)| (key(name), value.clone())).collect())
    }

    /// Whether a value is a tensor or a parameter.
    pub(super) fn is_tensor(&self, value: &Value) -> bool {
        self.view(value).is_some()
    }

    /// The tensor that a value stands for, in its own type; none where it is something else.
    ///
    /// # Errors
    /// A storage that is missing or too short, and a view that leaves it.
    pub(super) fn tensor(&mut self, value: &Value) -> Result<Option<Tensor>, ConvertError> {
        let Some(view) = self.view(value) else { return Ok(None) };
        let name = format!("data/{}", view.key);
        let bytes = self.entry(&name, MAX_STORAGE)?;
        let bytes = bytes.ok_or_else(|| self.refuse(format!("no {name}"), "the bytes of every tensor"))?;
        let size = view.elements.checked_mul(view.kind.elt_size_in_bytes());
        if size != Some(bytes.len()) {
            let found = format!("{} bytes in {name} for {} elements", bytes.len(), view.elements);
            return Err(self.refuse(found, "as many as its type needs"));
        }
        if !view.fits() {
            return Err(self.refuse(format!("a tensor that leaves {name}"), "one inside of its storage"));
        }
        let broken = |error: tch::TchError| format_error(&self.path, error.to_string(), "a tensor");
        let storage = Tensor::f_from_data_size(&bytes, &[view.elements as i64], view.kind).map_err(broken)?;
        let tensor = storage.f_as_strided(&view.shape, &view.strides, view.offset).map_err(broken)?;
        Ok(Some(tensor.contiguous()))
    }

    fn view(&self, value: &Value) -> Option<View> {
        let arguments = self.arguments_of(value, "_rebuild_parameter");
        let tensor = arguments.and_then(<[Value]>::first).unwrap_or(value);
        let [storage, offset, shape, strides, ..] = self.arguments_of(tensor, "_rebuild_tensor_v2")? else {
            return None;
        };
        let Node::Persistent(id) = self.pickle.node(storage)? else { return None };
        // ("storage", type, key, location, number of elements)
        let Some(Node::Tuple(id)) = self.pickle.node(id) else { return None };
        let [Value::Text(_), Value::Global(class), Value::Text(key), _, Value::Int(elements)] = &id[..]
        else {
            return None;
        };
        let (_, kind) = STORAGES.iter().find(|(name, _)| class.0 == "torch" && class.1 == *name)?;
        Some(View {
            kind: *kind,
            key: key.to_string(),
            elements: usize::try_from(*elements).ok()?,
            offset: integer(offset)?,
            shape: self.integers(shape)?,
            strides: self.integers(strides)?,
        })
    }

    /// The arguments of a call of `torch._utils.NAME`.
    fn arguments_of(&self, value: &Value, name: &str) -> Option<&[Value]> {
        match self.pickle.node(value)? {
            Node::Call { function, arguments, .. } if is_global(function, "torch._utils", name) => {
                match self.pickle.node(arguments)? {
                    Node::Tuple(arguments) => Some(arguments),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn integers(&self, value: &Value) -> Option<Vec<i64>> {
        match self.pickle.node(value)? {
            Node::Tuple(values) => values.iter().map(integer).collect(),
            _ => None,
        }
    }

    /// Python's name for the type of a value.
    pub(super) fn type_name(&self, value: &Value) -> &'static str {
        match (value, self.pickle.node(value)) {
            (Value::None, _) => "NoneType",
            (Value::Bool(_), _) => "bool",
            (Value::Int(_) | Value::LongInt, _) => "int",
            (Value::Float(_), _) => "float",
            (Value::Text(_), _) => "str",
            (Value::Bytes, _) => "bytes",
            (_, Some(Node::List(_))) => "list",
            (_, Some(Node::Tuple(_))) => "tuple",
            (_, Some(Node::Dict(_))) => "dict",
            (_, Some(Node::Call { function, .. })) if is_global(function, "collections", "OrderedDict") => {
                "OrderedDict"
            }
            _ => "object",
        }
    }
}

impl View {
    /// Whether all of its elements lie in the storage, and no more of them than the storage has.
    fn fits(&self) -> bool {
        let inside = || {
            let same_rank = self.shape.len() == self.strides.len();
            let mut count = Some(1_i64);
            let mut last = Some(self.offset);
            for (length, stride) in self.shape.iter().zip(&self.strides) {
                if *length < 0 || *stride < 0 {
                    return None;
                }
                count = count?.checked_mul(*length);
                last = last?.checked_add((*length - 1).max(0).checked_mul(*stride)?);
            }
            let (count, last, elements) = (count?, last?, i64::try_from(self.elements).ok()?);
            let is_inside = self.offset >= 0 && count <= elements && (count == 0 || last < elements);
            Some(same_rank && is_inside)
        };
        inside().unwrap_or(false)
    }
}

const ARCHIVE: &str =
    "a file of torch.save (PyTorch 1.6 or later; load and save an older one with a newer PyTorch)";

fn no_archive(path: &Path, error: &ZipError) -> ConvertError {
    format_error(path, error.to_string(), ARCHIVE)
}

fn format_error(path: &Path, found: String, wanted: &'static str) -> ConvertError {
    ConvertError::Format { path: path.to_owned(), found, wanted }
}

fn is_allowed(module: &str, name: &str) -> bool {
    ALLOWED.contains(&(module, name))
        || (module == "torch" && STORAGES.iter().any(|(storage, _)| *storage == name))
}

fn is_global(value: &Value, module: &str, name: &str) -> bool {
    matches!(value, Value::Global(global) if global.0 == module && global.1 == name)
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

/// Python's name of a type of numbers.
pub(super) fn type_name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Float => "float32",
        Kind::Double => "float64",
        Kind::Half => "float16",
        Kind::BFloat16 => "bfloat16",
        Kind::Int64 => "int64",
        Kind::Int => "int32",
        Kind::Int16 => "int16",
        Kind::Int8 => "int8",
        Kind::Uint8 => "uint8",
        Kind::Bool => "bool",
        _ => "another type",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libtorch_itself_wrote_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pth/libtorch.pth");
        let mut file = TorchFile::open(&path).unwrap();
        let Some(Node::Tuple(values)) = file.pickle.node(&file.root()).cloned() else { panic!("no tuple") };
        let mut tensor = |index: usize| file.tensor(&values[index]).unwrap().unwrap();
        let wanted: [(&[i64], Kind, &[f64]); 4] = [
            (&[1, 1, 4], Kind::Float, &[-1.0, -0.75, -0.5, -0.25]),
            (&[4], Kind::Float, &[8.0, 9.0, 10.0, 11.0]),
            (&[2, 3], Kind::Float, &[0.0, 2.0, 4.0, 1.0, 3.0, 5.0]),
            (&[2], Kind::Half, &[0.0, 0.25]),
        ];
        for (index, (shape, kind, numbers)) in wanted.into_iter().enumerate() {
            let found = tensor(index);
            assert_eq!((&found.size()[..], found.kind()), (shape, kind), "{index}");
            let flat: Vec<f64> = found.flatten(0, -1).to_kind(Kind::Double).try_into().unwrap();
            assert_eq!(flat, numbers, "{index}");
        }
    }

    #[test]
    fn views_stay_inside_their_storage() {
        let fits = |offset: i64, shape: &[i64], strides: &[i64]| {
            let (shape, strides) = (shape.to_vec(), strides.to_vec());
            View { kind: Kind::Float, key: String::new(), elements: 12, offset, shape, strides }.fits()
        };
        assert!(
            fits(0, &[3, 4], &[4, 1]) && fits(11, &[1], &[1]) && fits(0, &[], &[]) && fits(12, &[0], &[1])
        );
        for (offset, shape, strides) in [
            (1, &[3, 4][..], &[4, 1][..]),
            (-1, &[1], &[1]),
            (12, &[], &[]),
            (0, &[13], &[0]),
            (0, &[3], &[6]),
            (0, &[2, 2], &[1]),
            (0, &[-1], &[1]),
            (0, &[2], &[-1]),
            (0, &[i64::MAX, i64::MAX], &[1, 1]),
            (0, &[2], &[i64::MAX]),
            (i64::MAX, &[2], &[1]),
        ] {
            assert!(!fits(offset, shape, strides), "{offset} {shape:?} {strides:?}");
        }
    }
}
