//! From seeds to inputs that nobody thought of: damage of bytes, and damage that keeps a
//! document a document, which gets deeper into a reader.

/// Values that readers of JSON and TOML trip over.
const VALUES: [&str; 24] = [
    "null",
    "true",
    "0",
    "-1",
    "-0",
    "0.5",
    "1e3",
    "1e400",
    "-1e-400",
    "65535",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "[]",
    "{}",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[{\"a\":[null]}]",
];

/// As deep as hostile documents go.
const DEEP: usize = 10_000;
/// No input grows further.
const LONGEST: usize = 256 << 10;

/// SplitMix64: the same numbers on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Self::mix(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)))
    }

    fn mix(mut bits: u64) -> u64 {
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Self::mix(self.0)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Makes inputs without end.
pub struct Mutator<'a> {
    random: Random,
    seeds: &'a [Vec<u8>],
    words: &'a [Vec<u8>],
    input: Vec<u8>,
}

impl<'a> Mutator<'a> {
    pub fn new(random: Random, seeds: &'a [Vec<u8>], words: &'a [Vec<u8>]) -> Self {
        Self {
            random,
            seeds,
            words,
            input: Vec::new(),
        }
    }

    /// The next input: a seed with a few changes, now and then one that changed before.
    pub fn next(&mut self) -> &[u8] {
        if self.input.is_empty() || self.input.len() > 8 << 10 || self.random.below(4) > 0 {
            self.input.clone_from(self.random.pick(self.seeds));
        }
        if self.random.below(2) == 0 {
            // One wrong value in an otherwise sound document.
            let at = self.random.below(self.input.len() + 1);
            self.value(at);
        } else {
            for _ in 0..=self.random.below(3) {
                self.change();
            }
        }
        self.input.truncate(LONGEST);
        &self.input
    }

    fn change(&mut self) {
        let length = self.input.len();
        let at = self.random.below(length + 1);
        match self.random.below(64) {
            0..=7 if at < length => self.input[at] ^= 1 << self.random.below(8),
            8..=13 if at < length => self.input[at] = self.random.byte(),
            14..=19 => {
                let end = (at + self.random.below(24)).min(length);
                self.input.drain(at..end);
            }
            20..=23 => {
                let end = (at + self.random.below(64)).min(length);
                let part = self.input[at..end].to_vec();
                self.insert(self.input.len().min(at), &part);
            }
            24..=25 => self.input.truncate(at),
            26..=29 => self.splice(at),
            30..=40 => {
                let word = self.random.pick(self.words).clone();
                self.insert(at, &word);
            }
            41..=46 => self.number(at),
            47..=59 => self.value(at),
            60 if self.random.below(8) == 0 => self.deep(at),
            61 if self.random.below(8) == 0 => {
                let byte = self.random.byte();
                self.insert(at, &vec![byte; 70_000]);
            }
            _ => {
                let byte = self.random.byte();
                self.insert(at, &[byte]);
            }
        }
    }

    fn insert(&mut self, at: usize, bytes: &[u8]) {
        self.input.splice(at..at, bytes.iter().copied());
    }

    /// The beginning of this input and the end of another seed.
    fn splice(&mut self, at: usize) {
        let other = self.random.pick(self.seeds);
        let from = self.random.below(other.len() + 1);
        self.input.truncate(at);
        self.input.extend_from_slice(&other[from..]);
    }

    /// Replaces the next number behind `at`.
    fn number(&mut self, at: usize) {
        let digit = |byte: &u8| byte.is_ascii_digit();
        let Some(start) = self.input[at..].iter().position(digit).map(|n| at + n) else {
            return;
        };
        let rest = &self.input[start..];
        let end = rest
            .iter()
            .position(|byte| !digit(byte))
            .map_or(self.input.len(), |n| start + n);
        let numbers = &VALUES[2..18];
        let number = self.random.pick(numbers).bytes();
        self.input.splice(start..end, number);
    }

    /// Replaces the next value behind `at`: what stands between a colon or an equals sign
    /// and the end of the member.
    fn value(&mut self, at: usize) {
        let sign = |byte: &u8| matches!(byte, b':' | b'=');
        let Some(start) = self.input[at..].iter().position(sign).map(|n| at + n + 1) else {
            return;
        };
        let end = start + length_of_value(&self.input[start..]);
        let value = self.random.pick(&VALUES).bytes();
        self.input.splice(start..end, value);
    }

    fn deep(&mut self, at: usize) {
        let (open, close) = *self
            .random
            .pick(&[("[", "]"), ("{\"a\":", "}"), ("a.", "b")]);
        let levels = if self.random.below(2) == 0 { 120 } else { DEEP };
        let mut nest = open.repeat(levels).into_bytes();
        if self.random.below(2) == 0 {
            nest.extend(close.repeat(levels).into_bytes());
        }
        self.insert(at, &nest);
    }
}

/// How far a value goes: to the end of its member, past what it quotes and nests.
fn length_of_value(rest: &[u8]) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (place, byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' | b'\n' if depth == 0 => return place,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    rest.len()
}
