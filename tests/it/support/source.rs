//! Reads Rust sources as far as the house's rules need: text without comments and
//! literals, its words, its functions, and whether it is test code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Sources by their path from the root of the repository, with `/`.
#[derive(Clone, Debug, Default)]
pub struct Tree(pub BTreeMap<String, String>);

impl Tree {
    /// Every `.rs` file below the given folders.
    pub fn read(root: &Path, folders: &[&str]) -> Self {
        let mut tree = Self::default();
        for folder in folders {
            tree.add(root, &root.join(folder));
        }
        tree
    }

    fn add(&mut self, root: &Path, folder: &Path) {
        let entries = fs::read_dir(folder);
        let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                self.add(root, &path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below the root");
                let name = name.to_str().expect("a plain name").replace('\\', "/");
                let text = fs::read_to_string(&path).expect("a readable source");
                self.0.insert(name, text);
            }
        }
    }

    /// Files that only tests are built from: in a `tests` folder, or declared
    /// under `#[cfg(test)]` as a module of their own.
    pub fn test_files(&self) -> BTreeSet<String> {
        let mut declared = BTreeSet::new();
        for (path, text) in &self.0 {
            let folder = module_folder(path);
            let blank = blanked(text);
            for (at, _) in blank.match_indices("#[cfg(test)]") {
                if let Some(name) = module_after(&blank[at..]) {
                    declared.insert(format!("{folder}/{name}.rs"));
                    declared.insert(format!("{folder}/{name}/"));
                }
            }
        }
        let is_test = |path: &String| {
            path.starts_with("tests/")
                || path.contains("/tests/")
                || declared.contains(path)
                || declared
                    .iter()
                    .any(|below| below.ends_with('/') && path.starts_with(below))
        };
        self.0
            .keys()
            .filter(|path| is_test(path))
            .cloned()
            .collect()
    }
}

/// `src/db.rs` has its modules in `src/db`, `src/lib.rs` in `src`.
fn module_folder(path: &str) -> &str {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let root = stem
        .strip_suffix("/lib")
        .or_else(|| stem.strip_suffix("/main"));
    root.unwrap_or(stem)
}

/// The name in `#[cfg(test)] pub(crate) mod name;`, attributes between them aside.
fn module_after(text: &str) -> Option<&str> {
    let declaration = &text[..text.find([';', '{'])?];
    let is_file = text[declaration.len()..].starts_with(';');
    let name = declaration.rsplit_once("mod ")?.1.trim();
    (is_file && !declaration.contains("fn ")).then_some(name)
}

/// The code that ships: without the unit tests at its end.
pub fn shipped(blank: &str) -> &str {
    let inline = blank.match_indices("#[cfg(test)]").find(|(at, _)| {
        let rest = blank[*at..].trim_start_matches("#[cfg(test)]").trim_start();
        rest.starts_with("mod ") && module_after(&blank[*at..]).is_none()
    });
    inline.map_or(blank, |(at, _)| &blank[..at])
}

/// The text with comments and literals turned to spaces; lines stay where they are.
pub fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped_to(bytes, at);
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("only whole literals and comments are blanked")
}

/// The end of the comment or literal that begins at `at`; `at` where none does.
fn skipped_to(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let word_before = at > 0 && is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => find(bytes, at + 2, b"*/"),
        [b'"', ..] => quoted(bytes, at + 1, b'"'),
        [b'r', b'"' | b'#', ..] if !word_before || bytes[at - 1] == b'b' => {
            let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return at;
            }
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            find(bytes, at + 2 + hashes, &close)
        }
        // 'a' and '\n' are characters, 'a is a lifetime.
        [b'\'', b'\\', ..] => quoted(bytes, at + 1, b'\''),
        [b'\'', first, ..] => {
            let width = match first {
                0..0x80 => 1,
                0x80..0xE0 => 2,
                0xE0..0xF0 => 3,
                0xF0.. => 4,
            };
            if rest.get(1 + width) == Some(&b'\'') {
                at + width + 2
            } else {
                at
            }
        }
        _ => at,
    }
}

fn find(bytes: &[u8], from: usize, close: &[u8]) -> usize {
    let found = bytes[from..]
        .windows(close.len())
        .position(|window| window == close);
    found.map_or(bytes.len(), |offset| from + offset + close.len())
}

fn quoted(bytes: &[u8], from: usize, close: u8) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == close => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A word of blanked text.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// Counted from 1.
    pub line: usize,
    /// The word itself.
    pub text: &'a str,
    /// Where it begins.
    pub at: usize,
    /// What follows, blanks skipped.
    pub after: &'a str,
    /// Whether `::` or `.` leads to it: then it does not begin a path.
    pub inside: bool,
}

/// The words of blanked text.
pub fn words(blank: &str) -> Vec<Word<'_>> {
    let bytes = blank.as_bytes();
    let (mut at, mut line, mut found) = (0, 1, Vec::new());
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            line += usize::from(bytes[at] == b'\n');
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|b| is_word(**b)).count();
        let before = blank[..at].trim_end();
        found.push(Word {
            line,
            text: &blank[at..at + length],
            at,
            after: blank[at + length..].trim_start(),
            inside: before.ends_with("::") || (before.ends_with('.') && !before.ends_with("..")),
        });
        at += length;
    }
    found
}

/// A path as the source names it: `use` trees are taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Of its last segment.
    pub line: usize,
    /// For example `crate`, `db`, `Error`.
    pub segments: Vec<String>,
}

/// Every import, and every path of at least two segments in the code.
pub fn paths(blank: &str) -> Vec<Named> {
    let words = words(blank);
    let (mut found, mut index) = (Vec::new(), 0);
    while index < words.len() {
        if words[index].text == "use" {
            let end = words[index].at + words[index].after_offset(blank, ';');
            let next = words.partition_point(|word| word.at < end);
            // Not the `use<..>` of a captured lifetime.
            if !words[index].after.starts_with('<') {
                found.extend(imports(blank, &words[index + 1..next], end));
                index = next;
                continue;
            }
        }
        let mut last = index;
        while words[last].after.starts_with("::")
            && words.get(last + 1).is_some_and(|next| next.inside)
        {
            last += 1;
        }
        if last > index && !words[index].inside {
            let segments = words[index..=last]
                .iter()
                .map(|word| word.text.to_owned())
                .collect();
            found.push(Named {
                line: words[last].line,
                segments,
            });
        }
        index = last + 1;
    }
    found
}

impl Word<'_> {
    fn after_offset(&self, blank: &str, wanted: char) -> usize {
        let rest = &blank[self.at..];
        rest.find(wanted).unwrap_or(rest.len())
    }
}

/// The leaves of one `use` tree.
fn imports(blank: &str, words: &[Word<'_>], end: usize) -> Vec<Named> {
    let (mut found, mut prefixes, mut prefix) = (Vec::new(), Vec::new(), Vec::<String>::new());
    let start = words.first().map_or(end, |word| word.at);
    let mut leading = blank[..start]
        .rsplit("use")
        .next()
        .unwrap_or_default()
        .matches('{')
        .count();
    for (index, word) in words.iter().enumerate() {
        while leading > 0 {
            prefixes.push(prefix.clone());
            leading -= 1;
        }
        prefix.push(word.text.to_owned());
        let from = word.at + word.text.len();
        let to = words.get(index + 1).map_or(end, |next| next.at);
        let between = &blank[from..to];
        if !between.trim_start().starts_with("::") || between.contains('*') {
            found.push(Named {
                line: word.line,
                segments: prefix.clone(),
            });
        }
        for byte in between.bytes() {
            match byte {
                b'{' => prefixes.push(prefix.clone()),
                b',' => prefix = prefixes.last().cloned().unwrap_or_default(),
                b'}' => prefix = prefixes.pop().unwrap_or_default(),
                _ => {}
            }
        }
    }
    found
}

/// Functions with a body: name, first line and number of lines.
pub fn functions(blank: &str) -> Vec<(String, usize, usize)> {
    let words = words(blank);
    let mut found = Vec::new();
    for pair in words.windows(2) {
        let [word, name] = pair else { continue };
        // `fn(` is a type, not a function.
        if word.text != "fn" || !word.after.starts_with(name.text) {
            continue;
        }
        let Some(open) = blank[name.at..]
            .find(['{', ';'])
            .map(|offset| name.at + offset)
        else {
            continue;
        };
        let mut depth = 0_usize;
        let close = blank[open..].bytes().position(|byte| {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        let end = close.map_or(blank.len(), |offset| open + offset);
        let lines = blank[word.at..end].matches('\n').count() + 1;
        found.push((name.text.to_owned(), word.line, lines));
    }
    found
}
