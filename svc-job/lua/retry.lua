-- Gives a failed attempt another try, after a delay or at once, and takes the next job.
-- ARGV: prefix, id, token, delay ms, reason, fetch (1 or 0), lock ms, worker name.
local id, token, delay = ARGV[2], ARGV[3], tonumber(ARGV[4])
local k = P .. id
local code = leave_active(P, id, token)
if code ~= 0 then return {code, {0, 0, 0}} end
local opts = decode(call('HGET', k, 'opts'))
call('HINCRBY', k, 'atm', 1)
add_stack(k, ARGV[5], opts)
call('HSET', k, 'failedReason', ARGV[5], 'delay', int(delay))
if delay > 0 then
    put_delayed(P, id, now_ms() + delay)
else
    put_waiting(P, id, priority_of(P, id), opts.lifo == true)
    event(P, 'waiting', 'jobId', id, 'prev', 'active')
    wake(P)
end
return {0, go_on(P, ARGV[6], token, ARGV[7], ARGV[8])}
