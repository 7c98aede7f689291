-- SPDX-License-Identifier: Apache-2.0
-- Shared by every script: the text of this file stands before theirs.
-- KEYS[1] is the queue's meta key (it routes the call in a cluster); ARGV[1] is the queue's prefix
-- "bull:reelmesh:". Every other key is made from the prefix, as job keys must be.
local P = ARGV[1]
local call = redis.call

local function now_ms()
    local t = call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Lua's own conversion keeps 14 digits only.
local function int(n)
    return string.format('%.0f', n)
end

local function decode(text)
    if not text then return {} end
    local ok, value = pcall(cjson.decode, text)
    if ok and type(value) == 'table' then return value end
    return {}
end

local function event(q, name, ...)
    local max = call('HGET', q .. 'meta', 'opts.maxLenEvents')
    if not max then
        max = '10000'
        call('HSET', q .. 'meta', 'opts.maxLenEvents', max)
    end
    call('XADD', q .. 'events', 'MAXLEN', '~', max, '*', 'event', name, ...)
end

local function limits(q)
    local m = call('HMGET', q .. 'meta', 'paused', 'concurrency', 'max', 'duration')
    return {
        paused = m[1] and true or false,
        concurrency = tonumber(m[2] or ''),
        max = tonumber(m[3] or ''),
        duration = tonumber(m[4] or ''),
    }
end

local function is_blocked(q, l)
    return l.paused or (l.concurrency and call('LLEN', q .. 'active') >= l.concurrency)
end

-- Something can be taken. Nobody is woken for what nobody may take.
local function wake(q)
    if not is_blocked(q, limits(q)) then call('ZADD', q .. 'marker', 0, '0') end
end

local function has_work(q)
    return call('LLEN', q .. 'wait') > 0 or call('ZCARD', q .. 'prioritized') > 0
end

-- The due time of the first delayed job, or nil.
local function next_due(q)
    local head = call('ZRANGE', q .. 'delayed', 0, 0, 'WITHSCORES')
    return head[2] and math.floor(tonumber(head[2]) / 4096) or nil
end

local function arm_delay(q)
    local due = next_due(q)
    if due then call('ZADD', q .. 'marker', int(due), '1') end
end

local function put_prioritized(q, id, priority)
    local n = call('INCR', q .. 'pc')
    call('ZADD', q .. 'prioritized', int(priority * 4294967296 + n % 4294967296), id)
end

-- Into wait or prioritized: unprioritized jobs are taken from the tail of wait.
local function put_waiting(q, id, priority, at_front)
    if priority > 0 then
        put_prioritized(q, id, priority)
    else
        call(at_front and 'RPUSH' or 'LPUSH', q .. 'wait', id)
    end
end

-- Equal due times stay in order: the score counts up within a millisecond.
local function put_delayed(q, id, due)
    local low = due * 4096
    local last = call('ZREVRANGEBYSCORE', q .. 'delayed', int(low + 4095), int(low), 'WITHSCORES',
                      'LIMIT', 0, 1)
    local score = low
    if last[2] then score = math.min(tonumber(last[2]) + 1, low + 4095) end
    call('ZADD', q .. 'delayed', int(score), id)
    event(q, 'delayed', 'jobId', id, 'delay', int(due))
    arm_delay(q)
end

local function priority_of(q, id)
    return tonumber(call('HGET', q .. id, 'priority') or '0') or 0
end

-- Which run of the record a job belongs to. Those of other producers do not say: the first.
local function generation_of(q, id)
    return math.max(1, tonumber(call('HGET', q .. id, 'rgen') or '') or 1)
end

-- A finished or removed job gives its deduplication id free, unless a TTL holds it.
local function release_dedup(q, id, is_removal)
    local deid = call('HGET', q .. id, 'deid')
    if not deid or call('GET', q .. 'de:' .. deid) ~= id then return end
    if is_removal or call('PTTL', q .. 'de:' .. deid) == -1 then call('DEL', q .. 'de:' .. deid) end
    if is_removal then call('DEL', q .. 'dn:' .. deid) end
end

local function delete_job(q, id)
    local k = q .. id
    call('DEL', k, k .. ':lock', k .. ':logs', k .. ':dependencies', k .. ':processed',
         k .. ':failed', k .. ':unsuccessful')
end

-- A parent whose last child is done leaves waiting-children, or at once when a child says so.
local function release_parent(pq, pid, defa)
    if call('ZREM', pq .. 'waiting-children', pid) == 0 then return end
    if defa then call('HSET', pq .. pid, 'defa', defa) end
    local delay = tonumber(call('HGET', pq .. pid, 'delay') or '0') or 0
    if delay > 0 and not defa then
        put_delayed(pq, pid, now_ms() + delay)
        return
    end
    put_waiting(pq, pid, priority_of(pq, pid), true)
    event(pq, 'waiting', 'jobId', pid, 'prev', 'waiting-children')
    wake(pq)
end

-- Tells the parent of a flow how its child ended: value is the result or the reason.
local function tell_parent(q, id, status, value)
    local parent_key, parent_json = unpack(call('HMGET', q .. id, 'parentKey', 'parent'))
    if not parent_key or call('EXISTS', parent_key) == 0 then return end
    local pq, pid = string.match(parent_key, '^(.*:)([^:]+)$')
    local flags = decode(parent_json)
    local child = q .. id
    if status == 'failed' and not (flags.fpof or flags.cpof or flags.idof or flags.rdof) then
        return
    end
    if call('SREM', parent_key .. ':dependencies', child) == 0 then return end
    if status == 'completed' then
        call('HSET', parent_key .. ':processed', child, value)
    elseif flags.fpof then
        call('ZADD', parent_key .. ':unsuccessful', int(now_ms()), child)
        release_parent(pq, pid, 'child ' .. child .. ' failed')
        return
    elseif flags.cpof or flags.idof then
        call('HSET', parent_key .. ':failed', child, value)
        if flags.cpof then
            release_parent(pq, pid)
            return
        end
    end
    if call('SCARD', parent_key .. ':dependencies') == 0 then release_parent(pq, pid) end
end

local function promote_due(q, now)
    local due = call('ZRANGEBYSCORE', q .. 'delayed', 0, int((now + 1) * 4096 - 1), 'LIMIT', 0, 1000)
    for _, id in ipairs(due) do
        call('ZREM', q .. 'delayed', id)
        put_waiting(q, id, priority_of(q, id), false)
        event(q, 'waiting', 'jobId', id, 'prev', 'delayed')
        call('HSET', q .. id, 'delay', '0')
    end
    if #due > 0 then wake(q) end
end

-- Takes the next id whose job still exists: tools may have deleted one behind our back.
local function take_id(q)
    while true do
        local id = call('RPOPLPUSH', q .. 'wait', q .. 'active')
        if not id then
            id = call('ZPOPMIN', q .. 'prioritized')[1]
            if not id then
                call('DEL', q .. 'pc')
                return nil
            end
            call('LPUSH', q .. 'active', id)
        end
        if call('EXISTS', q .. id) == 1 then return id end
        call('LREM', q .. 'active', 1, id)
    end
end

-- The fields a claimer reads, as name, value, ... What is longer than any of ours is left out: the
-- claimer could not take it, and the job would come back for ever.
local function fields_of(k)
    local names = {'name', 'data', 'opts', 'atm', 'defa', 'rjk', 'stacktrace'}
    local out = {}
    for i, value in ipairs(call('HMGET', k, unpack(names))) do
        if value and #value <= 2097152 then
            out[#out + 1] = names[i]
            out[#out + 1] = value
        end
    end
    return out
end

-- {1, id, fields}, or {0, ms until the next delayed job is due or 0, ms the rate limit still lasts
-- or 0}.
local function claim(q, token, lock_ms, worker)
    local now = now_ms()
    promote_due(q, now)
    local l = limits(q)
    if l.max and tonumber(call('GET', q .. 'limiter') or '0') >= l.max then
        local left = call('PTTL', q .. 'limiter')
        if left > 0 then return {0, 0, left} end
    end
    local id = not is_blocked(q, l) and take_id(q)
    if not id then
        local due = next_due(q)
        return {0, due and math.max(due - now, 1) or 0, 0}
    end
    local k = q .. id
    if l.max and l.duration and call('HEXISTS', k, 'defa') == 0 then
        if call('INCR', q .. 'limiter') == 1 then
            call('PEXPIRE', q .. 'limiter', int(l.duration))
        end
    end
    call('SET', k .. ':lock', token, 'PX', lock_ms)
    event(q, 'active', 'jobId', id, 'prev', 'waiting')
    call('HSET', k, 'processedOn', int(now), 'pb', worker)
    call('HINCRBY', k, 'ats', 1)
    if has_work(q) then wake(q) end
    return {1, id, fields_of(k)}
end

-- Takes a job out of the hands of the worker that shows `token`. 0, or why not.
local function leave_active(q, id, token)
    local k = q .. id
    if call('EXISTS', k) == 0 then return -1 end
    local lock = call('GET', k .. ':lock')
    if not lock then return -2 end
    if lock ~= token then return -6 end
    call('DEL', k .. ':lock')
    call('SREM', q .. 'stalled', id)
    if call('LREM', q .. 'active', -1, id) == 0 then return -3 end
    return 0
end

-- A job that its worker left and that is in no list any more: in front again, or to be failed by
-- the next claimer when that has happened too often. False when it was deleted.
local function put_back_stalled(q, id, max_stalled)
    local k = q .. id
    if call('EXISTS', k) == 0 then return false end
    local stalled = call('HINCRBY', k, 'stc', 1)
    local scheduler = call('HGET', k, 'rjk')
    local is_scheduled = scheduler and call('ZSCORE', q .. 'repeat', scheduler)
    if stalled > max_stalled and not is_scheduled then
        call('HSET', k, 'defa', 'job stalled more than allowable limit')
    end
    call('RPUSH', q .. 'wait', id)
    event(q, 'waiting', 'jobId', id, 'prev', 'active')
    event(q, 'stalled', 'jobId', id)
    return true
end

-- What a worker does after it gave a job away: the next one, or a hint for the others. A worker at
-- the global bound is never woken, so whoever makes room must look for work at once.
local function go_on(q, fetch, token, lock_ms, worker)
    if fetch == '1' then
        local next = claim(q, token, lock_ms, worker)
        if next[1] == 1 then return next end
        if next[2] == 0 and next[3] == 0 and not has_work(q) and call('LLEN', q .. 'active') == 0 then
            event(q, 'drained')
        end
        return next
    end
    if has_work(q) then wake(q) end
    return {0, 0, 0}
end

-- Adds the text to the job's list of failures, one per attempt.
local function add_stack(k, text, opts)
    local list = decode(call('HGET', k, 'stacktrace'))
    list[#list + 1] = text
    local max = tonumber(opts.stackTraceLimit or '')
    while max and max >= 0 and #list > max do table.remove(list, 1) end
    call('HSET', k, 'stacktrace', #list > 0 and cjson.encode(list) or '[]')
end
