-- Hands a job back unfinished, in front, without counting an attempt. Returns leave_active's code.
-- ARGV: prefix, id, token.
local id = ARGV[2]
local code = leave_active(P, id, ARGV[3])
if code ~= 0 then return code end
local priority = priority_of(P, id)
if priority > 0 then
    call('ZADD', P .. 'prioritized', int(priority * 4294967296), id)
else
    call('RPUSH', P .. 'wait', id)
end
event(P, 'waiting', 'jobId', id, 'prev', 'active')
wake(P)
return 0
