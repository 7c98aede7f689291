-- Ends a job and takes the next one. {code, claim}: code as in leave_active, -4 or -9 for a flow
-- whose children are not done.
-- ARGV: prefix, id, token, completed|failed, value, keep rule of the worker (JSON), fetch (1 or 0),
-- lock ms, worker name.
local id, token, status, value = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local k = P .. id
if status == 'completed' then
    if call('SCARD', k .. ':dependencies') > 0 then return {-4, {0, 0, 0}} end
    if call('ZCARD', k .. ':unsuccessful') > 0 then return {-9, {0, 0, 0}} end
end
local code = leave_active(P, id, token)
if code ~= 0 then return {code, {0, 0, 0}} end

local opts = decode(call('HGET', k, 'opts'))

-- true: keep none; a number: keep so many; {age s, count, limit}; else keep all.
local function keep_rule()
    local rule = opts[status == 'completed' and 'removeOnComplete' or 'removeOnFail']
    if rule == nil or rule == cjson.null then rule = decode(ARGV[6]) end
    if rule == true then return {count = 0} end
    if type(rule) == 'number' then return {count = rule} end
    return type(rule) == 'table' and rule or {}
end

local function drop(ids)
    for _, old in ipairs(ids) do
        call('ZREM', P .. status, old)
        delete_job(P, old)
    end
end

local now = now_ms()
local keep = keep_rule()
local age, count = tonumber(keep.age or ''), tonumber(keep.count or '')
call('XTRIM', P .. 'events', 'MAXLEN', '~', call('HGET', P .. 'meta', 'opts.maxLenEvents') or 10000)
release_dedup(P, id, false)
tell_parent(P, id, status, value)
local made = call('HINCRBY', k, 'atm', 1)
if status == 'failed' then
    add_stack(k, value, opts)
    call('HDEL', k, 'defa')
end
if count == 0 then
    delete_job(P, id)
else
    call('ZADD', P .. status, int(now), id)
    call('HSET', k, status == 'completed' and 'returnvalue' or 'failedReason', value, 'finishedOn',
         int(now))
    if age then
        drop(call('ZRANGEBYSCORE', P .. status, '-inf', int(now - age * 1000), 'LIMIT', 0,
                  int(tonumber(keep.limit or '') or 1000)))
    end
    if count and count > 0 then drop(call('ZREVRANGE', P .. status, int(count), int(count + 999))) end
end
if status == 'completed' then
    event(P, 'completed', 'jobId', id, 'returnvalue', value, 'prev', 'active')
else
    event(P, 'failed', 'jobId', id, 'failedReason', value, 'prev', 'active')
    if made >= (tonumber(opts.attempts or '') or 0) then
        event(P, 'retries-exhausted', 'jobId', id, 'attemptsMade', int(made))
    end
end
return {0, go_on(P, ARGV[7], token, ARGV[8], ARGV[9])}
