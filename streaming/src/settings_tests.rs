use clap::Parser as _;
use relane::settings::KeyOrdering;

use super::*;
use crate::flags::{Cli, Command};

fn flags(args: &[&str]) -> ServiceFlags {
    match Cli::parse_from(["streaming", "all"].iter().chain(args)).command {
        Command::All(flags) => flags,
        other => panic!("{other:?}"),
    }
}

fn pipelines_of(args: &[&str]) -> Result<Pipelines, AppError> {
    let flags = flags(args);
    pipelines(&flags, &kafka(&flags, &[])?, flags.trouble.check()?)
}

#[test]
fn one_service_takes_listen_and_all_takes_one_address_each() {
    let inventory = Services::One(Service::Inventory);
    let one = listen(&flags(&["--listen", "127.0.0.1:0"]), inventory).unwrap();
    assert_eq!((one.inventory.unwrap().port(), one.order), (0, None));
    let all = listen(&flags(&["--order-listen", "127.0.0.1:1"]), Services::All).unwrap();
    assert_eq!((all.order.unwrap().port(), all.analytics.unwrap().port()), (1, 8203));
    assert!(listen(&flags(&["--listen", "127.0.0.1:0"]), Services::All).is_err());
    assert!(listen(&flags(&["--order-listen", "127.0.0.1:0"]), inventory).is_err());
}

#[test]
fn topics_are_named_as_the_contract_says_and_after_their_group() {
    let Pipelines { inventory, analytics, .. } = pipelines_of(&[]).unwrap();
    let topics = &inventory.topics;
    let state = topics.state.as_ref().unwrap();
    let names = [&topics.main, &topics.retry, &topics.dead_letter, state];
    assert_eq!(
        names,
        ["order-events", "order-events-retry", "order-events-dlq", "inventory-state"]
    );
    assert_eq!(topics.output.as_deref(), Some("inventory-events"));
    assert_eq!(analytics.topics.state.as_deref(), Some("analytics-state"));
    let other = pipelines_of(&["--analytics-group", "again"]).unwrap().analytics;
    assert_eq!(
        (other.topics.main.as_str(), other.topics.state.as_deref().unwrap()),
        ("inventory-events", "again-state")
    );
}

#[test]
fn a_processing_delay_goes_before_an_inventory_delay() {
    let delay = |args: &[&str]| flags(args).trouble.check().unwrap().inventory_delay;
    assert_eq!(delay(&["--inventory-delay", "2s"]), Duration::from_secs(2));
    let both = delay(&["--inventory-delay", "2s", "--processing-delay", "5ms"]);
    assert_eq!(both, Duration::from_millis(5));
}

#[test]
fn the_order_of_an_item_is_kept_on_request_by_all_pipelines() {
    let Pipelines { inventory, analytics, notification } = pipelines_of(&[]).unwrap();
    let orders = [inventory.order, analytics.order, notification.order];
    assert_eq!(orders, [KeyOrdering::None; 3]);
    let Pipelines { inventory, analytics, notification } =
        pipelines_of(&["--order", "key"]).unwrap();
    for settings in [inventory, analytics, notification] {
        assert!(matches!(settings.order, KeyOrdering::Key { .. }), "{:?}", settings.order);
    }
}

#[test]
fn wrong_settings_name_the_flag() {
    for (args, named) in [
        (&["--order-topic", "a b"][..], "--order-topic"),
        (&["--inventory-topic", "order-events"], "two roles"),
        (&["--analytics-group", "inventory"], "two roles"),
        (&["--dedupe", "1000001"], "--dedupe"),
        (&["--concurrency", "0"], "--concurrency"),
        (&["--lanes", "0"], "--lanes"),
        (&["--create-partitions", "0"], "--create-partitions"),
    ] {
        let error = pipelines_of(args).unwrap_err();
        assert_eq!(error.status().code(), 2, "{args:?}");
        assert!(error.message().contains(named), "{}", error.message());
    }
}
