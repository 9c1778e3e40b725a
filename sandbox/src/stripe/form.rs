//! Form bodies and queries with Stripe's bracket keys: `line_items[0][price]=...`.
//!
//! Parameters stay a flat list of paths; readers ask for a path or for what lies
//! under one. Whether a path is known is said by `schema`.

use std::collections::BTreeMap;

use super::errors::Refusal;

/// Decoded parameters of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    pub(super) leaves: Vec<Leaf>,
}

/// One parameter: `a[b][c]` is the path a, b, c.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub path: Vec<String>,
    pub value: String,
}

impl Params {
    /// Decodes pairs; the last of two equal keys wins, `[]` counts up.
    pub(super) fn parse(pairs: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut leaves: Vec<Leaf> = Vec::new();
        for (key, value) in &pairs {
            let mut path = split_key(key)?;
            number_open_brackets(&mut path, &leaves);
            if let Some(known) = leaves.iter_mut().find(|leaf| leaf.path == path) {
                known.value.clone_from(value);
                continue;
            }
            let clash = |leaf: &Leaf| leaf.path.starts_with(&path) || path.starts_with(&leaf.path);
            if leaves.iter().any(clash) {
                return Err(
                    Refusal::invalid(format!("Invalid {key}: both a value and a hash"))
                        .param(key.as_str()),
                );
            }
            leaves.push(Leaf {
                path,
                value: value.clone(),
            });
        }
        Ok(Self { pairs, leaves })
    }

    /// The pairs as they were sent.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The value at a path written with brackets.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        let path = split_key(key).ok()?;
        self.leaves
            .iter()
            .find(|leaf| leaf.path == path)
            .map(|leaf| leaf.value.as_str())
    }

    /// Like [`Params::text`], owned.
    pub(super) fn owned(&self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    /// The value at a path that must be there.
    pub(super) fn required(&self, key: &str) -> Result<&str, Refusal> {
        self.text(key).ok_or_else(|| Refusal::missing(key))
    }

    /// A whole number.
    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            Refusal::invalid(format!("Invalid integer: {text}"))
                .code("parameter_invalid_integer")
                .param(key)
        })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, Refusal> {
        match self.text(key) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Refusal::invalid(format!("Invalid boolean: {other}")).param(key)),
        }
    }

    /// One of a closed list of words.
    pub(super) fn one_of(&self, key: &str, words: &[&str]) -> Result<Option<&str>, Refusal> {
        match self.text(key) {
            Some(text) if !words.contains(&text) => Err(Refusal::invalid(format!(
                "Invalid {key}: must be one of {}",
                words.join(", ")
            ))
            .param(key)),
            found => Ok(found),
        }
    }

    /// The distinct brackets right under `base`, in the order sent.
    pub(super) fn brackets(&self, base: &str) -> Vec<&str> {
        let Ok(base) = split_key(base) else {
            return Vec::new();
        };
        let mut found: Vec<&str> = Vec::new();
        for leaf in self
            .leaves
            .iter()
            .filter(|leaf| leaf.path.starts_with(&base))
        {
            if let Some(next) = leaf.path.get(base.len())
                && !found.contains(&next.as_str())
            {
                found.push(next);
            }
        }
        found
    }

    /// The values of an array of words.
    pub(super) fn words(&self, base: &str) -> Vec<&str> {
        let keys = self.brackets(base);
        keys.iter()
            .filter_map(|key| self.text(&format!("{base}[{key}]")))
            .collect()
    }

    /// Metadata under `base`, held to Stripe's limits. An empty value means: remove the key.
    pub(super) fn metadata(&self, base: &str) -> Result<BTreeMap<String, String>, Refusal> {
        let mut pairs = BTreeMap::new();
        for key in self.brackets(base) {
            let param = format!("{base}[{key}]");
            let Some(value) = self.text(&param) else {
                return Err(Refusal::invalid("Metadata values must be strings.").param(param));
            };
            if key.chars().count() > 40 {
                return Err(Refusal::invalid(
                    "Metadata keys can be up to 40 characters long, without brackets.",
                )
                .param(param));
            }
            if value.chars().count() > 500 {
                return Err(
                    Refusal::invalid("Metadata values can be up to 500 characters long.")
                        .param(param),
                );
            }
            pairs.insert(key.to_owned(), value.to_owned());
        }
        if pairs.len() > 50 {
            return Err(Refusal::invalid("You can have up to 50 metadata keys.").param(base));
        }
        Ok(pairs)
    }
}

/// Metadata as it is stored at creation: empty values were never set.
pub(super) fn without_empty(mut pairs: BTreeMap<String, String>) -> BTreeMap<String, String> {
    pairs.retain(|_, value| !value.is_empty());
    pairs
}

/// The steps of a key with brackets.
pub(super) fn split_key(key: &str) -> Result<Vec<String>, Refusal> {
    let malformed = || Refusal::invalid(format!("Invalid parameter name: {key}")).param(key);
    let Some(open) = key.find('[') else {
        return if key.is_empty() {
            Err(malformed())
        } else {
            Ok(vec![key.to_owned()])
        };
    };
    let mut path = vec![key[..open].to_owned()];
    let mut rest = &key[open..];
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[').ok_or_else(malformed)?;
        let close = inner.find(']').ok_or_else(malformed)?;
        if inner[..close].contains('[') {
            return Err(malformed());
        }
        path.push(inner[..close].to_owned());
        rest = &inner[close + 1..];
    }
    Ok(path)
}

fn number_open_brackets(path: &mut [String], leaves: &[Leaf]) {
    for at in 0..path.len() {
        if path[at].is_empty() {
            let taken: std::collections::BTreeSet<&String> = leaves
                .iter()
                .filter(|leaf| leaf.path.len() > at && leaf.path[..at] == path[..at])
                .map(|leaf| &leaf.path[at])
                .collect();
            path[at] = taken.len().to_string();
        }
    }
}

/// The key of a path.
pub(super) fn join(path: &[String]) -> String {
    let mut key = path.first().cloned().unwrap_or_default();
    for segment in path.iter().skip(1) {
        key.push('[');
        key.push_str(segment);
        key.push(']');
    }
    key
}

#[cfg(test)]
mod tests {
    use super::super::schema::Schema;
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Result<Params, Refusal> {
        Params::parse(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn nested_keys_are_read_back() {
        let params = params(&[
            ("line_items[0][price]", "a"),
            ("line_items[1][price]", "b"),
            ("expand[]", "x"),
            ("expand[]", "y"),
        ])
        .unwrap();
        assert_eq!(params.text("line_items[1][price]"), Some("b"));
        assert_eq!(params.brackets("line_items"), ["0", "1"]);
        assert_eq!(params.words("expand"), ["x", "y"]);
    }

    #[test]
    fn unknown_and_malformed_keys_are_refused() {
        let schema = Schema::of(&["a[*][b]"]);
        assert!(params(&[("a[0][b]", "1")]).unwrap().allow(&schema).is_ok());
        let refusal = params(&[("a[0][c]", "1")])
            .unwrap()
            .allow(&schema)
            .unwrap_err();
        assert_eq!(refusal.code, Some("parameter_unknown"));
        assert_eq!(refusal.param.as_deref(), Some("a[0][c]"));
        assert!(params(&[("metadata[a[b]]", "1")]).is_err());
        assert!(params(&[("a", "1"), ("a[b]", "1")]).is_err());
    }

    #[test]
    fn metadata_limits_hold() {
        let long_key = format!("metadata[{}]", "k".repeat(41));
        assert!(
            params(&[(&long_key, "v")])
                .unwrap()
                .metadata("metadata")
                .is_err()
        );
        let long_value = "v".repeat(501);
        assert!(
            params(&[("metadata[k]", &long_value)])
                .unwrap()
                .metadata("metadata")
                .is_err()
        );
        let many: Vec<String> = (0..51).map(|n| format!("metadata[k{n}]")).collect();
        let pairs: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "v")).collect();
        assert!(params(&pairs).unwrap().metadata("metadata").is_err());
        assert_eq!(
            params(&pairs[..50])
                .unwrap()
                .metadata("metadata")
                .unwrap()
                .len(),
            50
        );
    }
}
