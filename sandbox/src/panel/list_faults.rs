//! Lists that a fault bends: empty, short, shifted between pages, or without an end.
//!
//! The request is done for all rows at once; the page that was asked for is cut out of them here.

use serde_json::{Map, Value, json};

use super::gate::{Answer, Arrival};
use super::input::parse_query;
use crate::faults::FaultAction;

const DEFAULT_PER_PAGE: i64 = 50;
const ALL_ROWS: i64 = 1_000_000;

/// The page that was asked for.
pub(crate) struct Asked {
    page: i64,
    per_page: i64,
    url: String,
}

/// Asks for all rows in place of one page. Nothing if the request names no good page.
pub(crate) fn widen(arrival: &mut Arrival) -> Option<Asked> {
    let query = parse_query(&arrival.query);
    let number = |name: &str, usual: i64| match query.get(name) {
        None => Some(usual),
        Some(value) => value.as_str()?.parse().ok().filter(|number| *number >= 1),
    };
    let page = number("page", 1)?;
    let per_page = number("per_page", DEFAULT_PER_PAGE)?;
    let paging = |part: &&str| part.starts_with("page=") || part.starts_with("per_page=");
    let mut parts: Vec<&str> = arrival.query.split('&').collect();
    parts.retain(|part| !part.is_empty() && !paging(part));
    let all = format!("per_page={ALL_ROWS}");
    parts.push(&all);
    let query = parts.join("&");
    arrival.query = query;
    let url = format!(
        "http://{}{}",
        arrival.host,
        arrival.path.trim_end_matches('/')
    );
    Some(Asked {
        page,
        per_page,
        url,
    })
}

/// Cuts the page out of all rows as the fault wants it. What is no list stays as it is.
pub(crate) fn bend(action: &FaultAction, asked: &Asked, mut answer: Answer) -> Answer {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
        return answer;
    };
    let paged = body["object"] == "list" && body["meta"]["pagination"].is_object();
    let Some(rows) = body["data"].as_array_mut().filter(|_| paged) else {
        return answer;
    };
    let rows = std::mem::take(rows);
    let known = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let Asked { page, per_page, .. } = *asked;
    let before = (page - 1).saturating_mul(per_page);
    let pages = |total: i64| (total.saturating_add(per_page - 1) / per_page).max(1);
    let (start, total, current, last) = match action {
        FaultAction::EmptyList => (known, 0, page, 1),
        FaultAction::ShortList { rows } => {
            let total = i64::try_from(*rows).unwrap_or(known).min(known);
            (before, total, page, pages(total))
        }
        FaultAction::ShiftedList { by } => {
            let moved = if page > 1 { *by } else { 0 };
            let total = known.saturating_sub(moved).max(0);
            let start = before.saturating_add(moved).max(0);
            (start, total, page, pages(total))
        }
        FaultAction::EndlessList => {
            let last = page.saturating_add(1);
            (0, last.saturating_mul(per_page), page, last)
        }
        _ => (0, per_page.saturating_mul(2), 1, 2),
    };
    let shown = match action {
        FaultAction::EmptyList => 0,
        FaultAction::ShortList { .. } => (total - start).clamp(0, per_page),
        _ => per_page,
    };
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let data: Vec<Value> = rows
        .into_iter()
        .skip(place(start))
        .take(place(shown))
        .collect();
    let count = data.len();
    body["data"] = Value::Array(data);
    let link = |page: i64| json!(format!("{}?page={page}", asked.url));
    let mut links = Map::new();
    if current > 1 {
        links.insert("previous".to_owned(), link(current - 1));
    }
    match action {
        FaultAction::StuckList => drop(links.insert("next".to_owned(), link(page))),
        _ if current < last => drop(links.insert("next".to_owned(), link(current + 1))),
        _ => {}
    }
    body["meta"]["pagination"] = json!({
        "total": total,
        "count": count,
        "per_page": per_page,
        "current_page": current,
        "total_pages": last,
        "links": links,
    });
    answer.body = body.to_string().into_bytes();
    answer
}
