//! What all lists share: allowed filters and sorts, pages, and the links between pages.

use serde_json::{Map, Value, json};

use super::context::Context;
use super::errors::Refusal;

const DEFAULT_PER_PAGE: i64 = 50;
/// What the panel's models fall back to when a caller asks for pages of 0.
const MODEL_PER_PAGE: i64 = 15;

/// The wanted values of each filter that is in use; several values mean "or".
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Reads the filters; one that the endpoint does not have is a 400.
    pub(crate) fn read(ctx: &Context, allowed: &[&str]) -> Result<Self, Refusal> {
        let Some(Value::Object(given)) = ctx.query.get("filter") else {
            return Ok(Self::default());
        };
        let unknown: Vec<&str> = given
            .keys()
            .map(String::as_str)
            .filter(|name| !allowed.contains(name))
            .collect();
        if !unknown.is_empty() {
            let detail = format!(
                "Requested filter(s) `{}` are not allowed. Allowed filter(s) are `{}`.",
                unknown.join(", "),
                allowed.join(", ")
            );
            return Err(Refusal::new(400, "InvalidFilterQuery", detail));
        }
        let filters = given.iter().filter_map(|(name, value)| {
            let text = value.as_str()?;
            Some((name.clone(), text.split(',').map(word).collect()))
        });
        Ok(Self(filters.collect()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[String]> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, values)| values.as_slice())
    }

    /// Case-insensitive substring; a row without the value never matches.
    pub(crate) fn partial(&self, name: &str, column: Option<&str>) -> bool {
        self.get(name).is_none_or(|values| {
            let column = column.map(str::to_lowercase);
            values.iter().any(|wanted| {
                column
                    .as_deref()
                    .is_some_and(|column| column.contains(&wanted.to_lowercase()))
            })
        })
    }

    pub(crate) fn exact(&self, name: &str, column: &str) -> bool {
        self.get(name).is_none_or(|values| {
            values
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(column))
        })
    }
}

/// The words true and false become booleans, which the database sees as 1 and nothing.
fn word(text: &str) -> String {
    match text {
        "true" => "1".to_owned(),
        "false" => String::new(),
        other => other.to_owned(),
    }
}

/// Sorts rows by the wanted columns; one that the endpoint does not have is a 400.
pub(crate) fn sort<T>(
    ctx: &Context,
    allowed: &[&str],
    rows: &mut [T],
    column: impl Fn(&T, &str) -> SortKey,
) -> Result<(), Refusal> {
    let Some(wanted) = ctx.query.get("sort").and_then(Value::as_str) else {
        return Ok(());
    };
    let wanted: Vec<&str> = wanted.split(',').collect();
    let name = |sort: &&str| sort.trim_start_matches('-').to_owned();
    let unknown: Vec<String> = wanted
        .iter()
        .map(name)
        .filter(|name| !allowed.contains(&name.as_str()))
        .collect();
    if !unknown.is_empty() {
        let detail = format!(
            "Requested sort(s) `{}` is not allowed. Allowed sort(s) are `{}`.",
            unknown.join(", "),
            allowed.join(", ")
        );
        return Err(Refusal::new(400, "InvalidSortQuery", detail));
    }
    for sort in wanted.iter().rev() {
        let column_name = name(sort);
        rows.sort_by(|a, b| {
            let order = column(a, &column_name).cmp(&column(b, &column_name));
            if sort.starts_with('-') {
                order.reverse()
            } else {
                order
            }
        });
    }
    Ok(())
}

/// A value to sort by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SortKey {
    Number(i64),
    Text(String),
}

/// One page of rows as a list with its `meta`. Links carry no other parameter than the page.
pub(crate) fn page<T>(
    ctx: &Context,
    rows: Vec<T>,
    render: impl Fn(T) -> Value,
) -> Result<Value, Refusal> {
    let per_page = match ctx.query.get("per_page") {
        None | Some(Value::Null) => DEFAULT_PER_PAGE,
        Some(value) => match value.as_str().and_then(|text| text.parse::<i64>().ok()) {
            None => return Err(Refusal::internal("TypeError")),
            Some(0) => MODEL_PER_PAGE,
            Some(negative) if negative < 0 => return Err(Refusal::internal("QueryException")),
            Some(per_page) => per_page,
        },
    };
    let current = ctx
        .query
        .get("page")
        .and_then(Value::as_str)
        .and_then(|text| text.parse::<i64>().ok())
        .filter(|page| *page >= 1)
        .unwrap_or(1);
    let total = rows.len() as i64;
    let pages = (total.saturating_add(per_page - 1) / per_page).max(1);
    let skip = usize::try_from((current - 1).saturating_mul(per_page)).unwrap_or(usize::MAX);
    let take = usize::try_from(per_page).unwrap_or(usize::MAX);
    let data: Vec<Value> = rows.into_iter().skip(skip).take(take).map(render).collect();
    let link = |page: i64| json!(format!("{}{}?page={page}", ctx.base_url, ctx.path));
    let mut links = Map::new();
    if current > 1 {
        links.insert("previous".to_owned(), link(current - 1));
    }
    if current < pages {
        links.insert("next".to_owned(), link(current + 1));
    }
    let mut body = super::context::list(data);
    body["meta"] = json!({ "pagination": {
        "total": total,
        "count": body["data"].as_array().map_or(0, Vec::len),
        "per_page": per_page,
        "current_page": current,
        "total_pages": pages,
        "links": links,
    } });
    Ok(body)
}
