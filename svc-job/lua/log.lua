-- Adds a row to the job's log; -1 when the job is gone. ARGV: prefix, id, row.
local k = P .. ARGV[2]
if call('EXISTS', k) == 0 then return -1 end
local n = call('RPUSH', k .. ':logs', ARGV[3])
local keep = tonumber(decode(call('HGET', k, 'opts')).kl or '')
if keep and keep > 0 and n > keep then call('LTRIM', k .. ':logs', -keep, -1) end
return n
