//! What the shared server decides, each in one round trip and at once.
//!
//! Server versions from 5 on, and every Valkey: they replicate what a script did, not the script.

/// Takes the epoch in force, or begins one: after the server has lost what it knew (another run of it, or the key gone), whatever
/// may have been accepted before is refused by its time.
///
/// `KEYS`: the epoch. `ARGV`: the run's id, how far ahead of its clock a message may have been accepted in milliseconds, a random word,
/// `1` to begin a new epoch in any case. Gives the epoch and the server's clock in milliseconds.
///
/// An epoch is `RUN FLOOR WORD`: messages with a time at or before the floor are refused.
pub(super) const FOUND: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local held = redis.call('GET', KEYS[1])
local floor = now + tonumber(ARGV[2])
if held then
  local run, before = string.match(held, '^(%x+) (%d+) ')
  if run == ARGV[1] and ARGV[4] ~= '1' then
    return {held, string.format('%.0f', now)}
  end
  if before and tonumber(before) > floor then
    floor = tonumber(before)
  end
end
local epoch = ARGV[1] .. ' ' .. string.format('%.0f', floor) .. ' ' .. ARGV[3]
redis.call('SET', KEYS[1], epoch)
return {epoch, string.format('%.0f', now)}
";

/// Takes a message once.
///
/// `KEYS`: the epoch, the message. `ARGV`: the epoch as the caller knows it, for how long the message is known in milliseconds.
/// Gives 1 when it was not seen before, 0 when it was, -1 when the epoch is another.
pub(super) const TAKE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then
  return 1
end
return 0
";

/// Counts one request against a quota: the same steps as [`super::quota::Quota::step`].
///
/// `KEYS`: what was used. `ARGV`: space between requests in microseconds, burst, number for a day, for how long the key is kept
/// in milliseconds, and the time in microseconds or nothing for the server's own. Gives the verdict (0 passed, 1 too fast, 2 day used), what was
/// used, and the time.
pub(super) const COUNT: &str = r"
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local interval, burst, per_day = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.call('HMGET', KEYS[1], 't', 'd', 'n')
local tat, day, count = tonumber(held[1] or '0'), tonumber(held[2] or '0'), tonumber(held[3] or '0')
local latest = now + interval * burst
tat = math.min(math.max(tat, now), latest)
local today = math.floor(now / 86400000000)
if today > day then
  day = today
  count = 0
end
local verdict = 0
if interval > 0 and tat + interval > latest then
  verdict = 1
elseif per_day > 0 and count >= per_day then
  verdict = 2
else
  tat = tat + interval
  count = count + 1
  redis.call('HSET', KEYS[1], 't', string.format('%.0f', tat), 'd', string.format('%.0f', day), 'n', string.format('%.0f', count))
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return {verdict, string.format('%.0f', tat), string.format('%.0f', day), string.format('%.0f', count), string.format('%.0f', now)}
";

/// Gives a lease back, if it is still ours.
///
/// `KEYS`: the lease. `ARGV`: the word that it was taken with.
pub(super) const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
";
