-- Removes a job that nobody is running. 1: removed; 0: it is active; -1: there is none.
-- ARGV: prefix, id.
local id = ARGV[2]
if call('EXISTS', P .. id) == 0 then return -1 end
if call('EXISTS', P .. id .. ':lock') == 1 or call('LPOS', P .. 'active', id) then return 0 end
local prev = 'unknown'
for _, set in ipairs({'completed', 'failed', 'delayed', 'prioritized', 'waiting-children'}) do
    if call('ZREM', P .. set, id) == 1 then prev = set end
end
if prev == 'unknown' then
    for _, list in ipairs({'wait', 'paused'}) do
        if call('LREM', P .. list, 0, id) > 0 then prev = list end
    end
end
if prev == 'delayed' then arm_delay(P) end
release_dedup(P, id, true)
local parent_key = call('HGET', P .. id, 'parentKey')
if parent_key and call('SREM', parent_key .. ':dependencies', P .. id) == 1 and
    call('SCARD', parent_key .. ':dependencies') == 0 then
    local pq, pid = string.match(parent_key, '^(.*:)([^:]+)$')
    release_parent(pq, pid)
end
delete_job(P, id)
event(P, 'removed', 'jobId', id, 'prev', prev)
return 1
