//! Ports of a node, and which of them a server gets.

use super::OrderId;

/// One port in our mirror of the panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Ours.
    pub id: i32,
    /// The panel's.
    pub panel_id: i64,
    /// Its node.
    pub node_id: i32,
    /// Address that a server binds to.
    pub ip: String,
    /// Name shown instead of the address; may be empty.
    pub alias: String,
    /// Number.
    pub port: i32,
    /// The order that holds or has it.
    pub order_id: Option<OrderId>,
    /// Its place among the order's ports; 0 is the default one.
    pub slot: Option<i32>,
    /// `free`, `held`, `assigned`, `foreign`, `gone`.
    pub state: String,
}

/// Chooses `count` ports on one address from free ones sorted by address and
/// number: neighbours where there are any, because games guess their further
/// ports from the first; else the first of the address that has enough.
pub fn choose(free: &[Port], count: usize) -> Option<Vec<i32>> {
    if count == 0 {
        return Some(Vec::new());
    }
    let on_one_address = |window: &&[Port]| window.iter().all(|port| port.ip == window[0].ip);
    let neighbours = |window: &&[Port]| {
        window
            .windows(2)
            .all(|pair| pair[1].port == pair[0].port.saturating_add(1))
    };
    let mut windows = free.windows(count).filter(on_one_address);
    let chosen = windows
        .clone()
        .find(neighbours)
        .or_else(|| windows.next())?;
    Some(chosen.iter().map(|port| port.id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(ports: &[(&str, i32)]) -> Vec<Port> {
        ports
            .iter()
            .zip(1..)
            .map(|(&(ip, port), id)| Port {
                id,
                panel_id: i64::from(id),
                node_id: 1,
                ip: ip.to_owned(),
                alias: String::new(),
                port,
                order_id: None,
                slot: None,
                state: "free".to_owned(),
            })
            .collect()
    }

    #[test]
    fn neighbours_are_preferred() {
        let ports = free(&[("a", 1), ("a", 3), ("a", 5), ("a", 6), ("a", 7), ("b", 1)]);
        assert_eq!(choose(&ports, 3), Some(vec![3, 4, 5]));
        assert_eq!(choose(&ports, 1), Some(vec![1]));
        assert_eq!(choose(&ports, 4), Some(vec![1, 2, 3, 4]));
    }

    #[test]
    fn two_addresses_are_never_mixed() {
        let ports = free(&[("a", 1), ("b", 2)]);
        assert_eq!(choose(&ports, 2), None);
        assert_eq!(choose(&[], 1), None);
        assert_eq!(choose(&ports, 0), Some(vec![]));
    }
}
