//! Reads one table of the file field by field. What is missing, of the wrong
//! type or unknown becomes a fault, and reading goes on with a harmless value,
//! so that all faults of a file are found in one go.

use toml::{Table, Value};

use super::Fault;

/// One table on its way from text to a row. Fields are taken out as they are
/// read; what is left at the end is unknown.
pub(super) struct Section {
    key: String,
    rest: Table,
    faults: Vec<Fault>,
}

impl Section {
    /// A table at a key; anything else there is a fault.
    pub(super) fn of(key: String, value: Value) -> Self {
        match value {
            Value::Table(rest) => Self {
                key,
                rest,
                faults: Vec::new(),
            },
            _ => {
                let problem = "must be a table".to_owned();
                let faults = vec![Fault {
                    key: key.clone(),
                    problem,
                }];
                Self {
                    key,
                    rest: Table::new(),
                    faults,
                }
            }
        }
    }

    /// The whole file.
    pub(super) fn root(rest: Table) -> Self {
        Self {
            key: String::new(),
            rest,
            faults: Vec::new(),
        }
    }

    /// Where the table is.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The key of a field.
    pub(super) fn key_of(&self, name: &str) -> String {
        if self.key.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.key)
        }
    }

    /// Notes a fault of a field.
    pub(super) fn fault(&mut self, name: &str, problem: impl Into<String>) {
        let key = self.key_of(name);
        self.faults.push(Fault {
            key,
            problem: problem.into(),
        });
    }

    /// Notes a fault of the table itself.
    pub(super) fn fault_here(&mut self, problem: impl Into<String>) {
        self.faults.push(Fault {
            key: self.key.clone(),
            problem: problem.into(),
        });
    }

    /// Whether the field is there and not read yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.rest.contains_key(name)
    }

    /// Takes over the faults of a table inside this one.
    pub(super) fn absorb(&mut self, faults: Vec<Fault>) {
        self.faults.extend(faults);
    }

    /// The field as a text, where it is there.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.rest.remove(name)? {
            Value::String(text) => Some(text),
            _ => self.wrong(name, "must be a text"),
        }
    }

    /// The field as a text; a fault where it is missing.
    pub(super) fn required_text(&mut self, name: &str) -> String {
        let harmless = || "missing".to_owned();
        if self.has(name) {
            return self.text(name).unwrap_or_else(harmless);
        }
        self.fault(name, "is required");
        harmless()
    }

    /// The field as a whole number, where it is there.
    pub(super) fn whole(&mut self, name: &str) -> Option<i64> {
        match self.rest.remove(name)? {
            Value::Integer(number) => Some(number),
            _ => self.wrong(name, "must be a whole number"),
        }
    }

    /// The field as a whole number; a fault where it is missing.
    pub(super) fn required_whole(&mut self, name: &str) -> i64 {
        if self.has(name) {
            return self.whole(name).unwrap_or(1);
        }
        self.fault(name, "is required");
        1
    }

    /// As [`Section::whole`], within the bounds of what is stored.
    pub(super) fn number(&mut self, name: &str) -> Option<i32> {
        let number = self.whole(name)?;
        match i32::try_from(number) {
            Ok(number) => Some(number),
            Err(_) => self.wrong(name, "is out of bounds"),
        }
    }

    /// As [`Section::number`]; a fault where it is missing.
    pub(super) fn required_number(&mut self, name: &str) -> i32 {
        if self.has(name) {
            return self.number(name).unwrap_or(1);
        }
        self.fault(name, "is required");
        1
    }

    /// The field as true or false, where it is there.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        match self.rest.remove(name)? {
            Value::Boolean(flag) => Some(flag),
            _ => self.wrong(name, "must be true or false"),
        }
    }

    /// The field as a list of texts; empty where it is missing.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        let Some(value) = self.rest.remove(name) else {
            return Vec::new();
        };
        let Value::Array(values) = value else {
            return self
                .wrong(name, "must be a list of texts")
                .unwrap_or_default();
        };
        let mut texts = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            match value {
                Value::String(text) => texts.push(text),
                _ => self.fault(&format!("{name}[{index}]"), "must be a text"),
            }
        }
        texts
    }

    /// The field as a table of its own; empty where it is missing.
    pub(super) fn table(&mut self, name: &str) -> Self {
        let value = self
            .rest
            .remove(name)
            .unwrap_or_else(|| Value::Table(Table::new()));
        Self::of(self.key_of(name), value)
    }

    /// All fields, where their names are the owner's choice.
    pub(super) fn entries(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.rest).into_iter().collect()
    }

    /// The faults, with what was not read among them.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        let unknown: Vec<String> = self.rest.keys().cloned().collect();
        for name in unknown {
            self.fault(&name, "is not a known key");
        }
        self.faults
    }

    fn wrong<T>(&mut self, name: &str, problem: &str) -> Option<T> {
        self.fault(name, problem);
        None
    }
}
