//! Reads single variables, notes what is wrong with each, and goes on.

use std::{
    collections::BTreeMap, fmt::Display, ops::RangeInclusive, path::Path, str::FromStr,
    time::Duration,
};

use url::Url;

use super::{Fault, Faults, SecretSource};

/// Where values come from.
pub struct Source<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    file: BTreeMap<String, String>,
    faults: Vec<Fault>,
}

impl<'a> Source<'a> {
    /// `lookup` is the environment, or what stands for it; `toml` is the text of the file.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>, toml: Option<&str>) -> Self {
        let mut source = Self {
            lookup,
            file: BTreeMap::new(),
            faults: Vec::new(),
        };
        match toml.unwrap_or_default().parse::<toml::Table>() {
            Ok(table) => table
                .into_iter()
                .for_each(|(name, value)| source.add(name, &value)),
            // The error's own text quotes the line, which may hold a secret.
            Err(error) => {
                let at = error.span().map_or(0, |span| {
                    toml.unwrap_or_default()
                        .get(..span.start)
                        .unwrap_or_default()
                        .lines()
                        .count()
                });
                source.faults.push(Fault {
                    variable: "spawnpoint.toml".to_owned(),
                    problem: format!("is not valid TOML near line {at}: {}", error.message()),
                    hint: "write NAME = \"value\", one a line".to_owned(),
                });
            }
        }
        source
    }

    /// The process environment, over the file at `path` if there is one.
    pub fn process(path: &Path, must_exist: bool) -> Result<Source<'static>, Faults> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => None,
            Err(error) => {
                return Err(Faults(vec![Fault {
                    variable: path.display().to_string(),
                    problem: format!("cannot be read: {error}"),
                    hint: String::new(),
                }]));
            }
        };
        Ok(Source::new(&environment, text.as_deref()))
    }

    fn add(&mut self, name: String, value: &toml::Value) {
        match plain(value) {
            Some(text) => {
                self.file.insert(name, text);
            }
            None => self.faults.push(Fault {
                variable: name,
                problem: "must be a text, a number, a boolean or a list of texts".to_owned(),
                hint: "names are the same as in the environment, without tables".to_owned(),
            }),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn environment(name: &str) -> Option<String> {
    match std::env::var(name) {
        Ok(value) => Some(value),
        Err(std::env::VarError::NotPresent) => None,
        // Not ignored: it will be told as a bad value.
        Err(std::env::VarError::NotUnicode(value)) => Some(value.to_string_lossy().into_owned()),
    }
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// A secret variable.
pub(super) enum Secret {
    /// Not set.
    Absent,
    /// Set, and a fault was noted.
    Broken,
    /// Set.
    Given(SecretSource),
}

impl Secret {
    /// The secret, or a stand-in that is never used, because a fault was noted.
    pub(super) fn or_stand_in(self) -> SecretSource {
        match self {
            Self::Given(secret) => secret,
            Self::Absent | Self::Broken => SecretSource::fixed(String::new()),
        }
    }
}

/// Reads variables and collects faults.
pub(super) struct Reader<'a> {
    source: &'a Source<'a>,
    known: Vec<String>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source<'a>) -> Self {
        Self {
            source,
            known: Vec::new(),
            faults: source.faults.clone(),
        }
    }

    pub(super) fn fault(
        &mut self,
        variable: &str,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (problem, hint) = (problem.into(), hint.into());
        self.faults.push(Fault {
            variable: variable.to_owned(),
            problem,
            hint,
        });
    }

    /// A value; empty counts as absent, because templates of deployments write `NAME=`.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.known.push(name.to_owned());
        let value = (self.source.lookup)(name).filter(|value| !value.trim().is_empty());
        let value = value.or_else(|| self.source.file.get(name).cloned());
        value
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// A value that is parsed; `what` completes "must be ...".
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, default: T, what: &str) -> T {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse() {
            Ok(value) => value,
            Err(_) => {
                self.fault(name, format!("is {text:?}"), format!("must be {what}"));
                default
            }
        }
    }

    /// A number within its bounds.
    pub(super) fn number<T>(&mut self, name: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Copy + Display,
    {
        let what = format!("a number from {} to {}", range.start(), range.end());
        let value = self.parsed(name, default, &what);
        if range.contains(&value) {
            return value;
        }
        self.fault(name, format!("is {value}"), format!("must be {what}"));
        default
    }

    /// A number of seconds; fractions are allowed.
    pub(super) fn seconds(
        &mut self,
        name: &str,
        default: Duration,
        range: RangeInclusive<f64>,
    ) -> Duration {
        Duration::from_secs_f64(self.number(name, default.as_secs_f64(), range))
    }

    /// How many seconds something is waited for, 90 days at most; 0 is for ever.
    pub(super) fn patience(&mut self, name: &str) -> Option<Duration> {
        let after = self.seconds(name, Duration::ZERO, 0.0..=90.0 * 86_400.0);
        (!after.is_zero()).then_some(after)
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => true,
            "off" | "false" | "no" | "0" => false,
            _ => {
                self.fault(name, format!("is {text:?}"), "must be on or off");
                default
            }
        }
    }

    /// A list, comma separated.
    pub(super) fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let text = self.text(name)?;
        let items = text.split(',').map(|item| item.trim().to_owned());
        Some(items.filter(|item| !item.is_empty()).collect())
    }

    /// An http or https URL without user and password, whose text is not secret.
    pub(super) fn url(&mut self, name: &str) -> Option<Url> {
        let text = self.text(name)?;
        let url = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if url.is_none() {
            // Not shown: a password may be in it.
            let hint = "must be http:// or https:// with a host, and no user, query or fragment";
            self.fault(name, "is not a usable URL", hint);
        }
        url
    }

    /// A secret, here or in the file that `NAME_FILE` names.
    pub(super) fn secret(&mut self, name: &str) -> Secret {
        let file_name = format!("{name}_FILE");
        match (self.text(name), self.text(&file_name)) {
            (None, None) => Secret::Absent,
            (Some(value), None) => Secret::Given(SecretSource::fixed(value)),
            (None, Some(path)) => match SecretSource::file(&path) {
                Ok(secret) => Secret::Given(secret),
                Err(problem) => {
                    self.fault(&file_name, problem, "");
                    Secret::Broken
                }
            },
            (Some(_), Some(_)) => {
                let hint = format!("set {name} or {file_name}, not both");
                self.fault(name, "is set twice", hint);
                Secret::Broken
            }
        }
    }

    /// Takes over the names that another reader asked for.
    pub(super) fn also_knows(&mut self, other: &Self) {
        self.known.extend(other.known.iter().cloned());
    }

    /// Refuses where anything was noted, or the file has names that nobody asked for.
    pub(super) fn finish(mut self) -> Result<(), Faults> {
        for name in self.source.file.keys() {
            if !self.known.contains(name) {
                let hint = match closest(name, &self.known) {
                    Some(known) => format!("did you mean {known}?"),
                    None => String::new(),
                };
                let problem = "is not a setting of this service".to_owned();
                self.faults.push(Fault {
                    variable: name.clone(),
                    problem,
                    hint,
                });
            }
        }
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Faults(self.faults))
        }
    }
}

/// A known name that differs in case only, or has this one as a part, or is a part of it.
fn closest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let alike =
        |known: &&String| **known == upper || known.contains(&upper) || upper.contains(*known);
    known.iter().find(alike).map(String::as_str)
}
