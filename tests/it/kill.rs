//! The control plane as real processes that are killed, stopped and told to end at the
//! worst moments. Whatever was under way, the next process brings it to the same end:
//! one server, one account, one customer, one session for each order.

mod changes;
mod customers;
mod ends;
mod fleet;
mod freeze;
mod moments;
mod rest;
mod scene;
mod session;
mod steps;
mod stops;
mod storm;
mod transactions;
mod unpaid;
mod wire;
