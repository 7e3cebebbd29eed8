//! Looks at groups: what they have committed, where the partitions end, what waits in retry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::cluster::{Cluster, Commits, Edge, Group, GroupMember, Layout};
use kafka_io::member::AskError;

use super::oldest::{Oldest, Wanted};
use super::report::{GroupLag, PartitionLag, Role as TopicRole};
use super::waiting::Retries;
use crate::tail::{Patience, Place, Tail};
use service_kit::clock::now_ms;

mod retries;

/// Longest wait for one answer.
pub(crate) const ASK: Duration = Duration::from_secs(4);

/// The same where somebody watches: several questions may stay without an answer, one after the other.
const ASK_SOON: Duration = Duration::from_secs(2);

/// Brokers and topics are asked for anew after this long.
const LAYOUT_EVERY: Duration = Duration::from_secs(5);

/// Longest time for the timestamps of oldest records, in one look.
const OLDEST_MAX: Duration = Duration::from_millis(400);

/// The same where the next look comes soon.
const OLDEST_SLICE: Duration = Duration::from_millis(100);

/// Which groups are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// One.
    One(String),
    /// All that the brokers know.
    All,
}

/// How much of the partitions is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breadth {
    /// Those that the groups use, and everything of them before the answer.
    OfGroups,
    /// All of the cluster; what takes time comes with one of the next looks.
    OfCluster,
}

impl Breadth {
    const fn patience(self) -> Patience {
        match self {
            Self::OfGroups => Patience::None,
            Self::OfCluster => Patience::Long,
        }
    }
}

/// What one look found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    /// When, in epoch milliseconds.
    pub(crate) at_ms: i64,
    pub(crate) layout: Arc<Layout>,
    /// End of each partition that was asked for and has a leader.
    pub(crate) ends: BTreeMap<Place, i64>,
    pub(crate) groups: Vec<GroupLag>,
    /// Why the groups are not known; only where the whole cluster is looked at.
    pub(crate) trouble: Option<AskError>,
    /// No record was read yet: what waits in retry and how old lag is comes with the next look. Only the
    /// first look at a whole cluster is so, which has to be there soon.
    pub(crate) is_sketch: bool,
}

/// Handles for looking, and what was read already.
pub(crate) struct Observer {
    cluster: Cluster,
    which: Which,
    breadth: Breadth,
    retry_topic: String,
    layout: Option<(Instant, Arc<Layout>)>,
    oldest: Oldest,
    tail: Tail,
    retries: BTreeMap<Place, Retries>,
    has_looked: bool,
}

impl Observer {
    /// Makes the handles; they connect when they are used.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub(crate) fn new(
        kafka: &KafkaSettings,
        which: Which,
        breadth: Breadth,
        retry_topic: &str,
    ) -> Result<Self, AskError> {
        let refused = |error: kafka_io::KafkaError| AskError::Refused(error.to_string());
        Ok(Self {
            cluster: Cluster::new(&kafka.base(Role::Admin))?,
            which,
            breadth,
            retry_topic: retry_topic.to_owned(),
            layout: None,
            oldest: Oldest::new(kafka).map_err(refused)?,
            tail: Tail::new(kafka, breadth.patience()).map_err(refused)?,
            retries: BTreeMap::new(),
            has_looked: false,
        })
    }

    const fn ask(&self) -> Duration {
        match self.breadth {
            Breadth::OfGroups => ASK,
            Breadth::OfCluster => ASK_SOON,
        }
    }

    /// The names of all groups.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub(crate) fn group_names(&self) -> Result<Vec<String>, AskError> {
        Ok(self.cluster.groups(None, ASK)?.into_iter().map(|group| group.name).collect())
    }

    /// Brokers, topics and their partitions.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub(crate) fn layout(&mut self) -> Result<Arc<Layout>, AskError> {
        if let Some((at, layout)) = &self.layout
            && at.elapsed() < LAYOUT_EVERY
        {
            return Ok(Arc::clone(layout));
        }
        let layout = Arc::new(self.cluster.layout(self.ask())?);
        self.layout = Some((Instant::now(), Arc::clone(&layout)));
        Ok(layout)
    }

    /// First offsets of these partitions, as far as they have a leader.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub(crate) fn starts_of(&self, places: &[Place]) -> Result<BTreeMap<Place, i64>, AskError> {
        self.edge(places, Edge::Start)
    }

    /// Looks once.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time, or without a permission.
    pub(crate) fn look(&mut self) -> Result<Look, AskError> {
        let layout = self.layout()?;
        let asked = self.ask_groups();
        let (asked, trouble) = match (asked, self.breadth) {
            (Ok(asked), _) => (asked, None),
            (Err(error), Breadth::OfCluster) => (Vec::new(), Some(error)),
            (Err(error), Breadth::OfGroups) => return Err(error),
        };
        let places: Vec<BTreeSet<Place>> =
            asked.iter().map(|(group, commits)| places_of(group, commits, &layout)).collect();
        let ends = self.ends(&layout, &places)?;
        let at_ms = now_ms();
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        let is_sketch = is_first && self.breadth == Breadth::OfCluster;
        let mut look = Look { at_ms, layout, ends, groups: Vec::new(), trouble, is_sketch };
        let starts = self.starts(&places, &asked)?;
        for ((group, commits), places) in asked.into_iter().zip(&places) {
            let partitions = self.partitions(&group, &commits, places, &look.ends, &starts);
            look.groups.push(GroupLag { group, partitions, word: None });
        }
        if look.is_sketch {
            return Ok(look);
        }
        let read = self.read_retries(&mut look.groups, at_ms);
        let read = read.and_then(|()| self.read_oldest(&mut look.groups, at_ms));
        match read {
            Err(error) if self.breadth == Breadth::OfGroups => return Err(error),
            read => look.trouble = look.trouble.or(read.err()),
        }
        Ok(look)
    }

    /// The groups with all that they have committed.
    fn ask_groups(&self) -> Result<Vec<(Group, Commits)>, AskError> {
        let name = match &self.which {
            Which::One(name) => Some(name.as_str()),
            Which::All => None,
        };
        let groups = self.cluster.groups(name, self.ask())?;
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        // Before the ends: an end that is older than they are makes a lag below zero.
        let commits = self.cluster.committed(&names, self.ask());
        groups.into_iter().zip(commits).map(|(group, commits)| Ok((group, commits?))).collect()
    }

    fn partitions(
        &self,
        group: &Group,
        commits: &Commits,
        places: &BTreeSet<Place>,
        ends: &BTreeMap<Place, i64>,
        starts: &BTreeMap<Place, i64>,
    ) -> Vec<PartitionLag> {
        let topics: BTreeSet<&str> = places.iter().map(|(topic, _)| topic.as_str()).collect();
        let partition = |place: &Place| {
            let committed = commits.get(place);
            let position = committed.and_then(|c| c.position).map(|position| position.0);
            PartitionLag {
                role: self.role_of(&place.0, &topics),
                start: starts.get(place).copied(),
                end: ends.get(place).copied(),
                owner: owner_of(group, place),
                metadata: committed.map(|c| c.metadata.clone()).unwrap_or_default(),
                ..PartitionLag::at(&group.name, place, position)
            }
        };
        places.iter().map(partition).collect()
    }

    /// The one that was named, and by the engine's default the one that is named after a topic of the group.
    fn role_of(&self, topic: &str, topics: &BTreeSet<&str>) -> TopicRole {
        let is_named = topic == self.retry_topic;
        let of_a_topic = topic.strip_suffix("-retry").is_some_and(|main| topics.contains(main));
        if is_named || of_a_topic { TopicRole::Retry } else { TopicRole::Main }
    }

    fn ends(
        &self,
        layout: &Layout,
        of_groups: &[BTreeSet<Place>],
    ) -> Result<BTreeMap<Place, i64>, AskError> {
        let mut places: BTreeSet<Place> = of_groups.iter().flatten().cloned().collect();
        if self.breadth == Breadth::OfCluster {
            for (topic, partitions) in &layout.topics {
                places.extend(partitions.iter().map(|found| (topic.clone(), found.partition)));
            }
        }
        // A partition without a leader would keep the answer for the others.
        let has_leader = |(topic, partition): &&Place| {
            let partitions = layout.topics.get(topic).into_iter().flatten();
            partitions.into_iter().any(|p| p.partition == *partition && p.leader.is_some())
        };
        let places: Vec<Place> = places.iter().filter(has_leader).cloned().collect();
        self.edge(&places, Edge::End)
    }

    fn edge(&self, places: &[Place], edge: Edge) -> Result<BTreeMap<Place, i64>, AskError> {
        let asked: Vec<(&str, i32)> = places.iter().map(|(t, p)| (t.as_str(), *p)).collect();
        let told = self.cluster.offsets(&asked, edge, self.ask())?;
        let known =
            places.iter().zip(told).filter_map(|(place, told)| Some((place.clone(), told?)));
        Ok(known.collect())
    }

    /// First offsets of partitions of which nothing was committed: everything in them waits.
    fn starts(
        &self,
        places: &[BTreeSet<Place>],
        asked: &[(Group, Commits)],
    ) -> Result<BTreeMap<Place, i64>, AskError> {
        let new = places.iter().zip(asked).flat_map(|(places, (_, commits))| {
            places.iter().filter(|place| !commits.contains_key(*place)).cloned()
        });
        let new: BTreeSet<Place> = new.collect();
        self.edge(&new.into_iter().collect::<Vec<_>>(), Edge::Start)
    }

    /// Finds out how old the oldest record is that is not committed, where there is lag.
    fn read_oldest(&mut self, groups: &mut [GroupLag], now_ms: i64) -> Result<(), AskError> {
        let wanted_of = |found: &PartitionLag| {
            let wants = found.role == TopicRole::Main && found.lag().is_some_and(|lag| lag > 0);
            wants.then(|| Wanted { place: found.place(), position: found.position_or_start() })
        };
        let all = groups.iter().flat_map(|group| &group.partitions);
        let mut wanted: BTreeSet<Wanted> = all.filter_map(wanted_of).collect();
        // Positions below the first record would be out of range.
        let places: BTreeSet<Place> = wanted.iter().map(|wanted| wanted.place.clone()).collect();
        let starts = self.edge(&places.into_iter().collect::<Vec<_>>(), Edge::Start)?;
        let clamped = |mut wanted: Wanted| {
            let start = starts.get(&wanted.place).copied().unwrap_or(0);
            wanted.position = wanted.position.max(start);
            wanted
        };
        wanted = wanted.into_iter().map(clamped).collect();
        let topics: BTreeSet<&str> = wanted.iter().map(|w| w.place.0.as_str()).collect();
        let ask = self.ask();
        self.oldest.look_up(&topics, ask);
        let limit = match self.breadth {
            Breadth::OfGroups => OLDEST_MAX,
            Breadth::OfCluster => OLDEST_SLICE,
        };
        let learned = self.oldest.learn(&wanted, limit);
        learned.map_err(|error| AskError::Refused(error.to_string()))?;
        for found in groups.iter_mut().flat_map(|group| &mut group.partitions) {
            if let Some(wanted) = wanted_of(found).map(clamped) {
                found.oldest_ms = self.oldest.written_ms(&wanted).map(|ms| (now_ms - ms).max(0));
            }
        }
        Ok(())
    }
}

/// What a group has committed and what its members own, as far as it exists.
fn places_of(group: &Group, commits: &Commits, layout: &Layout) -> BTreeSet<Place> {
    let owned = group.members.iter().flat_map(|member| &member.owned);
    let owned = owned.flat_map(|(topic, partitions)| {
        partitions.iter().map(move |partition| (topic.clone(), *partition))
    });
    let exists = |(topic, partition): &Place| {
        let partitions = layout.topics.get(topic).into_iter().flatten();
        partitions.into_iter().any(|found| found.partition == *partition)
    };
    commits.keys().cloned().chain(owned).filter(exists).collect()
}

fn owner_of(group: &Group, (topic, partition): &Place) -> Option<String> {
    let owns = |member: &&GroupMember| {
        member.owned.get(topic).is_some_and(|partitions| partitions.contains(partition))
    };
    let owner = group.members.iter().find(owns);
    owner.map(|member| member.client_id.clone())
}
