//! The one step that counts, by itself: bounded memory of ids, and all or nothing.

use redis::{Connection, Script};

use crate::rig::{Stores, Totals};

struct Store {
    connection: Connection,
    script: Script,
}

impl Store {
    fn at(url: &str) -> Self {
        let connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        Self { connection, script: Script::new(include_str!("../../src/count.lua")) }
    }

    fn count(&mut self, id: &str, remembered: u64) -> redis::RedisResult<u8> {
        let mut call = self.script.prepare_invoke();
        call.key("country:counts").key("messages:total");
        call.key("weather:counts:GT").key("messages:seen");
        call.arg(id).arg("GT").arg("rainy").arg(remembered);
        call.invoke(&mut self.connection)
    }

    fn ask<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.connection).unwrap()
    }
}

#[test]
fn an_id_is_counted_once_within_the_horizon_and_a_key_of_another_type_changes_nothing() {
    let stores = Stores::start(&[]);
    for url in [stores.redis.url(), stores.valkey.url()] {
        let mut store = Store::at(&url);
        for (id, counted) in [("a", 1), ("a", 0), ("b", 1), ("c", 1), ("b", 0), ("a", 1)] {
            assert_eq!(store.count(id, 2), Ok(counted), "{id}: two ids are remembered");
        }
        assert_eq!(store.ask::<u64>(&["ZCARD", "messages:seen"]), 2, "and no more");
        let before = Totals::of(&url).unwrap();
        assert_eq!((before.total, before.countries["GT"]), (4, 4));
        assert_eq!(before.kinds["GT"]["rainy"], 4);

        for (breaks, mends) in [
            (&["RENAME", "country:counts", "kept"][..], &["RENAME", "kept", "country:counts"][..]),
            (
                &["HSET", "weather:counts:GT", "rainy", "x"],
                &["HSET", "weather:counts:GT", "rainy", "4"],
            ),
        ] {
            let _: redis::Value = store.ask(breaks);
            if breaks[0] == "RENAME" {
                let _: redis::Value = store.ask(&["SET", "country:counts", "x"]);
            }
            let error = store.count("z", 2).unwrap_err();
            assert!(error.to_string().contains("WRONGTYPE"), "{error}");
            let _: redis::Value = store.ask(mends);
            assert_eq!(Totals::of(&url).as_ref(), Some(&before), "nothing was written");
        }
    }
}
