//! The sentences that go with failed rules. Callers must not read them; the panel writes them.

use serde_json::Value;

use super::{Field, Rule};

pub(super) fn message(field: &Field<'_>, rule: &Rule<'_>, value: Option<&Value>) -> String {
    let label = &field.label;
    match rule {
        Rule::Required => format!("The {label} field is required."),
        Rule::Present => format!("The {label} field must be present."),
        Rule::RequiredWith(other) => {
            format!("The {label} field is required when {other} is present.")
        }
        Rule::RequiredWithout(other) => {
            format!("The {label} field is required when {other} is not present.")
        }
        Rule::String => format!("The {label} must be a string."),
        Rule::Integer => format!("The {label} must be an integer."),
        Rule::Numeric => format!("The {label} must be a number."),
        Rule::Boolean => format!("The {label} field must be true or false."),
        Rule::Array => format!("The {label} must be an array."),
        Rule::Email => format!("The {label} must be a valid email address."),
        Rule::AlphaDash => {
            format!("The {label} may only contain letters, numbers, and dashes.")
        }
        Rule::AlphaNum => format!("The {label} may only contain letters and numbers."),
        Rule::Username => format!(
            "The {label} must start and end with alpha-numeric characters and\n                \
             contain only letters, numbers, dashes, underscores, and periods."
        ),
        Rule::Min(least) => format!(
            "The {label} must be at least {least}{}.",
            unit(field, value)
        ),
        Rule::Max(most) => {
            format!(
                "The {label} may not be greater than {most}{}.",
                unit(field, value)
            )
        }
        Rule::Between(least, most) => {
            format!(
                "The {label} must be between {least} and {most}{}.",
                unit(field, value)
            )
        }
        Rule::Size(exact) => format!("The {label} must be {exact}{}.", unit(field, value)),
        Rule::In(_) | Rule::Exists(_) => format!("The selected {label} is invalid."),
        Rule::Unique(_) => format!("The {label} has already been taken."),
        Rule::Url | Rule::Regex(_) | Rule::Sometimes | Rule::Nullable | Rule::Bail => {
            format!("The {label} format is invalid.")
        }
    }
}

fn unit(field: &Field<'_>, value: Option<&Value>) -> &'static str {
    match value {
        _ if field.numeric() => "",
        Some(Value::Array(_) | Value::Object(_)) => " items",
        _ => " characters",
    }
}
