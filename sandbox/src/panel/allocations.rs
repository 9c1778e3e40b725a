//! Allocations, the ports of a node: list with its odd filters, create, delete.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use serde_json::Value;

use super::context::{Context, Handled, Reply, missing, ok};
use super::errors::{Failure, Refusal};
use super::input::{leading_integer, text};
use super::listing::{Filters, page};
use super::render::Renderer;
use super::rows::Allocation;
use super::state::State;
use super::validate::Rule;

const FILTERS: [&str; 4] = ["ip", "port", "ip_alias", "server_id"];
const MAX_RANGE: u32 = 1000;

pub(crate) fn list(state: &State, ctx: &Context) -> Handled {
    let filters = Filters::read(ctx, &FILTERS)?;
    let rows: Vec<&Allocation> = state
        .allocations
        .values()
        .filter(|row| row.node_id == ctx.id())
        .filter(|row| {
            filters.exact("ip", &row.ip)
                && filters.exact("port", &row.port.to_string())
                && filters.partial("ip_alias", row.alias.as_deref())
                && owner_fits(&filters, row)
        })
        .collect();
    let renderer = Renderer {
        state,
        grants: ctx.grants,
    };
    ok(page(ctx, rows, |row| {
        renderer.allocation(row, &ctx.includes)
    })?)
}

/// Digits name a server; 0 and anything else means unassigned.
fn owner_fits(filters: &Filters, row: &Allocation) -> bool {
    let Some(values) = filters.get("server_id") else {
        return true;
    };
    let wanted = match values {
        [one] if !one.is_empty() && one.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(leading_integer(one)).filter(|id| *id != 0)
        }
        _ => None,
    };
    row.server_id == wanted
}

/// Creates ports that are new and skips the rest; the answer does not name them.
pub(crate) fn create(state: &mut State, ctx: &Context) -> Handled {
    ctx.form()
        .field("ip", vec![Rule::Required, Rule::String])
        .field(
            "alias",
            vec![
                Rule::Sometimes,
                Rule::Nullable,
                Rule::String,
                Rule::Max(191.0),
            ],
        )
        .field("ports", vec![Rule::Required, Rule::Array])
        .each("ports", || vec![Rule::String])
        .check()?;
    let addresses = addresses(&text(ctx.field("ip")).unwrap_or_default())?;
    let alias = text(ctx.field("alias"));
    let ports = match ctx.field("ports") {
        Some(Value::Array(ports)) => ports
            .iter()
            .filter_map(Value::as_str)
            .map(port_range)
            .collect::<Result<Vec<_>, Refusal>>()?,
        _ => Vec::new(),
    };
    for ip in addresses {
        for range in &ports {
            super::seeding::add_allocations(state, ctx.id(), ip, alias.as_deref(), range.clone());
        }
    }
    Ok(Reply::NoContent)
}

pub(crate) fn delete(state: &mut State, ctx: &Context) -> Handled {
    let id = ctx.ids.last().copied().unwrap_or_default();
    let row = state.allocations.get(&id).ok_or_else(missing)?;
    if row.server_id.is_some() {
        let detail = "A server is currently assigned to this allocation. An allocation can only \
                      be deleted if no server is currently assigned.";
        return Err(Refusal::display(400, "ServerUsingAllocationException", detail).into());
    }
    state.allocations.remove(&id);
    Ok(Reply::NoContent)
}

fn addresses(given: &str) -> Result<Vec<IpAddr>, Failure> {
    let (host, mask) = given
        .split_once('/')
        .map_or((given, None), |(ip, mask)| (ip, Some(mask)));
    let Ok(ip) = host.parse::<IpAddr>() else {
        let detail = format!(
            "Could not parse provided allocation IP address ({given}): Invalid IP address format"
        );
        return Err(Refusal::display(400, "DisplayException", detail).into());
    };
    let (Some(mask), IpAddr::V4(ip)) = (mask, ip) else {
        return Ok(vec![ip]);
    };
    match mask.parse::<u32>() {
        Ok(bits @ 25..=32) => {
            let first = u32::from(ip) & (u32::MAX << (32 - bits));
            let count = 1 << (32 - bits);
            Ok((first..=first + (count - 1))
                .map(|ip| Ipv4Addr::from(ip).into())
                .collect())
        }
        _ => {
            let detail = "CIDR notation only allows masks between /25 and /32.";
            Err(Refusal::display(400, "CidrOutOfRangeException", detail).into())
        }
    }
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, Refusal> {
    let number = |text: &str| text.parse::<u32>().ok();
    let bounds = match text.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)),
        None => number(text).map(|port| (port, port)),
    };
    let Some((first, last)) = bounds else {
        let detail =
            format!("The mapping provided for {text} was invalid and could not be processed.");
        return Err(Refusal::display(400, "InvalidPortMappingException", detail));
    };
    if last.abs_diff(first) > MAX_RANGE {
        let detail = "Adding more than 1000 ports in a single range at once is not supported.";
        return Err(Refusal::display(
            400,
            "TooManyPortsInRangeException",
            detail,
        ));
    }
    match (u16::try_from(first), u16::try_from(last)) {
        (Ok(first @ 1025..), Ok(last @ 1025..)) => Ok(first..=last),
        _ => {
            let detail =
                "Ports in an allocation must be greater than 1024 and less than or equal to 65535.";
            Err(Refusal::display(400, "PortOutOfRangeException", detail))
        }
    }
}
