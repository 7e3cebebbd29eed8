//! What is rendered of the same results is always the same, to the byte, and holds what a reader is promised.
//! `LAB_GOLDEN=write cargo test -p lab --test it -- golden` writes the files anew: look at the change, then commit it.

use std::path::{Path, PathBuf};

use lab::report;

use crate::sample::results;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[track_caller]
fn is_golden(name: &str, rendered: &str) {
    if std::env::var("LAB_GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::create_dir_all(path("")).unwrap();
        std::fs::write(path(name), rendered).unwrap();
    }
    let golden = std::fs::read_to_string(path(name)).unwrap();
    let differs = golden.lines().zip(rendered.lines()).position(|(a, b)| a != b);
    assert!(golden == rendered, "{name} differs, first in line {:?}", differs.map(|line| line + 1));
}

#[test]
fn the_page_and_the_summary_are_those_of_the_golden_files() {
    let results = results();
    is_golden("report.html", &report::html(&results));
    is_golden("summary.md", &report::markdown(&results));
}

#[test]
fn the_page_needs_nothing_but_itself_and_is_small_enough_for_a_mail() {
    let page = report::html(&results());
    assert!(page.len() < report::HTML_BYTES_MAX, "{}", page.len());
    for outside in ["http://", "https://", "src=", "@import", "url(", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for part in
        ["prefers-color-scheme:dark", "@media print", "stroke-dasharray", "name=\"viewport\""]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<b>\n") && page.contains("&lt;b&gt;"), "the workload file is text");
    assert_eq!(page.matches("<script").count(), 1, "data alone: it reads without a script");
}

#[test]
fn figures_of_a_run_whose_audit_failed_are_struck_out_in_every_form() {
    let results = results();
    let page = report::html(&results);
    let row = page.lines().find(|line| line.contains("<td>poison</td><td>RabbitMQ</td>")).unwrap();
    assert!(row.matches("<s>").count() >= 4 && row.contains("audit failed"), "{row}");
    let summary = report::markdown(&results);
    let row = summary.lines().find(|line| line.starts_with("| poison | RabbitMQ |")).unwrap();
    assert!(row.matches("~~").count() >= 8, "{row}");
    assert!(
        summary.contains("The audit by id failed for RabbitMQ in poison (1 accepted and not done)")
    );
    assert!(page.contains("<td>1 orders were done once more after the run had ended</td>"));
    let healthy = page.lines().find(|line| line.contains("<td>poison</td><td>Kafka</td>")).unwrap();
    assert!(!healthy.contains("<s>"));
}

#[test]
fn what_ran_elsewhere_is_not_told_as_the_labs_own() {
    let mut elsewhere = results();
    elsewhere.environment.profile = "elsewhere".to_owned();
    let page = report::html(&elsewhere);
    assert!(
        page.contains("The services ran elsewhere") && page.contains("the generator's machine")
    );
    assert!(!page.contains("share one machine") && !page.contains("no release builds"));
}

#[test]
fn every_figure_has_a_caption_that_says_what_it_finds() {
    let page = report::html(&results());
    let (figures, captions) =
        (page.matches("<figure>").count(), page.matches("<figcaption><b>").count());
    assert_eq!((figures, captions), (3, 3));
    assert!(page.contains("Of 100 orders 99 are done within: HTTP"));
    assert!(page.contains("The highest offered rate that was kept: 200 a second by HTTP"));
    assert!(page.contains("RabbitMQ turned nobody away, and had all done 4.2 s after it"));
    assert!(
        page.contains(">all done after its end: HTTP 0.0 s, RabbitMQ 4.2 s, Kafka 5.2 s</text>")
    );
    assert!(page.contains(">last failure after its end: HTTP 1.4 s</text>"));
}

#[test]
fn a_wait_that_was_given_up_is_told_beside_the_audit() {
    let mut results = results();
    let is_red = |run: &&mut lab::results::Run| !run.is_green();
    let run = results.runs.iter_mut().find(is_red).unwrap();
    let why = "nothing had come for 30 s".to_owned();
    run.gave_up = Some(lab::results::GaveUp { why, open: 1 });
    let summary = report::markdown(&results);
    let row = summary.lines().find(|line| line.starts_with("| poison | RabbitMQ |")).unwrap();
    assert!(row.contains("audit failed, wait given up"), "{row}");
    let note = "the wait for outcomes was given up when nothing had come for 30 s: 1 orders were still open";
    assert!(summary.contains(note));
}
