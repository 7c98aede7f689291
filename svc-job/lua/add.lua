-- Adds a job: 1 when it was added, 0 when its id is there already.
-- A finished job of that id gives way to a later generation, never to its own: whoever adds it
-- again has not heard yet that it ended.
-- ARGV: prefix, id, name, data, opts, created ms (0: now), delay ms, priority, lifo (1 or 0),
-- generation.
local id, name, data, opts = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local created, delay, priority = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local k = P .. id
call('INCR', P .. 'id')
if call('EXISTS', k) == 1 then
    local finished = call('ZSCORE', P .. 'completed', id) or call('ZSCORE', P .. 'failed', id)
    if not finished or tonumber(ARGV[10]) <= generation_of(P, id) then
        event(P, 'duplicated', 'jobId', id)
        return 0
    end
    call('ZREM', P .. 'completed', id)
    call('ZREM', P .. 'failed', id)
    release_dedup(P, id, true)
    delete_job(P, id)
end
local now = now_ms()
if created == 0 then created = now end
call('HSET', k, 'name', name, 'data', data, 'opts', opts, 'timestamp', int(created), 'delay',
     int(delay), 'priority', int(priority), 'rgen', ARGV[10])
event(P, 'added', 'jobId', id, 'name', name)
if delay > 0 then
    put_delayed(P, id, now + delay)
else
    put_waiting(P, id, priority, ARGV[9] == '1')
    event(P, 'waiting', 'jobId', id)
    wake(P)
end
return 1
