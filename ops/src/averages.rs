//! `orders averages`: what a group has counted, added up over its partitions.
//!
//! Each record of the topic is the cumulative partial of its partition; partials are added up, and
//! averages are never averaged.

mod report;

use clap::Args;
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{note, result, result_line};
use service_kit::terminal::tame_json;

pub use report::{PartitionStanding, ProductTotals, Report, Totals, Wanted};

use crate::audit::{Settings, runtime};
use crate::group_flags::GroupFlags;
use crate::standing::Standing;

/// What `orders averages --help` says first.
pub(crate) const ABOUT: &str = "The running averages of a group, added up over all partitions.

Also shows, for each partition, up to which offset the orders are included (the group's \
commit position), how many orders follow that offset, and how many wait for a retry and are not \
included yet. It can run beside live consumers: it joins no group, commits nothing and writes \
nothing.";

/// What `orders averages --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders averages --top 10
  orders averages --product tea --product cake -o jsonl
  orders averages -o json | jq '.overall.average'

-o json prints the consumer's final statistics and the partitions, -o jsonl one
line per product. The row 'all' is over all products, also with --product or
--top.

Exit codes: 0 done, 1 failed, 2 usage or configuration";

/// Flags of `averages`.
#[derive(Debug, Clone, Default, Args)]
pub struct AveragesFlags {
    /// Only this product; may be repeated
    #[arg(long = "product", value_name = "NAME", help_heading = "Which products")]
    products: Vec<String>,

    /// Only the N products with the most orders
    #[arg(long, value_name = "N", help_heading = "Which products")]
    top: Option<usize>,

    #[command(flatten)]
    group: GroupFlags,
}

/// Reads and prints the averages.
///
/// # Errors
///
/// Fails for wrong settings (2), and for servers, topics and groups that are not there (1).
pub fn command(flags: &AveragesFlags) -> Result<ExitStatus, AppError> {
    let (settings, output) = flags.group.load()?;
    let wanted = Wanted { products: flags.products.clone(), top: flags.top };
    let mut report = read(&settings, |text| note(&format!("orders: {text}")))?;
    let absent = report.keep(&wanted);
    print(&report, output)?;
    for product in absent {
        let product = service_kit::terminal::one_line(&product);
        note(&format!("orders: no order of product {product:?} has been counted"));
    }
    Ok(ExitStatus::Done)
}

/// Reads what a group has counted. `progress` is told a line every few seconds.
///
/// # Errors
///
/// Fails within 5 s for brokers, registry, topics or a group that are not there, naming them.
pub fn read(settings: &Settings, progress: impl FnMut(&str)) -> Result<Report, AppError> {
    let runtime = runtime()?;
    let mut standing = Standing::open(settings, runtime.handle(), progress)?;
    let mut report = Report::default();
    for partition in 0..standing.partitions {
        let cut = standing.cut(partition)?;
        let partials = standing.partials(&cut)?;
        let from = cut.before.retry.position.unwrap_or(0);
        let waiting = standing.retries(&cut, from)?.waiting;
        report.add(&cut, partials, waiting);
    }
    report.close();
    runtime.shutdown_background();
    Ok(report)
}

fn print(report: &Report, format: OutputFormat) -> Result<(), AppError> {
    let failed = |error: serde_json::Error| AppError::failed(error.to_string());
    match format {
        OutputFormat::Table => result(&(report.table() + "\n")),
        OutputFormat::Json => {
            result_line(&tame_json(serde_json::to_string(report).map_err(failed)?))
        }
        OutputFormat::Jsonl => report.products.iter().try_for_each(|product| {
            result_line(&tame_json(serde_json::to_string(product).map_err(failed)?))
        }),
    }
}
