-- Counts a report once. KEYS: country:counts, messages:total, weather:counts:<CC>, messages:seen.
-- ARGV: message id, country, kind, ids to remember. Returns 1 if it was counted, 0 if it was counted before.
if redis.call('ZSCORE', KEYS[4], ARGV[1]) then
  return 0
end
-- A script is atomic but is not rolled back: everything that could fail is looked at before the first write.
local function must_be(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= kind then
    error({err = 'WRONGTYPE ' .. key .. ' is a ' .. found .. ', and should be a ' .. kind})
  end
end
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'string')
must_be(KEYS[3], 'hash')
must_be(KEYS[4], 'zset')
local function must_count(key, value)
  if value and not string.match(value, '^%d+$') then
    error({err = 'WRONGTYPE ' .. key .. ' holds a value that is not a count'})
  end
end
must_count(KEYS[1], redis.call('HGET', KEYS[1], ARGV[2]))
must_count(KEYS[2], redis.call('GET', KEYS[2]))
must_count(KEYS[3], redis.call('HGET', KEYS[3], ARGV[3]))
local total = redis.call('INCR', KEYS[2])
redis.call('HINCRBY', KEYS[1], ARGV[2], 1)
redis.call('HINCRBY', KEYS[3], ARGV[3], 1)
redis.call('ZADD', KEYS[4], total, ARGV[1])
-- The horizon is a number of messages and no time: no clock decides what counts twice.
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', total - tonumber(ARGV[4]))
return 1
