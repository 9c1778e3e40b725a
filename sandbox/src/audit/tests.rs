//! Each rule is broken in a made-up picture of a small, sound shop: exactly that is found.

mod broken;
mod money;
mod sound;

use super::{Invariant, Rest, violations};
use sound::{Shop, shop};

/// What is found after one change, by invariant, running and at rest.
fn found(change: impl Fn(&mut Shop)) -> (Vec<Invariant>, Vec<Invariant>) {
    let mut shop = shop();
    change(&mut shop);
    let by = |rest| {
        let found = violations(&shop.picture, rest);
        found.iter().map(|one| one.invariant).collect()
    };
    (by(Rest::Running), by(Rest::AtRest))
}

/// Found at any time: exactly this, once.
#[track_caller]
fn always(invariant: Invariant, change: impl Fn(&mut Shop)) {
    let found = found(change);
    assert_eq!(found, (vec![invariant], vec![invariant]));
}

/// Found only when nothing is under way.
#[track_caller]
fn at_rest(invariant: Invariant, change: impl Fn(&mut Shop)) {
    assert_eq!(found(change), (vec![], vec![invariant]));
}

#[test]
fn a_sound_shop_breaks_nothing_and_is_at_rest() {
    assert_eq!(found(|_| ()), (vec![], vec![]));
    let shop = shop();
    assert_eq!(shop.picture.unrest(), Vec::<String>::new());
    assert_eq!(shop.picture.unfinished(), Vec::<String>::new());
    let counts = shop.picture.counts();
    assert_eq!(
        (counts.orders, counts.paid, counts.ran, counts.canceled),
        (3, 1, 1, 1)
    );
    assert_eq!((counts.parked, counts.servers, counts.events), (0, 1, 1));
}

#[test]
fn work_under_way_is_no_rest() {
    let unrest = |change: &dyn Fn(&mut Shop)| {
        let mut shop = shop();
        change(&mut shop);
        shop.picture.unrest().len()
    };
    assert_eq!(unrest(&|shop| shop.running().0.due_us = Some(1)), 1);
    assert_eq!(
        unrest(&|shop| shop.running().0.lease_owner = Some("w".to_owned())),
        1
    );
    assert_eq!(
        unrest(&|shop| shop.picture.store.events[0].sequence = None),
        1
    );
    assert_eq!(
        unrest(&|shop| shop.running().1.confirmed_at_us = None),
        1,
        "paid at Stripe, and not known here"
    );
    let in_doubt = |shop: &mut Shop| {
        let server = shop.running().2;
        server.create_sent_us = Some(1);
        server.pterodactyl_server_id = None;
    };
    assert_eq!(unrest(&in_doubt), 1);
}
