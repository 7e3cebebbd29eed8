//! The line between the consumer and its broker.

use std::time::{Duration, Instant};

use testkit::proxy::{Api, Cut, Drip, KafkaProxy, Trap, Way};
use testkit::{Cluster, Pipeline, Process};

use crate::ending::{finish, heals, moves};
use crate::load::Feed;
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const COMMIT_HELD_UP: Scenario = Scenario {
    name: "commit-held-up",
    rows: &[4],
    does: "withholds a commit request, cuts its connection, and delivers the request after the \
           consumer has sent it again and continued",
    expects: "the late request ends no later transaction: the producer was replaced before it",
    full_max_s: 120,
    run: commit_held_up,
};

pub(super) const BAD_LINE: Scenario = Scenario {
    name: "bad-line",
    rows: &[12],
    does: "makes the connection to the broker 200 ms slow, stall, drip, reset, be cut, and silent \
           in one direction",
    expects: "each time the work continues once the connection is good again",
    full_max_s: 240,
    run: bad_line,
};

/// Longest wait until the consumer works again.
const AGAIN_MAX: Duration = Duration::from_secs(60);

const FLAGS: [&str; 4] = ["--simulate-failures", "0.1", "--retry-delay", "200ms"];

/// A consumer that works behind the proxy, and a producer that is not.
fn behind<'a>(
    proxy: &KafkaProxy,
    pipeline: &'a Pipeline,
    seed: u64,
    flags: &[&str],
) -> (Feed<'a>, Process) {
    let feed = Feed::start(pipeline, seed, "500/s");
    let consumer = Process::consumer(&proxy.before(pipeline), &[&FLAGS[..], flags].concat());
    moves(pipeline, AGAIN_MAX);
    (feed, consumer)
}

fn commit_held_up(run: &mut Run) {
    let (cluster, proxy) = Cluster::behind_proxy(&[]);
    let pipeline = cluster.pipeline(1);
    let (feed, consumer) = behind(&proxy, &pipeline, run.seed(), &["--lanes", "1"]);
    for trap in [Trap::KeepAndCut, Trap::KeepSilent].into_iter().take(run.pick(1, 2)) {
        let caught = proxy.trap(Api::EndTxn, trap);
        caught.wait(AGAIN_MAX);
        let kept = Instant::now();
        moves(&pipeline, AGAIN_MAX);
        run.figure_time(format!("next commit after {trap:?}"), kept.elapsed());
        let answer = caught.deliver();
        run.step(format!("the late request is answered with error {}", answer.error_code()));
        assert_ne!(answer.error_code(), 0, "the late request was taken");
        moves(&pipeline, AGAIN_MAX);
    }
    feed.stop();
    heals(&pipeline, consumer);
    finish(run, &pipeline, &FLAGS, &[]);
}

fn bad_line(run: &mut Run) {
    let (cluster, proxy) = Cluster::behind_proxy(&[]);
    let pipeline = cluster.pipeline(2);
    let (feed, consumer) = behind(&proxy, &pipeline, run.seed(), &[]);
    let long = Duration::from_secs(run.pick(2, 11)); // above the session in the full form
    let drip = Drip { bytes: 512, every: Duration::from_millis(5) };
    proxy.delay(Duration::from_millis(200));
    run.step("200 ms late, in each direction");
    moves(&pipeline, AGAIN_MAX);
    let mut worst = Duration::ZERO;
    type Spoil<'a> = &'a dyn Fn();
    let spoils: [(&str, Spoil<'_>); 6] = [
        ("resets", &|| proxy.disconnect(Cut::Reset)),
        ("a cut", &|| proxy.cut()),
        ("a stall", &|| proxy.freeze()),
        ("a drip", &|| proxy.drip(Some(drip))),
        ("a line that brings no answers", &|| proxy.stall(Way::ToClient)),
        ("a line that takes no requests", &|| proxy.stall(Way::ToBroker)),
    ];
    for (name, spoil) in &spoils[..run.pick(2, 6)] {
        proxy.heal();
        spoil();
        std::thread::sleep(long); // how long it lasts is the input
        proxy.heal();
        let healed = Instant::now();
        moves(&pipeline, AGAIN_MAX);
        run.step(format!("{name}: works {:.1} s after it", healed.elapsed().as_secs_f64()));
        worst = worst.max(healed.elapsed());
    }
    run.figure_time("longest time from a good line to a commit", worst);
    feed.stop();
    heals(&pipeline, consumer);
    finish(run, &pipeline, &FLAGS, &[]);
}
