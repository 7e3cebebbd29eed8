//! The model's group: members, generations, and who owns what. A cooperative rebalance: what is
//! to move is first taken from its owner, and given away in the generation after.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_io::member::Change;
use rand::Rng as _;
use rand::rngs::SmallRng;

use crate::clock::simulated as clock;

/// A member that is not heard of for this long is gone.
const SESSION: Duration = Duration::from_millis(1_000);

/// A member as its requests name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemberRef {
    pub(crate) id: u64,
    pub(crate) generation: i32,
}

#[derive(Debug)]
struct Member {
    process: usize,
    instance: Option<String>,
    /// It takes part in the rebalance that is under way.
    has_joined: bool,
    silent_since: Option<Duration>,
    generation: i32,
}

/// What a member's own client knows.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) instance: Option<String>,
    id: Option<u64>,
    generation: i32,
    owned: BTreeSet<i32>,
    /// Another member has taken its instance id.
    pub(crate) is_fenced: bool,
    has_left: bool,
}

impl Client {
    pub(crate) fn new(instance: Option<String>) -> Self {
        Self { instance, ..Self::default() }
    }

    pub(crate) fn member(&self) -> Option<MemberRef> {
        Some(MemberRef { id: self.id?, generation: self.generation })
    }
}

/// See the module.
pub(crate) struct Group {
    pub(crate) generation: i32,
    is_rebalancing: bool,
    /// Partitions may change hands; else only what nobody owns is given away.
    may_move: bool,
    members: BTreeMap<u64, Member>,
    /// Who owns a partition, or is about to be told so.
    owners: Vec<Option<u64>>,
    /// What each partition's owner is to give up.
    leaving: BTreeSet<i32>,
    pub(crate) clients: BTreeMap<usize, Client>,
    numbers: u64,
    /// Partitions are shared out in turn, beginning with this member; by chance where it is `None`.
    pub(crate) rotation: Option<usize>,
}

impl Group {
    pub(crate) fn new(partitions: i32) -> Self {
        Self {
            generation: 0,
            is_rebalancing: false,
            may_move: false,
            members: BTreeMap::new(),
            owners: vec![None; partitions as usize],
            leaving: BTreeSet::new(),
            clients: BTreeMap::new(),
            numbers: 0,
            rotation: None,
        }
    }

    pub(crate) fn knows(&self, member: &MemberRef) -> bool {
        self.members.contains_key(&member.id) && self.generation == member.generation
    }

    pub(crate) fn partitions(&self) -> i32 {
        i32::try_from(self.owners.len()).expect("a plan has few partitions")
    }

    /// Whether it has no members.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a process owns a partition.
    #[cfg(test)]
    pub(crate) fn owner_is(&self, partition: i32, process: usize) -> bool {
        let owner = self.owners[partition as usize].and_then(|id| self.members.get(&id));
        owner.is_some_and(|member| member.process == process)
    }

    /// Starts a rebalance in which partitions may move.
    pub(crate) fn rebalance(&mut self) {
        self.is_rebalancing = true;
        self.may_move = true;
    }

    /// A process falls silent, or is heard of again.
    pub(crate) fn set_silent(&mut self, process: usize, is_silent: bool) {
        for member in self.members.values_mut().filter(|member| member.process == process) {
            member.silent_since = is_silent.then(clock::now);
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        self.members.values().filter_map(|m| m.silent_since).min().map(|since| since + SESSION)
    }

    pub(crate) fn expire(&mut self, now: Duration) -> Vec<u64> {
        let is_gone = |m: &Member| m.silent_since.is_some_and(|since| since + SESSION <= now);
        let gone = self.members.iter().filter(|(_, member)| is_gone(member));
        let gone: Vec<u64> = gone.map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| self.remove(*id));
        gone
    }

    /// A process died: the group does not wait for it.
    pub(crate) fn forget(&mut self, process: usize) {
        let of = self.members.iter().filter(|(_, member)| member.process == process);
        let ids: Vec<u64> = of.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.remove(id));
    }

    fn remove(&mut self, id: u64) {
        self.members.remove(&id);
        for owner in &mut self.owners {
            if *owner == Some(id) {
                *owner = None;
            }
        }
        self.rebalance();
    }

    /// A member leaves by itself; a static one stays registered.
    pub(crate) fn leave(&mut self, process: usize) {
        let client = self.clients.get_mut(&process).expect("it has joined");
        client.has_left = true;
        match (client.id.take(), &client.instance) {
            (Some(id), None) => self.remove(id),
            _ => self.set_silent(process, true),
        }
    }

    /// A member leaves, and joins again when it is served.
    pub(crate) fn come_back(&mut self, process: usize) {
        self.leave(process);
        self.clients.get_mut(&process).expect("it has joined").has_left = false;
    }

    /// Serves the group protocol for a process, and says what changed for it.
    pub(crate) fn serve(&mut self, process: usize, random: &mut SmallRng) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut client = self.clients.remove(&process).expect("it has joined");
        let is_known = client.id.is_some_and(|id| self.members.contains_key(&id));
        if !is_known {
            if !client.owned.is_empty() {
                changes
                    .push(Change::Revoked(std::mem::take(&mut client.owned).into_iter().collect()));
            }
            if client.has_left || client.is_fenced {
                self.clients.insert(process, client);
                return changes;
            }
            self.join(process, &mut client);
        }
        self.sync(&mut client, &mut changes);
        if self.is_rebalancing {
            let id = client.id.expect("joined above");
            self.members.get_mut(&id).expect("it is a member").has_joined = true;
            if self.members.values().all(|member| member.has_joined) {
                self.complete(random);
                self.sync(&mut client, &mut changes);
            }
        }
        self.clients.insert(process, client);
        changes
    }

    fn join(&mut self, process: usize, client: &mut Client) {
        self.numbers += 1;
        let id = self.numbers;
        client.id = Some(id);
        let mut member = Member {
            process,
            instance: client.instance.clone(),
            has_joined: false,
            silent_since: None,
            generation: -1,
        };
        let same = |m: &Member| m.instance.is_some() && m.instance == client.instance;
        let Some(old) = self.members.iter().find(|(_, m)| same(m)).map(|(id, _)| *id) else {
            self.members.insert(id, member);
            self.rebalance();
            return;
        };
        // A static member comes back: it is given what it had, without a rebalance.
        let before = self.members.remove(&old).expect("found above");
        member.has_joined = before.has_joined;
        self.members.insert(id, member);
        if let Some(other) = self.clients.get_mut(&before.process) {
            other.is_fenced = true;
        }
        for owner in self.owners.iter_mut().filter(|owner| **owner == Some(old)) {
            *owner = Some(id);
        }
    }

    /// Tells a member of the generation that it has not heard of.
    fn sync(&mut self, client: &mut Client, changes: &mut Vec<Change>) {
        let id = client.id.expect("it has joined");
        let member = self.members.get_mut(&id).expect("it is a member");
        if member.generation == self.generation || self.generation == 0 {
            return;
        }
        member.generation = self.generation;
        client.generation = self.generation;
        let mut lost = Vec::new();
        for partition in client.owned.clone() {
            let owner = &mut self.owners[partition as usize];
            let must_go = *owner != Some(id) || self.leaving.contains(&partition);
            if must_go {
                client.owned.remove(&partition);
                lost.push(partition);
                if *owner == Some(id) {
                    *owner = None;
                }
            }
        }
        if !lost.is_empty() {
            self.is_rebalancing = true;
            changes.push(Change::Revoked(lost));
        }
        let mine = |(p, owner): (i32, &Option<u64>)| (*owner == Some(id)).then_some(p);
        let all: BTreeSet<i32> = (0..).zip(&self.owners).filter_map(mine).collect();
        let gained: Vec<i32> = all.difference(&client.owned).copied().collect();
        client.owned.extend(&gained);
        if !gained.is_empty() {
            changes.push(Change::Assigned(gained));
        }
    }

    fn complete(&mut self, random: &mut SmallRng) {
        self.generation += 1;
        self.is_rebalancing = false;
        self.leaving.clear();
        self.members.values_mut().for_each(|member| member.has_joined = false);
        let ids: Vec<u64> = self.members.keys().copied().collect();
        let rotation = self.rotation;
        for (partition, owner) in (0..).zip(&mut self.owners) {
            let index = match rotation {
                Some(first) => (first + partition as usize) % ids.len(),
                None => random.random_range(0..ids.len()),
            };
            let choice = ids[index];
            let moves = |random: &mut SmallRng| rotation.is_some() || random.random_bool(0.5);
            match *owner {
                None => *owner = Some(choice),
                Some(id) if id != choice && self.may_move && moves(random) => {
                    self.leaving.insert(partition);
                }
                Some(_) => {}
            }
        }
        self.may_move = false;
    }
}
