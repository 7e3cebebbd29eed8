//! The promises.

use super::flow::{Flow, Kind};
use super::{failing, front, front_refuses, load, services, starting, trouble};

use Offer::{No, Own, Yes};
use Scene::{AllIsWell, AttemptsFail, ServerIsAway, ServicesAreKilled, TroubleOnRequest};

/// Shows that a running flow keeps a promise, or that it really does not make it.
pub type Check = fn(&mut dyn Flow);

/// What a flow is like while a row is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Nothing is injected.
    AllIsWell,
    /// Inventory and notification are slow, and inventory refuses half of the orders.
    TroubleOnRequest,
    /// Every attempt at an order fails.
    AttemptsFail,
    /// Each service is killed while clients place orders.
    ServicesAreKilled,
    /// The server between the services is killed and comes back. It is the test's own.
    ServerIsAway,
}

impl Scene {
    /// Flags of all services.
    pub const fn args(self) -> &'static [&'static str] {
        match self {
            Self::AllIsWell | Self::ServicesAreKilled | Self::ServerIsAway => &[],
            Self::TroubleOnRequest => trouble::ARGS,
            Self::AttemptsFail => failing::ARGS,
        }
    }
}

/// What a flow does about a promise.
#[derive(Clone, Copy)]
pub enum Offer {
    /// It keeps it, which this shows.
    Yes(Check),
    /// It keeps it, and a test of its own shows it, since it is not like another flow's: the test's full name.
    Own(&'static str),
    /// It does not make it, for this reason.
    No(&'static str, Option<Check>),
}

/// A promise.
pub struct Row {
    /// One sentence.
    pub promise: &'static str,
    /// When it is checked.
    pub scene: Scene,
    sync_rest: Offer,
    rabbit: Offer,
    streaming: Offer,
}

impl Row {
    /// What a flow does about it.
    pub const fn offer(&self, kind: Kind) -> Offer {
        match kind {
            Kind::SyncRest => self.sync_rest,
            Kind::Rabbit => self.rabbit,
            Kind::Streaming => self.streaming,
        }
    }

    pub(super) const fn check(&self, kind: Kind) -> Option<Check> {
        match self.offer(kind) {
            Offer::Yes(check) | Offer::No(_, Some(check)) => Some(check),
            Offer::Own(_) | Offer::No(_, None) => None,
        }
    }
}

/// All three make the promise and show it alike.
const fn all(scene: Scene, promise: &'static str, check: Check) -> Row {
    one_by_one(scene, promise, Yes(check), Yes(check), Yes(check))
}

/// `sync-rest` answers with the outcome, and so keeps it in another way, or not at all; the other two are alike.
const fn both(scene: Scene, promise: &'static str, sync_rest: Offer, check: Check) -> Row {
    one_by_one(scene, promise, sync_rest, Yes(check), Yes(check))
}

const fn one_by_one(
    scene: Scene,
    promise: &'static str,
    sync_rest: Offer,
    rabbit: Offer,
    streaming: Offer,
) -> Row {
    Row { promise, scene, sync_rest, rabbit, streaming }
}

const NOTHING_BETWEEN: &str = "nothing lies between its services";
const ONE_ORDER_A_REQUEST: &str = "a request is one order";
const NOTHING_TO_REPLAY: &str = "nobody counts from its decisions";

/// All promises, in the order in which they are checked.
pub const ROWS: &[Row] = &[
    // Front.
    all(AllIsWell, "counters begin at 0, and each has a help text", services::counters_begin_at_0),
    all(
        AllIsWell,
        "every service answers `/livez`, `/readyz`, `/health`, and a wrong path or method with the right ones",
        services::paths,
    ),
    all(
        AllIsWell,
        "an accepted order is answered with its id and the address that tells of it",
        front::accepted,
    ),
    all(
        AllIsWell,
        "`GET /orders/{id}` tells of an order until it is confirmed or failed, and is 404 for any other",
        front::known,
    ),
    all(AllIsWell, "the customer of a confirmed order is told once", front::told),
    all(
        AllIsWell,
        "request id and trace go with an order, and each step is a span of its own",
        front::traced,
    ),
    all(AllIsWell, "the same `Idempotency-Key` gives the same order, once", front::replayed),
    all(
        AllIsWell,
        "of many requests under one key at the same time one places the order",
        front::raced,
    ),
    all(
        AllIsWell,
        "a key belongs to one order: another one under it is 422 `key-reused`",
        front_refuses::key_reused,
    ),
    both(
        AllIsWell,
        "an order that lacks stock fails as `out-of-stock`",
        Yes(front_refuses::out_of_stock_in_the_answer),
        front_refuses::out_of_stock,
    ),
    all(
        AllIsWell,
        "a stock is given away to the piece and no further",
        front_refuses::to_the_piece,
    ),
    one_by_one(
        AllIsWell,
        "orders of one item are decided in the order in which they were accepted",
        Yes(front::decided_in_order),
        No("messages of a queue are worked on side by side", None),
        Yes(front::decided_in_order),
    ),
    all(
        AllIsWell,
        "what is no order is a 4xx problem that names its kind, and reaches nobody",
        front_refuses::no_order,
    ),
    all(
        AllIsWell,
        "an order above the size limit is 413 `body-too-large` and names the limit",
        front_refuses::too_large,
    ),
    all(
        AllIsWell,
        "nothing is begun for a request whose `x-deadline-ms` is over: 504 `deadline-exceeded`",
        front_refuses::time_is_over,
    ),
    all(AllIsWell, "a framed Avro order is placed under its own id, once", front::framed),
    all(
        AllIsWell,
        "bytes that are no framed order are 400 `invalid-avro`",
        front_refuses::no_framed_order,
    ),
    one_by_one(
        AllIsWell,
        "`POST /orders` takes many orders, and answers each of them",
        No(ONE_ORDER_A_REQUEST, Some(front_refuses::batch_is_not_taken)),
        No(ONE_ORDER_A_REQUEST, Some(front_refuses::batch_is_not_taken)),
        Own("streaming::batch::ten_thousand_orders_of_one_batch_have_one_outcome_each"),
    ),
    all(AllIsWell, "metrics count what happened, under the same names", services::metrics_count),
    all(AllIsWell, "`GET /stock` tells what is left of all items or of one", services::stock),
    one_by_one(
        AllIsWell,
        "`GET /notifications/{id}` tells what the customer of an order was told",
        Yes(services::notification),
        Yes(services::notification),
        No("its messages are records of a topic", Some(services::notification_is_not_asked_for)),
    ),
    // Behind it.
    both(
        AllIsWell,
        "an order that came past the front and breaks its rules is refused as `invalid-order`",
        Yes(failing::broken_rule_in_the_answer),
        failing::broken_rule,
    ),
    all(
        AllIsWell,
        "an order that reaches inventory again is decided once, also after a restart",
        failing::handed_over_again,
    ),
    both(
        AllIsWell,
        "what nobody can read becomes a dead letter, byte for byte, with class and reason; others go on",
        No(NOTHING_BETWEEN, Some(failing::unreadable_is_answered)),
        failing::unreadable,
    ),
    one_by_one(
        AllIsWell,
        "the past can be read again, and gives the same report",
        No(NOTHING_TO_REPLAY, Some(starting::analytics_is_no_service)),
        No(NOTHING_TO_REPLAY, Some(starting::analytics_is_no_service)),
        Own("streaming::replay::a_replay_from_the_start_gives_the_same_report_byte_for_byte"),
    ),
    both(
        AllIsWell,
        "no order is lost while inventory is unavailable",
        Yes(trouble::refused_without_inventory),
        trouble::accepted_without_inventory,
    ),
    both(
        AllIsWell,
        "no order is lost while notification is unavailable",
        Yes(trouble::refused_without_notification),
        trouble::decided_without_notification,
    ),
    all(
        AllIsWell,
        "what was answered and decided survives `kill -9` of every service",
        trouble::survives_kill_9,
    ),
    // Start and end.
    all(AllIsWell, "wrong settings end with 2 and name the setting", starting::wrong_settings),
    all(
        AllIsWell,
        "an address or a folder that is in use ends with 1 and names the flag",
        starting::in_use,
    ),
    both(
        AllIsWell,
        "a server that is unavailable at the start is named within 5 s, and the program ends with 1",
        No("it needs no server", None),
        starting::servers_are_not_there,
    ),
    all(AllIsWell, "at its end each service prints what it did", services::prints_its_work),
    all(
        AllIsWell,
        "`all` runs every service in one process, which logs JSON on request",
        starting::all_in_one_process,
    ),
    // More than one instance.
    one_by_one(
        AllIsWell,
        "two order services place an order once, whichever is asked",
        Own("sync-rest::replicas::two_order_services_place_an_order_once_whichever_is_asked"),
        Own(
            "rabbit::replicas::each_of_two_order_services_knows_every_order_and_one_that_comes_later_as_well",
        ),
        Own("streaming::replicas::two_instances_of_each_service_do_what_one_does"),
    ),
    one_by_one(
        AllIsWell,
        "a standby takes over with all that the active one knew",
        Own("sync-rest::replicas::a_standby_takes_over_with_all_that_the_active_one_knew"),
        Own(
            "rabbit::replicas::a_standby_says_so_and_takes_over_the_stock_of_the_one_that_is_killed",
        ),
        No("its instances share the partitions", None),
    ),
    // Slow, and refusing on request.
    both(
        TroubleOnRequest,
        "a slow inventory or notification makes outcomes late, and no answer",
        No("the answer waits for both", Some(trouble::slow_answer)),
        trouble::slow_outcome,
    ),
    all(
        TroubleOnRequest,
        "`--inventory-failure-rate` refuses the orders that the published formula names",
        trouble::refused_by_the_formula,
    ),
    all(
        TroubleOnRequest,
        "a stop settles what was accepted, and ends with 0 within 10 s",
        trouble::stopped,
    ),
    // Failing.
    both(
        AttemptsFail,
        "an attempt that fails is made again after its delay, and the last one makes a dead letter",
        No("its client is told, and sends the order again", Some(failing::no_retries)),
        failing::tried_again,
    ),
    both(
        AttemptsFail,
        "an order whose message became a dead letter has failed with that class and reason",
        No(NOTHING_BETWEEN, None),
        failing::failed_with_its_class,
    ),
    both(
        AttemptsFail,
        "a dead letter can be sent back, and its order goes on",
        No(NOTHING_BETWEEN, None),
        failing::sent_back,
    ),
    // Killed.
    all(
        ServicesAreKilled,
        "a service killed with -9 under load loses nothing and doubles nothing",
        load::services_are_killed,
    ),
    both(
        ServerIsAway,
        "while the server between the services is unavailable, orders are 503 with `Retry-After` at once; nothing is lost or done twice",
        No("there is no server between its services", Some(starting::no_server_between)),
        load::server_is_away,
    ),
];
