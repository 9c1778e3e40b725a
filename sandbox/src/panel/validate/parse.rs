//! Reads rule lists as eggs carry them: `required|string|between:3,15`.

use regex::bytes::{Regex, RegexBuilder};

use super::Rule;

/// Parses a rule list; the error is the rule that the panel does not have either.
pub(crate) fn parse_rules(list: &str) -> Result<Vec<Rule<'static>>, String> {
    split(list).into_iter().map(parse_rule).collect()
}

/// A fixed pattern of the panel's own rules; one that does not compile lets nothing pass.
pub(crate) fn pattern(text: &str) -> Rule<'static> {
    compile(text, false).map_or(Rule::In(Vec::new()), |regex| Rule::Regex(Box::new(regex)))
}

/// Splits at `|` but not inside a pattern, which may hold that sign itself.
fn split(list: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let end = match rest.strip_prefix("regex:/") {
            Some(body) => {
                let close = body.rfind('/').map_or(body.len(), |at| at + 1);
                let flags = body.get(close..).and_then(|tail| tail.find('|'));
                flags.map_or(rest.len(), |at| "regex:/".len() + close + at)
            }
            None => rest.find('|').unwrap_or(rest.len()),
        };
        parts.push(rest.get(..end).unwrap_or(rest));
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    parts
}

fn parse_rule(text: &str) -> Result<Rule<'static>, String> {
    let (name, argument) = text.split_once(':').unwrap_or((text, ""));
    let unknown = || text.to_owned();
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| unknown());
    Ok(match name {
        "required" => Rule::Required,
        "present" => Rule::Present,
        "sometimes" => Rule::Sometimes,
        "nullable" => Rule::Nullable,
        "bail" => Rule::Bail,
        "string" => Rule::String,
        "integer" | "int" => Rule::Integer,
        "numeric" => Rule::Numeric,
        "boolean" | "bool" => Rule::Boolean,
        "array" => Rule::Array,
        "email" => Rule::Email,
        "url" => Rule::Url,
        "alpha_dash" => Rule::AlphaDash,
        "alpha_num" => Rule::AlphaNum,
        "min" => Rule::Min(number(argument)?),
        "max" => Rule::Max(number(argument)?),
        "size" => Rule::Size(number(argument)?),
        "between" => {
            let (least, most) = argument.split_once(',').ok_or_else(unknown)?;
            Rule::Between(number(least)?, number(most)?)
        }
        "in" => Rule::In(argument.split(',').map(str::to_owned).collect()),
        "regex" => Rule::Regex(Box::new(php_pattern(argument).ok_or_else(unknown)?)),
        _ => return Err(unknown()),
    })
}

/// A pattern with delimiters and flags, `/^x$/i`, matched on bytes as PHP does.
fn php_pattern(text: &str) -> Option<Regex> {
    let (body, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
    compile(body, flags.contains('i')).ok()
}

fn compile(body: &str, ignore_case: bool) -> Result<Regex, regex::Error> {
    let body = body
        .replace("\\/", "/")
        .replace("\\:", ":")
        .replace("\\@", "@");
    RegexBuilder::new(&body)
        .unicode(false)
        .case_insensitive(ignore_case)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_may_hold_the_separator() {
        assert_eq!(
            split("required|regex:/^(a|b)$/i|max:3"),
            ["required", "regex:/^(a|b)$/i", "max:3"]
        );
        assert_eq!(split("nullable|string"), ["nullable", "string"]);
    }
}
