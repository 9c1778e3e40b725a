//! Reads from sources which tests there are and which cases their doc comments name. Knows
//! no case by itself.

use std::collections::BTreeSet;

use crate::support::source::{Tree, blanked, words};

/// A function whose doc comment names cases.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Where it is.
    pub path: String,
    /// Its name.
    pub name: String,
    doc: String,
    /// What it names: `P-01`, `finding 23`, `late create`.
    pub cases: BTreeSet<String>,
}

impl Proof {
    /// The sentence that names a case.
    pub fn said_of(&self, case: &str) -> String {
        let text = self.doc.trim().replace('\n', " ");
        let mut sentences = text.split_inclusive(". ");
        let named = sentences.find(|sentence| cases(sentence).contains(case));
        named.unwrap_or(&text).trim().to_owned()
    }
}

/// All of them.
#[derive(Debug)]
pub struct Proofs {
    /// Tests that run.
    pub tests: Vec<Proof>,
    /// What begins with the name of a case and is no test, is ignored for no reason that is
    /// told, or is in no binary.
    pub idle: Vec<Proof>,
}

impl Proofs {
    /// Finds them in sources.
    pub fn read(tree: &Tree) -> Self {
        let macros = test_macros(tree);
        let (mut tests, mut idle) = (Vec::new(), Vec::new());
        for (path, text) in &tree.0 {
            let listed = listed(text, &macros);
            let built = is_built(tree, path);
            for documented in documented(text) {
                let cases = cases(&documented.doc);
                if cases.is_empty() {
                    continue;
                }
                let runs = built
                    && !documented.attributes.contains("#[ignore")
                    && (is_test(&documented.attributes) || listed.contains(&documented.name));
                // With a reason, something else than the suite runs it.
                let lent = documented.attributes.contains("#[ignore =");
                let claims = !lent && cases.iter().any(|case| begins_with(&documented.doc, case));
                let proof = Proof {
                    path: path.clone(),
                    name: documented.name,
                    doc: documented.doc,
                    cases,
                };
                match (runs, claims) {
                    (true, _) => tests.push(proof),
                    (false, true) => idle.push(proof),
                    (false, false) => {}
                }
            }
        }
        Self { tests, idle }
    }

    /// The tests that name a case.
    pub fn of(&self, case: &str) -> Vec<&Proof> {
        let names = |proof: &&Proof| proof.cases.contains(case);
        self.tests.iter().filter(names).collect()
    }
}

fn begins_with(said: &str, case: &str) -> bool {
    let said = said.to_lowercase();
    let said = said.strip_prefix("the ").unwrap_or(&said);
    said.starts_with(&case.to_lowercase()) || said.starts_with("finding")
}

fn is_test(attributes: &str) -> bool {
    ["#[test]", "::test]", "::test("]
        .iter()
        .any(|mark| attributes.contains(mark))
}

/// Macros that make tests of the functions they are given.
fn test_macros(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in tree.0.values() {
        let blank = blanked(text);
        for (at, _) in blank.match_indices("macro_rules!") {
            let rest = &blank[at + "macro_rules!".len()..];
            if let Some(word) = words(rest).first()
                && is_test(group(&rest[word.at..]))
            {
                found.insert(word.text.to_owned());
            }
        }
    }
    found
}

/// From its beginning to the end of its first `(...)`, `[...]` or `{...}`.
fn group(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &text[..=at];
                }
            }
            _ => {}
        }
    }
    text
}

/// The names that a file gives to such macros.
fn listed(text: &str, macros: &BTreeSet<String>) -> BTreeSet<String> {
    let blank = blanked(text);
    let mut found = BTreeSet::new();
    for word in words(&blank) {
        let given = &blank[word.at + word.text.len()..];
        if macros.contains(word.text) && given.starts_with('!') {
            let names = words(group(given));
            found.extend(names.iter().map(|name| name.text.to_owned()));
        }
    }
    found
}

/// Whether some binary is built from a file: its modules lead down from a root.
fn is_built(tree: &Tree, path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else {
        return true;
    };
    let is_root = matches!(file, "main.rs" | "lib.rs" | "build.rs")
        || folder.ends_with("tests") && !folder.contains("src/")
        || folder.ends_with("fuzz_targets");
    if is_root {
        return true;
    }
    let name = file.trim_end_matches(".rs");
    let parents = [
        format!("{folder}.rs"),
        format!("{folder}/main.rs"),
        format!("{folder}/lib.rs"),
    ];
    parents.iter().any(|parent| {
        tree.0.get(parent).is_some_and(|text| {
            let blank = blanked(text);
            let words = words(&blank);
            let declares = words.windows(2).any(|pair| {
                pair[0].text == "mod" && pair[1].text == name && pair[1].after.starts_with(';')
            });
            declares && is_built(tree, parent)
        })
    })
}

/// A function with what stands above it.
struct Documented {
    name: String,
    doc: String,
    attributes: String,
}

fn documented(text: &str) -> Vec<Documented> {
    let blank = blanked(text);
    let mut found = Vec::new();
    let (mut doc, mut attributes) = (String::new(), String::new());
    let mut in_attribute = false;
    for (line, blank) in text.lines().zip(blank.lines()) {
        let (line, code) = (line.trim(), blank.trim());
        if let Some(said) = line.strip_prefix("///").filter(|_| code.is_empty()) {
            doc.push_str(said.trim());
            doc.push('\n');
        } else if in_attribute || code.starts_with("#[") {
            attributes.push_str(code);
            in_attribute = attributes.matches('[').count() > attributes.matches(']').count();
        } else if code.is_empty() && line.starts_with("//") {
            // A plain comment between them.
        } else {
            let name = words(code)
                .windows(2)
                .find(|pair| pair[0].text == "fn")
                .map(|pair| pair[1].text.to_owned());
            if let Some(name) = name.filter(|_| !doc.is_empty()) {
                found.push(Documented {
                    name,
                    doc: std::mem::take(&mut doc),
                    attributes: std::mem::take(&mut attributes),
                });
            }
            doc.clear();
            attributes.clear();
        }
    }
    found
}

/// What a doc comment names.
fn cases(doc: &str) -> BTreeSet<String> {
    let text = doc.replace('\n', " ");
    let mut found: BTreeSet<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| is_case(word))
        .map(str::to_owned)
        .collect();
    let lower = text.to_lowercase();
    if lower.contains("late create") {
        found.insert("late create".to_owned());
    }
    for (at, mark) in lower.match_indices("finding") {
        let rest = &lower[at + mark.len()..];
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        for word in rest.split([' ', ',']).filter(|word| !word.is_empty()) {
            let number = word.trim_end_matches([':', '.', ';']);
            match number.parse::<u32>() {
                Ok(number) => found.insert(format!("finding {number}")),
                Err(_) if word == "and" => continue,
                Err(_) => break,
            };
            if number != word {
                break;
            }
        }
    }
    found
}

/// `P-01`: a part of the catalogue and two digits.
fn is_case(word: &str) -> bool {
    let bytes = word.as_bytes();
    matches!(bytes, [b'P' | b'W' | b'D' | b'G' | b'O', b'-', first, second]
        if first.is_ascii_digit() && second.is_ascii_digit())
}
