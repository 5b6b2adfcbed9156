"""The Lua scripts: each is one step for everybody, and harmless when it is repeated.

A stream is two keys of one hash slot. The stream itself has entries `born-index`, index from 1 without a hole, each
with one field `d` as `codec` writes it. Its state is a hash:

    attempt  who may write                              count  entries written; fewer in the stream: it was trimmed
    born     µs of the server when the stream began     began  the attempt that wrote offset 0 of the present text
    ended    set once the terminal entry is there       start  code points of the text when `attempt` took over
                                                        stop   code points of the text

Whatever is written is also pushed on the channel of the stream's name: the id of the first entry, then the entries, one
a line. Times to live are in ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1


@dataclass(frozen=True, slots=True)
class Script:
    """name: for the metrics. keys: how many of the arguments are keys, for each of the things it is asked to do."""

    name: str
    keys: int
    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()  # how Redis names scripts
        object.__setattr__(self, "sha", digest)


_NOW = """
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end
"""

_BEGIN = (
    _NOW
    + """
local function begin(old, attempt)
  local born = math.max(now(), tonumber(old or 0) + 1)
  local text = string.format('%.0f', born)
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], 'attempt', attempt, 'born', text, 'count', 0, 'began', 0, 'start', 0, 'stop', 0)
  return text
end
"""
)

FENCE = Script(
    "fence",
    2,
    _BEGIN
    + """
-- stream, state, attempt, lifetime -> 0: fenced; nil: begun; else the entries
local state = redis.call('HMGET', KEYS[2], 'attempt', 'born', 'count', 'ended', 'stop')
if state[1] and (state[4] or tonumber(ARGV[1]) < tonumber(state[1])) then return 0 end
local entries = false
if state[1] and redis.call('XLEN', KEYS[1]) == tonumber(state[3]) then
  if state[1] ~= ARGV[1] then redis.call('HSET', KEYS[2], 'attempt', ARGV[1], 'start', state[5]) end
  entries = redis.call('XRANGE', KEYS[1], '-', '+')
else
  begin(state[2], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return entries
""",
)

APPEND = Script(
    "append",
    2,
    """
-- lifetime, then for each stream: attempt, number of deltas, and of each delta began, offset, length, entry
-- -> for each stream -1: fenced; -2: a gap; an error, if it is none; else how many were new
local function append(stream, key, attempt, first, last)
  local state = redis.call('HMGET', key, 'attempt', 'born', 'count', 'ended', 'began', 'start', 'stop')
  if state[1] ~= attempt or state[4] or redis.call('XLEN', stream) ~= tonumber(state[3]) then return -1 end
  local count, began = tonumber(state[3]), tonumber(state[5])
  local start, stop = tonumber(state[6]), tonumber(state[7])
  local new = {}
  for i = first, last, 4 do
    local text, offset, length = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    if text > began and offset == 0 then began, start, stop = text, 0, 0 end
    if text == began and offset == stop then
      new[#new + 1] = ARGV[i + 3]
      stop = stop + length
    elseif text ~= began or offset < start or offset + length > stop then
      return -2
    end
  end
  if #new > 0 then
    for i, entry in ipairs(new) do redis.call('XADD', stream, state[2] .. '-' .. (count + i), 'd', entry) end
    redis.call('HSET', key, 'count', count + #new, 'began', began, 'start', start, 'stop', stop)
    redis.call('PUBLISH', stream, state[2] .. '-' .. (count + 1) .. '\\n' .. table.concat(new, '\\n'))
  end
  redis.call('PEXPIRE', stream, ARGV[1])
  redis.call('PEXPIRE', key, ARGV[1])
  return #new
end
local outcomes, at = {}, 2
for i = 1, #KEYS, 2 do
  local last = at + 1 + 4 * tonumber(ARGV[at + 1])
  local well, outcome = pcall(append, KEYS[i], KEYS[i + 1], ARGV[at], at + 2, last)
  if not well then
    local message = type(outcome) == 'table' and outcome.err or tostring(outcome)
    -- A key that is no stream is a trouble of its own. All else is the server's, as to be a replica or out of memory:
    -- an error for all, who may send again what was written.
    if not string.find(message, 'WRONGTYPE', 1, true) then return redis.error_reply(message) end
    outcome = {err = message}
  end
  outcomes[#outcomes + 1] = outcome
  at = last + 1
end
return outcomes
""",
)

END = Script(
    "end",
    2,
    _BEGIN
    + """
-- stream, state, retention, entry -> 1, or 0 when it has ended before
local state = redis.call('HMGET', KEYS[2], 'born', 'count', 'ended')
if state[3] then return 0 end
local born, count = state[1] or begin(nil, 0), tonumber(state[2] or 0) + 1
local id = born .. '-' .. count
redis.call('XADD', KEYS[1], id, 'd', ARGV[2])
redis.call('HSET', KEYS[2], 'ended', 1, 'count', count)
redis.call('PUBLISH', KEYS[1], id .. '\\n' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1
""",
)

READ = Script(
    "read",
    2,
    """
-- stream, state, born, index, most -> entries. Another `born` is of a stream that is lost, whatever the clock has done
local born = redis.call('HGET', KEYS[2], 'born')
local from = '-'
if not born or born == ARGV[1] then from = '(' .. ARGV[1] .. '-' .. ARGV[2] end
return redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[3])
""",
)

TAKE = Script(
    "take",
    1,
    _NOW
    + """
-- bucket, limit, price (µs that one costs, times limit), cost -> µs to wait. Kept: the time, and what is owed at it.
-- As parley_live.gcra, but relative to the time, so that all numbers stay whole in a double; exact up to
-- limit * price = 2^53, and to a µs beyond
local limit, price, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time, owed = now(), 0
local kept = redis.call('GET', KEYS[1])
if kept then
  local at, debt = string.match(kept, '(%d+) (%d+)')
  owed = math.max(0, tonumber(debt) - math.max(0, time - tonumber(at)) * limit)
end
owed = owed + cost * price
local excess = owed - limit * price
if excess > 0 then return math.ceil(excess / limit) end
redis.call('SET', KEYS[1], string.format('%.0f %.0f', time, owed), 'PX', math.ceil(owed / limit / 1000))
return 0
""",
)

REVOKE = Script(
    "revoke",
    1,
    """
-- revocation, seconds in ms. Never shortens
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], 1, 'PX', ARGV[1]) end
return 0
""",
)
