//! The store that `scripts/reference/node_tests.py` writes; its documentation has the format.

use std::fs::File;
use std::path::Path;

use ndarray_npy::NpzReader;

/// Directions along which each input has a derivative.
pub(super) const DIRECTIONS: usize = 3;

/// One case of the onnx package.
pub(super) struct Case {
    pub(super) name: String,
    /// Operators of the model; those of other domains with their domain.
    pub(super) operators: Vec<String>,
    /// Why the script left the case out, or what it found.
    pub(super) content: Result<Content, String>,
}

/// What a case has if it was not left out.
pub(super) struct Content {
    pub(super) model: Vec<u8>,
    /// Relative and absolute tolerance of the outputs.
    pub(super) tolerances: [f32; 2],
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<Output>,
    pub(super) gradients: Vec<Gradient>,
}

pub(super) struct Input {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    /// The values of the suite.
    pub(super) values: Vec<f32>,
    /// The values where the derivatives are, off kinks; empty where there are none.
    pub(super) point: Vec<f32>,
}

pub(super) struct Output {
    pub(super) name: String,
    /// Whether it takes part in the projection that is differentiated.
    pub(super) projected: bool,
    pub(super) dims: Vec<usize>,
    pub(super) expected: Vec<f32>,
}

/// Derivatives of the projection along the directions of one input.
pub(super) struct Gradient {
    pub(super) input: usize,
    pub(super) slopes: [f64; DIRECTIONS],
}

/// All cases of a store.
pub(super) fn read(path: &Path) -> Vec<Case> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let bytes: ndarray::Array1<u8> = NpzReader::new(file).unwrap().by_name("cases").unwrap();
    let mut cursor = Cursor(bytes.as_slice().unwrap());
    assert_eq!(cursor.take(4), b"MNC1", "another version of the format");
    let count = cursor.number();
    let cases = (0..count).map(|_| cursor.case()).collect();
    assert!(cursor.0.is_empty(), "bytes are left over");
    cases
}

/// The numbers of SplitMix64 (Steele, Lea and Flood 2014) from a seed, in `[-1, 1)`.
pub(super) fn uniform(seed: u64, count: usize) -> Vec<f64> {
    let number = |index: usize| {
        let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(index as u64 + 1));
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^= state >> 31;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..count).map(number).collect()
}

/// What is left of the file.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn array<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        self.take(COUNT).try_into().unwrap()
    }

    fn number(&mut self) -> usize {
        u32::from_le_bytes(self.array()) as usize
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> T) -> Vec<T> {
        let count = self.number();
        (0..count).map(|_| read(self)).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let count = self.number();
        self.take(count).to_vec()
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    fn flag(&mut self) -> bool {
        self.array::<1>() == [1]
    }

    fn float(&mut self) -> f32 {
        f32::from_le_bytes(self.array())
    }

    fn floats(&mut self, dims: &[usize]) -> Vec<f32> {
        (0..dims.iter().product()).map(|_| self.float()).collect()
    }

    fn case(&mut self) -> Case {
        let (name, reason) = (self.text(), self.text());
        let operators = self.list(Self::text);
        let content = if reason.is_empty() { Ok(self.content()) } else { Err(reason) };
        Case { name, operators, content }
    }

    fn content(&mut self) -> Content {
        let model = self.bytes();
        let tolerances = [self.float(), self.float()];
        let mut inputs = self.list(|cursor| {
            let (name, dims) = (cursor.text(), cursor.list(Self::number));
            let values = cursor.floats(&dims);
            Input { name, dims, values, point: Vec::new() }
        });
        let outputs = self.list(|cursor| {
            let (name, projected, dims) = (cursor.text(), cursor.flag(), cursor.list(Self::number));
            let expected = cursor.floats(&dims);
            Output { name, projected, dims, expected }
        });
        let gradients = self.list(|cursor| {
            let input = cursor.number();
            Gradient { input, slopes: [(); DIRECTIONS].map(|()| f64::from_le_bytes(cursor.array())) }
        });
        if self.flag() {
            for input in &mut inputs {
                input.point = self.floats(&input.dims);
            }
        }
        Content { model, tolerances, inputs, outputs, gradients }
    }
}
