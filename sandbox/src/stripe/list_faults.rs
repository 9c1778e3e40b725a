//! Lists that a fault bends: empty, short, missing rows between pages, or without an end.

use serde_json::Value;

use crate::faults::FaultAction;
use crate::serving::Reply;

/// A list without an end begins anew with every page.
pub(super) fn rewind(action: &FaultAction, pairs: &mut Vec<(String, String)>) {
    if matches!(action, FaultAction::EndlessList | FaultAction::StuckList) {
        pairs.retain(|(name, _)| name != "starting_after" && name != "ending_before");
    }
}

/// Bends the rows of an answer; what is no list stays as it is.
pub(super) fn bend(action: &FaultAction, mut reply: Reply) -> Reply {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else {
        return reply;
    };
    if body["object"] != "list" {
        return reply;
    }
    let Some(rows) = body["data"].as_array_mut() else {
        return reply;
    };
    let more = match action {
        FaultAction::EmptyList => {
            rows.clear();
            Some(false)
        }
        FaultAction::ShortList { rows: left } => {
            rows.truncate(*left);
            Some(false)
        }
        FaultAction::ShiftedList { by } => {
            let moved = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
            let moved = moved.min(rows.len());
            if *by > 0 {
                rows.drain(..moved);
            } else {
                let again: Vec<Value> = rows.iter().take(moved).cloned().collect();
                rows.splice(..0, again);
            }
            None
        }
        _ => Some(true),
    };
    if let Some(more) = more {
        body["has_more"] = Value::Bool(more);
    }
    reply.body = format!("{body:#}\n").into_bytes();
    reply
}
