//! A small model of the panel's validator: fields in order, rules in order, one error per failed rule.
//!
//! What matters is which rules run at all: an absent value only meets the rules about presence, a
//! missing required value ends its field, and database look-ups run only on a clean field.

mod messages;
mod parse;
mod values;

use regex::bytes::Regex;
use serde_json::Value;

use super::errors::Refusal;
use super::input::lookup;

use values::{
    filled, is_boolean, is_email, is_integer, is_numeric, is_url, is_username, number, scalar,
};

pub(crate) use parse::{parse_rules, pattern};

type Test<'a> = Box<dyn Fn(&Value) -> bool + 'a>;

/// One rule of a field.
pub(crate) enum Rule<'a> {
    Required,
    Present,
    RequiredWith(&'static str),
    RequiredWithout(&'static str),
    Sometimes,
    Nullable,
    Bail,
    String,
    Integer,
    Numeric,
    Boolean,
    Array,
    Email,
    Url,
    AlphaDash,
    AlphaNum,
    Username,
    Min(f64),
    Max(f64),
    Between(f64, f64),
    Size(f64),
    In(Vec<String>),
    Regex(Box<Regex>),
    /// Fails when the test says that the value is taken.
    Unique(Test<'a>),
    /// Fails when the test does not find the value.
    Exists(Test<'a>),
}

impl Rule<'_> {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Present => "present",
            Self::RequiredWith(_) => "required_with",
            Self::RequiredWithout(_) => "required_without",
            Self::Sometimes => "sometimes",
            Self::Nullable => "nullable",
            Self::Bail => "bail",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Numeric => "numeric",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Email => "email",
            Self::Url => "url",
            Self::AlphaDash => "alpha_dash",
            Self::AlphaNum => "alpha_num",
            Self::Username => "p_username",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::Between(..) => "between",
            Self::Size(_) => "size",
            Self::In(_) => "in",
            Self::Regex(_) => "regex",
            Self::Unique(_) => "unique",
            Self::Exists(_) => "exists",
        }
    }

    /// Rules about presence, which run on absent and empty values too.
    fn implicit(&self) -> bool {
        matches!(
            self,
            Self::Required | Self::Present | Self::RequiredWith(_) | Self::RequiredWithout(_)
        )
    }

    fn looks_up(&self) -> bool {
        matches!(self, Self::Unique(_) | Self::Exists(_))
    }

    fn marker(&self) -> bool {
        matches!(self, Self::Sometimes | Self::Nullable | Self::Bail)
    }
}

struct Field<'a> {
    path: String,
    label: String,
    rules: Vec<Rule<'a>>,
}

/// A set of fields checked together.
pub(crate) struct Form<'a> {
    data: &'a Value,
    fields: Vec<Field<'a>>,
}

impl<'a> Form<'a> {
    pub(crate) fn new(data: &'a Value) -> Self {
        Self {
            data,
            fields: Vec::new(),
        }
    }

    pub(crate) fn field(self, path: &str, rules: Vec<Rule<'a>>) -> Self {
        self.labelled(path, &path.replace('_', " "), rules)
    }

    /// A field that messages call by another name.
    pub(crate) fn labelled(mut self, path: &str, label: &str, rules: Vec<Rule<'a>>) -> Self {
        self.fields.push(Field {
            path: path.to_owned(),
            label: label.to_owned(),
            rules,
        });
        self
    }

    /// The same rules for every element of a list.
    pub(crate) fn each(mut self, path: &str, rules: impl Fn() -> Vec<Rule<'a>>) -> Self {
        let count = match lookup(self.data, path) {
            Some(Value::Array(list)) => list.len(),
            _ => 0,
        };
        for index in 0..count {
            self = self.field(&format!("{path}.{index}"), rules());
        }
        self
    }

    pub(crate) fn check(self) -> Result<(), Refusal> {
        let mut errors = Vec::new();
        for field in &self.fields {
            for rule in field.failures(self.data) {
                let detail = messages::message(field, rule, lookup(self.data, &field.path));
                errors.push((field.path.clone(), rule.name(), detail));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Refusal::validation(errors))
        }
    }
}

impl<'a> Field<'a> {
    fn has(&self, test: impl Fn(&Rule<'a>) -> bool) -> bool {
        self.rules.iter().any(test)
    }

    fn numeric(&self) -> bool {
        self.has(|rule| matches!(rule, Rule::Numeric | Rule::Integer))
    }

    fn failures(&self, data: &Value) -> Vec<&Rule<'a>> {
        let value = lookup(data, &self.path);
        if value.is_none() && self.has(|rule| matches!(rule, Rule::Sometimes)) {
            return Vec::new();
        }
        let mut failed: Vec<&Rule<'a>> = Vec::new();
        for rule in self.rules.iter().filter(|rule| !rule.marker()) {
            if self.applies(rule, value, &failed) && !self.passes(rule, value, data) {
                failed.push(rule);
                if rule.implicit() || self.has(|rule| matches!(rule, Rule::Bail)) {
                    break;
                }
            }
        }
        failed
    }

    fn applies(&self, rule: &Rule<'a>, value: Option<&Value>, failed: &[&Rule<'a>]) -> bool {
        if rule.implicit() {
            return true;
        }
        let Some(value) = value else { return false };
        if value.as_str().is_some_and(|text| text.trim().is_empty()) {
            return false;
        }
        if value.is_null() && self.has(|rule| matches!(rule, Rule::Nullable)) {
            return false;
        }
        !rule.looks_up() || failed.is_empty()
    }

    fn passes(&self, rule: &Rule<'a>, value: Option<&Value>, data: &Value) -> bool {
        match rule {
            Rule::Required => filled(value),
            Rule::Present => value.is_some(),
            Rule::RequiredWith(other) => filled(value) || !filled(lookup(data, other)),
            Rule::RequiredWithout(other) => filled(value) || filled(lookup(data, other)),
            _ => value.is_none_or(|value| self.accepts(rule, value)),
        }
    }

    fn accepts(&self, rule: &Rule<'a>, value: &Value) -> bool {
        match rule {
            Rule::String => value.is_string(),
            Rule::Integer => is_integer(value),
            Rule::Numeric => is_numeric(value),
            Rule::Boolean => is_boolean(value),
            Rule::Array => value.is_array() || value.is_object(),
            Rule::Email => value.as_str().is_some_and(is_email),
            Rule::Url => value.as_str().is_some_and(is_url),
            Rule::AlphaDash => scalar(value).is_some_and(|text| {
                text.chars()
                    .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
            }),
            Rule::AlphaNum => {
                scalar(value).is_some_and(|text| text.chars().all(char::is_alphanumeric))
            }
            Rule::Username => scalar(value).is_some_and(|text| is_username(&text)),
            Rule::Min(least) => self.size(value) >= *least,
            Rule::Max(most) => self.size(value) <= *most,
            Rule::Between(least, most) => (*least..=*most).contains(&self.size(value)),
            Rule::Size(exact) => self.size(value) == *exact,
            Rule::In(words) => scalar(value).is_some_and(|text| words.contains(&text)),
            Rule::Regex(pattern) => {
                scalar(value).is_some_and(|text| pattern.is_match(text.as_bytes()))
            }
            Rule::Unique(taken) => !taken(value),
            Rule::Exists(found) => found(value),
            Rule::Required
            | Rule::Present
            | Rule::RequiredWith(_)
            | Rule::RequiredWithout(_)
            | Rule::Sometimes
            | Rule::Nullable
            | Rule::Bail => true,
        }
    }

    /// A number's value for numeric fields, else the count of elements or characters.
    fn size(&self, value: &Value) -> f64 {
        if self.numeric()
            && let Some(number) = number(value)
        {
            return number;
        }
        match value {
            Value::Array(list) => list.len() as f64,
            Value::Object(map) => map.len() as f64,
            other => scalar(other).map_or(0.0, |text| text.chars().count() as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(data: &Value, rules: &str) -> Vec<&'static str> {
        let rules = parse_rules(rules).unwrap();
        match Form::new(data).field("x", rules).check() {
            Ok(()) => Vec::new(),
            Err(refusal) => refusal
                .items
                .iter()
                .map(|item| item.source.clone().unwrap().1)
                .collect(),
        }
    }

    #[test]
    fn presence_ends_a_field() {
        assert_eq!(errors(&json!({}), "required|string|max:3"), ["required"]);
        assert_eq!(
            errors(&json!({ "x": null }), "required|string"),
            ["required"]
        );
        assert_eq!(errors(&json!({ "x": null }), "nullable|string"), [""; 0]);
        assert_eq!(errors(&json!({ "x": null }), "string|max:20"), ["string"]);
        assert_eq!(errors(&json!({}), "string|max:20"), [""; 0]);
    }

    #[test]
    fn sizes_follow_the_kind_of_field() {
        assert_eq!(errors(&json!({ "x": "1000" }), "integer|max:500"), ["max"]);
        assert_eq!(errors(&json!({ "x": "1000" }), "string|max:4"), [""; 0]);
        assert_eq!(
            errors(&json!({ "x": "lots" }), "numeric|min:5"),
            ["numeric", "min"]
        );
        assert_eq!(
            errors(&json!({ "x": 5 }), "string|between:3,15"),
            ["string", "between"]
        );
    }

    #[test]
    fn patterns_and_lists() {
        assert_eq!(
            errors(
                &json!({ "x": "../x" }),
                r"required|regex:/^([\w\d._-]+)(\.jar)$/"
            ),
            ["regex"]
        );
        assert_eq!(errors(&json!({ "x": "a" }), "in:b,c"), ["in"]);
        assert_eq!(errors(&json!({ "x": "maybe" }), "boolean"), ["boolean"]);
        assert!(parse_rules("required|no_such_rule").is_err());
    }
}
