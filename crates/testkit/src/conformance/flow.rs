//! A flow as the checks drive it.

use orders::Order;

use super::rows::Scene;
use crate::http::HttpAnswer;
use crate::ledger::Ledger;
use crate::process::{Finished, Process};
use crate::services::Services;

/// One of the three flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Over HTTP: an order is answered with its outcome.
    SyncRest,
    /// Over RabbitMQ: an order is accepted, and its outcome comes later.
    Rabbit,
    /// Over Kafka: as over RabbitMQ.
    Streaming,
}

impl Kind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 3] = [Self::SyncRest, Self::Rabbit, Self::Streaming];

    /// Name of its program.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SyncRest => "sync-rest",
            Self::Rabbit => "rabbit",
            Self::Streaming => "streaming",
        }
    }

    /// Status of the answer to an order that is accepted.
    pub const fn accepted_status(self) -> u16 {
        match self {
            Self::SyncRest => 200,
            Self::Rabbit | Self::Streaming => 202,
        }
    }

    /// What it says where its first argument names no service; the argument itself may be a secret.
    pub(super) const fn no_service(self) -> &'static str {
        match self {
            Self::SyncRest => "for '<SERVICE>'",
            Self::Rabbit | Self::Streaming => "unrecognized subcommand",
        }
    }

    /// Whether it takes many orders in one request.
    pub(super) const fn takes_batches(self) -> bool {
        matches!(self, Self::Streaming)
    }
}

/// A service that all flows have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Takes orders.
    Order,
    /// Decides about them.
    Inventory,
    /// Tells customers.
    Notification,
}

impl Service {
    /// All of them, in the order of starting.
    pub const ALL: [Self; 3] = [Self::Inventory, Self::Notification, Self::Order];

    /// Its subcommand.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Inventory => "inventory",
            Self::Notification => "notification",
        }
    }
}

/// A dead letter of inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its bytes.
    pub value: Vec<u8>,
    /// Header `x-failure-class`.
    pub class: String,
    /// Header `x-failure-reason`.
    pub reason: String,
    /// Header `x-attempt`.
    pub attempt: String,
}

/// Checks an answer to a method and a path against the flow's own description.
pub type Describes = fn(method: &str, path: &str, answer: &HttpAnswer);

/// A running flow: its services as processes of their own, on a menu that is [`MENU`](crate::order_flow::MENU).
pub trait Flow {
    /// Which one it is.
    fn kind(&self) -> Kind;

    /// Its services.
    fn services(&self) -> &Services;

    /// Its services.
    fn services_mut(&mut self) -> &mut Services;

    /// Starts a killed or stopped service where it was.
    fn start_again(&mut self, service: Service);

    /// Flags of what is started from now on.
    fn set_args(&mut self, args: &[&str]);

    /// Starts the program with the flow's servers and menu, and with this folder of the flow's as `--data-dir`. The one
    /// that its services use is `data`.
    fn launch(&self, folder: &str, args: &[&str]) -> Process;

    /// Runs the program to its end with nobody at the address of each server that it needs; with the flag that names the
    /// server.
    fn run_without_servers(&self, nobody: &str) -> Vec<(&'static str, Finished)>;

    /// How many messages the customer of an order got.
    fn told(&self, order_id: &str) -> usize;

    /// Trace and span of each step of a request, joined by a hyphen, as far as they are there by now.
    fn steps(&mut self, request_id: &str) -> Vec<String>;

    /// An order as bytes in Confluent's frame.
    fn framed(&self, order: &Order) -> Vec<u8>;

    /// Hands an order to inventory, past the front. What inventory answers, where it answers.
    fn hand_over(&mut self, order: &Order) -> Option<HttpAnswer>;

    /// Hands bytes to inventory, past the front, as if they were an order.
    fn hand_over_bytes(&mut self, order_id: &str, bytes: &[u8]) -> Option<HttpAnswer>;

    /// Waits until inventory has nothing to do, and tells of all that it did.
    fn wait_until_idle(&mut self);

    /// Dead letters of inventory; they stay where they are.
    fn dead_letters(&mut self) -> Vec<DeadLetter>;

    /// Sends the dead letter of an order back as an operator does, and returns how many were sent.
    fn redrive(&mut self, order_id: &str) -> u64;

    /// Waits until what was accepted is settled, and compares the clients' book with what the flow holds.
    fn audit(&mut self, ledger: &Ledger);

    /// Kills the server between the services.
    fn kill_server(&mut self);

    /// Starts it again.
    fn restart_server(&mut self);

    /// How answers are described.
    fn describes(&self) -> Describes {
        |_, _, _| ()
    }
}

/// A flow that can be started.
pub trait Staged: Flow + Sized {
    /// Which one it is.
    const KIND: Kind;

    /// Starts all its services with the flags of a scene.
    fn start(scene: Scene) -> Self;

    /// Plays a scene.
    fn stage(_scene: Scene, act: &mut dyn FnMut()) {
        act();
    }
}
