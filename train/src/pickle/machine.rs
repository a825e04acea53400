//! The stack machine of pickles (Python's `Lib/pickletools.py`), without anything that runs code.

use std::collections::HashMap;
use std::rc::Rc;

use super::bytes::Bytes;
use super::error::PickleError;
use super::value::{Node, Pickle, Value};

/// Reads one pickle, which must fill `bytes`. `allows` says whether a function or class may be named: module and name.
///
/// # Errors
/// [`PickleError`]; nothing of the pickle is run in any case.
pub fn parse(bytes: &[u8], allows: impl Fn(&str, &str) -> bool) -> Result<Pickle, PickleError> {
    let mut machine =
        Machine { stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), nodes: Vec::new(), at: 0 };
    let mut input = Bytes::new(bytes);
    loop {
        machine.at = input.at();
        let opcode = input.byte()?;
        if opcode == b'.' {
            break;
        }
        let is_done = machine.plain(opcode, &mut input)?
            || machine.container(opcode)?
            || machine.memo(opcode, &mut input)?
            || machine.global(opcode, &mut input, &allows)?;
        if !is_done {
            return Err(PickleError::Opcode { opcode, at: machine.at });
        }
    }
    machine.finish(input.at() == bytes.len())
}

struct Machine {
    stack: Vec<Value>,
    /// Lengths of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    nodes: Vec<Node>,
    /// Byte of the current opcode.
    at: usize,
}

impl Machine {
    fn malformed(&self, found: &'static str) -> PickleError {
        PickleError::Malformed { at: self.at, found }
    }

    fn finish(mut self, fills_the_input: bool) -> Result<Pickle, PickleError> {
        let root = self.pop()?;
        if !self.stack.is_empty() || !fills_the_input {
            return Err(self.malformed("more than one value"));
        }
        Ok(Pickle { root, nodes: self.nodes })
    }

    fn pop(&mut self) -> Result<Value, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.malformed("a value is missing"));
        }
        self.stack.pop().ok_or_else(|| self.malformed("a value is missing"))
    }

    /// Everything above the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Value>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.malformed("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    fn push_node(&mut self, node: Node) {
        self.stack.push(Value::Node(self.nodes.len()));
        self.nodes.push(node);
    }

    fn push_tuple(&mut self, count: usize) -> Result<(), PickleError> {
        let mut values = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        values.reverse();
        self.push_node(Node::Tuple(values));
        Ok(())
    }

    /// Frames and values without parts.
    fn plain(&mut self, opcode: u8, input: &mut Bytes<'_>) -> Result<bool, PickleError> {
        let value = match opcode {
            // Protocol.
            0x80 => return self.protocol(input.byte()?),
            // Frame: a hint for readers of streams.
            0x95 => return input.take(8).map(|_| true),
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i64::from(input.unsigned(4)? as u32 as i32)),
            b'K' => Value::Int(i64::from(input.byte()?)),
            b'M' => Value::Int(input.unsigned(2)? as i64),
            0x8a => long(input.counted(1)?),
            0x8b => long(input.counted(4)?),
            b'G' => Value::Float(f64::from_bits(input.unsigned(8)?.swap_bytes())),
            b'X' => self.text(input.counted(4)?)?,
            0x8c => self.text(input.counted(1)?)?,
            0x8d => self.text(input.counted(8)?)?,
            // Bytes, and the strings of Python 2.
            b'T' | b'B' => input.counted(4).map(|_| Value::Bytes)?,
            b'U' | b'C' => input.counted(1).map(|_| Value::Bytes)?,
            0x8e => input.counted(8).map(|_| Value::Bytes)?,
            _ => return Ok(false),
        };
        self.stack.push(value);
        Ok(true)
    }

    fn protocol(&self, version: u8) -> Result<bool, PickleError> {
        if (2..=5).contains(&version) {
            Ok(true)
        } else {
            Err(self.malformed("a protocol other than 2 to 5"))
        }
    }

    fn text(&self, bytes: &[u8]) -> Result<Value, PickleError> {
        let text = std::str::from_utf8(bytes).map_err(|_| self.malformed("text that is not UTF-8"))?;
        Ok(Value::Text(Rc::from(text)))
    }

    /// Lists, sets, tuples, dictionaries.
    fn container(&mut self, opcode: u8) -> Result<bool, PickleError> {
        match opcode {
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b']' | 0x8f => self.push_node(Node::List(Vec::new())),
            b')' => self.push_node(Node::Tuple(Vec::new())),
            b'}' => self.push_node(Node::Dict(Vec::new())),
            b't' => {
                let values = self.pop_mark()?;
                self.push_node(Node::Tuple(values));
            }
            0x85..=0x87 => self.push_tuple(usize::from(opcode - 0x84))?,
            b'a' => {
                let value = self.pop()?;
                self.extend_list(vec![value])?;
            }
            b'e' | 0x90 => {
                let values = self.pop_mark()?;
                self.extend_list(values)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let values = self.pop_mark()?;
                self.set_items(values)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn top(&mut self) -> Result<&mut Node, PickleError> {
        let (at, found) = (self.at, "no container to add to");
        match self.stack.last() {
            Some(Value::Node(index)) => self.nodes.get_mut(*index),
            _ => None,
        }
        .ok_or(PickleError::Malformed { at, found })
    }

    fn extend_list(&mut self, values: Vec<Value>) -> Result<(), PickleError> {
        match self.top()? {
            Node::List(list) => list.extend(values),
            _ => return Err(self.malformed("values added to no list")),
        }
        Ok(())
    }

    /// `values` are keys and values in turn.
    fn set_items(&mut self, values: Vec<Value>) -> Result<(), PickleError> {
        if !values.len().is_multiple_of(2) {
            return Err(self.malformed("a key without a value"));
        }
        let mut values = values.into_iter();
        let pairs = std::iter::from_fn(|| Some((values.next()?, values.next()?)));
        match self.top()? {
            Node::Dict(items) | Node::Call { items, .. } => items.extend(pairs),
            _ => return Err(self.malformed("an item set on no dictionary")),
        }
        Ok(())
    }

    /// Remembered values.
    fn memo(&mut self, opcode: u8, input: &mut Bytes<'_>) -> Result<bool, PickleError> {
        let key = match opcode {
            b'q' | b'h' => u64::from(input.byte()?),
            b'r' | b'j' => input.unsigned(4)?,
            0x94 => self.memo.len() as u64,
            _ => return Ok(false),
        };
        if matches!(opcode, b'h' | b'j') {
            let value = self
                .memo
                .get(&key)
                .cloned()
                .ok_or_else(|| self.malformed("a value that was not remembered"))?;
            self.stack.push(value);
        } else {
            let value = self.stack.last().cloned().ok_or_else(|| self.malformed("a value is missing"))?;
            self.memo.insert(key, value);
        }
        Ok(true)
    }

    /// Functions and classes, calls of them, references to the outside.
    fn global(
        &mut self,
        opcode: u8,
        input: &mut Bytes<'_>,
        allows: &impl Fn(&str, &str) -> bool,
    ) -> Result<bool, PickleError> {
        match opcode {
            b'c' => {
                let (module, name) = (self.text(input.line()?)?, self.text(input.line()?)?);
                self.push_global(&module, &name, allows)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.push_global(&module, &name, allows)?;
            }
            // REDUCE and NEWOBJ.
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                if !matches!(function, Value::Global(_)) {
                    return Err(self.malformed("a call of something that is no function"));
                }
                self.push_node(Node::Call { function, arguments, items: Vec::new() });
            }
            // BUILD: the state of an object, which none of the allowed ones needs.
            b'b' => {
                drop(self.pop()?);
                self.top()?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push_node(Node::Persistent(id));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn push_global(
        &mut self,
        module: &Value,
        name: &Value,
        allows: &impl Fn(&str, &str) -> bool,
    ) -> Result<(), PickleError> {
        let (Value::Text(module), Value::Text(name)) = (module, name) else {
            return Err(self.malformed("a function whose name is no text"));
        };
        let (module, name) = (module.to_string(), name.to_string());
        if !allows(&module, &name) {
            return Err(PickleError::Forbidden { module, name });
        }
        self.stack.push(Value::Global(Rc::new((module, name))));
        Ok(())
    }
}

/// Two's complement, little-endian, any length.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::LongInt;
    }
    let unsigned = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let unused = 64 - 8 * bytes.len() as u32;
    Value::Int(if unused == 64 { 0 } else { (unsigned << unused) as i64 >> unused })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pickle, PickleError> {
        parse(bytes, |module, name| (module, name) == ("collections", "OrderedDict"))
    }

    #[test]
    fn plain_values() {
        // pickletools.dis(pickle.dumps(value, 2)) for each.
        let cases: [(&[u8], Value); 12] = [
            (b"\x80\x02N.", Value::None),
            (b"\x80\x02\x88.", Value::Bool(true)),
            (b"\x80\x02K\xff.", Value::Int(255)),
            (b"\x80\x02M\xe8\x03.", Value::Int(1000)),
            (b"\x80\x02J\xff\xff\xff\xff.", Value::Int(-1)),
            (b"\x80\x02\x8a\x05\x00\x00\x00\x00\x01.", Value::Int(1 << 32)),
            (b"\x80\x02\x8a\x01\xff.", Value::Int(-1)),
            (b"\x80\x02\x8a\x00.", Value::Int(0)),
            (b"\x80\x02\x8a\x09\x01\x00\x00\x00\x00\x00\x00\x00\x01.", Value::LongInt),
            (b"\x80\x02G?\xf8\x00\x00\x00\x00\x00\x00.", Value::Float(1.5)),
            (b"\x80\x02X\x02\x00\x00\x00\xc3\xa9q\x00.", Value::Text("\u{e9}".into())),
            (b"\x80\x04\x95\x04\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.", Value::Text("a".into())),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(read(bytes).unwrap().root, wanted, "{bytes:?}");
        }
    }

    #[test]
    fn containers_and_what_they_share() {
        // {"a": [1, 2], "b": the same list} by protocol 2.
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01K\x02eX\x01\x00\x00\x00bq\x03h\x02u.";
        let pickle = read(bytes).unwrap();
        let Some(Node::Dict(items)) = pickle.node(&pickle.root) else { panic!("{pickle:?}") };
        assert_eq!((&items[0].0, &items[0].1), (&Value::Text("a".into()), &items[1].1));
        assert_eq!(pickle.node(&items[0].1), Some(&Node::List(vec![Value::Int(1), Value::Int(2)])));
        let tuples = read(b"\x80\x02(K\x01K\x02K\x03K\x04tK\x05\x86.").unwrap();
        let Some(Node::Tuple(pair)) = tuples.node(&tuples.root) else { panic!("{tuples:?}") };
        assert_eq!(pair[1], Value::Int(5));
    }

    #[test]
    fn a_call_is_kept_and_not_made() {
        let bytes = b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00aK\x01u.";
        let pickle = read(bytes).unwrap();
        let Some(Node::Call { function, items, .. }) = pickle.node(&pickle.root) else {
            panic!("{pickle:?}")
        };
        assert_eq!(*function, Value::Global(Rc::new(("collections".into(), "OrderedDict".into()))));
        assert_eq!(*items, [(Value::Text("a".into()), Value::Int(1))]);
    }

    #[test]
    fn a_list_can_hold_itself() {
        let pickle = read(b"\x80\x02]q\x00h\x00a.").unwrap();
        assert_eq!(pickle.nodes, [Node::List(vec![Value::Node(0)])]);
    }

    #[test]
    fn hostile_pickles_are_refused() {
        let cases: [(&[u8], &str); 16] = [
            (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "os.system; only tensors and plain values"),
            (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", "posix.system"),
            (b"(S'ls'\nios\nsystem\n.", "opcode 0x53"),
            (b"\x80\x02X\xff\xff\xff\xffa.", "ends at byte 9"),
            (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "ends at byte"),
            (b"\x80\x02\x8b\xff\xff\xff\x7f.", "ends at byte"),
            (b"\x80\x02ccollections", "ends at byte"),
            (b"", "ends at byte 0"),
            (b"\x80\x02N", "ends at byte 3"),
            (b"\x80\x02NN.", "more than one value"),
            (b"\x80\x02N.N", "more than one value"),
            (b"\x80\x02(.", "a value is missing"),
            (b"\x80\x02te.", "a mark is missing"),
            (b"\x80\x02K\x01K\x02s.", "no container to add to"),
            (b"\x80\x02h\x07.", "not remembered"),
            (b"\x80\x09N.", "a protocol other than 2 to 5"),
        ];
        for (bytes, wanted) in cases {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.contains(wanted), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let mut bytes = b"\x80\x02)".to_vec();
        bytes.extend(std::iter::repeat_n(0x85, 1_000_000));
        bytes.push(b'.');
        assert_eq!(read(&bytes).unwrap().nodes.len(), 1_000_001);
    }

    #[test]
    fn damaged_pickles_never_panic() {
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01K\x02eX\x01\x00\x00\x00bq\x03h\x02u.";
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "{cut}");
            for byte in 0..=255 {
                let mut damaged = bytes.to_vec();
                damaged[cut] = byte;
                let _ = read(&damaged);
            }
        }
    }
}
