//! Dead letters of schemas of which no record was ever read.
//!
//! A schema that cannot be used condemns every record that was written with it, and the first of them says nothing yet
//! about whether the schema or this program is at fault. So a few are dead letters, and more are a question to an
//! operator. Once a record of a schema was read, its later failures are single records' and count like all others.

use hashbrown::HashSet;

/// Dead letters of one schema that was never read at which the limit trips.
pub const UNREAD_SCHEMA_DEAD_MAX: u32 = 100;

/// Schemas that are counted at a time; of more, the one with the fewest dead letters is forgotten.
const COUNTED_MAX: usize = 64;

/// Schemas that are known to be readable. Beyond it all are forgotten, and learned again with their next record.
const READ_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy)]
struct Count {
    schema_id: u32,
    durable: u32,
    draft: u32,
}

/// See the module. What a turn adds is a draft until the turn is durable.
#[derive(Debug, Default)]
pub struct UnreadSchemas {
    read: HashSet<u32, foldhash::fast::FixedState>,
    /// The schema of the last record that was read: most topics carry one at a time.
    last_read: Option<u32>,
    counts: Vec<Count>,
}

impl UnreadSchemas {
    /// A record of the schema was read.
    pub fn was_read(&mut self, schema_id: u32) {
        if self.last_read == Some(schema_id) {
            return;
        }
        self.last_read = Some(schema_id);
        if self.read.len() >= READ_MAX {
            self.read.clear();
        }
        if self.read.insert(schema_id) {
            self.counts.retain(|count| count.schema_id != schema_id);
        }
    }

    /// A record becomes a dead letter since its schema cannot be used. Returns how many have, if the schema was never
    /// read and these are too many.
    pub fn dead_letter(&mut self, schema_id: u32) -> Option<u32> {
        if self.read.contains(&schema_id) {
            return None;
        }
        let known = self.counts.iter().position(|count| count.schema_id == schema_id);
        let index = known.unwrap_or_else(|| {
            self.make_room();
            self.counts.push(Count { schema_id, durable: 0, draft: 0 });
            self.counts.len() - 1
        });
        let count = &mut self.counts[index];
        count.draft = count.draft.saturating_add(1);
        (count.draft >= UNREAD_SCHEMA_DEAD_MAX).then_some(count.draft)
    }

    fn make_room(&mut self) {
        if self.counts.len() < COUNTED_MAX {
            return;
        }
        let fewest = (0..self.counts.len()).min_by_key(|index| self.counts[*index].draft);
        if let Some(index) = fewest {
            self.counts.swap_remove(index);
        }
    }

    /// The turn is durable.
    pub fn commit(&mut self) {
        for count in &mut self.counts {
            count.durable = count.draft;
        }
    }

    /// The turn was not committed.
    pub fn discard(&mut self) {
        self.counts.retain_mut(|count| {
            count.draft = count.durable;
            count.draft > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(schemas: &mut UnreadSchemas, schema_id: u32, times: u32) -> Option<u32> {
        (0..times).filter_map(|_| schemas.dead_letter(schema_id)).last()
    }

    #[test]
    fn too_many_dead_letters_of_a_schema_that_was_never_read_trip() {
        let mut schemas = UnreadSchemas::default();
        assert_eq!(dead(&mut schemas, 7, UNREAD_SCHEMA_DEAD_MAX - 1), None);
        schemas.was_read(8);
        assert_eq!(dead(&mut schemas, 9, 1), None, "each schema counts for itself");
        assert_eq!(dead(&mut schemas, 7, 1), Some(UNREAD_SCHEMA_DEAD_MAX));
    }

    #[test]
    fn a_schema_of_which_a_record_was_read_never_trips() {
        let mut schemas = UnreadSchemas::default();
        schemas.was_read(7);
        assert_eq!(dead(&mut schemas, 7, 10 * UNREAD_SCHEMA_DEAD_MAX), None);
        dead(&mut schemas, 9, UNREAD_SCHEMA_DEAD_MAX - 1);
        schemas.was_read(9);
        assert_eq!(dead(&mut schemas, 9, 10 * UNREAD_SCHEMA_DEAD_MAX), None);
    }

    #[test]
    fn what_was_not_committed_does_not_count() {
        let mut schemas = UnreadSchemas::default();
        dead(&mut schemas, 7, UNREAD_SCHEMA_DEAD_MAX - 10);
        schemas.commit();
        for _ in 0..5 {
            assert_eq!(dead(&mut schemas, 7, 9), None);
            schemas.discard();
        }
        assert!(dead(&mut schemas, 7, 10).is_some());
    }

    #[test]
    fn random_ids_take_a_bounded_place_and_do_not_hide_the_schema_that_fails() {
        let mut schemas = UnreadSchemas::default();
        dead(&mut schemas, 7, 2);
        for id in 1_000..10_000 {
            assert_eq!(schemas.dead_letter(id), None);
        }
        assert!(schemas.counts.len() <= COUNTED_MAX);
        assert!(dead(&mut schemas, 7, UNREAD_SCHEMA_DEAD_MAX - 2).is_some());
    }
}
