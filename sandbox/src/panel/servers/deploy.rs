//! Automatic deployment: one random free port on a node with room. Takes no lock on its choice.

use std::collections::HashSet;

use rand::Rng;
use serde_json::Value;

use crate::panel::context::Context;
use crate::panel::errors::Refusal;
use crate::panel::input::integer;
use crate::panel::nodes::viable;
use crate::panel::rows::Allocation;
use crate::panel::state::State;

const MAX_RANGE: u32 = 1000;

/// Draws the default port of a server that left the choice to the panel.
pub(super) fn draw(state: &mut State, ctx: &Context) -> Result<i64, Refusal> {
    let locations = numbers(ctx.field("deploy.locations"));
    let memory = integer(ctx.field("limits.memory")).unwrap_or_default();
    let disk = integer(ctx.field("limits.disk")).unwrap_or_default();
    let nodes: HashSet<i64> = viable(state, &locations, memory, disk)?
        .iter()
        .map(|node| node.id)
        .collect();
    let ports = Ports::read(ctx.field("deploy.port_range"))?;
    let dedicated = truthy(ctx.field("deploy.dedicated_ip"));
    let taken_ips: HashSet<(i64, &str)> = state
        .allocations
        .values()
        .filter(|row| row.server_id.is_some())
        .map(|row| (row.node_id, row.ip.as_str()))
        .collect();
    let fits = |row: &&Allocation| {
        row.server_id.is_none()
            && nodes.contains(&row.node_id)
            && ports.contains(row.port)
            && !(dedicated && taken_ips.contains(&(row.node_id, row.ip.as_str())))
    };
    let candidates: Vec<i64> = state
        .allocations
        .values()
        .filter(fits)
        .map(|row| row.id)
        .collect();
    if let Some(scripted) = state.scripted_draws.pop_front()
        && candidates.contains(&scripted)
    {
        return Ok(scripted);
    }
    if candidates.is_empty() {
        let detail =
            "No allocations satisfying the requirements for automatic deployment were found.";
        return Err(Refusal::display(400, "NoViableAllocationException", detail));
    }
    let at = state.rng.random_range(0..candidates.len());
    Ok(candidates.get(at).copied().unwrap_or_default())
}

/// Wanted ports; entries of any other form than `25565` or `25565-25600` are ignored.
struct Ports(Vec<(u16, u16)>);

impl Ports {
    fn read(value: Option<&Value>) -> Result<Self, Refusal> {
        let mut ranges = Vec::new();
        let entries = value
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        for entry in entries.iter().filter_map(Value::as_str) {
            let number = |text: &str| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| text.parse::<u32>().ok()).flatten()
            };
            if let Some(port) = number(entry) {
                ranges.push((clamp(port), clamp(port)));
            } else if let Some((first, last)) = entry.split_once('-')
                && (4..=5).contains(&first.len())
                && (4..=5).contains(&last.len())
                && let (Some(first), Some(last)) = (number(first), number(last))
            {
                if last.abs_diff(first) > MAX_RANGE {
                    let detail =
                        "Adding more than 1000 ports in a single range at once is not supported.";
                    return Err(Refusal::display(400, "DisplayException", detail));
                }
                ranges.push((clamp(first), clamp(last)));
            }
        }
        Ok(Self(ranges))
    }

    fn contains(&self, port: u16) -> bool {
        self.0.is_empty()
            || self
                .0
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&port))
    }
}

fn clamp(port: u32) -> u16 {
    u16::try_from(port).unwrap_or(u16::MAX)
}

fn numbers(value: Option<&Value>) -> Vec<i64> {
    let list = value
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(|entry| integer(Some(entry)))
        .collect()
}

/// PHP's truth: the word "false" is true.
fn truthy(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty() && text != "0",
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Null) | None => false,
    }
}
